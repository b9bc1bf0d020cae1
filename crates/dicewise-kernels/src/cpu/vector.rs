//! The few vector operations that the convolution kernels need, for each instruction set.
//!
//! The methods must be inlined into a function that enables the instruction set; called anywhere else they would be
//! undefined behaviour on a processor without it. Only [`correlate`](super::correlate) and
//! [`accumulate`](super::accumulate) use them.

#![allow(unsafe_code)]

use core::arch::x86_64::*;

/// A register of `f32`.
///
/// # Safety
///
/// Every method requires a processor that has the instruction set of the type; `load` and `store` require
/// [`LANES`](Vector::LANES) valid values at the pointer, of any alignment.
pub(super) trait Vector: Copy {
    const LANES: usize;
    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// `self · factor + sum`
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self;
}

macro_rules! x86_vector {
    ($type:ty, $lanes:literal, $splat:ident, $load:ident, $store:ident, $mul_add:ident) => {
        impl Vector for $type {
            const LANES: usize = $lanes;
            #[inline(always)]
            unsafe fn splat(value: f32) -> Self {
                unsafe { $splat(value) }
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                unsafe { $load(from) }
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                unsafe { $store(to, self) }
            }
            #[inline(always)]
            unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
                unsafe { $mul_add(self, factor, sum) }
            }
        }
    };
}
x86_vector!(__m512, 16, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps);
x86_vector!(__m256, 8, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps);
