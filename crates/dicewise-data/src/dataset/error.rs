//! What can be wrong with a dataset, or with one case of it.

use std::path::PathBuf;

use super::{AffineDifference, Layout};
use crate::nifti::NiftiError;

/// A folder that cannot be used as a dataset.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The operating system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// There is no such folder.
    #[error("{root}: no such folder", root = root.display())]
    NotAFolder {
        /// The path.
        root: PathBuf,
    },
    /// No layout fits.
    #[error(
        "{root}: no known layout; looked for dataset.json (nnU-Net, MSD), HGG or LGG (BraTS 2018), patient001 (ACDC)",
        root = root.display()
    )]
    UnknownLayout {
        /// The folder.
        root: PathBuf,
    },
    /// No cases.
    #[error("{root}: no cases found ({layout:?} layout)", root = root.display())]
    Empty {
        /// The folder.
        root: PathBuf,
        /// The layout tried.
        layout: Layout,
    },
    /// Two cases with one name.
    #[error("{root}: case {case} appears twice", root = root.display())]
    DuplicateCase {
        /// The folder.
        root: PathBuf,
        /// The case.
        case: String,
    },
    /// A file that the dataset announces.
    #[error("case {case}: {path} is missing", path = path.display())]
    MissingFile {
        /// The case.
        case: String,
        /// The file.
        path: PathBuf,
    },
    /// A file that is no JSON, or JSON of another structure.
    #[error("{path}: {source}", path = path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What and where.
        source: serde_json::Error,
    },
    /// A field of a description file that cannot be used.
    #[error("{path}: {field} is {value}; accepted: {accepted}", path = path.display())]
    BadField {
        /// The file.
        path: PathBuf,
        /// The field.
        field: String,
        /// Its value.
        value: String,
        /// What is accepted.
        accepted: &'static str,
    },
    /// A label made of several ids.
    #[error(
        "{path}: label {label} is made of several ids (a region); give every id a name of its own",
        path = path.display()
    )]
    RegionLabel {
        /// The file.
        path: PathBuf,
        /// The label.
        label: String,
    },
    /// A path that leads out of the dataset.
    #[error("{path}: {entry} leads out of the dataset's folder", path = path.display())]
    PathEscapes {
        /// The file that names it.
        path: PathBuf,
        /// The path named.
        entry: String,
    },
}

/// A case that cannot be used for training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// No case of that name.
    #[error("there is no case {case}")]
    UnknownCase {
        /// The name.
        case: String,
    },
    /// A file cannot be read.
    #[error("case {case}: {source}")]
    Nifti {
        /// The case.
        case: String,
        /// The reason.
        source: NiftiError,
    },
    /// More or fewer channels than declared.
    #[error("case {case}: {found} channels, {expected} are declared")]
    ChannelCount {
        /// The case.
        case: String,
        /// Channels in its files.
        found: usize,
        /// Channels in the dataset.
        expected: usize,
    },
    /// Files of one case with different shapes.
    #[error("case {case}: {file} has shape {found:?}, the first image {expected:?}", file = file.display())]
    ShapeMismatch {
        /// The case.
        case: String,
        /// The file that differs.
        file: PathBuf,
        /// Its shape.
        found: [usize; 3],
        /// The first image's.
        expected: [usize; 3],
    },
    /// Files of one case at different places.
    #[error(
        "case {case}: {file} lies {distance_mm} mm away from the first image at a corner ({difference}); resample one onto \
         the other",
        file = file.display()
    )]
    AffineMismatch {
        /// The case.
        case: String,
        /// The file that differs.
        file: PathBuf,
        /// The largest distance between the two places of a corner.
        distance_mm: f64,
        /// What is different.
        difference: AffineDifference,
    },
    /// One file says how it lies, the other does not.
    #[error(
        "case {case}: {without} has no orientation (sform and qform unset), unlike the case's other files; copy theirs",
        without = without.display()
    )]
    OrientationMissing {
        /// The case.
        case: String,
        /// The file without.
        without: PathBuf,
    },
    /// A label id that the dataset does not declare.
    #[error(
        "case {case}: {file} holds label {value} ({voxels} voxels, the first at {first:?}); declared: {declared:?}",
        file = file.display()
    )]
    UndeclaredLabel {
        /// The case.
        case: String,
        /// The label map.
        file: PathBuf,
        /// The id.
        value: u16,
        /// How many voxels have it.
        voxels: usize,
        /// x, y, z of the first.
        first: [usize; 3],
        /// All ids that are declared.
        declared: Vec<u16>,
    },
}
