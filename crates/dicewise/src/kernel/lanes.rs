//! Sixteen values as an array: the tile of `f64`, and of machines that have no other.

use super::{
    instruction_set::Streaming,
    tile::{Bits, Singles, Tile},
};
use crate::element::sealed::Lane;

/// How many.
pub(crate) const LANES: usize = 16;

/// Whether a fused multiply-add is one instruction, whatever the machine.
pub(super) const FUSED: bool = cfg!(target_arch = "aarch64");

#[derive(Clone, Copy)]
pub struct Lanes<F>(pub(super) [F; LANES]);

impl<F: Lane> Lanes<F> {
    #[inline(always)]
    fn zip(self, other: Self, of: impl Fn(F, F) -> F) -> Self {
        let mut out = self;
        for (out, other) in out.0.iter_mut().zip(other.0) {
            *out = of(*out, other);
        }
        out
    }

    #[inline(always)]
    pub(super) fn map(self, of: impl Fn(F) -> F) -> Self {
        let mut out = self;
        for out in &mut out.0 {
            *out = of(*out);
        }
        out
    }

    #[inline(always)]
    fn widened(self) -> Lanes<f64> {
        let mut out = Lanes([0.0; LANES]);
        for (out, lane) in out.0.iter_mut().zip(self.0) {
            *out = lane.wide();
        }
        out
    }

    /// The sum of the lanes, pairwise.
    #[inline(always)]
    pub(super) fn sum(self) -> f64 {
        let mut sums = self.0.map(|lane| lane.wide());
        let mut width = LANES / 2;
        while width > 0 {
            for lane in 0..width {
                sums[lane] += sums[lane + width];
            }
            width /= 2;
        }
        sums[0]
    }

    /// Whether all lanes are.
    #[inline(always)]
    pub(super) fn is_finite(self) -> bool {
        self.0.iter().fold(0, |largest, lane| lane.magnitude().max(largest)) < F::INFINITE
    }
}

impl<F: Lane> Tile<F> for Lanes<F> {
    type Mask = [bool; LANES];
    /// The largest magnitudes.
    type Seen = [u32; LANES];
    type Wide = Lanes<f64>;

    #[inline(always)]
    fn splat(value: F) -> Self {
        Self([value; LANES])
    }

    #[inline(always)]
    fn load(values: &[F; LANES]) -> Self {
        Self(*values)
    }

    #[inline(always)]
    fn store(self, out: &mut [F; LANES]) {
        *out = self.0;
    }

    #[inline(always)]
    fn stream(self, out: &mut [F; LANES], _: &Streaming) {
        self.store(out);
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    fn over(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }

    #[inline(always)]
    fn times_plus(self, factor: Self, summand: Self) -> Self {
        let mut out = self;
        for ((out, factor), summand) in out.0.iter_mut().zip(factor.0).zip(summand.0) {
            *out = out.times_plus(factor, summand);
        }
        out
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if b > a { b } else { a })
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if b < a { b } else { a })
    }

    #[inline(always)]
    fn minus_abs(self) -> Self {
        self.map(|x| -x.abs())
    }

    #[inline(always)]
    fn with_sign_of(self, other: Self) -> Self {
        self.zip(other, |x, other| if other < F::ZERO { -x } else { x })
    }

    #[inline(always)]
    fn exp(self) -> Self {
        F::exp(self)
    }

    #[inline(always)]
    fn power(self, seen: &mut [u32; LANES]) -> Self {
        for (seen, x) in seen.iter_mut().zip(self.0) {
            *seen = x.magnitude().max(*seen);
        }
        self.exp()
    }

    #[inline(always)]
    fn inverse_power(self, seen: &mut [u32; LANES]) -> Self {
        self.map(|x| -x).power(seen)
    }

    #[inline(always)]
    fn nothing_seen() -> [u32; LANES] {
        [0; LANES]
    }

    #[inline(always)]
    fn were_in_range(seen: [u32; LANES]) -> bool {
        seen.into_iter().all(|magnitude| magnitude <= F::of(44.0).magnitude())
    }

    #[inline(always)]
    fn ln(self) -> Self {
        F::ln(self)
    }

    #[inline(always)]
    fn wide_zeros() -> Lanes<f64> {
        Lanes([0.0; LANES])
    }

    #[inline(always)]
    fn add_to(self, sums: Lanes<f64>) -> Lanes<f64> {
        sums.plus(self.widened())
    }

    #[inline(always)]
    fn add_product_to(self, factor: Self, sums: Lanes<f64>) -> Lanes<f64> {
        self.widened().times_plus(factor.widened(), sums)
    }

    #[inline(always)]
    fn wide_sum(sums: Lanes<f64>) -> f64 {
        sums.sum()
    }

    #[inline(always)]
    fn is_class(codes: &[i32; LANES], class: i32) -> [bool; LANES] {
        codes.map(|code| code == class)
    }

    #[inline(always)]
    fn counts(codes: &[i32; LANES]) -> [bool; LANES] {
        codes.map(|code| code >= 0)
    }

    #[inline(always)]
    fn either(mut mask: [bool; LANES], other: [bool; LANES]) -> [bool; LANES] {
        mask.iter_mut().zip(other).for_each(|(mask, other)| *mask |= other);
        mask
    }

    #[inline(always)]
    fn count_of(mask: [bool; LANES]) -> u32 {
        mask.into_iter().map(u32::from).sum()
    }

    #[inline(always)]
    fn lane_without(mask: [bool; LANES]) -> Option<usize> {
        mask.iter().position(|&mask| !mask)
    }

    #[inline(always)]
    fn is_not_negative(self) -> [bool; LANES] {
        self.0.map(|x| x >= F::ZERO)
    }

    #[inline(always)]
    fn select(mask: [bool; LANES], where_true: Self, elsewhere: Self) -> Self {
        let mut out = where_true;
        for ((out, elsewhere), mask) in out.0.iter_mut().zip(elsewhere.0).zip(mask) {
            *out = if mask { *out } else { elsewhere };
        }
        out
    }

    #[inline(always)]
    fn only(self, mask: [bool; LANES]) -> Self {
        Self::select(mask, self, Self::splat(F::ZERO))
    }
}

impl Singles for Lanes<f32> {
    type Bits = Integers;

    #[inline(always)]
    fn bits(self) -> Integers {
        Integers(self.0.map(f32::to_bits))
    }

    #[inline(always)]
    fn from_bits(bits: Integers) -> Self {
        Self(bits.0.map(f32::from_bits))
    }

    #[inline(always)]
    fn integers(of: Integers) -> Self {
        Self(of.0.map(|of| of.cast_signed() as f32))
    }

    #[inline(always)]
    fn count(mask: [bool; LANES], mut counts: Integers) -> Integers {
        for (count, mask) in counts.0.iter_mut().zip(mask) {
            *count += u32::from(mask);
        }
        counts
    }
}

/// Sixteen integers as an array.
#[derive(Clone, Copy)]
pub struct Integers([u32; LANES]);

impl Integers {
    #[inline(always)]
    fn zip(mut self, other: Self, of: impl Fn(u32, u32) -> u32) -> Self {
        for (out, other) in self.0.iter_mut().zip(other.0) {
            *out = of(*out, other);
        }
        self
    }
}

impl Bits for Integers {
    #[inline(always)]
    fn splat(value: u32) -> Self {
        Self([value; LANES])
    }

    #[inline(always)]
    fn load(values: &[i32; LANES]) -> Self {
        Self(values.map(i32::cast_unsigned))
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        self.zip(other, |a, b| a | b)
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        self.zip(other, |a, b| a ^ b)
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        self.zip(other, |a, b| a & b)
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.zip(other, u32::wrapping_add)
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self.zip(other, u32::wrapping_sub)
    }

    #[inline(always)]
    fn to_exponent(self) -> Self {
        Self(self.0.map(|bits| bits << 23))
    }

    #[inline(always)]
    fn exponent_of(self) -> Self {
        Self(self.0.map(|bits| (bits.cast_signed() >> 23).cast_unsigned()))
    }

    #[inline(always)]
    fn as_bit(self) -> Self {
        Self(self.0.map(|of| 1 << (of & 31)))
    }

    #[inline(always)]
    fn array(self) -> [u32; LANES] {
        self.0
    }
}
