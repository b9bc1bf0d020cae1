//! The Dice similarity coefficient of hard masks, and what to do where it is not defined.

use thiserror::Error;

/// Why an overlap or a mean over overlaps could not be computed.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum OverlapError {
    /// Prediction and target are not on the same grid.
    #[error("the prediction has {prediction} voxels and the target {target}: bring both onto one grid first")]
    LengthMismatch {
        /// Voxels in the prediction.
        prediction: usize,
        /// Voxels in the target.
        target: usize,
    },
    /// A score given for empty truth lies outside [0, 1].
    #[error("the score {value} for `{case}` is not a DSC: give a number from 0 to 1")]
    ScoreOutOfRange {
        /// `both_empty` or `false_positives`.
        case: &'static str,
        /// The score given.
        value: f64,
    },
}

/// Voxels of one label in a prediction, in its target and in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VoxelCounts {
    /// |Y ∩ Ỹ|
    pub overlap: u64,
    /// |Ỹ|, the prediction
    pub prediction: u64,
    /// |Y|, the target
    pub target: u64,
}

impl VoxelCounts {
    /// Counts two hard masks over the same voxels.
    pub fn of_masks(prediction: &[bool], target: &[bool]) -> Result<Self, OverlapError> {
        Self::of_label(prediction, target, &true)
    }

    /// Counts the voxels of `label` in two label maps over the same voxels.
    pub fn of_label<L: PartialEq>(prediction: &[L], target: &[L], label: &L) -> Result<Self, OverlapError> {
        if prediction.len() != target.len() {
            return Err(OverlapError::LengthMismatch { prediction: prediction.len(), target: target.len() });
        }
        let mut counts = Self::default();
        for (p, y) in prediction.iter().zip(target) {
            let (p, y) = (p == label, y == label);
            counts.overlap += u64::from(p & y);
            counts.prediction += u64::from(p);
            counts.target += u64::from(y);
        }
        Ok(counts)
    }

    /// Dice similarity coefficient, Eq. 2 of the paper, where the target is not empty.
    ///
    /// ```text
    /// DSC(Y, Ỹ) = 2|Y ∩ Ỹ| / (|Y| + |Ỹ|)
    /// ```
    pub fn dsc(&self) -> Dsc {
        match (self.target, self.prediction) {
            (0, 0) => Dsc::BothEmpty,
            (0, voxels) => Dsc::FalsePositives { voxels },
            (target, prediction) => Dsc::Defined(2.0 * self.overlap as f64 / (target + prediction) as f64),
        }
    }
}

/// DSC of one label in one case, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
#[doc(alias = "dice")]
pub enum Dsc {
    /// The target has the label; 0 if the prediction missed it.
    Defined(f64),
    /// Neither target nor prediction has the label: 0/0.
    BothEmpty,
    /// The target is empty, the prediction is not: Eq. 2 gives 0 whether one voxel is wrong or all of them.
    FalsePositives {
        /// Voxels predicted where there are none.
        voxels: u64,
    },
}

impl Dsc {
    /// The DSC where the target has the label.
    pub fn defined(self) -> Option<f64> {
        match self {
            Self::Defined(dsc) => Some(dsc),
            Self::BothEmpty | Self::FalsePositives { .. } => None,
        }
    }

    /// The number that enters a mean under `policy`; `None` if the case stays out.
    pub fn score(self, policy: EmptyTruth) -> Option<f64> {
        match (self, policy) {
            (Self::Defined(dsc), _) => Some(dsc),
            (_, EmptyTruth::Skip) | (Self::BothEmpty, EmptyTruth::Formula) => None,
            (Self::FalsePositives { .. }, EmptyTruth::Formula) => Some(0.0),
            (Self::BothEmpty, EmptyTruth::Score { both_empty, .. }) => Some(both_empty),
            (Self::FalsePositives { .. }, EmptyTruth::Score { false_positives, .. }) => Some(false_positives),
        }
    }
}

/// What a case with empty truth contributes to a mean DSC. There is no default: the choice moves the mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EmptyTruth {
    /// Leaves out every case whose truth is empty (MONAI's `ignore_empty`).
    Skip,
    /// Follows Eq. 2: 0 for false positives, 0/0 left out (nnU-Net, and `nanmean` in the paper's ACDC code).
    Formula,
    /// Scores such cases as given, each from 0 to 1 (challenges often take 1 and 0).
    Score {
        /// Score where the prediction is empty too.
        both_empty: f64,
        /// Score where something was predicted.
        false_positives: f64,
    },
}

/// Mean DSC over cases, and how many cases it rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DscMean {
    /// Mean over the cases that the policy scores; `None` if there are none.
    pub mean: Option<f64>,
    /// Cases in the mean.
    pub scored: usize,
    /// Cases whose truth has the label.
    pub defined: usize,
    /// Cases with the label in neither truth nor prediction.
    pub both_empty: usize,
    /// Cases predicted to have a label that the truth does not have.
    pub false_positives: usize,
}

/// DSC of `label` in two label maps over the same voxels, Eq. 2.
pub fn dsc<L: PartialEq>(prediction: &[L], target: &[L], label: &L) -> Result<Dsc, OverlapError> {
    Ok(VoxelCounts::of_label(prediction, target, label)?.dsc())
}

/// Mean over cases under an explicit policy for empty truth.
pub fn mean_dsc(cases: &[Dsc], policy: EmptyTruth) -> Result<DscMean, OverlapError> {
    if let EmptyTruth::Score { both_empty, false_positives } = policy {
        for (case, value) in [("both_empty", both_empty), ("false_positives", false_positives)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(OverlapError::ScoreOutOfRange { case, value });
            }
        }
    }
    let scores: Vec<f64> = cases.iter().filter_map(|dsc| dsc.score(policy)).collect();
    Ok(DscMean {
        mean: (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64),
        scored: scores.len(),
        defined: cases.iter().filter(|dsc| matches!(dsc, Dsc::Defined(_))).count(),
        both_empty: cases.iter().filter(|dsc| matches!(dsc, Dsc::BothEmpty)).count(),
        false_positives: cases.iter().filter(|dsc| matches!(dsc, Dsc::FalsePositives { .. })).count(),
    })
}
