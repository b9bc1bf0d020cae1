//! What can go wrong in a training.
use dicewise::DiceError;

use crate::checkpoint::CheckpointError;

/// Why a training ended without a result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// There is nothing to train on.
    #[error("there are no training cases; check the split and the groups of the experiment")]
    NoTrainingCases,
    /// The loss became NaN or infinite.
    #[error(
        "the loss became {value} in iteration {iteration}; lower the learning rate, or check the images for extreme intensities"
    )]
    NonFiniteLoss {
        /// Counted from one.
        iteration: usize,
        /// The value.
        value: f64,
    },
    /// The loss refused a batch.
    #[error("iteration {iteration}: {source}")]
    Loss {
        /// Counted from one.
        iteration: usize,
        /// Why.
        source: DiceError,
    },
    /// The loss refused a validation batch.
    #[error("validation after iteration {iteration}: {source}")]
    Validation {
        /// Counted from one.
        iteration: usize,
        /// Why.
        source: DiceError,
    },
    /// A case could not be read.
    #[error("{0}")]
    Sample(#[from] std::io::Error),
    /// A checkpoint could not be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}
