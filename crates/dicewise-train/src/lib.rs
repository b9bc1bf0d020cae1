//! The 3-D U-Net, its training, its checkpoints and its predictions.
//!
//! - [`UNetConfig`] describes a [`UNet`]; [`UNetConfig::brats`] and [`UNetConfig::acdc`] are the paper's.
//! - [`Trainer`] trains one on samples from a [`SampleSource`], visibly ([`Observer`]), resumably ([`checkpoint`]) and
//!   reproducibly: everything random is a function of the seed and of how many samples have been drawn.
//! - [`predict`] turns a volume of any size into class probabilities.
mod batches;
mod block;
pub mod checkpoint;
mod cross_entropy;
mod empty_class;
mod error;
mod exact;
mod lesson;
mod loading;
mod memory;
mod optimizer;
mod parameters;
mod predict;
mod schedule;
mod trainer;
mod unet;
mod warm_up;

pub use batches::Batches;
pub use empty_class::EmptyClass;
pub use error::TrainError;
pub use lesson::Lesson;
pub use memory::{training_bytes, training_bytes_on_device};
pub use optimizer::{Adam, kernel_square_sum};
pub use parameters::count_trainable;
pub use predict::{Channels, OutputActivation, predict};
pub use schedule::{Schedule, ScheduleState};
pub use trainer::{Observer, Outcome, Sample, SampleSource, Step, Trainer, TrainingConfig};
pub use unet::{Activation, Normalisation, UNet, UNetConfig};
pub use warm_up::WarmUp;

/// The code of the Burn guide runs as a test of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/burn.md")]
struct BurnGuide;
