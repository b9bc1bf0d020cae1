//! The kernels of [`softmax_labels`](super::softmax_labels), sixteen voxels at a time.

use super::{
    Kernel, MapSums,
    lanes::{LANES, Lanes},
};
use crate::element::sealed::Lane;

/// Tiles whose Σ e^(x − max) are multiplied before one logarithm: sixteen factors of at most 16 do not overflow.
const FACTORS: usize = 16;

/// Adds C rows of logits to the sums; false if one of them may not be finite.
pub(super) struct MeasureFew<'a, const C: usize> {
    pub(super) rows: [&'a [[f32; LANES]]; C],
    pub(super) codes: &'a [[i32; LANES]],
    pub(super) cross_entropy: bool,
    pub(super) sums: &'a mut [MapSums],
}

impl<const C: usize> Kernel for MeasureFew<'_, C> {
    type Output = bool;

    #[inline(always)]
    fn run<const FMA: bool>(self) -> bool {
        let zero = Lanes::splat(0.0);
        let [mut predictions, mut overlaps] = [[zero; C]; 2];
        let [mut below, mut of_labels, mut logarithms] = [zero; 3];
        let rows: [_; C] = std::array::from_fn(|c| &self.rows[c][..self.codes.len()]);
        for start in (0..self.codes.len()).step_by(FACTORS) {
            // Σ ln s = ln Π s.
            let mut product = Lanes::splat(1.0);
            let end = (start + FACTORS).min(self.codes.len());
            for (tile, codes) in (start..end).zip(&self.codes[start..end]) {
                let mut x: [_; C] = std::array::from_fn(|c| Lanes(rows[c][tile]));
                let mut max = x[0];
                for x in &x[1..] {
                    max = max.max(*x);
                }
                let [mut sum, mut of_label] = [zero; 2];
                for (c, x) in x.iter_mut().enumerate() {
                    let difference = x.minus(max);
                    // NaN or −∞ if a logit is not finite.
                    below = below.plus(difference);
                    of_label = difference.where_class(codes, c as i32, of_label);
                    *x = difference.exp::<FMA>();
                    sum = sum.plus(*x);
                }
                let inverse = sum.map(|sum| 1.0 / sum).where_counted(codes, 0.0);
                for (c, x) in x.iter().enumerate() {
                    let p = x.times(inverse);
                    predictions[c] = predictions[c].plus(p);
                    overlaps[c] = overlaps[c].plus(p.where_class(codes, c as i32, zero));
                }
                product = product.times(sum.where_counted(codes, 1.0));
                of_labels = of_labels.plus(of_label);
            }
            logarithms = logarithms.plus(product.map(Lane::ln::<FMA>));
        }
        for c in 0..C {
            self.sums[c].prediction += predictions[c].sum();
            self.sums[c].overlap += overlaps[c].sum();
        }
        if self.cross_entropy {
            self.sums[0].cross_entropy += logarithms.sum() - of_labels.sum();
        }
        below.is_finite()
    }
}

/// Writes the derivative of C rows of logits; false if one of them may not be finite.
pub(super) struct DifferentiateFew<'a, const C: usize> {
    pub(super) rows: [&'a [[f32; LANES]]; C],
    pub(super) codes: &'a [[i32; LANES]],
    /// ∂L/∂p of each class where y = 0, and where y = 1.
    pub(super) outside: &'a [f32],
    pub(super) inside: &'a [f32],
    /// The factor of the cross-entropy.
    pub(super) weight: f32,
    pub(super) out: [&'a mut [[f32; LANES]]; C],
}

impl<const C: usize> Kernel for DifferentiateFew<'_, C> {
    type Output = bool;

    #[inline(always)]
    fn run<const FMA: bool>(self) -> bool {
        let (zero, weight) = (Lanes::splat(0.0), Lanes::splat(self.weight));
        let (outside, inside) = (&self.outside[..C], &self.inside[..C]);
        let rows: [_; C] = std::array::from_fn(|c| &self.rows[c][..self.codes.len()]);
        let out = self.out.map(|out| &mut out[..self.codes.len()]);
        let mut below = zero;
        for (tile, codes) in self.codes.iter().enumerate() {
            let derivative =
                |c: usize| Lanes::splat(inside[c]).where_class(codes, c as i32, Lanes::splat(outside[c]));
            let mut x: [_; C] = std::array::from_fn(|c| Lanes(rows[c][tile]));
            let mut max = x[0];
            for x in &x[1..] {
                max = max.max(*x);
            }
            let [mut sum, mut mean] = [zero; 2];
            for (c, x) in x.iter_mut().enumerate() {
                let difference = x.minus(max);
                below = below.plus(difference);
                *x = difference.exp::<FMA>();
                sum = sum.plus(*x);
                mean = derivative(c).times_plus::<FMA>(*x, mean);
            }
            let inverse = sum.map(|sum| 1.0 / sum).where_counted(codes, 0.0);
            let weight = weight.where_counted(codes, 0.0);
            // p (∂L/∂p − Σ p ∂L/∂p) + w (p − y); w is added last, so that the difference of near equals stays exact.
            let mean = mean.times(inverse);
            for (c, x) in x.iter().enumerate() {
                let value = x.times(inverse).times(derivative(c).minus(mean).plus(weight));
                out[c][tile] = value.minus(weight.where_class(codes, c as i32, zero)).0;
            }
        }
        below.is_finite()
    }
}

/// Adds a block of logits `[tiles, C, 16]`, which is overwritten; they have been found finite.
pub(super) struct MeasureMany<'a, F> {
    pub(super) block: &'a mut [F],
    pub(super) codes: &'a [[i32; LANES]],
    pub(super) cross_entropy: bool,
    /// Σ p of the block, `[C]`; zeros on entry and return.
    pub(super) predictions: &'a mut [[F; LANES]],
    pub(super) sums: &'a mut [MapSums],
}

impl<F: Lane> Kernel for MeasureMany<'_, F> {
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
pub(super) struct DifferentiateMany<'a, F> {
    pub(super) block: &'a mut [F],
    pub(super) codes: &'a [[i32; LANES]],
    pub(super) outside: &'a [F],
    pub(super) inside: &'a [F],
    pub(super) weight: F,
}

impl<F: Lane> Kernel for DifferentiateMany<'_, F> {
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
