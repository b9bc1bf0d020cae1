//! DSC, volume difference, ROC and significance: slices and voxel volumes in, numbers out.
//!
//! Four things an experiment asks of its predictions:
//!
//! - [`dsc`] scores a label of one case. A case whose truth is empty has no DSC, and [`Dsc`] says so instead of
//!   returning 0 or NaN; [`EmptyTruth`] is the policy that a mean over cases has to name.
//! - [`volume_difference_ml`] is the paper's ΔV, from counted voxels or from summed probabilities.
//! - [`Roc`] tells how well a predicted volume gives away the group a case belongs to: under partial labels an
//!   AUC near ½ means that the empty maps were ignored, one near 1 that they were learnt.
//! - [`paired_bootstrap`], [`sign_flip_test`], [`effect_size`] and the paper's own [`rank_test`] compare two
//!   methods on the same subjects; [`holm`] corrects for making many such comparisons.
//!
//! ```
//! use dicewise_eval::{Dsc, PairedDifferences, Resampling, dsc, paired_bootstrap};
//!
//! let prediction = [0u8, 1, 1, 0];
//! let target = [0u8, 1, 0, 0];
//! assert_eq!(dsc(&prediction, &target, &1)?, Dsc::Defined(2.0 / 3.0));
//! assert_eq!(dsc(&prediction, &target, &2)?, Dsc::BothEmpty);
//!
//! let partial = [0.21, 0.35, 0.18, 0.40];
//! let full = [0.88, 0.90, 0.86, 0.91];
//! let differences = PairedDifferences::new(&partial, &full)?;
//! let test = paired_bootstrap(&differences, Resampling::seeded(1));
//! assert!(test.mean_difference < -0.5 && test.p_value < 0.05);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Everything random is drawn from ChaCha8 streams that depend on the seed and the number of the resample, so a
//! p-value does not change with the number of threads.

mod multiple;
mod overlap;
mod paired;
mod rank;
mod resampling;
mod roc;
mod volume;

pub use multiple::holm;
pub use overlap::{Dsc, DscMean, EmptyTruth, OverlapError, VoxelCounts, dsc, mean_dsc};
pub use paired::{
    Effect, EffectSize, PairedDifferences, PairedTest, effect_size, paired_bootstrap, sign_flip_test,
};
pub use rank::{BetterRank, RankTest, Ranks, rank_test};
pub use resampling::{Resampling, SignificanceError};
pub use roc::{Roc, RocError, RocPoint, released_thresholds};
pub use volume::{VolumeError, label_voxels, probability_sum, volume_difference_ml, volume_ml};
