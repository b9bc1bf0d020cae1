//! Softmax of any finite logits, sixteen voxels at a time: what [`softmax_rows`](super::softmax_rows) leaves.

use super::{
    Kernel, MapSums,
    lanes::{LANES, Lanes},
};
use crate::element::sealed::Lane;

/// Adds a block of logits `[tiles, C, 16]`, which is overwritten; they have been found finite.
pub(super) struct MeasureTiles<'a, F> {
    pub(super) block: &'a mut [F],
    pub(super) codes: &'a [[i32; LANES]],
    pub(super) cross_entropy: bool,
    /// Σ p of the block, `[C]`; zeros on entry and return.
    pub(super) predictions: &'a mut [[F; LANES]],
    pub(super) sums: &'a mut [MapSums],
}

impl<F: Lane> Kernel for MeasureTiles<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let mut loss = Lanes::splat(F::ZERO);
        let tiles = self.block.as_chunks_mut::<LANES>().0.chunks_exact_mut(self.sums.len());
        for (x, codes) in tiles.zip(self.codes) {
            let mut of_label = Lanes::splat(F::ZERO);
            for lane in 0..LANES {
                of_label.0[lane] = x[codes[lane].max(0) as usize][lane];
            }
            let (max, sum, _) = exponentiate::<F, FMA>(x, None);
            let inverse = sum.map(|sum| F::ONE / sum).where_counted(codes, F::ZERO);
            for (x, prediction) in x.iter().zip(&mut *self.predictions) {
                *prediction = Lanes(*x).times_plus::<FMA>(inverse, Lanes(*prediction)).0;
            }
            // The label's p, found rather than looked for in every class; labels come in runs.
            let (mut code, mut overlap) = (codes[0], 0.0);
            for lane in 0..LANES {
                if codes[lane] != code {
                    if code >= 0 {
                        self.sums[code as usize].overlap += overlap;
                    }
                    (code, overlap) = (codes[lane], 0.0);
                }
                overlap += (x[code.max(0) as usize][lane] * inverse.0[lane]).wide();
            }
            if code >= 0 {
                self.sums[code as usize].overlap += overlap;
            }
            if self.cross_entropy {
                let logarithm = sum.map(|sum| sum.ln::<FMA>());
                loss = loss.plus(max.minus(of_label).plus(logarithm).where_counted(codes, F::ZERO));
            }
        }
        self.sums[0].cross_entropy += loss.sum();
        for (sums, prediction) in self.sums.iter_mut().zip(self.predictions) {
            sums.prediction += Lanes(std::mem::replace(prediction, [F::ZERO; LANES])).sum();
        }
    }
}

/// Replaces the logits of a tile by e^(x − max); the maximum, the sum and, with `factors`, the sum of products with them.
#[inline(always)]
fn exponentiate<F: Lane, const FMA: bool>(
    x: &mut [[F; LANES]],
    factors: Option<&[F]>,
) -> (Lanes<F>, Lanes<F>, Lanes<F>) {
    let mut max = Lanes(x[0]);
    for x in &x[1..] {
        max = max.max(Lanes(*x));
    }
    let [mut sum, mut products] = [Lanes::splat(F::ZERO); 2];
    for (c, x) in x.iter_mut().enumerate() {
        let power = Lanes(*x).minus(max).exp::<FMA>();
        sum = sum.plus(power);
        if let Some(factors) = factors {
            products = Lanes::splat(factors[c]).times_plus::<FMA>(power, products);
        }
        *x = power.0;
    }
    (max, sum, products)
}

/// Replaces a block of logits `[tiles, C, 16]` by their derivative; they have been found finite.
pub(super) struct DifferentiateTiles<'a, F> {
    pub(super) block: &'a mut [F],
    pub(super) codes: &'a [[i32; LANES]],
    pub(super) outside: &'a [F],
    pub(super) inside: &'a [F],
    pub(super) weight: F,
}

impl<F: Lane> Kernel for DifferentiateTiles<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let tiles = self.block.as_chunks_mut::<LANES>().0.chunks_exact_mut(self.outside.len());
        for (x, codes) in tiles.zip(self.codes) {
            let (_, sum, mut mean) = exponentiate::<F, FMA>(x, Some(self.outside));
            // Where y = 1, which is one class of each voxel: what differs there, e^(x − max) and the class.
            let mut labelled = [(F::ZERO, 0_usize); LANES];
            for lane in 0..LANES {
                let c = codes[lane].max(0) as usize;
                labelled[lane] = (x[c][lane], c);
                mean.0[lane] += (self.inside[c] - self.outside[c]) * x[c][lane];
            }
            let inverse = sum.map(|sum| F::ONE / sum).where_counted(codes, F::ZERO);
            let weight = Lanes::splat(self.weight).where_counted(codes, F::ZERO);
            let mean = mean.times(inverse);
            for (x, &outside) in x.iter_mut().zip(self.outside) {
                *x = Lanes(*x).times(inverse).times(Lanes::splat(outside).minus(mean).plus(weight)).0;
            }
            for lane in 0..LANES {
                let (power, c) = labelled[lane];
                x[c][lane] = power * inverse.0[lane] * (self.inside[c] - mean.0[lane] + weight.0[lane])
                    - weight.0[lane];
            }
        }
    }
}
