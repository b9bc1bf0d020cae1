//! Two registers of AVX2.
//!
//! Every `unsafe` here calls an instruction of AVX2 or FMA: only [`InstructionSet::run`](super::InstructionSet::run)
//! names [`Avx2`], for kernels compiled for these on a processor that has them. Addresses are those of arrays.

use std::arch::x86_64::{
    __m256, __m256d, __m256i, _CMP_GE_OQ, _mm256_add_epi32, _mm256_add_pd, _mm256_add_ps, _mm256_and_ps,
    _mm256_and_si256, _mm256_blendv_ps, _mm256_castps_si256, _mm256_castps256_ps128, _mm256_castsi256_ps,
    _mm256_cmp_ps, _mm256_cmpeq_epi32, _mm256_cmpgt_epi32, _mm256_cvtepi32_ps, _mm256_cvtps_pd,
    _mm256_div_ps, _mm256_extractf128_ps, _mm256_fmadd_pd, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_loadu_si256, _mm256_max_ps, _mm256_min_ps, _mm256_movemask_epi8, _mm256_mul_ps, _mm256_or_ps,
    _mm256_or_si256, _mm256_packs_epi32, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_pd,
    _mm256_setzero_ps, _mm256_slli_epi32, _mm256_sllv_epi32, _mm256_srai_epi32, _mm256_storeu_pd,
    _mm256_storeu_ps, _mm256_storeu_si256, _mm256_stream_ps, _mm256_sub_epi32, _mm256_sub_ps,
    _mm256_xor_si256,
};

use super::Streaming;
use crate::kernel::{
    lanes::LANES,
    tile::{self, Bits, Simd, Singles, Tile},
};

pub(super) struct Avx2;

impl Simd for Avx2 {
    type Singles = Pair<__m256>;
}

#[derive(Clone, Copy)]
pub(super) struct Pair<R>(R, R);

macro_rules! pairwise {
    ($($name:ident($($other:ident),*) = $of:expr;)*) => {$(
        #[inline(always)]
        fn $name(self $(, $other: Self)*) -> Self {
            // SAFETY: see the module.
            unsafe { Self($of(self.0 $(, $other.0)*), $of(self.1 $(, $other.1)*)) }
        }
    )*};
}

impl Tile<f32> for Pair<__m256> {
    type Mask = Self;
    type Seen = Pair<__m256i>;
    type Wide = [__m256d; 2];

    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: see the module.
        let value = unsafe { _mm256_set1_ps(value) };
        Self(value, value)
    }

    #[inline(always)]
    fn load(values: &[f32; LANES]) -> Self {
        let start = values.as_ptr();
        // SAFETY: see the module.
        unsafe { Self(_mm256_loadu_ps(start), _mm256_loadu_ps(start.add(8))) }
    }

    #[inline(always)]
    fn store(self, out: &mut [f32; LANES]) {
        let start = out.as_mut_ptr();
        // SAFETY: see the module.
        unsafe {
            _mm256_storeu_ps(start, self.0);
            _mm256_storeu_ps(start.add(8), self.1);
        }
    }

    #[inline(always)]
    fn stream(self, out: &mut [f32; LANES], _: &Streaming) {
        let start = out.as_mut_ptr();
        if !start.addr().is_multiple_of(64) {
            return self.store(out);
        }
        // SAFETY: see the module; and aligned.
        unsafe {
            _mm256_stream_ps(start, self.0);
            _mm256_stream_ps(start.add(8), self.1);
        }
    }

    pairwise! {
        plus(other) = _mm256_add_ps;
        minus(other) = _mm256_sub_ps;
        times(other) = _mm256_mul_ps;
        over(other) = _mm256_div_ps;
        times_plus(factor, summand) = _mm256_fmadd_ps;
        // The instructions return the second operand if one is NaN.
        max(other) = |a, b| _mm256_max_ps(b, a);
        min(other) = |a, b| _mm256_min_ps(b, a);
        minus_abs() = |x| _mm256_or_ps(_mm256_set1_ps(-0.0), x);
        with_sign_of(other) = |x, other| _mm256_or_ps(x, _mm256_and_ps(_mm256_set1_ps(-0.0), other));
        is_not_negative() = |x| _mm256_cmp_ps::<_CMP_GE_OQ>(x, _mm256_setzero_ps());
        only(mask) = _mm256_and_ps;
    }

    #[inline(always)]
    fn exp(self) -> Self {
        tile::exp(self)
    }

    #[inline(always)]
    fn power(self, seen: &mut Pair<__m256i>) -> Self {
        tile::power::<_, false>(self, seen)
    }

    #[inline(always)]
    fn inverse_power(self, seen: &mut Pair<__m256i>) -> Self {
        tile::power::<_, true>(self, seen)
    }

    #[inline(always)]
    fn nothing_seen() -> Pair<__m256i> {
        Bits::splat(0)
    }

    #[inline(always)]
    fn were_in_range(seen: Pair<__m256i>) -> bool {
        tile::were_in_range(seen)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        tile::ln(self)
    }

    #[inline(always)]
    fn wide_zeros() -> [__m256d; 2] {
        // SAFETY: see the module.
        unsafe { [_mm256_setzero_pd(); 2] }
    }

    #[inline(always)]
    fn add_to(self, sums: [__m256d; 2]) -> [__m256d; 2] {
        let x = self.widened();
        // SAFETY: see the module.
        unsafe {
            [
                _mm256_add_pd(_mm256_add_pd(sums[0], x[0]), x[2]),
                _mm256_add_pd(_mm256_add_pd(sums[1], x[1]), x[3]),
            ]
        }
    }

    #[inline(always)]
    fn add_product_to(self, factor: Self, sums: [__m256d; 2]) -> [__m256d; 2] {
        let (x, y) = (self.widened(), factor.widened());
        // SAFETY: see the module.
        unsafe {
            [
                _mm256_fmadd_pd(x[2], y[2], _mm256_fmadd_pd(x[0], y[0], sums[0])),
                _mm256_fmadd_pd(x[3], y[3], _mm256_fmadd_pd(x[1], y[1], sums[1])),
            ]
        }
    }

    #[inline(always)]
    fn wide_sum(sums: [__m256d; 2]) -> f64 {
        let mut lanes = [0.0; 4];
        // SAFETY: see the module.
        unsafe { _mm256_storeu_pd(lanes.as_mut_ptr(), _mm256_add_pd(sums[0], sums[1])) }
        lanes.into_iter().sum()
    }

    #[inline(always)]
    fn is_class(codes: &[i32; LANES], class: i32) -> Self {
        let codes = <Pair<__m256i> as Bits>::load(codes);
        // SAFETY: see the module.
        unsafe {
            let class = _mm256_set1_epi32(class);
            Self::from_bits(Pair(_mm256_cmpeq_epi32(codes.0, class), _mm256_cmpeq_epi32(codes.1, class)))
        }
    }

    #[inline(always)]
    fn counts(codes: &[i32; LANES]) -> Self {
        let codes = <Pair<__m256i> as Bits>::load(codes);
        // SAFETY: see the module.
        unsafe {
            let below = _mm256_set1_epi32(-1);
            Self::from_bits(Pair(_mm256_cmpgt_epi32(codes.0, below), _mm256_cmpgt_epi32(codes.1, below)))
        }
    }

    #[inline(always)]
    fn either(mask: Self, other: Self) -> Self {
        // SAFETY: see the module.
        unsafe { Self(_mm256_or_ps(mask.0, other.0), _mm256_or_ps(mask.1, other.1)) }
    }

    #[inline(always)]
    fn count_of(mask: Self) -> u32 {
        mask.in_pairs_of_bits().count_ones() / 2
    }

    #[inline(always)]
    fn lane_without(mask: Self) -> Option<usize> {
        let place = mask.in_pairs_of_bits().trailing_ones() as usize / 2;
        // Fours of lanes are in the order 0, 2, 1, 3.
        (place < LANES).then_some(place % 4 + place / 4 % 2 * 8 + place / 8 * 4)
    }

    #[inline(always)]
    fn select(mask: Self, where_true: Self, elsewhere: Self) -> Self {
        // SAFETY: see the module.
        unsafe {
            Self(
                _mm256_blendv_ps(elsewhere.0, where_true.0, mask.0),
                _mm256_blendv_ps(elsewhere.1, where_true.1, mask.1),
            )
        }
    }
}

impl Pair<__m256> {
    /// A mask, two bits a lane.
    #[inline(always)]
    fn in_pairs_of_bits(self) -> u32 {
        let Pair(low, high) = self.bits();
        // SAFETY: see the module.
        unsafe { _mm256_movemask_epi8(_mm256_packs_epi32(low, high)) }.cast_unsigned()
    }

    #[inline(always)]
    fn widened(self) -> [__m256d; 4] {
        // SAFETY: see the module.
        unsafe {
            [
                _mm256_cvtps_pd(_mm256_castps256_ps128(self.0)),
                _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(self.0)),
                _mm256_cvtps_pd(_mm256_castps256_ps128(self.1)),
                _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(self.1)),
            ]
        }
    }
}

impl Singles for Pair<__m256> {
    type Bits = Pair<__m256i>;

    #[inline(always)]
    fn bits(self) -> Pair<__m256i> {
        // SAFETY: see the module.
        unsafe { Pair(_mm256_castps_si256(self.0), _mm256_castps_si256(self.1)) }
    }

    #[inline(always)]
    fn from_bits(bits: Pair<__m256i>) -> Self {
        // SAFETY: see the module.
        unsafe { Self(_mm256_castsi256_ps(bits.0), _mm256_castsi256_ps(bits.1)) }
    }

    #[inline(always)]
    fn integers(of: Pair<__m256i>) -> Self {
        // SAFETY: see the module.
        unsafe { Self(_mm256_cvtepi32_ps(of.0), _mm256_cvtepi32_ps(of.1)) }
    }

    #[inline(always)]
    fn count(mask: Self, counts: Pair<__m256i>) -> Pair<__m256i> {
        // The mask is −1 as an integer.
        counts.minus(mask.bits())
    }
}

impl Bits for Pair<__m256i> {
    #[inline(always)]
    fn splat(value: u32) -> Self {
        // SAFETY: see the module.
        let value = unsafe { _mm256_set1_epi32(value.cast_signed()) };
        Self(value, value)
    }

    #[inline(always)]
    fn load(values: &[i32; LANES]) -> Self {
        let start = values.as_ptr().cast::<__m256i>();
        // SAFETY: see the module.
        unsafe { Self(_mm256_loadu_si256(start), _mm256_loadu_si256(start.add(1))) }
    }

    pairwise! {
        or(other) = _mm256_or_si256;
        xor(other) = _mm256_xor_si256;
        and(other) = _mm256_and_si256;
        plus(other) = _mm256_add_epi32;
        minus(other) = _mm256_sub_epi32;
        to_exponent() = _mm256_slli_epi32::<23>;
        exponent_of() = _mm256_srai_epi32::<23>;
        as_bit() = |of| _mm256_sllv_epi32(_mm256_set1_epi32(1), _mm256_and_si256(of, _mm256_set1_epi32(31)));
    }

    #[inline(always)]
    fn array(self) -> [u32; LANES] {
        let mut array = [0_u32; LANES];
        let start = array.as_mut_ptr().cast::<__m256i>();
        // SAFETY: see the module.
        unsafe {
            _mm256_storeu_si256(start, self.0);
            _mm256_storeu_si256(start.add(1), self.1);
        }
        array
    }
}
