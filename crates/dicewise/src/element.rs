use half::{bf16, f16};

use sealed::Lane;

pub(crate) mod sealed {
    use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

    use crate::{
        DenseMaps, Target,
        kernel::{
            lanes::Lanes,
            tile::{Simd, Tile},
        },
    };

    pub trait Sealed {}

    /// The arithmetic type of a voxel pass: `f32` for inputs of up to 32 bits, `f64` for `f64`.
    pub trait Lane:
        Copy
        + Default
        + PartialOrd
        + Send
        + Sync
        + Add<Output = Self>
        + AddAssign
        + Sub<Output = Self>
        + Mul<Output = Self>
        + Div<Output = Self>
        + Neg<Output = Self>
        + 'static
    {
        /// Sixteen values side by side.
        type Tile<S: Simd>: Tile<Self>;
        const ZERO: Self;
        const ONE: Self;
        /// What [`Lane::magnitude`] stays below for finite values.
        const INFINITE: u32;

        fn wide(self) -> f64;
        /// Rounds; beyond the type's range it saturates.
        fn of(value: f64) -> Self;
        /// Grows with |x|, NaN above infinity: an integer maximum of it finds values that are not finite.
        fn magnitude(self) -> u32;
        fn abs(self) -> Self;
        /// self · factor + summand, in one rounding where that is one instruction of every such machine.
        fn times_plus(self, factor: Self, summand: Self) -> Self;
        /// As [`Tile::exp`].
        fn exp(x: Lanes<Self>) -> Lanes<Self>;
        /// As [`Tile::ln`].
        fn ln(x: Lanes<Self>) -> Lanes<Self>;
        /// The values themselves, if they are `f32`.
        fn as_f32(values: &[Self]) -> Option<&[f32]>;
        /// The values themselves, if they are `f32`.
        fn as_f32_mut(values: &mut [Self]) -> Option<&mut [f32]>;
        /// The values of a target, if they are of this type.
        fn of_maps(maps: DenseMaps<'_>) -> Option<&[Self]>;
        /// Whether all values of a target are of this type, or of a shorter one.
        fn is_exact(target: &Target<'_>) -> bool;
    }
}

/// The floating-point types of predictions, logits and gradients: `f32`, `f64`, and [`half`]'s `f16` and
/// `bf16`, which are computed with in `f32`.
pub trait Element: Copy + Send + Sync + PartialEq + sealed::Sealed + 'static {
    /// The type that voxel passes compute in.
    #[doc(hidden)]
    type Lane: Lane;

    /// 0.
    const ZERO: Self;

    /// Exact.
    #[doc(hidden)]
    fn widen(self) -> Self::Lane;

    /// Rounds to the nearest, ties to even.
    #[doc(hidden)]
    fn narrow(lane: Self::Lane) -> Self;

    /// The row itself, if it is computed with as it is.
    #[doc(hidden)]
    fn lanes(row: &[Self]) -> Option<&[Self::Lane]>;

    /// The row itself, if it is computed with as it is.
    #[doc(hidden)]
    fn lanes_mut(row: &mut [Self]) -> Option<&mut [Self::Lane]>;

    /// Exact.
    fn to_f64(self) -> f64;

    /// Rounds. Beyond the range, `f32` saturates, so that a finite derivative never becomes infinite; `f16` and
    /// `bf16` become infinite, which is what the loss scaling of mixed-precision training looks for.
    fn from_f64(value: f64) -> Self;
}

macro_rules! element {
    ($type:ty, $lane:ty, $zero:expr, $widen:expr, $narrow:expr, $row:ident => $lanes:expr) => {
        impl sealed::Sealed for $type {}

        impl Element for $type {
            type Lane = $lane;
            const ZERO: Self = $zero;

            #[inline(always)]
            fn widen(self) -> $lane {
                $widen(self)
            }

            #[inline(always)]
            fn narrow(lane: $lane) -> Self {
                $narrow(lane)
            }

            fn lanes($row: &[Self]) -> Option<&[$lane]> {
                $lanes
            }

            fn lanes_mut($row: &mut [Self]) -> Option<&mut [$lane]> {
                $lanes
            }

            #[inline(always)]
            fn to_f64(self) -> f64 {
                self.widen().wide()
            }

            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                Self::narrow(<$lane>::of(value))
            }
        }
    };
}

element!(f32, f32, 0.0, |x| x, |x| x, row => Some(row));
element!(f64, f64, 0.0, |x| x, |x| x, row => Some(row));
element!(f16, f32, f16::ZERO, f32_from_f16, f16_from_f32, _row => None);
element!(bf16, f32, bf16::ZERO, f32_from_bf16, bf16_from_f32, _row => None);

// `half` converts value by value through a check of the processor; these are free of branches, so that the
// loops around them fill vector registers.

#[inline(always)]
fn f32_from_f16(x: f16) -> f32 {
    let bits = u32::from(x.to_bits());
    let magnitude = (bits & 0x7fff) << 13;
    // The exponent's bias differs by 112; a multiplication moves it and normalises subnormals at once.
    let finite = (f32::from_bits(magnitude) * f32::from_bits((127 + 112) << 23)).to_bits();
    let special = magnitude | 0x7f80_0000;
    f32::from_bits(if magnitude >= 0x7c00 << 13 { special } else { finite } | (bits & 0x8000) << 16)
}

#[inline(always)]
fn f16_from_f32(x: f32) -> f16 {
    let bits = x.to_bits();
    let magnitude = bits & 0x7fff_ffff;
    // Below 2⁻¹⁴ the sum with ½ has its last bit where a subnormal f16 has its own: the addition rounds.
    let half = 0x3f00_0000_u32;
    let subnormal = (f32::from_bits(magnitude) + f32::from_bits(half)).to_bits().wrapping_sub(half);
    let odd = (magnitude >> 13) & 1;
    let normal = magnitude.wrapping_add(0xc800_0fff).wrapping_add(odd) >> 13;
    let special = if magnitude > 0x7f80_0000 { 0x7e00 } else { 0x7c00 };
    let finite = if magnitude < 0x3880_0000 { subnormal } else { normal };
    let rounded = if magnitude >= 0x4780_0000 { special } else { finite };
    f16::from_bits(rounded as u16 | (bits >> 16) as u16 & 0x8000)
}

#[inline(always)]
fn f32_from_bf16(x: bf16) -> f32 {
    f32::from_bits(u32::from(x.to_bits()) << 16)
}

#[inline(always)]
fn bf16_from_f32(x: f32) -> bf16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    let quiet = (bits >> 16) | 0x40;
    bf16::from_bits(if bits & 0x7fff_ffff > 0x7f80_0000 { quiet } else { rounded } as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_f16_and_bf16_widen_as_in_half() {
        for bits in 0..=u16::MAX {
            let (x, y) = (f16::from_bits(bits), bf16::from_bits(bits));
            assert!(x.widen().to_bits() == x.to_f32().to_bits() || x.is_nan() && x.widen().is_nan());
            assert!(y.widen().to_bits() == y.to_f32().to_bits() || y.is_nan() && y.widen().is_nan());
        }
    }

    #[test]
    fn values_on_between_and_beyond_f16_and_bf16_round_as_in_half() {
        // Every 257th f32: all exponents, ties included by the second, shifted walk over multiples of 2¹².
        let values = (0..u32::MAX / 257).map(|k| k * 257).chain((0..1 << 20).map(|k| k << 12));
        for x in values.map(f32::from_bits) {
            let (half, bfloat) = (f16::narrow(x), bf16::narrow(x));
            assert!(
                half.to_bits() == f16::from_f32(x).to_bits() || x.is_nan() && half.is_nan(),
                "{x:e} {half} {}",
                f16::from_f32(x)
            );
            assert!(
                bfloat.to_bits() == bf16::from_f32(x).to_bits() || x.is_nan() && bfloat.is_nan(),
                "{x:e}"
            );
        }
    }
}
