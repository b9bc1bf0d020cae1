//! The paper's significance test as its authors released it: a permutation test on ranks.

use crate::resampling::{Resampling, SignificanceError, flip_coins};

/// Which value gets rank 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BetterRank {
    /// The largest: DSC.
    Largest,
    /// The smallest: |ΔV|.
    Smallest,
}

/// Ranks of the methods within each subject, ties averaged.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranks {
    /// Twice the rank, a whole number even for ties: `[subject][method]`.
    doubled: Vec<Vec<i64>>,
    methods: usize,
}

impl Ranks {
    /// Ranks `values[subject][method]` within each subject.
    ///
    /// Subjects on whom no method has a value (`None`) are dropped. A subject with values of some methods only is an
    /// error: the released code ranks the missing ones best (DSC) or worst (|ΔV|), which is nobody's intention.
    pub fn new(values: &[Vec<Option<f64>>], better: BetterRank) -> Result<Self, SignificanceError> {
        let methods = values.first().map_or(0, Vec::len);
        let mut doubled = Vec::with_capacity(values.len());
        for (index, subject) in values.iter().enumerate() {
            if subject.len() != methods {
                return Err(SignificanceError::Unpaired { left: methods, right: subject.len() });
            }
            if subject.iter().all(Option::is_none) {
                continue;
            }
            let mut row = Vec::with_capacity(methods);
            for (method, value) in subject.iter().enumerate() {
                let value = value.unwrap_or(f64::NAN);
                if !value.is_finite() {
                    let side = format!("method {method}");
                    return Err(SignificanceError::NotFinite { side, index, value });
                }
                row.push(if better == BetterRank::Largest { -value } else { value });
            }
            doubled.push(row.iter().map(|v| doubled_rank(*v, &row)).collect());
        }
        if doubled.len() < 2 {
            return Err(SignificanceError::TooFew { n: doubled.len() });
        }
        Ok(Self { doubled, methods })
    }

    /// Number of subjects ranked.
    pub fn n(&self) -> usize {
        self.doubled.len()
    }

    /// Mean rank of every method; 1 is best on every subject.
    pub fn means(&self) -> Vec<f64> {
        let mean = |m| self.doubled.iter().map(|row| row[m]).sum::<i64>() as f64 / (2 * self.n()) as f64;
        (0..self.methods).map(mean).collect()
    }
}

/// Smaller values rank first; equal ones share the mean of their ranks: rank = #smaller + (#equal + 1)/2.
fn doubled_rank(value: f64, row: &[f64]) -> i64 {
    let smaller = row.iter().filter(|&&other| other < value).count() as i64;
    let equal = row.iter().filter(|&&other| other == value).count() as i64;
    2 * smaller + equal + 1
}

/// Result of the released rank test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankTest {
    /// Mean rank of the first method minus that of the second: negative where the first is better.
    pub mean_rank_difference: f64,
    /// Share of resamples that are strictly more extreme; may be 0.
    pub p_value: f64,
    /// Number of subjects.
    pub n: usize,
}

/// Compares methods `a` and `b` as the paper's released code does, for reproduction only.
///
/// ```text
/// p = #{|Σ ±(r_a − r_b)| > |Σ (r_a − r_b)|} / N
/// ```
///
/// where r are ranks within a subject and each ± is a fair coin that swaps the two methods. With two methods this is
/// a sign test, blind to the size of a difference; equally extreme outcomes are left out, so p is too small, and 0
/// where one method wins on every subject. For new work: [`crate::sign_flip_test`] on raw differences.
pub fn rank_test(
    ranks: &Ranks,
    a: usize,
    b: usize,
    resampling: Resampling,
) -> Result<RankTest, SignificanceError> {
    for (argument, method) in [("a", a), ("b", b)] {
        if method >= ranks.methods {
            let accepted = "methods are numbered from 0 in the order of the columns";
            return Err(SignificanceError::Argument { argument, value: method as f64, accepted });
        }
    }
    let differences: Vec<i64> = ranks.doubled.iter().map(|row| row[a] - row[b]).collect();
    let sum: i64 = differences.iter().sum();
    let more_extreme = resampling.count(|rng| {
        let mut swapped = 0;
        flip_coins(rng, differences.len(), |i, swap| {
            swapped += if swap { -differences[i] } else { differences[i] }
        });
        swapped.abs() > sum.abs()
    });
    Ok(RankTest {
        mean_rank_difference: sum as f64 / (2 * ranks.n()) as f64,
        p_value: f64::from(more_extreme) / f64::from(resampling.iterations()),
        n: ranks.n(),
    })
}
