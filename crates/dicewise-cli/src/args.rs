//! The command line as typed. Flags are checked one by one here, and against each other and the data later.
mod device;
mod slurm;
mod values;

use std::path::PathBuf;

use clap::{ArgGroup, Args as Flags, Parser, Subcommand};

pub(crate) use device::{Device, DeviceName, Devices, Loading};
pub(crate) use slurm::Slurm;
pub(crate) use values::{
    Activation, Checkpoint, EmptyTruth, Epsilon, Label, Layout, Missing, Network, Partition, Schedule,
    Setting, Shape, Spacing,
};
use values::{above_zero, at_least_one, at_least_two, share};

/// Trains segmentation networks right when labels are missing or empty.
///
/// The Dice loss either ignores an image without a label or learns that there is nothing, depending on the voxels it
/// is summed over (Φ) and on its smoothing (ε). dicewise shows which of the two a loss does, trains with either, and
/// reproduces the experiments of Tilborghs et al. (MICCAI 2022).
#[derive(Debug, Parser)]
#[command(name = "dicewise", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 fine, 1 `check` found defects, 2 bad input or usage, 130 interrupted after saving."
)]
pub(crate) struct Args {
    /// Voxels that one file may hold, all channels together [default: 2^30]
    #[arg(long, global = true, value_name = "N", env = "DICEWISE_MAX_VOXELS", hide_env_values = true)]
    pub(crate) max_voxels: Option<u64>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(Box<Run>),
    Train(Box<Train>),
    Predict(Predict),
    Evaluate(Evaluate),
    Compare(Compare),
    Report(Report),
    Status(Status),
    Explain(Explain),
    Check(Check),
    Devices(ListDevices),
}

/// Train, predict and score every cell of an experiment, and print Table 1.
#[derive(Debug, Flags)]
#[command(after_help = "\
Examples:
  dicewise run experiments/phantom.toml
  dicewise run experiments/phantom.toml --dry-run
  dicewise run experiments/acdc.toml --data acdc --scale 0.33 --dry-run --probe
  dicewise run experiments/hippocampus.toml --data ~/data/hippocampus --seed 0,1,2 --jobs 2 --resume
  dicewise run experiments/brats2018.toml --data /data/brats2018 --slurm --partition gpu --time 24:00:00 --array-limit 20

Writes OUT/report/index.html, OUT/{cases.csv, table1.csv, table1.md, roc.csv}, and a folder a cell with its config.toml, checkpoints and metrics.csv.")]
pub(crate) struct Run {
    /// Experiment file.
    #[arg(value_name = "EXPERIMENT.toml")]
    pub(crate) experiment: PathBuf,
    /// Folder to write to [default: results/NAME, with the experiment's name]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Go on with a run that was interrupted: finished cells are kept, unfinished ones continue at their last
    /// checkpoint. Without it, a folder that holds results already is left alone and reported.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Show the grid of cells and what it needs of memory and time, and stop.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// With --dry-run, measure the time of a few training steps instead of leaving it open.
    #[arg(long, requires = "dry_run")]
    pub(crate) probe: bool,
    /// The same grid smaller: image size along each axis, features of the network and length of the training times
    /// this factor, up to 1.
    #[arg(long, value_name = "FACTOR", value_parser = share)]
    pub(crate) scale: Option<f64>,
    /// Folder of the data, instead of the experiment's `path`.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Seeds, separated by commas, instead of the experiment's `seeds`.
    #[arg(long = "seed", value_name = "N", value_delimiter = ',')]
    pub(crate) seeds: Vec<u32>,
    /// Cells trained at the same time.
    #[arg(long, value_name = "N", default_value = "1", value_parser = at_least_one)]
    pub(crate) jobs: usize,
    /// Train one cell only, by its number from 0, or go on with it: for schedulers. Several processes may each train one
    /// in the same OUT; once all are done, the same command with --resume instead writes tables and report.
    #[arg(long, value_name = "K", conflicts_with_all = ["dry_run", "jobs"])]
    pub(crate) task: Option<usize>,
    #[command(flatten)]
    pub(crate) devices: Devices,
    #[command(flatten)]
    pub(crate) loading: Loading,
    #[command(flatten)]
    pub(crate) slurm: Slurm,
}

/// Train one network on a folder of images and label maps.
///
/// The loss has no default: give a setting of the paper, or Φ and ε.
#[derive(Debug, Flags)]
#[command(group = ArgGroup::new("loss").required(true).args(["setting", "partition"]))]
#[command(after_help = "\
Examples:
  dicewise train DATA --out model --setting BI --batch-size 2 --iterations 1000
  dicewise train acdc/training --layout acdc --out acdc-model --setting BI --batch-size 2 --iterations 1500 \
--labels rv=1,myocardium=2,lv=3 --spacing-mm 1.5625,1.5625,2.5 --patch 64,64,16
  dicewise train DATA --out model --partition BI --epsilon 1e-7 --missing leaf --batch-size 2 --epochs 100")]
pub(crate) struct Train {
    /// Folder of the data.
    pub(crate) data: PathBuf,
    /// Folder to write config.toml, checkpoints, metrics.csv and validation predictions to.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// How files are named in the data's folder.
    #[arg(long, default_value = "auto")]
    pub(crate) layout: Layout,
    /// Labels to learn, NAME=VALUE, several values of the label maps joined by `+`, separated by commas
    /// [default: those that the dataset declares]
    #[arg(long, value_name = "NAME=VALUE+…", value_delimiter = ',')]
    pub(crate) labels: Vec<Label>,
    /// Output of the network: softmax for labels that exclude each other, sigmoid for regions that may overlap.
    #[arg(long, default_value = "softmax")]
    pub(crate) activation: Activation,
    /// A setting of the paper: Φ, ε and what happens to missing labels.
    #[arg(long)]
    pub(crate) setting: Option<Setting>,
    /// Φ: the voxels that one Dice is summed over.
    #[arg(long, requires = "epsilon")]
    pub(crate) partition: Option<Partition>,
    /// ε in voxels, or `heuristic` for the mean size of each label.
    #[arg(long, value_name = "VOXELS", requires = "partition")]
    pub(crate) epsilon: Option<Epsilon>,
    /// What the loss makes of a label that is declared missing in presence.csv [default: as-empty]
    #[arg(long, requires = "partition")]
    pub(crate) missing: Option<Missing>,
    /// Iterations at the start during which no ε is larger than 1e-7.
    #[arg(long, value_name = "N")]
    pub(crate) epsilon_warm_up: Option<usize>,
    /// Images in a batch. With the batch-wise partition this decides what empty maps teach.
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) batch_size: usize,
    #[command(flatten)]
    pub(crate) length: Length,
    /// Learning rate of Adam at the start.
    #[arg(long, value_name = "RATE", default_value = "1e-3", value_parser = above_zero)]
    pub(crate) learning_rate: f64,
    /// What becomes of the learning rate.
    #[arg(long, default_value = "cosine")]
    pub(crate) schedule: Schedule,
    /// Spacing in x, y, z to resample to, in millimetres.
    #[arg(long, value_name = "X,Y,Z")]
    pub(crate) spacing_mm: Option<Spacing>,
    /// Voxels in x, y, z of the patches trained on [default: whole images]
    #[arg(long, value_name = "X,Y,Z")]
    pub(crate) patch: Option<Shape>,
    /// A network of the paper, instead of --base and --levels.
    #[arg(long, conflicts_with_all = ["base", "levels"])]
    pub(crate) network: Option<Network>,
    /// Features of the network's first level.
    #[arg(long, value_name = "N", default_value = "16", value_parser = at_least_one)]
    pub(crate) base: usize,
    /// Levels of the network; each but the first halves the image.
    #[arg(long, value_name = "N", default_value = "4", value_parser = at_least_one)]
    pub(crate) levels: usize,
    /// Number of folds, by subject.
    #[arg(long, value_name = "N", default_value = "5", value_parser = at_least_two)]
    pub(crate) folds: usize,
    /// The fold that is held out.
    #[arg(long, value_name = "N", default_value = "0")]
    pub(crate) fold: usize,
    /// Seed of weights, folds, batches and augmentation.
    #[arg(long, value_name = "N", default_value = "0")]
    pub(crate) seed: u32,
    /// Go on at the last checkpoint in --out.
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) device: Device,
    #[command(flatten)]
    pub(crate) loading: Loading,
}

/// How long to train: iterations or epochs.
#[derive(Debug, Flags)]
#[group(required = true, multiple = false)]
pub(crate) struct Length {
    /// Batches to train on.
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) iterations: Option<usize>,
    /// Passes over the training cases.
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) epochs: Option<usize>,
}

/// Segment images with a trained network; label maps lie exactly over their images.
#[derive(Debug, Flags)]
#[command(after_help = "\
Examples:
  dicewise predict model DATA/imagesTs --out predictions
  dicewise predict results/phantom/full-I-b2-seed0/fold_0 case_0000.nii.gz --out predictions --probabilities")]
pub(crate) struct Predict {
    /// Folder of a trained network: --out of `train`, or a cell of `run`.
    pub(crate) model: PathBuf,
    /// Image, or folder of images or of a dataset.
    pub(crate) input: PathBuf,
    /// Folder to write CASE.nii.gz to.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Which checkpoint to use.
    #[arg(long, default_value = "final")]
    pub(crate) checkpoint: Checkpoint,
    /// Write the probability of every label too.
    #[arg(long)]
    pub(crate) probabilities: bool,
    #[command(flatten)]
    pub(crate) device: Device,
}

/// Score predicted label maps: DSC, volume difference, predicted volume.
#[derive(Debug, Flags)]
#[command(after_help = "\
Examples:
  dicewise evaluate predictions DATA/labelsTs
  dicewise evaluate predictions acdc/training --layout acdc --labels rv=1,myocardium=2,lv=3 --out scores

Writes cases.csv and summary.json. Files of both folders are matched by the name of the case.")]
pub(crate) struct Evaluate {
    /// Folder of predicted label maps.
    pub(crate) predictions: PathBuf,
    /// Folder of true label maps or of a dataset.
    pub(crate) truth: PathBuf,
    /// How files are named in the folder of the truth.
    #[arg(long, default_value = "auto")]
    pub(crate) layout: Layout,
    /// Labels to score, NAME=VALUE, several values joined by `+`, separated by commas
    /// [default: those that the dataset declares]
    #[arg(long, value_name = "NAME=VALUE+…", value_delimiter = ',')]
    pub(crate) labels: Vec<Label>,
    /// What the DSC is where the true label is empty.
    #[arg(long, default_value = "undefined")]
    pub(crate) empty_truth: EmptyTruth,
    /// Folder to write to [default: the folder of predictions]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

/// Test whether two sets of scores differ: the same subjects under two cells of a run, two runs, or two networks.
///
/// Prints, for each label and group, both means of DSC and |ΔV|, their mean difference (left − right) with its 95 %
/// bootstrap interval, and p-values: of a paired bootstrap, of a sign-flip test on differences, and of the rank test
/// that the paper's authors released, which does not see how large a difference is. A subject counts once.
#[derive(Debug, Flags)]
#[command(after_help = "\
Examples:
  dicewise compare results/phantom --cell partial-BI-b2 --with full-BI-b2
  dicewise compare results/monday results/tuesday
  dicewise compare predictions-a predictions-b --json

Without --cell, cells of the same name are compared; where either side has one cell, its name does not matter.")]
pub(crate) struct Compare {
    /// cases.csv, or a folder that holds one: of `run`, of one of its cells, or of `evaluate`.
    pub(crate) left: PathBuf,
    /// The same for the other side [default: the left one, which needs --cell and --with]
    #[arg(required_unless_present = "other_cell")]
    pub(crate) right: Option<PathBuf>,
    /// Cell of the left side, LABELLING-SETTING-bB, such as partial-BI-b2.
    #[arg(long, value_name = "CELL")]
    pub(crate) cell: Option<String>,
    /// Cell of the right side [default: that of --cell]
    #[arg(long = "with", id = "other_cell", value_name = "CELL", requires = "cell")]
    pub(crate) other_cell: Option<String>,
    /// Seed of the resampling.
    #[arg(long, value_name = "N", default_value = "0")]
    pub(crate) seed: u64,
    /// Print JSON instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Write the report of a run again, from the files of its folder of results.
#[derive(Debug, Flags)]
#[command(after_help = "\
Examples:
  dicewise report results/phantom
  dicewise report results/phantom --single-file

Writes RESULTS/report/index.html, viewer.html, and figures/ with every figure as SVG, PNG and CSV. The pages work offline.")]
pub(crate) struct Report {
    /// Folder that `run` wrote.
    pub(crate) results: PathBuf,
    /// Put the viewer into the page itself: one file to send.
    #[arg(long)]
    pub(crate) single_file: bool,
    /// Open the page in a browser.
    #[arg(long)]
    pub(crate) open: bool,
}

/// Show how far the trainings of a run are: done, running, failed, interrupted or waiting.
///
/// Of local runs and of those on a cluster, while they work or afterwards.
#[derive(Debug, Flags)]
#[command(after_help = "\
Examples:
  dicewise status results/phantom
  dicewise status results/phantom --json")]
pub(crate) struct Status {
    /// Folder that `run` writes to, or `train`.
    pub(crate) results: PathBuf,
    /// Print JSON instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Say what a Dice loss teaches on maps that are present, empty or missing, before any training.
#[derive(Debug, Flags)]
#[command(group = ArgGroup::new("loss").args(["name", "partition"]))]
#[command(group = ArgGroup::new("question").required(true).multiple(true).args(["name", "partition", "open", "html"]))]
#[command(after_help = "\
Examples:
  dicewise explain monai-default
  dicewise explain I_eps --batch-size 2
  dicewise explain --open
  dicewise explain --partition BI --epsilon 1e-5 --batch-size 2 --classes 3 --voxels 262144 --object 4000")]
pub(crate) struct Explain {
    /// A setting of the paper, or a loss as another package ships it, such as monai-default.
    #[arg(conflicts_with_all = ["partition", "epsilon"])]
    pub(crate) name: Option<String>,
    /// Φ: the voxels that one Dice is summed over.
    #[arg(long, requires = "epsilon")]
    pub(crate) partition: Option<Partition>,
    /// ε in voxels, or `heuristic` for the size of the object.
    #[arg(long, value_name = "VOXELS", requires = "partition")]
    pub(crate) epsilon: Option<Epsilon>,
    /// Images in a batch.
    #[arg(long, value_name = "N", default_value = "2", value_parser = at_least_one)]
    pub(crate) batch_size: usize,
    /// Number of classes.
    #[arg(long, value_name = "N", default_value = "3", value_parser = at_least_one)]
    pub(crate) classes: usize,
    /// Voxels of an image.
    #[arg(long, value_name = "N", default_value = "4096", value_parser = at_least_one)]
    pub(crate) voxels: usize,
    /// Voxels of an object where it is present.
    #[arg(long, value_name = "N", default_value = "400", value_parser = at_least_one)]
    pub(crate) object: usize,
    /// Print JSON instead of text.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the explorer, a page with a slider for everything, to this file.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub(crate) html: Option<PathBuf>,
    /// Open the explorer in a browser.
    #[arg(long, conflicts_with = "json")]
    pub(crate) open: bool,
}

/// Check a dataset: damaged files, which labels each case has, and what that means for the loss.
///
/// Exits with 1 when it finds defects.
#[derive(Debug, Flags)]
#[command(after_help = "\
Examples:
  dicewise check DATA
  dicewise check acdc/training --layout acdc --json")]
pub(crate) struct Check {
    /// Folder of the data.
    pub(crate) data: PathBuf,
    /// How files are named in it.
    #[arg(long, default_value = "auto")]
    pub(crate) layout: Layout,
    /// Print JSON instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// List what networks can run on: the names for --device.
#[derive(Debug, Flags)]
#[command(after_help = "\
Examples:
  dicewise devices")]
pub(crate) struct ListDevices {}

#[cfg(test)]
mod tests;
