//! Softmax of any finite logits, sixteen voxels at a time: what [`softmax_rows`](super::softmax_rows) leaves.

use super::{
    Kernel, MapSums,
    lanes::{LANES, Lanes},
    tile::{Simd, Tile},
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
    fn run<S: Simd>(self) {
        let zero = F::Tile::<S>::splat(F::ZERO);
        let mut loss = zero;
        let tiles = self.block.as_chunks_mut::<LANES>().0.chunks_exact_mut(self.sums.len());
        for (x, codes) in tiles.zip(self.codes) {
            let mut of_label = [F::ZERO; LANES];
            for lane in 0..LANES {
                of_label[lane] = x[codes[lane].max(0) as usize][lane];
            }
            let (max, sum, _) = exponentiate::<F, F::Tile<S>>(x, None);
            let counts = F::Tile::<S>::counts(codes);
            let inverse = F::Tile::<S>::splat(F::ONE).over(sum).only(counts);
            for (x, prediction) in x.iter().zip(&mut *self.predictions) {
                F::Tile::<S>::load(x).times_plus(inverse, F::Tile::<S>::load(prediction)).store(prediction);
            }
            let inverse = inverse.lanes();
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
                let of_label = F::Tile::<S>::load(&of_label);
                loss = loss.plus(max.minus(of_label).plus(sum.ln()).only(counts));
            }
        }
        self.sums[0].cross_entropy += loss.lanes().sum();
        for (sums, prediction) in self.sums.iter_mut().zip(self.predictions) {
            sums.prediction += Lanes(std::mem::replace(prediction, [F::ZERO; LANES])).sum();
        }
    }
}

/// Replaces the logits of a tile by e^(x − max); the maximum, the sum and, with `factors`, the sum of products with them.
#[inline(always)]
fn exponentiate<F: Lane, V: Tile<F>>(x: &mut [[F; LANES]], factors: Option<&[F]>) -> (V, V, V) {
    let mut max = V::load(&x[0]);
    for x in &x[1..] {
        max = max.max(V::load(x));
    }
    let [mut sum, mut products] = [V::splat(F::ZERO); 2];
    for (c, x) in x.iter_mut().enumerate() {
        let power = V::load(x).minus(max).exp();
        sum = sum.plus(power);
        if let Some(factors) = factors {
            products = V::splat(factors[c]).times_plus(power, products);
        }
        power.store(x);
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
    fn run<S: Simd>(self) {
        let tiles = self.block.as_chunks_mut::<LANES>().0.chunks_exact_mut(self.outside.len());
        for (x, codes) in tiles.zip(self.codes) {
            let (_, sum, mean) = exponentiate::<F, F::Tile<S>>(x, Some(self.outside));
            let mut mean = mean.lanes();
            // Where y = 1, which is one class of each voxel: what differs there, e^(x − max) and the class.
            let mut labelled = [(F::ZERO, 0_usize); LANES];
            for lane in 0..LANES {
                let c = codes[lane].max(0) as usize;
                labelled[lane] = (x[c][lane], c);
                mean.0[lane] += (self.inside[c] - self.outside[c]) * x[c][lane];
            }
            let counts = F::Tile::<S>::counts(codes);
            let inverse = F::Tile::<S>::splat(F::ONE).over(sum).only(counts);
            let weight = F::Tile::<S>::splat(self.weight).only(counts);
            let mean = F::Tile::<S>::load(&mean.0).times(inverse);
            for (x, &outside) in x.iter_mut().zip(self.outside) {
                let slope = F::Tile::<S>::splat(outside).minus(mean).plus(weight);
                F::Tile::<S>::load(x).times(inverse).times(slope).store(x);
            }
            let [inverse, weight, mean] = [inverse, weight, mean].map(|tile| tile.lanes());
            for lane in 0..LANES {
                let (power, c) = labelled[lane];
                x[c][lane] = power * inverse.0[lane] * (self.inside[c] - mean.0[lane] + weight.0[lane])
                    - weight.0[lane];
            }
        }
    }
}
