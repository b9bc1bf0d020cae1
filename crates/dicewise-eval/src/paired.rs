//! Two methods on the same subjects: is there a difference, and how large is it?

use crate::resampling::{Resampling, SignificanceError, flip_coins, random_index};

/// One difference a subject, `left − right`; at least two, all finite.
#[derive(Clone, Debug, PartialEq)]
pub struct PairedDifferences {
    differences: Vec<f64>,
}

impl PairedDifferences {
    /// Pairs the values of two methods on the same subjects, in the same order.
    pub fn new(left: &[f64], right: &[f64]) -> Result<Self, SignificanceError> {
        if left.len() != right.len() {
            return Err(SignificanceError::Unpaired { left: left.len(), right: right.len() });
        }
        for (side, values) in [("left", left), ("right", right)] {
            if let Some(index) = values.iter().position(|v| !v.is_finite()) {
                return Err(SignificanceError::NotFinite { side: side.into(), index, value: values[index] });
            }
        }
        if left.len() < 2 {
            return Err(SignificanceError::TooFew { n: left.len() });
        }
        Ok(Self { differences: left.iter().zip(right).map(|(l, r)| l - r).collect() })
    }

    /// The differences, in the order of the subjects.
    pub fn as_slice(&self) -> &[f64] {
        &self.differences
    }

    /// Number of subjects, at least 2.
    pub fn n(&self) -> usize {
        self.differences.len()
    }

    /// Mean difference.
    pub fn mean(&self) -> f64 {
        self.differences.iter().sum::<f64>() / self.n() as f64
    }

    /// The level below which two sums of these differences are the same number but for rounding.
    fn rounding(&self) -> f64 {
        1e-12 * self.differences.iter().map(|d| d.abs()).sum::<f64>()
    }
}

/// Result of a two-sided paired test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedTest {
    /// Mean of `left − right`.
    pub mean_difference: f64,
    /// Two-sided p-value, from 1 / (iterations + 1) to 1.
    pub p_value: f64,
    /// Number of subjects.
    pub n: usize,
    /// Number of resamples.
    pub iterations: u32,
}

/// Paired bootstrap test of a mean difference of zero.
///
/// ```text
/// p = (1 + #{|mean*(d − d̄)| ≥ |d̄|}) / (1 + N)
/// ```
///
/// where d are the differences, d̄ their mean and mean* the mean over n subjects drawn with replacement. Taking d̄ off
/// first makes the null hypothesis true in the population that is drawn from (Efron & Tibshirani 1993, §16.4).
///
/// With few subjects (n < 10, say) the spread is underestimated and p comes out too small; [`sign_flip_test`] stays
/// exact there.
pub fn paired_bootstrap(differences: &PairedDifferences, resampling: Resampling) -> PairedTest {
    let (n, mean) = (differences.n(), differences.mean());
    let centred: Vec<f64> = differences.as_slice().iter().map(|d| d - mean).collect();
    let observed = (mean * n as f64).abs() - differences.rounding();
    let extreme = resampling.count(|rng| {
        let sum: f64 = (0..n).map(|_| centred[random_index(rng, n)]).sum();
        sum.abs() >= observed
    });
    PairedTest {
        mean_difference: mean,
        p_value: resampling.corrected_p_value(extreme),
        n,
        iterations: resampling.iterations(),
    }
}

/// Paired permutation test: under the null hypothesis the two methods of a subject may be swapped.
///
/// ```text
/// p = (1 + #{|Σ ±d| ≥ |Σ d|}) / (1 + N)
/// ```
///
/// where each ± is a fair coin. Valid for any n (Phipson & Smyth 2010); the smallest p that n subjects allow is 2^(1−n).
#[doc(alias = "permutation_test")]
pub fn sign_flip_test(differences: &PairedDifferences, resampling: Resampling) -> PairedTest {
    let (n, d) = (differences.n(), differences.as_slice());
    let observed = d.iter().sum::<f64>().abs() - differences.rounding();
    let extreme = resampling.count(|rng| {
        let mut sum = 0.0;
        flip_coins(rng, n, |i, swap| sum += if swap { -d[i] } else { d[i] });
        sum.abs() >= observed
    });
    PairedTest {
        mean_difference: differences.mean(),
        p_value: resampling.corrected_p_value(extreme),
        n,
        iterations: resampling.iterations(),
    }
}

/// What to report beside a p-value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Mean difference d̄, in the unit of the values.
    MeanDifference,
    /// Mean difference over its standard deviation (n − 1), without a unit.
    #[doc(alias = "cohen")]
    CohensDz,
}

/// An effect and its bootstrap confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EffectSize {
    /// Which effect.
    pub effect: Effect,
    /// Its value on the subjects given.
    pub estimate: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Confidence level, e.g. 0.95.
    pub level: f64,
}

/// Effect of `left` over `right` with a percentile bootstrap interval at `level`, e.g. 0.95.
///
/// Quantiles are interpolated linearly between order statistics (numpy's default). A resample of
/// [`Effect::CohensDz`] without spread counts as ±∞.
pub fn effect_size(
    differences: &PairedDifferences,
    effect: Effect,
    level: f64,
    resampling: Resampling,
) -> Result<EffectSize, SignificanceError> {
    if !(level > 0.0 && level < 1.0) {
        let accepted = "give a number between 0 and 1, such as 0.95";
        return Err(SignificanceError::Argument { argument: "level", value: level, accepted });
    }
    let (n, d) = (differences.n(), differences.as_slice());
    if effect == Effect::CohensDz && d.iter().all(|&x| x == d[0]) {
        return Err(SignificanceError::NoSpread { n, value: d[0] });
    }
    let mut resamples = resampling.draw(|rng| {
        let drawn: Vec<f64> = (0..n).map(|_| d[random_index(rng, n)]).collect();
        effect.of(&drawn)
    });
    resamples.sort_by(f64::total_cmp);
    let tail = (1.0 - level) / 2.0;
    Ok(EffectSize {
        effect,
        estimate: effect.of(d),
        low: quantile(&resamples, tail),
        high: quantile(&resamples, 1.0 - tail),
        level,
    })
}

impl Effect {
    fn of(self, differences: &[f64]) -> f64 {
        let n = differences.len() as f64;
        let mean = differences.iter().sum::<f64>() / n;
        match self {
            Self::MeanDifference => mean,
            // A resample of one subject n times over: compared exactly, as its computed variance may be 1e-34.
            Self::CohensDz if differences.iter().all(|&d| d == differences[0]) => match differences[0] {
                0.0 => 0.0,
                d => f64::INFINITY.copysign(d),
            },
            Self::CohensDz => {
                let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0);
                mean / variance.sqrt()
            }
        }
    }
}

/// Quantile of sorted values, linear between order statistics.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    // ∞ − ∞ would be NaN.
    if below == above { below } else { below + (above - below) * position.fract() }
}
