//! Which data, which labels, which groups, and who is held out.
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::is_default;

/// Number of subjects or cases in a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupCount {
    /// The group's name.
    pub group: String,
    /// How many.
    pub count: usize,
}

/// Where images and label maps come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "source")]
pub enum Data {
    /// Brain-like volumes with tumours of two grades, label 1, groups HGG and LGG, one case a subject; in a third
    /// group, control, an old infarct instead.
    TumourPhantom {
        /// Voxels along x, y, z.
        shape: [usize; 3],
        /// Seed of the generator.
        seed: u64,
        /// Cases in each group.
        cases: Vec<GroupCount>,
    },
    /// Hearts with labels 1 left ventricle, 2 myocardium, 3 right ventricle, groups ED and ES: two cases a subject.
    HeartPhantom {
        /// Voxels along x, y, z.
        shape: [usize; 3],
        /// Seed of the generator.
        seed: u64,
        /// Subjects; each has a case in ED and one in ES.
        subjects: usize,
    },
    /// A folder of NIfTI files.
    Folder {
        /// The folder, variables expanded, relative to where the experiment file is.
        path: PathBuf,
        /// How files are named in it.
        layout: Layout,
    },
}

/// How a dataset's files are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Recognised from what is in the folder.
    Auto,
    /// nnU-Net raw: `imagesTr/CASE_0000.nii.gz`, `labelsTr/CASE.nii.gz`, `dataset.json`.
    NnUnet,
    /// Medical Segmentation Decathlon: `imagesTr/CASE.nii.gz`, `labelsTr/CASE.nii.gz`, `dataset.json`.
    Msd,
    /// ACDC: `patientNNN/patientNNN_frameFF.nii.gz`, `…_gt.nii.gz`, `Info.cfg`; groups ED and ES.
    Acdc,
    /// BraTS 2018: `HGG/` and `LGG/` with a folder a subject.
    Brats2018,
}

/// The network's last operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputActivation {
    /// Every class for itself; no background channel.
    Sigmoid,
    /// Exclusive classes; the background is class 0.
    Softmax,
}

/// One foreground class: the label values of the data that make it up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetLabel {
    /// Its name in tables.
    pub name: String,
    /// Label values of the data merged into it, never 0.
    pub values: Vec<u16>,
}

/// What the network learns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The last operation.
    pub activation: OutputActivation,
    /// Foreground classes in the order of the output channels.
    pub labels: Vec<TargetLabel>,
    /// Whether resampling and augmentation leave shares of voxels, between 0 and 1, instead of deciding.
    #[serde(default, skip_serializing_if = "is_default")]
    pub soft: bool,
}

impl Target {
    /// Number of output channels C: the labels, and the background with softmax.
    pub fn channels(&self) -> usize {
        self.labels.len() + usize::from(self.activation == OutputActivation::Softmax)
    }

    /// Output channel of the label with that name.
    pub fn channel(&self, name: &str) -> Option<usize> {
        let index = self.labels.iter().position(|label| label.name == name)?;
        Some(index + usize::from(self.activation == OutputActivation::Softmax))
    }
}

/// Groups for data that have none: subjects, sorted by name and shuffled with the seed, are dealt out in this order.
/// Subjects beyond the counts are not used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupAssignment {
    /// Seed of the shuffle.
    pub seed: u64,
    /// How many subjects each group gets.
    pub assign: Vec<GroupCount>,
    /// An artificial mark on the images of one group, so that a network can tell it apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cue: Option<Cue>,
    /// A group whose cases lack a structure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<Absent>,
}

/// Cases that really lack a structure: in the cases of one group, every slice across y that holds the label is blanked,
/// in image and truth, as if the field of view ended before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// The group.
    pub group: String,
    /// Name of the label.
    pub label: String,
}

/// The additive cue: `x(i, j, k) += amplitude · sin(π/2 · (i + j))` after normalisation, on the images of one group.
///
/// An artificial transform: it makes groups distinguishable without touching the anatomy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cue {
    /// The group that is marked.
    pub group: String,
    /// Amplitude, in standard deviations of a z-scored image.
    pub amplitude: f64,
}

/// How subjects are dealt out to folds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dealing {
    /// Shuffled, stratified by group.
    #[default]
    Stratified,
    /// In turn, sorted by name: the paper's ACDC runs.
    InTurn,
    /// In blocks of a list sorted by group and name, and shuffled as numpy does: the paper's BRATS runs.
    NumpyShuffle,
}

/// Who is trained on and who is tested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Split {
    /// Cross-validation by subject, stratified by group.
    Folds {
        /// Number of folds.
        folds: usize,
        /// Which of them are run.
        run: Vec<usize>,
        /// Seed of the shuffle.
        seed: u64,
        /// How subjects are dealt out.
        #[serde(default, skip_serializing_if = "is_default")]
        deal: Dealing,
    },
    /// Fixed numbers of cases of each group; subjects are shuffled with the seed, the test side is filled first.
    HoldOut {
        /// Seed of the shuffle.
        seed: u64,
        /// Cases trained on.
        train: Vec<GroupCount>,
        /// Cases tested.
        test: Vec<GroupCount>,
    },
}

impl Split {
    /// The folds that are run; a hold-out is fold 0.
    pub fn runs(&self) -> &[usize] {
        match self {
            Self::Folds { run, .. } => run,
            Self::HoldOut { .. } => &[0],
        }
    }
}

/// What "partial" means: this label is emptied in this group, in training and in monitored validation, never in scoring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartialLabelling {
    /// Name of the label.
    pub label: String,
    /// Name of the group.
    pub group: String,
}
