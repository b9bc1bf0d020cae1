mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// The floating-point types of predictions and gradients: `f32` and `f64`.
pub trait Real: Copy + Send + Sync + PartialEq + PartialOrd + sealed::Sealed + 'static {
    /// 0.
    const ZERO: Self;
    /// The lowest value taken for a probability, −1e-4: rounding, not logits.
    const LOWEST: Self;
    /// The highest value taken for a probability, 1 + 1e-4.
    const HIGHEST: Self;

    /// Exact.
    fn to_f64(self) -> f64;

    /// Rounds; beyond the type's range it saturates, so that a finite derivative never becomes infinite.
    fn from_f64(value: f64) -> Self;
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const LOWEST: Self = -1e-4;
    const HIGHEST: Self = 1.0 + 1e-4;

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value.clamp(f64::from(Self::MIN), f64::from(Self::MAX)) as Self
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const LOWEST: Self = -1e-4;
    const HIGHEST: Self = 1.0 + 1e-4;

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value.clamp(Self::MIN, Self::MAX)
    }
}
