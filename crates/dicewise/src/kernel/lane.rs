//! exp and ln without branches and tables, so that loops over them fill vector registers.

use crate::{DenseMaps, Target, element::sealed::Lane, target::Kind};

/// 1.5 · 2²³: added to a small x, it leaves x rounded to an integer in the lowest bits.
const ROUNDER: f32 = 12_582_912.0;
/// ln 2 in two parts, the first with so few bits that its product with an exponent is exact.
const LN_2_HIGH: f32 = 355.0 / 512.0;
const LN_2_LOW: f32 = -2.121_944_4e-4;

impl Lane for f32 {
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

    #[inline(always)]
    fn times_plus<const FMA: bool>(self, factor: Self, summand: Self) -> Self {
        if FMA { self.mul_add(factor, summand) } else { self * factor + summand }
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

    /// x = n ln 2 + r with |r| ≤ ½ ln 2; eˣ = 2ⁿ · (a polynomial of degree 5 in r), 1.8e-7 relative.
    #[inline(always)]
    fn exp<const FMA: bool>(self) -> Self {
        let x = if self < -87.0 { -87.0 } else { self };
        let shifted = x.times_plus::<FMA>(std::f32::consts::LOG2_E, ROUNDER);
        let n = shifted - ROUNDER;
        let r = n.times_plus::<FMA>(-LN_2_HIGH, x);
        let r = n.times_plus::<FMA>(-LN_2_LOW, r);
        // Near-minimax on [−½ ln 2, ½ ln 2].
        let q = 8.312_503e-3_f32.times_plus::<FMA>(r, 4.189_033_5e-2);
        let q = q.times_plus::<FMA>(r, 1.666_711_5e-1);
        let q = q.times_plus::<FMA>(r, 4.999_923e-1);
        let q = q.times_plus::<FMA>(r, 1.0).times_plus::<FMA>(r, 1.0);
        // 2ⁿ by adding n to the exponent.
        Self::from_bits(q.to_bits().wrapping_add(shifted.to_bits() << 23))
    }

    /// x = 2ⁿ m with m ∈ [√½, √2); ln x = n ln 2 + ln m, ln m as in Cephes' `logf`, 1e-7.
    #[inline(always)]
    fn ln<const FMA: bool>(self) -> Self {
        // The bits of √½, so that the exponent of the quotient is n.
        let scaled = self.to_bits().wrapping_sub(0x3f35_04f3);
        let n = (scaled as i32 >> 23) as f32;
        let m = Self::from_bits((scaled & 0x007f_ffff) + 0x3f35_04f3);
        let x = m - 1.0;
        let q = 7.037_683_6e-2_f32
            .times_plus::<FMA>(x, -1.151_461e-1)
            .times_plus::<FMA>(x, 1.167_699_9e-1)
            .times_plus::<FMA>(x, -1.242_014_1e-1)
            .times_plus::<FMA>(x, 1.424_932_3e-1)
            .times_plus::<FMA>(x, -1.666_805_8e-1)
            .times_plus::<FMA>(x, 2.000_071_5e-1)
            .times_plus::<FMA>(x, -2.499_999_4e-1)
            .times_plus::<FMA>(x, 3.333_333e-1);
        let square = x * x;
        let tail = (q * x).times_plus::<FMA>(square, n * LN_2_LOW) - 0.5 * square;
        n.times_plus::<FMA>(LN_2_HIGH, x + tail)
    }
}

impl Lane for f64 {
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

    #[inline(always)]
    fn times_plus<const FMA: bool>(self, factor: Self, summand: Self) -> Self {
        if FMA { self.mul_add(factor, summand) } else { self * factor + summand }
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

    // f64 is for checking other precisions against: exact rather than fast.
    #[inline(always)]
    fn exp<const FMA: bool>(self) -> Self {
        self.exp()
    }

    #[inline(always)]
    fn ln<const FMA: bool>(self) -> Self {
        self.ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_of_f32_is_within_2e_7_of_f64() {
        for k in -8_700_000..=8_800_000 {
            let x = k as f32 * 1e-5;
            let exact = f64::from(x).exp();
            for found in [Lane::exp::<true>(x), Lane::exp::<false>(x)] {
                assert!((f64::from(found) - exact).abs() <= 2.5e-7 * exact, "e^{x}: {found:e} {exact:e}");
            }
        }
        assert_eq!(Lane::exp::<true>(0.0_f32), 1.0);
        assert_eq!(Lane::exp::<true>(f32::MIN), Lane::exp::<true>(-87.0_f32));
    }

    #[test]
    fn ln_of_f32_is_within_an_ulp_or_two_of_f64() {
        for bits in (f32::MIN_POSITIVE.to_bits()..f32::MAX.to_bits()).step_by(101) {
            let x = f32::from_bits(bits);
            let exact = f64::from(x).ln();
            for found in [Lane::ln::<true>(x), Lane::ln::<false>(x)] {
                let error = (f64::from(found) - exact).abs();
                assert!(error <= 1.5e-7 * exact.abs() + 1e-12, "ln {x}: {found:e} {exact:e}");
            }
        }
        assert_eq!(Lane::ln::<true>(1.0_f32), 0.0);
    }
}
