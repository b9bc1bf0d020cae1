//! Sixteen values side by side in registers that the kernel names, and exp and ln of them.
//!
//! What the compiler makes of loops over arrays depends on their surroundings: it may take one chain of operations
//! after the other, for which the processor waits, or take vectors apart. A tile of AVX2 is two registers, each
//! operation on both before the next: two chains side by side.

use super::{
    instruction_set::{Streaming, prefetch},
    lanes::{LANES, Lanes},
};
use crate::element::sealed::Lane;

/// Tiles ahead of the one at hand that are asked for: about when their turn comes.
const AHEAD: usize = 64;

/// The vector instructions that a kernel is compiled for.
pub trait Simd {
    /// Sixteen `f32`.
    type Singles: Singles;
}

/// Sixteen values of type `F`.
pub trait Tile<F: Lane>: Copy {
    /// Yes or no for each of them.
    type Mask: Copy;
    /// What is known of many x: whether all were in range.
    type Seen: Copy;
    /// Sums in `f64`.
    type Wide: Copy;

    fn splat(value: F) -> Self;
    fn load(values: &[F; LANES]) -> Self;

    /// One of many tiles in a row, of which one far ahead is asked for, whatever lies there.
    #[inline(always)]
    fn load_ahead(values: &[F; LANES]) -> Self {
        prefetch(std::ptr::from_ref(values).wrapping_add(AHEAD));
        Self::load(values)
    }

    fn store(self, out: &mut [F; LANES]);
    /// Past the caches if `out` is the start of a cache line.
    fn stream(self, out: &mut [F; LANES], streaming: &Streaming);

    /// As [`stream`](Self::stream) or as [`store`](Self::store).
    #[inline(always)]
    fn write(self, out: &mut [F; LANES], streaming: Option<&Streaming>) {
        match streaming {
            Some(streaming) => self.stream(out, streaming),
            None => self.store(out),
        }
    }

    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    fn over(self, other: Self) -> Self;
    /// self · factor + summand, in one rounding where that is one instruction.
    fn times_plus(self, factor: Self, summand: Self) -> Self;
    /// `self` where `other` is NaN.
    fn max(self, other: Self) -> Self;
    /// `self` where `other` is NaN.
    fn min(self, other: Self) -> Self;
    /// −|x|.
    fn minus_abs(self) -> Self;
    /// Of x ≥ 0: −x where `other` < 0, and perhaps where it is −0.
    fn with_sign_of(self, other: Self) -> Self;
    /// eˣ for x ≤ 88; below −87 it stays at e⁻⁸⁷, 10⁻³⁸.
    fn exp(self) -> Self;
    /// eˣ for x within ±44, which is noted in `seen`.
    fn power(self, seen: &mut Self::Seen) -> Self;
    /// e⁻ˣ for x within ±44, which is noted in `seen`.
    fn inverse_power(self, seen: &mut Self::Seen) -> Self;
    fn nothing_seen() -> Self::Seen;
    fn were_in_range(seen: Self::Seen) -> bool;
    /// ln x for normal x > 0.
    fn ln(self) -> Self;
    fn wide_zeros() -> Self::Wide;
    /// Adds each value to one of the sums.
    fn add_to(self, sums: Self::Wide) -> Self::Wide;
    /// Adds each product, which is not rounded, to one of the sums.
    fn add_product_to(self, factor: Self, sums: Self::Wide) -> Self::Wide;
    fn wide_sum(sums: Self::Wide) -> f64;
    /// Where the voxel is of the class.
    fn is_class(codes: &[i32; LANES], class: i32) -> Self::Mask;
    /// Where the voxel counts.
    fn counts(codes: &[i32; LANES]) -> Self::Mask;
    fn either(mask: Self::Mask, other: Self::Mask) -> Self::Mask;
    /// In how many lanes the mask holds.
    fn count_of(mask: Self::Mask) -> u32;
    /// A lane where the mask does not hold.
    fn lane_without(mask: Self::Mask) -> Option<usize>;
    fn is_not_negative(self) -> Self::Mask;
    fn select(mask: Self::Mask, where_true: Self, elsewhere: Self) -> Self;
    /// 0 elsewhere.
    fn only(self, mask: Self::Mask) -> Self;

    #[inline(always)]
    fn lanes(self) -> Lanes<F> {
        let mut lanes = Lanes::splat(F::ZERO);
        self.store(&mut lanes.0);
        lanes
    }
}

/// Sixteen `f32`, whose bits can be had.
pub trait Singles: Tile<f32> {
    type Bits: Bits;

    fn bits(self) -> Self::Bits;
    fn from_bits(bits: Self::Bits) -> Self;
    /// The integers as `f32`.
    fn integers(of: Self::Bits) -> Self;
    /// Adds 1 where the mask holds.
    fn count(mask: Self::Mask, counts: Self::Bits) -> Self::Bits;
}

/// Sixteen integers of 32 bits, which wrap around.
pub trait Bits: Copy {
    fn splat(value: u32) -> Self;
    fn load(values: &[i32; LANES]) -> Self;
    fn or(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    fn and(self, other: Self) -> Self;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    /// · 2²³: an integer to where `f32` has its exponent.
    fn to_exponent(self) -> Self;
    /// ÷ 2²³, rounded down.
    fn exponent_of(self) -> Self;
    /// 2 to the power of the lowest 5 bits.
    fn as_bit(self) -> Self;
    fn array(self) -> [u32; LANES];
}

/// 1.5 · 2²³: added to a small x, it leaves x rounded to an integer in the lowest bits.
const ROUNDER: f32 = 12_582_912.0;
/// ln 2 in two parts, the first with so few bits that its product with an exponent is exact.
const LN_2_HIGH: f32 = 355.0 / 512.0;
const LN_2_LOW: f32 = -2.121_944_4e-4;
/// The coefficients of r² to r⁵ in eʳ; those of 1 and r are 1. Near-minimax on [−½ ln 2, ½ ln 2].
const EXP: [f32; 4] = [4.999_923e-1, 1.666_711_5e-1, 4.189_033_5e-2, 8.312_503e-3];

/// `scale` · eʳ, or e⁻ʳ if `sign` is −1, for |r| ≤ ½ ln 2, by a polynomial of degree 5, 1.5e-7 relative.
///
/// Its halves are added up side by side, as what bounds a loop of these is how long each takes.
#[inline(always)]
fn reduced_exp<V: Singles>(r: V, sign: f32, scale: f32) -> V {
    let square = r.times(r);
    let first = V::splat(sign * scale).times_plus(r, V::splat(scale));
    let second = V::splat(sign * scale * EXP[1]).times_plus(r, V::splat(scale * EXP[0]));
    let third = V::splat(sign * scale * EXP[3]).times_plus(r, V::splat(scale * EXP[2]));
    third.times_plus(square, second).times_plus(square, first)
}

/// eˣ as [`Tile::exp`].
#[inline(always)]
pub(super) fn exp<V: Singles>(x: V) -> V {
    let x = V::splat(-87.0).max(x);
    let shifted = x.times_plus(V::splat(std::f32::consts::LOG2_E), V::splat(ROUNDER));
    let n = shifted.minus(V::splat(ROUNDER));
    let r = n.times_plus(V::splat(-LN_2_LOW), n.times_plus(V::splat(-LN_2_HIGH), x));
    let q = reduced_exp(r, 1.0, 1.0);
    // 2ⁿ by adding n to the exponent.
    V::from_bits(q.bits().plus(shifted.bits().to_exponent()))
}

const TWO_64: f32 = 18_446_744_073_709_551_616.0;

/// The last place of numbers in [2, 4).
const PLACE: f32 = 1.0 / 4_194_304.0;
/// Added to n last places, −64 ≤ n < 64, it leaves n + 64 in the lowest 7 bits and one other bit set.
const SHIFT: f32 = 2.0 + 64.0 * PLACE;
const BIT_OF_SHIFT: u32 = 2.0_f32.to_bits();

/// eˣ, or e⁻ˣ, for x within ±44; as [`Tile::power`] and [`Tile::inverse_power`], where `times_plus` rounds once.
#[inline(always)]
pub(super) fn power<V: Singles, const INVERSE: bool>(x: V, seen: &mut V::Bits) -> V {
    let sign = if INVERSE { -1.0 } else { 1.0 };
    let shifted = x.times_plus(V::splat(sign * PLACE * std::f32::consts::LOG2_E), V::splat(SHIFT));
    // n last places.
    let n = shifted.minus(V::splat(SHIFT));
    // ± what is left of ± x, so that x need not change its sign. ln 2 as f32 is wrong by a thirtieth of its last place
    // only: no second part of it is needed for these n, as the product is not rounded.
    let r = n.times_plus(V::splat(-sign / PLACE * std::f32::consts::LN_2), x);
    // Numbers outside of [2, 2 + 128 last places) have another bit set, except 0, for which x · log2 e would have to be
    // −SHIFT to the last bit: it is for no x.
    *seen = seen.or(shifted.bits());
    // n + 64 is added to the exponent.
    let q = reduced_exp(r, sign, 1.0 / TWO_64);
    V::from_bits(q.bits().plus(shifted.bits().to_exponent()))
}

/// Whether all x that [`power`] has noted were in range.
#[inline(always)]
pub(super) fn were_in_range<B: Bits>(seen: B) -> bool {
    seen.array().into_iter().fold(0, |seen, bits| seen | bits) & !BIT_OF_SHIFT < 128
}

/// Σ ln p over many p.
#[derive(Clone, Copy)]
pub(super) struct Logarithms<V: Singles> {
    /// p = 2ⁿ m, with m in [√½, √2) so that ln p does not cancel where p is near 1.
    exponents: V::Bits,
    /// Σ ln m.
    sum: V,
    tiles: usize,
}

impl<V: Singles> Logarithms<V> {
    /// Factors in [√½, √2] whose product stays within `f32`.
    const FACTORS: usize = 64;

    #[inline(always)]
    pub(super) fn new() -> Self {
        Self { exponents: V::Bits::splat(0), sum: V::splat(0.0), tiles: 0 }
    }

    /// Adds p > 2⁻¹⁹⁰, those that count if there are codes.
    #[inline(always)]
    pub(super) fn add_row(&mut self, p: &[[f32; LANES]], codes: Option<&[[i32; LANES]]>) {
        let root = V::Bits::splat(std::f32::consts::FRAC_1_SQRT_2.to_bits());
        for (k, p) in p.chunks(Self::FACTORS).enumerate() {
            let codes = codes.map(|codes| &codes[k * Self::FACTORS..][..p.len()]);
            // In registers, one for the row and not for each p.
            let (mut exponents, mut product) = (self.exponents, V::splat(1.0));
            for (tile, p) in p.iter().enumerate() {
                // The factor lifts the smallest p to where numbers are normal.
                let mut lifted = V::load(p).times(V::splat(TWO_64));
                if let Some(codes) = codes {
                    lifted = V::select(V::counts(&codes[tile]), lifted, V::splat(TWO_64));
                }
                let bits = lifted.bits().minus(root);
                // Each is 64 too much, which `sum` takes off.
                exponents = exponents.plus(bits.exponent_of());
                let mantissa = bits.and(V::Bits::splat(0x007f_ffff)).plus(root);
                product = product.times(V::from_bits(mantissa));
            }
            self.exponents = exponents;
            self.sum = self.sum.plus(product.ln());
            self.tiles += p.len();
        }
    }

    #[inline(always)]
    pub(super) fn sum(self) -> f64 {
        let lifts = (64 * LANES * self.tiles) as f64;
        let exponents: f64 = self.exponents.array().into_iter().map(|n| f64::from(n.cast_signed())).sum();
        (exponents - lifts) * std::f64::consts::LN_2 + self.sum.lanes().sum()
    }
}

/// x = 2ⁿ m with m ∈ [√½, √2); ln x = n ln 2 + ln m, ln m as in Cephes' `logf`, 1e-7; as [`Tile::ln`].
#[inline(always)]
pub(super) fn ln<V: Singles>(x: V) -> V {
    const LN: [f32; 9] = [
        7.037_683_6e-2,
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ];
    let root = V::Bits::splat(std::f32::consts::FRAC_1_SQRT_2.to_bits());
    let scaled = x.bits().minus(root);
    let n = V::integers(scaled.exponent_of());
    let m = V::from_bits(scaled.and(V::Bits::splat(0x007f_ffff)).plus(root));
    let x = m.minus(V::splat(1.0));
    let mut q = V::splat(LN[0]);
    for coefficient in &LN[1..] {
        q = q.times_plus(x, V::splat(*coefficient));
    }
    let square = x.times(x);
    let tail = q.times(x).times_plus(square, n.times(V::splat(LN_2_LOW))).minus(square.times(V::splat(0.5)));
    n.times_plus(V::splat(LN_2_HIGH), x.plus(tail))
}

#[cfg(test)]
mod tests;
