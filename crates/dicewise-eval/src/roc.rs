//! Receiver operating characteristic: telling two groups apart by a score such as the predicted volume.

use thiserror::Error;

/// Why there is no ROC.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum RocError {
    /// One of the groups has no case.
    #[error("the {group} group is empty: an ROC needs cases of both groups")]
    EmptyGroup {
        /// `positive` or `negative`.
        group: &'static str,
    },
    /// A score is NaN or infinite.
    #[error("score {index} of the {group} group is {value}: scores must be finite")]
    NotFinite {
        /// `positive` or `negative`.
        group: &'static str,
        /// Index of the score in its group.
        index: usize,
        /// The score.
        value: f64,
    },
    /// Thresholds are missing, not finite or not in increasing order.
    #[error("threshold {index} is {value}: give finite thresholds in increasing order, at least one")]
    Threshold {
        /// Index of the threshold.
        index: usize,
        /// The threshold.
        value: f64,
    },
}

/// One operating point: a case is called positive if its score is at least `threshold`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RocPoint {
    /// Smallest score that is called positive; +∞ calls none positive.
    pub threshold: f64,
    /// Share of the negative group called positive.
    pub false_positive_rate: f64,
    /// Share of the positive group called positive.
    pub true_positive_rate: f64,
}

/// An ROC curve and the area under it.
#[derive(Clone, Debug, PartialEq)]
pub struct Roc {
    points: Vec<RocPoint>,
    auc: f64,
}

impl Roc {
    /// The exact empirical ROC, with one point for every distinct score.
    ///
    /// ```text
    /// AUC = P(s⁺ > s⁻) + ½ P(s⁺ = s⁻) = U / (n⁺ n⁻)
    /// ```
    ///
    /// where s⁺, s⁻ are scores of a positive and of a negative case and U is the Mann–Whitney statistic.
    pub fn new(positives: &[f64], negatives: &[f64]) -> Result<Self, RocError> {
        check_scores("positive", positives)?;
        check_scores("negative", negatives)?;
        let mut thresholds: Vec<f64> = positives.iter().chain(negatives).copied().collect();
        // −0.0 and 0.0 are one score; total_cmp would tell them apart.
        thresholds.sort_by(|a, b| b.partial_cmp(a).expect("scores are finite"));
        thresholds.dedup();
        let groups = Groups::new(positives, negatives);
        let mut points = vec![groups.point(f64::INFINITY, 0.0)];
        let mut pairs_won_twice = 0u64;
        let (mut tp_before, mut fp_before) = (0, 0);
        for threshold in thresholds {
            let (tp, fp) = groups.called_positive(threshold);
            // Twice the trapezoid between neighbouring points, in whole pairs.
            pairs_won_twice += (fp - fp_before) * (tp + tp_before);
            (tp_before, fp_before) = (tp, fp);
            points.push(groups.point(threshold, 0.0));
        }
        let pairs = positives.len() as f64 * negatives.len() as f64;
        Ok(Self { points, auc: pairs_won_twice as f64 / (2.0 * pairs) })
    }

    /// The ROC at given thresholds in increasing order, area by the trapezoid rule between these points only.
    ///
    /// `rate_offset` is added to the denominators of both rates (0 for plain rates).
    pub fn at_thresholds(
        positives: &[f64],
        negatives: &[f64],
        thresholds: &[f64],
        rate_offset: f64,
    ) -> Result<Self, RocError> {
        check_scores("positive", positives)?;
        check_scores("negative", negatives)?;
        if thresholds.is_empty() {
            return Err(RocError::Threshold { index: 0, value: f64::NAN });
        }
        let out_of_order =
            |(index, &t): (usize, &f64)| !t.is_finite() || (index > 0 && t <= thresholds[index - 1]);
        if let Some(index) = thresholds.iter().enumerate().position(out_of_order) {
            return Err(RocError::Threshold { index, value: thresholds[index] });
        }
        let groups = Groups::new(positives, negatives);
        let points: Vec<_> = thresholds.iter().rev().map(|&t| groups.point(t, rate_offset)).collect();
        let trapezoid = |w: &[RocPoint]| {
            (w[1].false_positive_rate - w[0].false_positive_rate)
                * (w[1].true_positive_rate + w[0].true_positive_rate)
                / 2.0
        };
        let auc = points.windows(2).map(trapezoid).sum();
        Ok(Self { points, auc })
    }

    /// The ROC of predicted volumes in ml as the paper's released BRATS code draws it: [`released_thresholds`],
    /// and 1e-7 added to the denominators of the rates.
    ///
    /// Volumes above 1000 ml are never told apart, and volumes within one ml often are not either: [`Roc::new`] has
    /// neither limit.
    pub fn released(positives: &[f64], negatives: &[f64]) -> Result<Self, RocError> {
        Self::at_thresholds(positives, negatives, &released_thresholds(), 1e-7)
    }

    /// Area under the curve: 1 tells the groups apart by one threshold, ½ is chance.
    pub fn auc(&self) -> f64 {
        self.auc
    }

    /// The points of the curve, from the highest threshold to the lowest.
    pub fn points(&self) -> &[RocPoint] {
        &self.points
    }
}

/// The paper's thresholds on the predicted volume: −1, 0, …, 1000 ml.
pub fn released_thresholds() -> Vec<f64> {
    (-1..=1000).map(f64::from).collect()
}

fn check_scores(group: &'static str, scores: &[f64]) -> Result<(), RocError> {
    if scores.is_empty() {
        return Err(RocError::EmptyGroup { group });
    }
    match scores.iter().position(|s| !s.is_finite()) {
        Some(index) => Err(RocError::NotFinite { group, index, value: scores[index] }),
        None => Ok(()),
    }
}

/// Both groups, sorted so that a threshold is found by bisection.
struct Groups {
    positives: Vec<f64>,
    negatives: Vec<f64>,
}

impl Groups {
    fn new(positives: &[f64], negatives: &[f64]) -> Self {
        let sorted = |scores: &[f64]| {
            let mut scores = scores.to_vec();
            scores.sort_by(f64::total_cmp);
            scores
        };
        Self { positives: sorted(positives), negatives: sorted(negatives) }
    }

    /// True and false positives at a threshold.
    fn called_positive(&self, threshold: f64) -> (u64, u64) {
        let count = |scores: &[f64]| (scores.len() - scores.partition_point(|&s| s < threshold)) as u64;
        (count(&self.positives), count(&self.negatives))
    }

    fn point(&self, threshold: f64, rate_offset: f64) -> RocPoint {
        let (tp, fp) = self.called_positive(threshold);
        RocPoint {
            threshold,
            false_positive_rate: fp as f64 / (self.negatives.len() as f64 + rate_offset),
            true_positive_rate: tp as f64 / (self.positives.len() as f64 + rate_offset),
        }
    }
}
