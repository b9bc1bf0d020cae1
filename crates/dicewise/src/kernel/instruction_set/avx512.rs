//! One register of AVX-512.
//!
//! Every `unsafe` here calls an instruction of AVX-512 (F, DQ, VL): only
//! [`InstructionSet::run`](super::InstructionSet::run) names [`Avx512`], for kernels compiled for these on a processor
//! that has them. Addresses are those of arrays.

use std::arch::x86_64::{
    __m512, __m512d, __m512i, __mmask16, _CMP_GE_OQ, _mm512_add_epi32, _mm512_add_pd, _mm512_add_ps,
    _mm512_and_ps, _mm512_and_si512, _mm512_castps_si512, _mm512_castps512_ps256, _mm512_castsi512_ps,
    _mm512_cmp_ps_mask, _mm512_cmpeq_epi32_mask, _mm512_cmpge_epi32_mask, _mm512_cvtepi32_ps,
    _mm512_cvtps_pd, _mm512_div_ps, _mm512_extractf32x8_ps, _mm512_fmadd_pd, _mm512_fmadd_ps,
    _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mask_add_epi32, _mm512_mask_blend_ps, _mm512_maskz_mov_ps,
    _mm512_max_ps, _mm512_min_ps, _mm512_mul_ps, _mm512_or_ps, _mm512_or_si512, _mm512_reduce_add_pd,
    _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_pd, _mm512_setzero_ps, _mm512_setzero_si512,
    _mm512_slli_epi32, _mm512_sllv_epi32, _mm512_srai_epi32, _mm512_storeu_ps, _mm512_storeu_si512,
    _mm512_stream_ps, _mm512_sub_epi32, _mm512_sub_ps, _mm512_xor_si512,
};

use super::Streaming;
use crate::kernel::{
    lanes::LANES,
    tile::{self, Bits, Simd, Singles, Tile},
};

pub(super) struct Avx512;

impl Simd for Avx512 {
    type Singles = Register<__m512>;
}

#[derive(Clone, Copy)]
pub(super) struct Register<R>(R);

macro_rules! operations {
    ($($name:ident($($other:ident),*) = $of:expr;)*) => {$(
        #[inline(always)]
        fn $name(self $(, $other: Self)*) -> Self {
            // SAFETY: see the module.
            unsafe { Self($of(self.0 $(, $other.0)*)) }
        }
    )*};
}

impl Tile<f32> for Register<__m512> {
    type Mask = __mmask16;
    type Seen = Register<__m512i>;
    type Wide = [__m512d; 2];

    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: see the module.
        unsafe { Self(_mm512_set1_ps(value)) }
    }

    #[inline(always)]
    fn load(values: &[f32; LANES]) -> Self {
        // SAFETY: see the module.
        unsafe { Self(_mm512_loadu_ps(values.as_ptr())) }
    }

    #[inline(always)]
    fn store(self, out: &mut [f32; LANES]) {
        // SAFETY: see the module.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn stream(self, out: &mut [f32; LANES], _: &Streaming) {
        let start = out.as_mut_ptr();
        if !start.addr().is_multiple_of(64) {
            return self.store(out);
        }
        // SAFETY: see the module; and aligned.
        unsafe { _mm512_stream_ps(start, self.0) }
    }

    operations! {
        plus(other) = _mm512_add_ps;
        minus(other) = _mm512_sub_ps;
        times(other) = _mm512_mul_ps;
        over(other) = _mm512_div_ps;
        times_plus(factor, summand) = _mm512_fmadd_ps;
        // The instructions return the second operand if one is NaN.
        max(other) = |a, b| _mm512_max_ps(b, a);
        min(other) = |a, b| _mm512_min_ps(b, a);
        minus_abs() = |x| _mm512_or_ps(_mm512_set1_ps(-0.0), x);
        with_sign_of(other) = |x, other| _mm512_or_ps(x, _mm512_and_ps(_mm512_set1_ps(-0.0), other));
    }

    #[inline(always)]
    fn exp(self) -> Self {
        tile::exp(self)
    }

    #[inline(always)]
    fn power(self, seen: &mut Register<__m512i>) -> Self {
        tile::power::<_, false>(self, seen)
    }

    #[inline(always)]
    fn inverse_power(self, seen: &mut Register<__m512i>) -> Self {
        tile::power::<_, true>(self, seen)
    }

    #[inline(always)]
    fn nothing_seen() -> Register<__m512i> {
        Bits::splat(0)
    }

    #[inline(always)]
    fn were_in_range(seen: Register<__m512i>) -> bool {
        tile::were_in_range(seen)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        tile::ln(self)
    }

    #[inline(always)]
    fn wide_zeros() -> [__m512d; 2] {
        // SAFETY: see the module.
        unsafe { [_mm512_setzero_pd(); 2] }
    }

    #[inline(always)]
    fn add_to(self, sums: [__m512d; 2]) -> [__m512d; 2] {
        let x = self.widened();
        // SAFETY: see the module.
        unsafe { [_mm512_add_pd(sums[0], x[0]), _mm512_add_pd(sums[1], x[1])] }
    }

    #[inline(always)]
    fn add_product_to(self, factor: Self, sums: [__m512d; 2]) -> [__m512d; 2] {
        let (x, y) = (self.widened(), factor.widened());
        // SAFETY: see the module.
        unsafe { [_mm512_fmadd_pd(x[0], y[0], sums[0]), _mm512_fmadd_pd(x[1], y[1], sums[1])] }
    }

    #[inline(always)]
    fn wide_sum(sums: [__m512d; 2]) -> f64 {
        // SAFETY: see the module.
        unsafe { _mm512_reduce_add_pd(_mm512_add_pd(sums[0], sums[1])) }
    }

    #[inline(always)]
    fn is_class(codes: &[i32; LANES], class: i32) -> __mmask16 {
        // SAFETY: see the module.
        unsafe {
            _mm512_cmpeq_epi32_mask(_mm512_loadu_si512(codes.as_ptr().cast()), _mm512_set1_epi32(class))
        }
    }

    #[inline(always)]
    fn counts(codes: &[i32; LANES]) -> __mmask16 {
        // SAFETY: see the module.
        unsafe { _mm512_cmpge_epi32_mask(_mm512_loadu_si512(codes.as_ptr().cast()), _mm512_setzero_si512()) }
    }

    #[inline(always)]
    fn is_not_negative(self) -> __mmask16 {
        // SAFETY: see the module.
        unsafe { _mm512_cmp_ps_mask::<_CMP_GE_OQ>(self.0, _mm512_setzero_ps()) }
    }

    #[inline(always)]
    fn either(mask: __mmask16, other: __mmask16) -> __mmask16 {
        mask | other
    }

    #[inline(always)]
    fn count_of(mask: __mmask16) -> u32 {
        mask.count_ones()
    }

    #[inline(always)]
    fn lane_without(mask: __mmask16) -> Option<usize> {
        (mask != __mmask16::MAX).then_some(mask.trailing_ones() as usize)
    }

    #[inline(always)]
    fn select(mask: __mmask16, where_true: Self, elsewhere: Self) -> Self {
        // SAFETY: see the module.
        unsafe { Self(_mm512_mask_blend_ps(mask, elsewhere.0, where_true.0)) }
    }

    #[inline(always)]
    fn only(self, mask: __mmask16) -> Self {
        // SAFETY: see the module.
        unsafe { Self(_mm512_maskz_mov_ps(mask, self.0)) }
    }
}

impl Register<__m512> {
    #[inline(always)]
    fn widened(self) -> [__m512d; 2] {
        // SAFETY: see the module.
        unsafe {
            [
                _mm512_cvtps_pd(_mm512_castps512_ps256(self.0)),
                _mm512_cvtps_pd(_mm512_extractf32x8_ps::<1>(self.0)),
            ]
        }
    }
}

impl Singles for Register<__m512> {
    type Bits = Register<__m512i>;

    #[inline(always)]
    fn bits(self) -> Register<__m512i> {
        // SAFETY: see the module.
        unsafe { Register(_mm512_castps_si512(self.0)) }
    }

    #[inline(always)]
    fn from_bits(bits: Register<__m512i>) -> Self {
        // SAFETY: see the module.
        unsafe { Self(_mm512_castsi512_ps(bits.0)) }
    }

    #[inline(always)]
    fn integers(of: Register<__m512i>) -> Self {
        // SAFETY: see the module.
        unsafe { Self(_mm512_cvtepi32_ps(of.0)) }
    }

    #[inline(always)]
    fn count(mask: __mmask16, counts: Register<__m512i>) -> Register<__m512i> {
        // SAFETY: see the module.
        unsafe { Register(_mm512_mask_add_epi32(counts.0, mask, counts.0, _mm512_set1_epi32(1))) }
    }
}

impl Bits for Register<__m512i> {
    #[inline(always)]
    fn splat(value: u32) -> Self {
        // SAFETY: see the module.
        unsafe { Self(_mm512_set1_epi32(value.cast_signed())) }
    }

    #[inline(always)]
    fn load(values: &[i32; LANES]) -> Self {
        // SAFETY: see the module.
        unsafe { Self(_mm512_loadu_si512(values.as_ptr().cast())) }
    }

    operations! {
        or(other) = _mm512_or_si512;
        xor(other) = _mm512_xor_si512;
        and(other) = _mm512_and_si512;
        plus(other) = _mm512_add_epi32;
        minus(other) = _mm512_sub_epi32;
        to_exponent() = _mm512_slli_epi32::<23>;
        exponent_of() = _mm512_srai_epi32::<23>;
        as_bit() = |of| _mm512_sllv_epi32(_mm512_set1_epi32(1), _mm512_and_si512(of, _mm512_set1_epi32(31)));
    }

    #[inline(always)]
    fn array(self) -> [u32; LANES] {
        let mut array = [0_u32; LANES];
        // SAFETY: see the module.
        unsafe { _mm512_storeu_si512(array.as_mut_ptr().cast(), self.0) }
        array
    }
}
