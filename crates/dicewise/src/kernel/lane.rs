//! The types that voxel passes compute in.

use super::{
    lanes::{FUSED, Lanes},
    tile::{self, Simd},
};
use crate::{DenseMaps, Target, element::sealed::Lane, target::Kind};

impl Lane for f32 {
    type Tile<S: Simd> = S::Singles;
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const INFINITE: u32 = 0x7f80_0000;

    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn of(value: f64) -> Self {
        value.clamp(f64::from(Self::MIN), f64::from(Self::MAX)) as Self
    }

    #[inline(always)]
    fn magnitude(self) -> u32 {
        self.to_bits() & 0x7fff_ffff
    }

    #[inline(always)]
    fn abs(self) -> Self {
        self.abs()
    }

    fn as_f32(values: &[Self]) -> Option<&[f32]> {
        Some(values)
    }

    fn as_f32_mut(values: &mut [Self]) -> Option<&mut [f32]> {
        Some(values)
    }

    #[inline(always)]
    fn of_maps(maps: DenseMaps<'_>) -> Option<&[Self]> {
        if let DenseMaps::F32(maps) = maps { Some(maps) } else { None }
    }

    fn is_exact(target: &Target<'_>) -> bool {
        !matches!(target.kind(), Kind::Dense(DenseMaps::F64(_)))
    }

    #[inline(always)]
    fn times_plus(self, factor: Self, summand: Self) -> Self {
        if FUSED { self.mul_add(factor, summand) } else { self * factor + summand }
    }

    #[inline(always)]
    fn exp(x: Lanes<Self>) -> Lanes<Self> {
        tile::exp(x)
    }

    #[inline(always)]
    fn ln(x: Lanes<Self>) -> Lanes<Self> {
        tile::ln(x)
    }
}

impl Lane for f64 {
    type Tile<S: Simd> = Lanes<f64>;
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const INFINITE: u32 = 0x7ff0_0000;

    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }

    #[inline(always)]
    fn of(value: f64) -> Self {
        value.clamp(Self::MIN, Self::MAX)
    }

    #[inline(always)]
    fn magnitude(self) -> u32 {
        (self.to_bits() >> 32) as u32 & 0x7fff_ffff
    }

    #[inline(always)]
    fn abs(self) -> Self {
        self.abs()
    }

    fn as_f32(_: &[Self]) -> Option<&[f32]> {
        None
    }

    fn as_f32_mut(_: &mut [Self]) -> Option<&mut [f32]> {
        None
    }

    #[inline(always)]
    fn of_maps(maps: DenseMaps<'_>) -> Option<&[Self]> {
        if let DenseMaps::F64(maps) = maps { Some(maps) } else { None }
    }

    fn is_exact(_: &Target<'_>) -> bool {
        true
    }

    #[inline(always)]
    fn times_plus(self, factor: Self, summand: Self) -> Self {
        if FUSED { self.mul_add(factor, summand) } else { self * factor + summand }
    }

    // f64 is for checking other precisions against: exact rather than fast.
    #[inline(always)]
    fn exp(x: Lanes<Self>) -> Lanes<Self> {
        x.map(f64::exp)
    }

    #[inline(always)]
    fn ln(x: Lanes<Self>) -> Lanes<Self> {
        x.map(f64::ln)
    }
}
