//! The Dice loss with every partition Φ and smoothing term ε: value and derivative.
//!
//! What a segmentation network learns from a map without ground truth is decided by two settings that
//! libraries choose in silence: over which voxels Dice is computed before averaging (the partition Φ), and
//! the smoothing term ε. This crate makes both explicit, and adds what real data need: labels that are
//! *missing* rather than *empty*, class weights, masks. It follows Tilborghs et al., *The Dice loss in the
//! context of missing or empty labels: introducing Φ and ε* (MICCAI 2022, arXiv 2207.09521); equation numbers
//! are that paper's. It knows no framework.
//!
//! ```text
//! DL = 1 − (1/|Φ|) Σ_{φ∈Φ} (2 Σ_φ y p + ε) / (Σ_φ (y + p) + ε)                             (Eq. 3)
//! ```
//!
//! # The three steps
//!
//! Three types, one for each step, and every front end shares them:
//!
//! - [`DiceSums`] is the voxel pass: overlap Σyp, target Σy and prediction Σp of each `[B, C]` map, read once.
//! - [`DiceLoss`] is the scalar maths: Φ, ε, class weights and missing labels turn sums into terms.
//!   Ranks talk before this step and nowhere else.
//! - [`DiceTerms`] is the result: the loss, and the a and b of the derivative a − b·y (Eq. 4), which
//!   [`write_gradient`](DiceTerms::write_gradient) spreads over the voxels.
//!
//! Predictions are probabilities `[B, C, I]` of any [`Element`] type; a [`Target`] is an integer label map `[B, I]`
//! or dense `[B, C, I]`. [`Similarity`] replaces Dice by a relative: Jaccard, Tversky, squared or generalized Dice.
//!
//! # From logits
//!
//! [`SegmentationLoss`] is what a training wants: activation, [`DiceLoss`] and cross-entropy in the same three steps,
//! with nothing of the size of the input kept between the two voxel passes.
//!
//! # Example
//!
//! Two images of four voxels, two classes; nobody has annotated class 1 in the second image.
//!
//! ```
//! use dicewise::{DiceLoss, Epsilon, MissingLabels, MissingRule, Partition, Presence, Shape, Target};
//!
//! let shape = Shape::new(2, 2, 4)?;
//! let p = [
//!     0.8_f32, 0.7, 0.2, 0.1, /* class 1: */ 0.2, 0.3, 0.8, 0.9, // image 0
//!     0.6, 0.6, 0.6, 0.6, /* class 1: */ 0.4, 0.4, 0.4, 0.4, // image 1
//! ];
//! let labels = [0_u8, 0, 1, 1, /* image 1: */ 0, 0, 0, 0];
//! let target = Target::labels(shape, &labels)?;
//!
//! let naive = DiceLoss::new(Partition::BatchWise, Epsilon::uniform(1e-7)?)?;
//! let mut gradient = [0.0_f32; 16];
//! let loss = naive.value_and_gradient(&p, &target, None, &mut gradient)?;
//! assert!(loss > 0.0 && gradient[12] > 0.0); // class 1 is pushed out of image 1
//!
//! let leaf = naive.with_missing_labels(MissingLabels::Leaf(MissingRule::Declared))?;
//! let presence = Presence::new(2, 2, vec![true, true, true, false])?;
//! leaf.value_and_gradient(&p, &target, Some(&presence), &mut gradient)?;
//! assert_eq!(gradient[12], 0.0); // class 1 is left alone in image 1
//! # Ok::<(), dicewise::DiceError>(())
//! ```

// Allowed in `kernel::instruction_set` only.
#![deny(unsafe_code)]

mod activation;
mod element;
mod epsilon;
mod error;
pub mod explain;
mod heuristic;
mod kernel;
mod loss;
mod partition;
mod presence;
mod segmentation;
mod shape;
mod similarity;
mod sums;
mod target;
mod terms;
mod weights;

pub use activation::Activation;
pub use element::Element;
pub use epsilon::Epsilon;
pub use error::DiceError;
pub use heuristic::{EpsilonSolutions, heuristic_epsilon, solve_epsilon};
pub use kernel::InstructionSet;
pub use loss::DiceLoss;
pub use partition::Partition;
pub use presence::{MissingLabels, MissingRule, Presence};
pub use segmentation::{SegmentationLoss, SegmentationSums, SegmentationTerms};
pub use shape::Shape;
pub use similarity::{Similarity, VolumeWeight};
pub use sums::DiceSums;
pub use target::{DenseMaps, LabelMap, Target};
pub use terms::DiceTerms;
pub use weights::ClassWeights;
