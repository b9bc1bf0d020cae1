//! Softmax of a few classes, with all that belongs to sixteen voxels in registers.

use super::{
    InstructionSet, Kernel, MapSums,
    lanes::{LANES, Lanes},
};
use crate::element::sealed::Lane;

/// Runs `$call` with the constant `$c` = `$classes`, for the numbers of classes that have kernels of their own.
macro_rules! with_constant {
    ($classes:expr, $c:ident => $call:expr, $($number:literal)*) => {
        match $classes {
            $($number => {
                const $c: usize = $number;
                $call
            })*
            classes => unreachable!("{classes} classes are not few"),
        }
    };
}

macro_rules! few {
    ($classes:expr, $c:ident => $call:expr) => {
        with_constant!($classes, $c => $call, 1 2 3 4 5 6)
    };
}

/// Whether there are kernels for so many classes. More of them do not fit into registers and are quicker in
/// [rows](super::softmax_rows), and every kernel makes the crate slower to compile.
pub(super) fn is_few(classes: usize) -> bool {
    (1..=6).contains(&classes)
}

/// Adds rows of logits to the sums, one for each of the few classes; false, with nothing added, if one of them may not
/// be finite.
pub(super) fn measure<'a>(
    set: InstructionSet,
    map: impl Fn(usize) -> &'a [f32],
    codes: &[[i32; LANES]],
    cross_entropy: bool,
    sums: &mut [MapSums],
) -> bool {
    few!(sums.len(), C => {
        let rows = std::array::from_fn(|c| map(c).as_chunks().0);
        set.run(MeasureFew::<C> { rows, codes, cross_entropy, sums })
    })
}

/// ∂L/∂p of each class where y = 0, and where y = 1, and the factor of the cross-entropy.
#[derive(Clone, Copy)]
pub(super) struct Derivative<'a> {
    pub(super) outside: &'a [f32],
    pub(super) inside: &'a [f32],
    pub(super) weight: f32,
}

/// Writes the derivative of rows of logits to `[C, length]`; false if one of them may not be finite.
pub(super) fn differentiate<'a>(
    set: InstructionSet,
    map: impl Fn(usize) -> &'a [f32],
    codes: &[[i32; LANES]],
    derivative: Derivative<'_>,
    result: &mut [f32],
) -> bool {
    let Derivative { outside, inside, weight } = derivative;
    let mut results = result.chunks_exact_mut(codes.len() * LANES);
    few!(outside.len(), C => {
        let rows = std::array::from_fn(|c| map(c).as_chunks().0);
        let out = std::array::from_fn(|_| results.next().unwrap_or_default().as_chunks_mut().0);
        set.run(DifferentiateFew::<C> { rows, codes, outside, inside, weight, out })
    })
}

/// Tiles whose Σ e^(x − max) are multiplied before one logarithm: sixteen factors of at most 16 do not overflow.
const FACTORS: usize = 16;

/// Adds C rows of logits to the sums; false if one of them may not be finite.
struct MeasureFew<'a, const C: usize> {
    rows: [&'a [[f32; LANES]]; C],
    codes: &'a [[i32; LANES]],
    cross_entropy: bool,
    sums: &'a mut [MapSums],
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
        if !below.is_finite() {
            return false;
        }
        for c in 0..C {
            self.sums[c].prediction += predictions[c].sum();
            self.sums[c].overlap += overlaps[c].sum();
        }
        if self.cross_entropy {
            self.sums[0].cross_entropy += logarithms.sum() - of_labels.sum();
        }
        true
    }
}

/// Writes the derivative of C rows of logits; false if one of them may not be finite.
struct DifferentiateFew<'a, const C: usize> {
    rows: [&'a [[f32; LANES]]; C],
    codes: &'a [[i32; LANES]],
    /// ∂L/∂p of each class where y = 0, and where y = 1.
    outside: &'a [f32],
    inside: &'a [f32],
    /// The factor of the cross-entropy.
    weight: f32,
    out: [&'a mut [[f32; LANES]]; C],
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
