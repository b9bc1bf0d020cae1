//! From the image on disk to a trained network.
use serde::{Deserialize, Serialize};

use crate::is_default;

/// What is done to every image, in this order: resample, clip, normalise, pad or crop; padding or cropping may come
/// first, see [`WindowOrder`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// Spacing along x, y, z that images are resampled to; their own when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spacing_mm: Option<[f64; 3]>,
    /// What stays in place when the spacing changes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub alignment: Alignment,
    /// How label maps follow.
    #[serde(default, skip_serializing_if = "is_default")]
    pub labels: LabelResampling,
    /// Labels that enclose another one, by name: outer and inner.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encloses: Vec<[String; 2]>,
    /// Intensities are clipped to these quantiles (0 to 1) of the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_quantiles: Option<[f64; 2]>,
    /// How intensities are normalised.
    pub normalise: Normalise,
    /// Voxels along x, y, z that images are padded with zeros or cropped to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<[usize; 3]>,
    /// What the padded or cropped window is centred on.
    pub centre: Centre,
    /// When padding or cropping is done.
    #[serde(default, skip_serializing_if = "is_default")]
    pub window: WindowOrder,
    /// How probabilities come back to the grid that a case came on.
    #[serde(default, skip_serializing_if = "is_default")]
    pub restore: Restore,
}

/// What stays in place when the spacing changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Alignment {
    /// The centre of the volume.
    #[default]
    Centre,
    /// The centres of the first and of the last voxels, as in the paper's BRATS runs.
    Corners,
}

/// How label maps follow when the spacing changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabelResampling {
    /// By linear interpolation of each label's indicator: the largest, or with soft targets all of them.
    #[default]
    Linear,
    /// By linear interpolation of signed distances, as in the paper's ACDC runs.
    SignedDistance,
}

/// When images are padded or cropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WindowOrder {
    /// After everything else.
    #[default]
    Last,
    /// In one step with resampling, so that normalisation sees the padding; clipping does not. The paper's ACDC runs.
    First,
}

/// How probabilities come back to the grid that a case came on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Restore {
    /// By linear interpolation.
    #[default]
    Linear,
    /// From the nearest voxel, as in the paper's BRATS runs.
    Nearest,
    /// By linear interpolation with the outermost covered voxels repeated, as in the paper's ACDC runs.
    Replicate,
}

/// How intensities are normalised, channel by channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalise {
    /// Mean 0 and standard deviation 1 over all voxels.
    ZScore,
    /// Mean 0 and standard deviation 1 over voxels that are not 0, which stay 0.
    ZScoreNonzero,
    /// Left as they are.
    None,
}

/// What a window is centred on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Centre {
    /// The middle of the volume.
    Volume,
    /// The centroid of the true foreground, as the paper's BRATS runs do, at test time too.
    Label,
    /// The centroid of the voxels that are not 0 in the image as it came.
    Image,
}

/// Random changes of the training images. None where a value is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Augmentation {
    /// Probability of mirroring along x.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flip_x: Option<f64>,
    /// Shift along each axis, uniform over the whole numbers −n … n.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shift_voxels: Option<usize>,
    /// Rotation about z, uniform in ± this many degrees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotate_z_degrees: Option<f64>,
    /// σ of a rotation about z, in degrees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotate_z_sigma_degrees: Option<f64>,
    /// σ of a translation along x, y, z, in voxels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub translate_sigma_voxels: Option<[f64; 3]>,
    /// Factor along each axis, uniform in 1 ± this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_change: Option<f64>,
    /// Standard deviation of a smooth displacement of every voxel, along each axis, in voxels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elastic_voxels: Option<f64>,
    /// σ of a number added to all voxels, drawn from N(0, σ).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intensity_shift: Option<f64>,
    /// σ of a factor of all voxels, drawn from N(1, σ).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intensity_scale: Option<f64>,
    /// σ of noise added to each voxel, drawn from N(0, σ).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<f64>,
}

/// The part of an image that the network sees at once; without it, the network sees whole images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// Voxels along x, y, z.
    pub size: [usize; 3],
    /// Where a training patch lies; [`Augmentation::shift_voxels`] moves it from there.
    pub training: PatchPlace,
    /// What the network sees when it predicts.
    pub prediction: PredictionExtent,
}

/// Where a training patch lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PatchPlace {
    /// In the middle of the image.
    Centre,
    /// Anywhere inside the image, uniformly.
    Random,
    /// Around the centroid of the truth: the oracle crop of the paper's BRATS runs.
    Oracle,
    /// Around the centroid of the voxels that are not 0 in the image as it came.
    Image,
}

/// What the network sees when it predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PredictionExtent {
    /// The patch in the middle of the image; outside it, background is predicted.
    Centre,
    /// The whole image.
    Whole,
    /// The patch around the centroid of the truth; outside it, background is predicted.
    Oracle,
    /// The patch around the centroid of the image's nonzero voxels; outside it, background is predicted.
    Image,
}

/// The network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Start the output's bias at the frequency of each class among the training voxels.
    pub prior_bias: bool,
    /// Factor of the features of a preset's layers.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub width: f64,
    /// Its layers.
    pub architecture: Architecture,
}

fn one() -> f64 {
    1.0
}

fn is_one(width: &f64) -> bool {
    *width == 1.0
}

/// Layers of the U-Net.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "preset")]
pub enum Architecture {
    /// The paper's network for BRATS: 5 levels, 14,493,901 parameters with four channels in and one out.
    Brats,
    /// The paper's network for ACDC: 5 levels, 3,926,212 trainable parameters with one channel in and four out.
    Acdc,
    /// Stride 2 along every axis, two 3×3×3 convolutions a level, `base · 2^level` features.
    Custom {
        /// Features of the first level.
        base: usize,
        /// Number of levels; 1 has no pooling.
        levels: usize,
        /// Normalisation.
        norm: Norm,
        /// Activation of the hidden layers.
        activation: HiddenActivation,
    },
}

impl Architecture {
    /// By what the input's voxels along x, y, z must be divisible.
    pub fn divisor(&self) -> [usize; 3] {
        match self {
            Self::Brats => [16; 3],
            // Strides (2, 2, 1), then three times (2, 2, 2).
            Self::Acdc => [16, 16, 8],
            Self::Custom { levels, .. } => [1 << (levels - 1); 3],
        }
    }
}

/// Normalisation of the hidden layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    /// Over the voxels of each image and channel.
    Instance,
    /// Over batch and voxels of each channel, with running averages.
    Batch,
}

/// Activation of the hidden layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HiddenActivation {
    /// Slope 0.01 below zero.
    LeakyRelu,
    /// One learnt slope a channel, starting at 0.
    #[serde(rename = "prelu")]
    PRelu,
}

/// How the network is trained, with Adam.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Learning rate at the start.
    pub learning_rate: f64,
    /// Factor of the sum of squared kernel weights added to the loss; biases are left out.
    pub l2: f64,
    /// Iterations or epochs between two validations; no validation during training when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validate_every: Option<usize>,
    /// How long no ε is larger than the tiny one (ε warm-up).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon_warm_up: Option<WarmUp>,
    /// Which cases share a batch.
    #[serde(default, skip_serializing_if = "is_default")]
    pub batches: Batches,
    /// Iterations or epochs between two evaluations of the held-out cases, each with a checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluate_every: Option<usize>,
    /// Which network is scored.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scored: Scored,
    /// Number of training cases that patiences and `evaluate_every` are for: with N cases, they are multiplied by
    /// this over N.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<usize>,
    /// How long.
    pub duration: Duration,
    /// What becomes of the learning rate.
    pub schedule: Schedule,
}

/// The length of ε warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WarmUp {
    /// So many iterations.
    Iterations(usize),
    /// As the training tells, class by class.
    When(WarmUpRule),
}

/// When a class gets its ε.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WarmUpRule {
    /// Once its Dice with that ε would rise if its predictions grew: its ε no longer makes the class disappear.
    Auto,
}

/// Which cases share a batch. A stratum is the cases that have the same labels, as training sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Batches {
    /// As they come in a random order.
    #[default]
    Shuffled,
    /// Each batch has its share of every stratum.
    Stratified,
    /// Each batch is of one stratum.
    Separated,
}

/// Which network of a training is scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scored {
    /// That at the end.
    #[default]
    Final,
    /// That with the lowest validation loss.
    Best,
    /// That of the last evaluation, as in the paper's ACDC runs.
    Periodic,
}

/// Length of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Duration {
    /// Batches.
    Iterations(usize),
    /// Passes over the training cases.
    Epochs(usize),
}

/// What becomes of the learning rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Schedule {
    /// It stays.
    Constant,
    /// It falls along half a cosine to 0 at the end.
    Cosine,
    /// It falls when the validation loss stops falling, and training stops when that lasts.
    Plateau {
        /// Factor of the learning rate.
        factor: f64,
        /// Validations without improvement before it falls.
        patience: usize,
        /// Validations without improvement before training stops.
        stop_patience: usize,
        /// What counts as an improvement of the loss.
        min_delta: f64,
    },
}
