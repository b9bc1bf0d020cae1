//! One case in memory, checked.

use std::path::{Path, PathBuf};

use super::{AffineDifference, CaseError, CaseFiles, Dataset, Label};
use crate::nifti::{self, Loaded, NiftiWarning, Orientation, Reader};
use crate::volume::{Grid, Image, LabelMap};

/// Files of one case may differ in the place of a corner by this many voxels (of the smallest edge) …
pub const AFFINE_TOLERANCE_VOXELS: f64 = 0.01;
/// … or by this many millimetres, whichever is more: headers hold single precision.
pub const AFFINE_TOLERANCE_MM: f64 = 1e-3;

/// One image and its labels, in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Name of the case.
    pub id: String,
    /// Whose case it is.
    pub subject: String,
    /// What partial labelling and stratified folds go by.
    pub group: Option<String>,
    /// The image's channels, all on one grid.
    pub channels: Vec<Image>,
    /// The labels, on the same grid.
    pub labels: Option<LabelMap>,
}

/// A case, and what was odd about its files.
#[derive(Clone, Debug)]
pub struct LoadedCase {
    /// The case.
    pub case: Case,
    /// File and warning.
    pub warnings: Vec<(PathBuf, NiftiWarning)>,
}

impl Dataset {
    /// Reads the case of the given id.
    ///
    /// # Errors
    /// A file that cannot be read, a number of channels other than declared, files of different shape or place
    /// (beyond [`AFFINE_TOLERANCE_VOXELS`] and [`AFFINE_TOLERANCE_MM`]), a label id that is not declared, a voxel that
    /// is NaN or infinite.
    pub fn load_case(&self, id: &str) -> Result<Case, CaseError> {
        let files = self.cases.iter().find(|case| case.id == id);
        let files = files.ok_or_else(|| CaseError::UnknownCase { case: id.into() })?;
        Ok(self.load_files(files, &Reader::default())?.case)
    }

    /// Reads a case with a reader of one's own.
    ///
    /// # Errors
    /// As [`Self::load_case`], but NaN and infinite voxels pass if the reader keeps them.
    pub fn load_files(&self, files: &CaseFiles, reader: &Reader) -> Result<LoadedCase, CaseError> {
        let nifti = |source| CaseError::Nifti { case: files.id.clone(), source };
        let mut warnings = Vec::new();
        let mut channels: Vec<Image> = Vec::new();
        let mut first: Option<Placed> = None;
        for path in &files.images {
            let read = reader.channels(path).map_err(nifti)?;
            place(&mut first, path, &read, &read.value[0].grid, files)?;
            warnings.extend(read.warnings.into_iter().map(|warning| (path.clone(), warning)));
            channels.extend(read.value);
        }
        if channels.len() != self.channel_names.len() {
            let [found, expected] = [channels.len(), self.channel_names.len()];
            return Err(CaseError::ChannelCount { case: files.id.clone(), found, expected });
        }
        // Within the tolerance the first image's grid is everyone's, so that all of a case is on one grid.
        if let Some(first) = &first {
            channels.iter_mut().for_each(|channel| channel.grid = first.grid.clone());
        }
        let mut labels = None;
        if let Some(path) = &files.label {
            let mut read = reader.labels(path).map_err(nifti)?;
            place(&mut first, path, &read, &read.value.grid, files)?;
            check_labels(&read.value, &self.labels, path, files)?;
            if let Some(first) = &first {
                read.value.grid = first.grid.clone();
            }
            warnings.extend(read.warnings.into_iter().map(|warning| (path.clone(), warning)));
            labels = Some(read.value);
        }
        let CaseFiles { id, subject, group, .. } = files.clone();
        Ok(LoadedCase { case: Case { id, subject, group, channels, labels }, warnings })
    }
}

/// Where the first file of a case lies.
struct Placed {
    path: PathBuf,
    grid: Grid,
    orientation: Orientation,
}

/// Compares a file's place with the first one's.
fn place<T>(
    first: &mut Option<Placed>,
    path: &Path,
    read: &Loaded<T>,
    grid: &Grid,
    files: &CaseFiles,
) -> Result<(), CaseError> {
    let case = || files.id.clone();
    let Some(first) = first else {
        *first = Some(Placed { path: path.into(), grid: grid.clone(), orientation: read.orientation });
        return Ok(());
    };
    if grid.shape != first.grid.shape {
        let [found, expected] = [grid.shape, first.grid.shape];
        return Err(CaseError::ShapeMismatch { case: case(), file: path.into(), found, expected });
    }
    // A file that does not say how it lies would be taken to lie along the axes, which may agree by accident.
    let unplaced = |orientation| orientation == Orientation::Pixdim;
    if unplaced(read.orientation) != unplaced(first.orientation) {
        let without = if unplaced(read.orientation) { path } else { &first.path };
        return Err(CaseError::OrientationMissing { case: case(), without: without.into() });
    }
    let distance_mm = nifti::corner_distance_mm(&grid.affine, &first.grid.affine, grid.shape);
    let voxel = first.grid.spacing_mm().into_iter().fold(f64::INFINITY, f64::min);
    if distance_mm > (AFFINE_TOLERANCE_VOXELS * voxel).max(AFFINE_TOLERANCE_MM) {
        let difference = AffineDifference::between(grid, &first.grid);
        return Err(CaseError::AffineMismatch { case: case(), file: path.into(), distance_mm, difference });
    }
    Ok(())
}

/// Every id in the map has to be declared.
fn check_labels(map: &LabelMap, declared: &[Label], path: &Path, files: &CaseFiles) -> Result<(), CaseError> {
    let mut known = vec![false; 1 << 16];
    declared.iter().for_each(|label| known[usize::from(label.value)] = true);
    let Some(index) = map.data.iter().position(|&value| !known[usize::from(value)]) else {
        return Ok(());
    };
    let value = map.data[index];
    Err(CaseError::UndeclaredLabel {
        case: files.id.clone(),
        file: path.into(),
        value,
        voxels: map.data.iter().filter(|&&v| v == value).count(),
        first: nifti::voxel_at(map.grid.shape, index),
        declared: declared.iter().map(|label| label.value).collect(),
    })
}
