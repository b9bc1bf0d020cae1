//! What can go wrong between an experiment file and its results.
use std::path::PathBuf;

use dicewise_data::augment::AugmentError;
use dicewise_data::dataset::{CaseError, DatasetError};
use dicewise_data::folds::FoldError;
use dicewise_data::groups::TooFewSubjects;
use dicewise_data::nifti::NiftiError;
use dicewise_data::phantom::PhantomError;
use dicewise_data::preprocess::PreprocessError;
use dicewise_data::presence::PresenceError;

use crate::args::DeviceName;

/// Why a training, a prediction or a run of an experiment failed.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub(crate) enum RunError {
    #[error("case {case} has no label map; remove it, or add the file")]
    NoLabels { case: String },
    #[error(
        "case {case} is {found:?} voxels where others are {expected:?}; give `size` in [preprocessing], or a `patch`"
    )]
    SizesDiffer { case: String, found: [usize; 3], expected: [usize; 3] },
    #[error(
        "case {case} is {found:?} voxels, which the network cannot halve: every axis must be a multiple of {divisor:?}; give `size` in [preprocessing], or a `patch`"
    )]
    NotDivisible { case: String, found: [usize; 3], divisor: [usize; 3] },
    #[error("fold {fold} has no {side} cases; check [split] and [groups]")]
    EmptySide { fold: usize, side: &'static str },
    #[error("group {group} of [partial] has no cases; the data have {found:?}")]
    NoSuchGroup { group: String, found: Vec<String> },
    #[error("case {case}: {source}")]
    Preprocess { case: String, source: PreprocessError },
    #[error("{}: holds results already; add --resume to go on with them, or give another folder with --out", folder.display())]
    WouldOverwrite { folder: PathBuf },
    #[error(
        "{}: was run with another configuration: {}; restore the experiment file, or give another folder with --out",
        file.display(),
        differences.join("; ")
    )]
    ConfigurationChanged { file: PathBuf, differences: Vec<String> },
    #[error(
        "{}: another process is writing there{}; wait for it, or give another folder with --out",
        folder.display(),
        if owner.is_empty() { String::new() } else { format!(" ({owner})") }
    )]
    InUse { folder: PathBuf, owner: String },
    #[error(
        "{} of {cells} cells failed, the results are incomplete; what is finished is kept in {}: remove the cause and go on with --resume",
        failures.len(),
        out.display()
    )]
    Cells {
        out: PathBuf,
        cells: usize,
        #[related]
        failures: Vec<CellFailure>,
    },
    #[error("{}: not submitted: {reason}", script.display())]
    Slurm { script: PathBuf, reason: String },
    #[error("{}: there is no grid.json; give the folder that `run` writes to, or that of a training", folder.display())]
    NoRun { folder: PathBuf },
    #[error("standard output: {0}")]
    Stdout(std::io::Error),
    #[error(
        "--device {device}: this program was built for {built} only; build it again with `cargo install --path \
         crates/dicewise-cli --features {feature},autotune`, or take another device"
    )]
    NotBuiltFor { device: DeviceName, built: &'static str, feature: &'static str },
    #[error(
        "--device: {devices} devices for {jobs} training{} at a time: a training runs on one, since batch-wise Dice needs \
         the sums of the whole batch and Burn has no way to exchange them; take --jobs {devices} for a training on each, \
         or PyTorch, where DistributedDataParallel is exact (docs/pytorch.md)",
        if *.jobs == 1 { "" } else { "s" }
    )]
    MoreDevicesThanJobs { devices: usize, jobs: usize },
    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    #[error(
        "--device {device}: this machine has {found} such devices, counted from 0; `dicewise devices` lists them, and \
         one that is missing there has no driver"
    )]
    NoSuchDevice { device: DeviceName, found: usize },
    #[error("{}: there is no trained network here: {wanted} is missing", folder.display())]
    NoModel { folder: PathBuf, wanted: String },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    #[error(transparent)]
    Case(#[from] CaseError),
    #[error(transparent)]
    Nifti(#[from] NiftiError),
    #[error(transparent)]
    Presence(#[from] PresenceError),
    #[error(transparent)]
    Phantom(#[from] PhantomError),
    #[error(transparent)]
    Groups(#[from] TooFewSubjects),
    #[error(transparent)]
    Folds(#[from] FoldError),
    #[error(transparent)]
    Augmentation(#[from] AugmentError),
    #[error(transparent)]
    Loss(#[from] dicewise::DiceError),
    #[error(transparent)]
    Train(#[from] dicewise_train::TrainError),
    #[error(transparent)]
    Checkpoint(#[from] dicewise_train::checkpoint::CheckpointError),
    #[error(transparent)]
    Report(#[from] dicewise_report::ReportError),
    #[error(transparent)]
    Evaluation(#[from] dicewise_eval::OverlapError),
    #[error(transparent)]
    Volume(#[from] dicewise_eval::VolumeError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Experiment(#[from] dicewise_experiment::ExperimentError),
}

/// Why a cell of an experiment has no result.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("cell {cell}: {error}")]
pub(crate) struct CellFailure {
    pub(crate) cell: String,
    #[source]
    pub(crate) error: RunError,
}

impl RunError {
    /// Whether it concerns one training of an experiment, and the others can go on.
    pub(crate) fn is_of_one_training(&self) -> bool {
        use dicewise_train::TrainError::{Loss, NonFiniteLoss, Validation};
        matches!(self, Self::Train(NonFiniteLoss { .. } | Loss { .. } | Validation { .. }))
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
