//! The command line as typed. Flags are checked one by one here, and against each other and the data later.
use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgGroup, Args as Flags, Parser, Subcommand, ValueEnum};

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
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(Run),
    Train(Box<Train>),
    Predict(Predict),
    Evaluate(Evaluate),
    Explain(Explain),
    Check(Check),
}

/// Train, predict and score every cell of an experiment, and print Table 1.
#[derive(Debug, Flags)]
#[command(after_help = "\
Examples:
  dicewise run experiments/phantom.toml
  dicewise run experiments/phantom.toml --dry-run
  dicewise run experiments/hippocampus.toml --data ~/data/hippocampus --seed 0,1,2 --jobs 2 --resume

Writes OUT/{cases.csv, table1.csv, table1.md, roc.csv}, and a folder a cell with its config.toml, checkpoints and metrics.csv.")]
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
    /// Show the grid of cells and stop.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Folder of the data, instead of the experiment's `path`.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Seeds, separated by commas, instead of the experiment's `seeds`.
    #[arg(long = "seed", value_name = "N", value_delimiter = ',')]
    pub(crate) seeds: Vec<u32>,
    /// Cells trained at the same time.
    #[arg(long, value_name = "N", default_value = "1", value_parser = at_least_one)]
    pub(crate) jobs: usize,
    #[command(flatten)]
    pub(crate) device: Device,
}

/// Train one network on a folder of images and label maps.
///
/// The loss has no default: give a setting of the paper, or Φ and ε.
#[derive(Debug, Flags)]
#[command(group = ArgGroup::new("loss").required(true).args(["setting", "partition"]))]
#[command(after_help = "\
Examples:
  dicewise train DATA --out model --setting I --batch-size 2 --iterations 1000
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

/// Say what a Dice loss teaches on maps that are present, empty or missing, before any training.
#[derive(Debug, Flags)]
#[command(group = ArgGroup::new("loss").required(true).args(["name", "partition"]))]
#[command(after_help = "\
Examples:
  dicewise explain monai-default
  dicewise explain I_eps --batch-size 2
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

/// Where networks run.
#[derive(Debug, Flags)]
pub(crate) struct Device {
    /// Where to compute: cpu, or cuda:0 and the like where the program was built for it.
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub(crate) device: String,
}

/// How a dataset's files are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layout {
    /// Recognised from what is in the folder.
    Auto,
    /// nnU-Net raw: imagesTr/CASE_0000.nii.gz, labelsTr/CASE.nii.gz, dataset.json.
    #[value(name = "nnunet")]
    NnUnet,
    /// Medical Segmentation Decathlon: imagesTr/CASE.nii.gz, labelsTr/CASE.nii.gz, dataset.json.
    Msd,
    /// ACDC: patientNNN/patientNNN_frameFF.nii.gz and Info.cfg.
    Acdc,
    /// BraTS 2018: HGG and LGG with a folder a subject.
    Brats2018,
}

/// Output of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Activation {
    /// Every label for itself.
    Sigmoid,
    /// Labels exclude each other; background is a class.
    Softmax,
}

/// A setting of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Setting {
    /// Image-wise, ε = 1e-7: ignores empty maps.
    #[value(name = "I")]
    I,
    /// Batch-wise, ε = 1e-7: learns empty maps when the batch size is above 1.
    #[value(name = "BI")]
    Bi,
    /// Class-wise, ε = 1e-7.
    #[value(name = "CI")]
    Ci,
    /// All-wise, ε = 1e-7.
    #[value(name = "BCI")]
    Bci,
    /// Image-wise, ε = mean size of each label: learns empty maps.
    #[value(name = "I_eps")]
    IEps,
    /// Image-wise; labels with an empty map are left out.
    #[value(name = "leaf")]
    Leaf,
    /// Image-wise; labels with an empty map are merged into the background.
    #[value(name = "marginal")]
    Marginal,
}

/// Φ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Partition {
    /// Each image and class for itself.
    #[value(name = "I", alias = "image-wise")]
    I,
    /// Each image, over its classes.
    #[value(name = "CI", alias = "class-wise")]
    Ci,
    /// Each class, over the batch.
    #[value(name = "BI", alias = "batch-wise")]
    Bi,
    /// Everything at once.
    #[value(name = "BCI", alias = "all-wise")]
    Bci,
}

/// What the loss makes of a missing label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Missing {
    /// Its zero map is taken as the truth.
    AsEmpty,
    /// Its voxels are left out.
    Leaf,
    /// Its probability is added to the background's.
    Marginal,
}

/// What becomes of the learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Schedule {
    /// It stays.
    Constant,
    /// It falls along half a cosine to 0.
    Cosine,
}

/// A network of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Network {
    /// 5 levels, 14,493,901 parameters.
    Brats,
    /// 5 levels, 3,926,212 parameters.
    Acdc,
}

/// A checkpoint of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Checkpoint {
    /// The last one that was saved, also of an unfinished training.
    Latest,
    /// The one with the lowest validation loss.
    Best,
    /// The end of the training.
    Final,
}

/// What the DSC is where the true label is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EmptyTruth {
    /// Undefined: left out of means, and counted.
    Undefined,
    /// 1 where the prediction is empty too, otherwise 0.
    Score,
}

/// ε as typed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Epsilon {
    /// Voxels.
    Voxels(f64),
    /// The mean size of each label.
    Heuristic,
}

impl FromStr for Epsilon {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "heuristic" {
            return Ok(Self::Heuristic);
        }
        above_zero(text).map(Self::Voxels).map_err(|error| format!("{error}, or `heuristic`"))
    }
}

/// A label to learn or to score: `myocardium=2`, or `whole=1+2+4`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) name: String,
    pub(crate) values: Vec<u16>,
}

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let accepted =
            "accepted: NAME=VALUE or NAME=VALUE+VALUE, values from 1 to 65535, such as whole=1+2+4";
        let (name, values) = text.split_once('=').ok_or(accepted)?;
        let values: Result<Vec<u16>, _> = values.split('+').map(str::parse).collect();
        match values {
            Ok(values) if !name.is_empty() && !values.contains(&0) => {
                Ok(Self { name: name.to_owned(), values })
            }
            _ => Err(accepted.to_owned()),
        }
    }
}

/// Millimetres along x, y, z.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spacing(pub(crate) [f64; 3]);

impl FromStr for Spacing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        triple(text, above_zero).map(Self)
    }
}

/// Voxels along x, y, z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape(pub(crate) [usize; 3]);

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        triple(text, at_least_one).map(Self)
    }
}

fn triple<T: Copy>(text: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<[T; 3], String> {
    let numbers: Vec<T> = text.split(',').map(parse).collect::<Result<_, _>>()?;
    let count = numbers.len();
    numbers.try_into().map_err(|_| format!("{count} numbers instead of three, for x,y,z"))
}

fn above_zero(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("accepted: a number greater than 0".to_owned()),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    at_least(1, text)
}

fn at_least_two(text: &str) -> Result<usize, String> {
    at_least(2, text)
}

fn at_least(least: usize, text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number >= least => Ok(number),
        _ => Err(format!("accepted: a whole number of {least} or more")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definitions_fit_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_example_of_the_help_is_accepted() {
        let mut examples = 0;
        for command in Args::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines: Vec<&str> =
                help.lines().map(str::trim).filter(|line| line.starts_with("dicewise ")).collect();
            assert!(!lines.is_empty(), "{} has no example", command.get_name());
            for line in lines {
                parse(line).unwrap_or_else(|error| panic!("{line}\n{error}"));
                examples += 1;
            }
        }
        assert!(examples >= 10);
    }

    #[test]
    fn scientific_choices_have_no_default() {
        let start = "dicewise train DATA --out model --iterations 9 --batch-size 2";
        assert!(parse(start).is_err());
        assert!(parse(&format!("{start} --partition BI")).is_err());
        assert!(parse(&format!("{start} --epsilon 1e-7")).is_err());
        assert!(parse(&format!("{start} --setting I --partition BI --epsilon 1e-7")).is_err());
        assert!(parse(&format!("{start} --partition BI --epsilon 1e-7")).is_ok());
        assert!(parse(&format!("{start} --setting I --epochs 3")).is_err());
        assert!(parse("dicewise explain").is_err());
    }

    #[test]
    fn seeds_and_triples_are_lists_with_commas() {
        let Ok(Args { command: Command::Run(run) }) = parse("dicewise run x.toml --seed 0,1 --seed 5") else {
            panic!("not accepted")
        };
        assert_eq!((run.seeds, run.jobs, run.device.device.as_str()), (vec![0, 1, 5], 1, "cpu"));
        assert_eq!("1.5625,1.5625,2.5".parse(), Ok(Spacing([1.5625, 1.5625, 2.5])));
        assert_eq!("32,48".parse::<Shape>(), Err("2 numbers instead of three, for x,y,z".to_owned()));
        assert!("32,0,32".parse::<Shape>().is_err() && "1,-1,1".parse::<Spacing>().is_err());
    }

    #[test]
    fn labels_merge_values() {
        assert_eq!("whole=1+2+4".parse(), Ok(Label { name: "whole".to_owned(), values: vec![1, 2, 4] }));
        for wrong in ["whole", "whole=", "=1", "whole=0", "whole=1+x", "whole=65536"] {
            assert!(wrong.parse::<Label>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn bad_values_exit_with_2_and_say_what_is_accepted() {
        for (line, accepted) in [
            ("dicewise run x.toml --jobs 0", "a whole number of 1 or more"),
            ("dicewise check DATA --layout acdd", "a similar value exists: 'acdc'"),
            ("dicewise explain --partition BI --epsilon 0", "a number greater than 0, or `heuristic`"),
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(accepted), "{error}");
        }
    }
}
