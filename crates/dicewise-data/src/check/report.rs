//! What a check finds, as data.

use std::path::PathBuf;

use serde::{Serialize, Serializer};

use crate::dataset::{CaseError, Label, Layout};
use crate::nifti::NiftiWarning;

/// What a dataset holds and what is wrong with it.
#[derive(Debug, Serialize)]
pub struct CheckReport {
    /// The folder.
    pub root: PathBuf,
    /// How its files are named.
    pub layout: Layout,
    /// The labels over all cases that could be read, background included.
    pub labels: Vec<LabelSummary>,
    /// The cases that could be read, by name.
    pub cases: Vec<CaseSummary>,
    /// Everything that is wrong or odd.
    pub defects: Vec<Defect>,
}

/// One label over all cases.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelSummary {
    /// The label.
    #[serde(flatten)]
    pub label: Label,
    /// Cases in which it is annotated.
    pub annotated: usize,
    /// Annotated cases in which it has no voxels.
    pub empty: usize,
    /// Mean size in voxels over the annotated cases, empty ones counting 0: E Σ y, the heuristic ε of Eq. 5 when a
    /// whole volume is one sample. None without annotated cases.
    pub mean_voxels: Option<f64>,
    /// The same mean in millilitres.
    pub mean_ml: Option<f64>,
}

/// One case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CaseSummary {
    /// Name of the case.
    pub id: String,
    /// Whose case it is.
    pub subject: String,
    /// Its group.
    pub group: Option<String>,
    /// Voxels along x, y, z.
    pub shape: [usize; 3],
    /// Distance of neighbouring voxels along x, y, z.
    pub spacing_mm: [f64; 3],
    /// How much there is of each label, in the order of the dataset's labels; None without a label map.
    pub labels: Option<Vec<LabelSize>>,
}

/// How much of a label there is in a case.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LabelSize {
    /// Whether it is declared annotated.
    pub annotated: bool,
    /// Voxels.
    pub voxels: usize,
    /// Millilitres.
    pub ml: f64,
}

/// Something wrong or odd in a dataset.
#[derive(Debug, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Defect {
    /// A case cannot be used: a file missing or damaged, files that do not belong together, undeclared labels.
    #[error("{error}")]
    Unusable {
        /// The case.
        case: String,
        /// Why.
        #[serde(serialize_with = "as_text")]
        error: CaseError,
    },
    /// Image voxels that are NaN or infinite.
    #[error(
        "case {case}: {file} has {voxels} NaN or infinite voxels in channel {channel}, the first at {first:?}",
        file = file.display()
    )]
    NonFiniteVoxels {
        /// The case.
        case: String,
        /// The image.
        file: PathBuf,
        /// Its channel.
        channel: usize,
        /// How many.
        voxels: usize,
        /// x, y, z of the first.
        first: [usize; 3],
    },
    /// A channel with one value everywhere.
    #[error("case {case}: channel {channel} is {value} everywhere")]
    ConstantImage {
        /// The case.
        case: String,
        /// The channel, counted over the case's files.
        channel: usize,
        /// The value.
        value: f32,
    },
    /// Nothing but background, though some label is annotated.
    #[error(
        "case {case}: all background; if its structures were not drawn, declare them missing in presence.csv"
    )]
    AllBackground {
        /// The case.
        case: String,
    },
    /// Voxels of a label that is declared missing.
    #[error("case {case}: label {label} is declared missing and has {voxels} voxels")]
    MissingButDrawn {
        /// The case.
        case: String,
        /// The label.
        label: String,
        /// Its voxels.
        voxels: usize,
    },
    /// A declared label without a voxel in any case.
    #[error("label {label} ({value}) is in no case")]
    LabelNeverSeen {
        /// The label.
        label: String,
        /// Its id.
        value: u16,
    },
    /// Cases with voxel for voxel the same image.
    #[error("cases {} have the same image", cases.join(", "))]
    DuplicateImages {
        /// The cases.
        cases: Vec<String>,
    },
    /// Cases with voxel for voxel the same label map, which is not empty.
    #[error("cases {} have the same label map and different images", cases.join(", "))]
    DuplicateLabels {
        /// The cases.
        cases: Vec<String>,
    },
    /// A channel that is voxel for voxel another one of its case.
    #[error("case {case}: channel {channel} is the same as channel {of}")]
    DuplicateChannel {
        /// The case.
        case: String,
        /// The channel, counted over the case's files.
        channel: usize,
        /// The channel that it repeats.
        of: usize,
    },
    /// A channel that fits the first one better when its voxels are mirrored left to right.
    #[error(
        "case {case}: channel {channel} seems to be mirrored left to right against channel 0, whatever its header says"
    )]
    MirroredChannel {
        /// The case.
        case: String,
        /// The channel, counted over the case's files.
        channel: usize,
    },
    /// Another number of cases than `numTraining` says.
    #[error("dataset.json announces {announced} cases (numTraining), and there are {found}")]
    CaseCount {
        /// What `numTraining` says.
        announced: usize,
        /// Cases that are there.
        found: usize,
    },
    /// Label ids that leave out a number, which nnU-Net refuses.
    #[error("label ids {declared:?} leave out {absent}; dicewise takes them, nnU-Net wants 0, 1, 2, …")]
    LabelIdGap {
        /// The first id that is left out.
        absent: u16,
        /// All declared ids.
        declared: Vec<u16>,
    },
    /// A file that was understood, though something in it is odd.
    #[error("case {case}: {file}: {warning}", file = file.display())]
    OddFile {
        /// The case.
        case: String,
        /// The file.
        file: PathBuf,
        /// What is odd.
        #[serde(serialize_with = "as_text")]
        warning: NiftiWarning,
    },
}

/// How bad a defect is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Legal, but worth a look.
    Warning,
    /// The case cannot be trained on as it is.
    Error,
}

impl Defect {
    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Unusable { .. } | Self::NonFiniteVoxels { .. } => Severity::Error,
            _ => Severity::Warning,
        }
    }
}

fn as_text<S: Serializer>(value: &impl ToString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}
