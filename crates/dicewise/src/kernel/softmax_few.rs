//! Softmax of a few classes, with all that belongs to sixteen voxels in registers.

use super::{
    InstructionSet, Kernel, MapSums,
    lanes::{LANES, Lanes},
    softmax_rows::{OUT_OF_RANGE, exp, split},
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
        with_constant!($classes, $c => $call, 2 3 4 5 6)
    };
}

/// Whether there are kernels for so many classes. More of them do not fit into registers and are quicker in
/// [rows](super::softmax_rows), and every kernel makes the crate slower to compile.
pub(super) fn is_few(classes: usize) -> bool {
    (2..=6).contains(&classes)
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

/// Tiles whose logarithms are taken at once, as that of a product of factors in [√½, √2].
const FACTORS: usize = 64;

/// eˣ of a tile of each class, and their sum.
#[inline(always)]
fn exponentiate<const FMA: bool, const C: usize>(
    rows: &[&[[f32; LANES]]; C],
    tile: usize,
    seen: &mut [u32; LANES],
) -> ([[f32; LANES]; C], [f32; LANES]) {
    let mut powers = [[0.0; LANES]; C];
    let mut sum = [0.0; LANES];
    for c in 0..C {
        for lane in 0..LANES {
            let (power, bits) = exp::<FMA>(rows[c][tile][lane]);
            powers[c][lane] = power;
            seen[lane] |= bits;
            sum[lane] += power;
        }
    }
    (powers, sum)
}

/// Whether all logits were in range.
fn all_in_range(seen: [u32; LANES]) -> bool {
    seen.into_iter().fold(0, |seen, bits| seen | bits) < OUT_OF_RANGE
}

/// Adds C rows of logits to the sums; false if one of them is out of range.
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
        let [mut predictions, mut overlaps] = [[[0.0_f32; LANES]; C]; 2];
        let mut seen = [0; LANES];
        let mut logarithms = Logarithms::new();
        let rows: [_; C] = std::array::from_fn(|c| &self.rows[c][..self.codes.len()]);
        for (tile, codes) in self.codes.iter().enumerate() {
            let (powers, sum) = exponentiate::<FMA, C>(&rows, tile, &mut seen);
            let mut inverse = [0.0; LANES];
            for lane in 0..LANES {
                inverse[lane] = if codes[lane] >= 0 { 1.0 / sum[lane] } else { 0.0 };
            }
            let mut of_label = [0.0; LANES];
            for c in 0..C {
                for lane in 0..LANES {
                    predictions[c][lane] =
                        powers[c][lane].times_plus::<FMA>(inverse[lane], predictions[c][lane]);
                }
                let mut labelled = [0.0; LANES];
                for lane in 0..LANES {
                    labelled[lane] = if codes[lane] == c as i32 { powers[c][lane] } else { 0.0 };
                }
                for lane in 0..LANES {
                    overlaps[c][lane] = labelled[lane].times_plus::<FMA>(inverse[lane], overlaps[c][lane]);
                }
                for lane in 0..LANES {
                    of_label[lane] += labelled[lane];
                }
            }
            if self.cross_entropy {
                for lane in 0..LANES {
                    of_label[lane] *= inverse[lane];
                }
                logarithms.add::<FMA>(tile, &of_label, codes);
            }
        }
        if !all_in_range(seen) {
            return false;
        }
        for c in 0..C {
            self.sums[c].prediction += Lanes(predictions[c]).sum();
            self.sums[c].overlap += Lanes(overlaps[c]).sum();
        }
        if self.cross_entropy {
            self.sums[0].cross_entropy -= logarithms.sum::<FMA>();
        }
        true
    }
}

/// Writes the derivative of C rows of logits; false if one of them is out of range.
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
        let (outside, inside) = (&self.outside[..C], &self.inside[..C]);
        let rows: [_; C] = std::array::from_fn(|c| &self.rows[c][..self.codes.len()]);
        let out = self.out.map(|out| &mut out[..self.codes.len()]);
        let mut seen = [0; LANES];
        for (tile, codes) in self.codes.iter().enumerate() {
            let (powers, sum) = exponentiate::<FMA, C>(&rows, tile, &mut seen);
            let slope =
                |c: usize| Lanes::splat(inside[c]).where_class(codes, c as i32, Lanes::splat(outside[c]));
            let mut mean = Lanes::splat(0.0);
            #[expect(clippy::needless_range_loop, reason = "as an iterator it takes a sixth longer")]
            for c in 0..C {
                mean = slope(c).times_plus::<FMA>(Lanes(powers[c]), mean);
            }
            let inverse = Lanes(sum).map(|sum| 1.0 / sum).where_counted(codes, 0.0);
            let weight = Lanes::splat(self.weight);
            let offset = weight.minus(mean.times(inverse)).times(inverse);
            // p (∂L/∂p − Σ p ∂L/∂p + w) − w y; w y is last, so that the difference of near equals stays exact.
            let minus = Lanes::splat(-self.weight);
            for c in 0..C {
                let factor = slope(c).times_plus::<FMA>(inverse, offset);
                let last = minus.where_class(codes, c as i32, Lanes::splat(0.0));
                out[c][tile] = Lanes(powers[c]).times_plus::<FMA>(factor, last).0;
            }
        }
        all_in_range(seen)
    }
}

/// Σ ln p over voxels.
struct Logarithms {
    /// p = 2ⁿ m, with m in [√½, √2) so that ln p does not cancel where p is near 1.
    exponents: [i32; LANES],
    product: [f32; LANES],
    sum: Lanes<f32>,
}

impl Logarithms {
    fn new() -> Self {
        Self { exponents: [0; LANES], product: [1.0; LANES], sum: Lanes::splat(0.0) }
    }

    /// Adds the voxels of a tile that count.
    #[inline(always)]
    fn add<const FMA: bool>(&mut self, tile: usize, p: &[f32; LANES], codes: &[i32; LANES]) {
        if tile % FACTORS == FACTORS - 1 {
            self.sum = self.sum.plus(Lanes(self.product).map(Lane::ln::<FMA>));
            self.product = [1.0; LANES];
        }
        for lane in 0..LANES {
            let (exponent, mantissa) = split(p[lane], codes[lane] >= 0);
            self.exponents[lane] += exponent;
            self.product[lane] *= mantissa;
        }
    }

    #[inline(always)]
    fn sum<const FMA: bool>(&self) -> f64 {
        let exponents: i32 = self.exponents.iter().sum();
        let sum = self.sum.plus(Lanes(self.product).map(Lane::ln::<FMA>)).sum();
        f64::from(exponents) * std::f64::consts::LN_2 + sum
    }
}
