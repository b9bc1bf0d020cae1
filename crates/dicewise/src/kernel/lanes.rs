//! Sixteen values side by side: two AVX2 registers or one of AVX-512, as the compiler sees fit.

use crate::element::sealed::Lane;

/// How many.
pub(super) const LANES: usize = 16;

#[derive(Clone, Copy)]
pub(super) struct Lanes<F>(pub(super) [F; LANES]);

impl<F: Lane> Lanes<F> {
    #[inline(always)]
    pub(super) fn splat(value: F) -> Self {
        Self([value; LANES])
    }

    #[inline(always)]
    pub(super) fn zip(self, other: Self, of: impl Fn(F, F) -> F) -> Self {
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
    pub(super) fn plus(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    pub(super) fn minus(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    pub(super) fn times(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    /// self · factor + summand.
    #[inline(always)]
    pub(super) fn times_plus<const FMA: bool>(self, factor: Self, summand: Self) -> Self {
        let mut out = self;
        for ((out, factor), summand) in out.0.iter_mut().zip(factor.0).zip(summand.0) {
            *out = out.times_plus::<FMA>(factor, summand);
        }
        out
    }

    #[inline(always)]
    pub(super) fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if b > a { b } else { a })
    }

    #[inline(always)]
    pub(super) fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if b < a { b } else { a })
    }

    #[inline(always)]
    pub(super) fn widened(self) -> Lanes<f64> {
        let mut out = Lanes([0.0; LANES]);
        for (out, lane) in out.0.iter_mut().zip(self.0) {
            *out = lane.wide();
        }
        out
    }

    #[inline(always)]
    pub(super) fn exp<const FMA: bool>(self) -> Self {
        self.map(|x| x.exp::<FMA>())
    }

    /// `self` where the code is the class, `other` elsewhere.
    #[inline(always)]
    pub(super) fn where_class(self, codes: &[i32; LANES], class: i32, other: Self) -> Self {
        let mut out = self;
        for ((out, other), &code) in out.0.iter_mut().zip(other.0).zip(codes) {
            *out = if code == class { *out } else { other };
        }
        out
    }

    /// `self` where the voxel counts, `other` elsewhere.
    #[inline(always)]
    pub(super) fn where_counted(self, codes: &[i32; LANES], other: F) -> Self {
        let mut out = self;
        for (out, &code) in out.0.iter_mut().zip(codes) {
            *out = if code >= 0 { *out } else { other };
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
