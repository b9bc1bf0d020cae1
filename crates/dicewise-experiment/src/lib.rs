//! Experiment files: what to train on which data, checked, as a grid of cells.
//!
//! An [`Experiment`] is read from TOML and checked as a whole; what is wrong comes back as an [`ExperimentError`] that
//! shows every mistake where it stands, with what would be accepted. [`Experiment::cells`] lists the trainings, and
//! [`CellConfig`] is what a cell's folder keeps of it, so that a later run knows whether it may resume there.
//!
//! ```
//! use dicewise_experiment::{Experiment, Overrides};
//!
//! let text = r#"
//! name = "grades"
//! seeds = [0, 1]
//! data = { phantom = "tumour", phantom_cases = { HGG = 12, LGG = 12 }, phantom_shape = [24, 24, 24] }
//! target = { activation = "sigmoid", labels = { tumour = [1] } }
//! split = { folds = 4, run = [0] }
//! partial = { label = "tumour", group = "LGG" }
//! network = { base = 8, levels = 3 }
//! training = { iterations = 300, learning_rate = 5e-3 }
//!
//! [[cells]]
//! labelling = "partial"
//! settings = ["I", "I_eps"]
//! batch_sizes = [2]
//! "#;
//! let experiment = Experiment::parse("grades.toml".as_ref(), text, &Overrides::default(), &|_| None)?;
//! let folders: Vec<_> = experiment.cells().iter().map(|cell| cell.folder_name()).collect();
//! assert_eq!(folders[0], "partial-I-b2-seed0/fold_0");
//! assert_eq!(folders[3], "partial-I_eps-b2-seed1/fold_0");
//! # Ok::<(), dicewise_experiment::ExperimentError>(())
//! ```
mod cell;
mod check;
mod dataset;
mod experiment;
mod file;
mod grid;
mod loss;
mod mistake;
mod nearest;
mod scale;
mod setting;
mod training;

pub use cell::{Cell, CellConfig, Labelling};
pub use dataset::{
    Absent, Cue, Data, Dealing, GroupAssignment, GroupCount, Layout, OutputActivation, PartialLabelling,
    Split, Target, TargetLabel,
};
pub use experiment::{CellBlock, Experiment, Overrides};
pub use grid::Grid;
pub use mistake::{ExperimentError, InvalidExperiment, Mistake, MistakeKind};
pub use setting::{Epsilon, EpsilonLayout, Missing, MissingRule, Partition, Setting, Smoothing, Weighting};
pub use training::{
    Alignment, Architecture, Augmentation, Batches, Centre, Duration, HiddenActivation, LabelResampling,
    Network, Norm, Normalise, Patch, PatchPlace, PredictionExtent, Preprocessing, Restore, Schedule, Scored,
    Training, WarmUp, WarmUpRule, WindowOrder,
};

/// Whether a value says nothing new, so that configurations from before there was a choice stay the same.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
