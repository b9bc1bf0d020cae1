//! Datasets in the folders that their users already have: nnU-Net, MSD, ACDC and BraTS 2018.
//!
//! [`Dataset::open`] lists the cases of a folder without reading voxels; [`Dataset::load_case`] reads one and checks
//! that its image and its labels belong together.

mod acdc;
mod affine_difference;
mod brats;
mod descriptor;
mod error;
mod load;
mod msd;
mod nnunet;

use std::path::{Path, PathBuf};

pub use affine_difference::AffineDifference;
pub use error::{CaseError, DatasetError};
pub use load::{AFFINE_TOLERANCE_MM, AFFINE_TOLERANCE_VOXELS, Case, LoadedCase};
use serde::Serialize;

/// How a dataset's files are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// nnU-Net raw: `imagesTr/CASE_0000.nii.gz`, `labelsTr/CASE.nii.gz`, `dataset.json` with `channel_names`.
    NnUnet,
    /// Medical Segmentation Decathlon: `dataset.json` with `modality` and the list `training`.
    Msd,
    /// ACDC as downloaded: `patient001/{Info.cfg, patient001_frame01.nii.gz, patient001_frame01_gt.nii.gz}`.
    Acdc,
    /// BraTS 2018 as downloaded: `{HGG,LGG}/SUBJECT/SUBJECT_{flair,t1,t1ce,t2,seg}.nii.gz`.
    Brats2018,
}

/// A structure that a label map can hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Label {
    /// Its name.
    pub name: String,
    /// Its id in the label maps.
    pub value: u16,
}

/// Where one case's files are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaseFiles {
    /// Name of the case, unique in its dataset.
    pub id: String,
    /// Whose case it is; cases of one subject never part in folds.
    pub subject: String,
    /// What partial labelling and stratified folds go by: the phase of ACDC, the grade of BraTS.
    pub group: Option<String>,
    /// One file a channel, or one file with all channels.
    pub images: Vec<PathBuf>,
    /// The label map, if there is one.
    pub label: Option<PathBuf>,
}

/// A dataset's cases and what their numbers mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dataset {
    /// The folder.
    pub root: PathBuf,
    /// How its files are named.
    pub layout: Layout,
    /// Names of the image channels, in order.
    pub channel_names: Vec<String>,
    /// All labels, by ascending id; the first is background, id 0.
    pub labels: Vec<Label>,
    /// All training cases, by ascending id.
    pub cases: Vec<CaseFiles>,
}

impl Dataset {
    /// Lists a folder's cases, in the layout that the folder shows.
    ///
    /// # Errors
    /// A folder of no known layout or without cases, a `dataset.json` that cannot be used, and the first file that is
    /// announced but missing.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, DatasetError> {
        let root = root.as_ref();
        Self::open_as(root, Layout::detect(root)?)
    }

    /// Lists a folder's cases, in the given layout. Errors as [`Self::open`].
    pub fn open_as(root: impl AsRef<Path>, layout: Layout) -> Result<Self, DatasetError> {
        let dataset = Self::list(root.as_ref(), layout)?;
        if let Some((case, path)) = dataset.missing_files().next() {
            return Err(DatasetError::MissingFile { case: case.into(), path: path.into() });
        }
        Ok(dataset)
    }

    /// As [`Self::open_as`], but cases whose files are missing are listed like the others.
    pub fn list(root: &Path, layout: Layout) -> Result<Self, DatasetError> {
        // A folder that is not there must not be reported as what its layout expects inside it.
        if !root.is_dir() {
            return Err(DatasetError::NotAFolder { root: root.into() });
        }
        let mut dataset = match layout {
            Layout::NnUnet => nnunet::list(root),
            Layout::Msd => msd::list(root),
            Layout::Acdc => acdc::list(root),
            Layout::Brats2018 => brats::list(root),
        }?;
        // Listing order differs between file systems; folds and reports must not.
        dataset.cases.sort_by(|a, b| a.id.cmp(&b.id));
        if dataset.cases.is_empty() {
            return Err(DatasetError::Empty { root: root.into(), layout });
        }
        if let Some(pair) = dataset.cases.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(DatasetError::DuplicateCase { root: root.into(), case: pair[0].id.clone() });
        }
        Ok(dataset)
    }

    /// Case and path of every file that should be there and is not.
    pub fn missing_files(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.cases.iter().flat_map(|case| {
            let files = case.images.iter().chain(&case.label);
            files.filter(|path| !path.is_file()).map(|path| (case.id.as_str(), path.as_path()))
        })
    }

    /// How many training cases `dataset.json` announces; None in layouts without, and where it does not say.
    pub(crate) fn announced_cases(&self) -> Option<usize> {
        match self.layout {
            Layout::NnUnet | Layout::Msd => descriptor::Descriptor::read(&self.root).ok()?.announced_cases(),
            Layout::Acdc | Layout::Brats2018 => None,
        }
    }

    /// The labels other than background.
    pub fn foreground(&self) -> impl Iterator<Item = &Label> {
        self.labels.iter().filter(|label| label.value != 0)
    }
}

impl Layout {
    /// The layout that a folder shows.
    pub fn detect(root: &Path) -> Result<Self, DatasetError> {
        if !root.is_dir() {
            return Err(DatasetError::NotAFolder { root: root.into() });
        }
        let json = root.join(descriptor::FILE_NAME);
        if json.is_file() {
            return descriptor::Descriptor::read(root)?.layout();
        }
        if brats::GRADES.iter().any(|grade| root.join(grade).is_dir()) {
            Ok(Self::Brats2018)
        } else if !acdc::patients(root)?.is_empty() {
            Ok(Self::Acdc)
        } else {
            Err(DatasetError::UnknownLayout { root: root.into() })
        }
    }
}

/// The entries of a folder that are not hidden, by name.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, DatasetError> {
    let io = |source| DatasetError::Io { path: folder.into(), source };
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        // A name that is no UTF-8 cannot be a case id; it is none of the layouts'.
        if let Ok(name) = entry.file_name().into_string() {
            // Archives made on a Mac carry `._NAME` beside each file.
            if !name.starts_with('.') {
                entries.push((name, entry.path()));
            }
        }
    }
    entries.sort();
    Ok(entries)
}

/// `STEM.nii.gz`, or `STEM.nii` if only that exists.
fn nifti_file(folder: &Path, stem: &str) -> PathBuf {
    let compressed = folder.join(format!("{stem}.nii.gz"));
    let plain = folder.join(format!("{stem}.nii"));
    if !compressed.is_file() && plain.is_file() { plain } else { compressed }
}
