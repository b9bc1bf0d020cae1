//! Values of flags: the words and numbers that are accepted.
use std::str::FromStr;

use clap::ValueEnum;

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

pub(super) fn above_zero(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("accepted: a number greater than 0".to_owned()),
    }
}

pub(super) fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number <= 1.0 => Ok(number),
        _ => Err("accepted: a number greater than 0, at most 1".to_owned()),
    }
}

pub(super) fn loaders(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number <= 64 => Ok(number),
        _ => Err("accepted: a whole number from 0 to 64".to_owned()),
    }
}

pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    at_least(1, text)
}

pub(super) fn at_least_two(text: &str) -> Result<usize, String> {
    at_least(2, text)
}

fn at_least(least: usize, text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number >= least => Ok(number),
        _ => Err(format!("accepted: a whole number of {least} or more")),
    }
}
