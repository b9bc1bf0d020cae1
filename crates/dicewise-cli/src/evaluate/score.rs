//! One case: both label maps read, compared in place, and counted.
use std::path::{Path, PathBuf};

use dicewise_data::dataset::{AFFINE_TOLERANCE_MM, AFFINE_TOLERANCE_VOXELS};
use dicewise_data::nifti::{Loaded, Orientation, Reader};
use dicewise_data::{Grid, LabelMap};
use dicewise_eval::{Dsc, VoxelCounts};
use dicewise_report::CaseScore;

use super::error::EvaluateError;
use super::origin::Origin;
use super::scored_label::{self, ScoredLabel};
use super::truth::{Truth, TruthCase};
use super::{Pair, Scores};

/// The group of cases that have none.
const NO_GROUP: &str = "all";

/// All labels of one case.
pub(super) struct CaseScores<'a> {
    pub(super) id: &'a str,
    pub(super) prediction: PathBuf,
    pub(super) truth: &'a TruthCase,
    /// Voxels of the volume.
    pub(super) voxels: u64,
    pub(super) voxel_ml: f64,
    /// A count for each label; None where the truth is declared missing.
    pub(super) counts: Vec<Option<VoxelCounts>>,
}

impl CaseScores<'_> {
    pub(super) fn group(&self) -> &str {
        self.truth.group.as_deref().unwrap_or(NO_GROUP)
    }

    pub(super) fn dsc(&self, label: usize) -> Option<Dsc> {
        self.counts[label].map(|counts| counts.dsc())
    }

    pub(super) fn predicted_ml(&self, counts: VoxelCounts) -> f64 {
        counts.prediction as f64 * self.voxel_ml
    }

    pub(super) fn target_ml(&self, counts: VoxelCounts) -> f64 {
        counts.target as f64 * self.voxel_ml
    }
}

/// Reads and counts one case.
pub(super) fn score<'a>(
    pair: &Pair<'a>,
    truth: &Truth,
    labels: &[ScoredLabel],
) -> Result<CaseScores<'a>, EvaluateError> {
    let read = |path: &Path| {
        Reader::default().labels(path).map_err(|source| EvaluateError::Nifti { case: pair.id.into(), source })
    };
    let (prediction, target) = (read(pair.prediction)?, read(&pair.truth.file)?);
    same_place(pair, &prediction, &target)?;
    let declared = scored_label::declared_values(truth, labels);
    only_declared(pair.id, pair.prediction, &prediction.value, &declared)?;
    only_declared(pair.id, &pair.truth.file, &target.value, &declared)?;
    let counts = labels
        .iter()
        .map(|label| {
            let missing = label.values.iter().any(|value| pair.truth.missing.contains(value));
            (!missing).then(|| count(&prediction.value, &target.value, label))
        })
        .collect();
    Ok(CaseScores {
        id: pair.id,
        prediction: pair.prediction.into(),
        truth: pair.truth,
        voxels: target.value.data.len() as u64,
        voxel_ml: target.value.grid.voxel_volume_ml(),
        counts,
    })
}

fn count(prediction: &LabelMap, target: &LabelMap, label: &ScoredLabel) -> VoxelCounts {
    let mut counts = VoxelCounts::default();
    for (p, y) in prediction.data.iter().zip(&target.data) {
        let (p, y) = (label.values.contains(p), label.values.contains(y));
        counts.overlap += u64::from(p & y);
        counts.prediction += u64::from(p);
        counts.target += u64::from(y);
    }
    counts
}

/// Both files have to lie on the same grid, within the tolerance that holds for image and labels of a case.
fn same_place(
    pair: &Pair<'_>,
    prediction: &Loaded<LabelMap>,
    target: &Loaded<LabelMap>,
) -> Result<(), EvaluateError> {
    let (case, file, truth) = (pair.id.to_owned(), pair.prediction.to_owned(), pair.truth.file.clone());
    let (found, expected) = (&prediction.value.grid, &target.value.grid);
    if found.shape != expected.shape {
        let (found, expected) = (found.shape, expected.shape);
        return Err(EvaluateError::ShapeMismatch { case, file, truth, found, expected });
    }
    // A file that does not say how it lies would be taken to lie along the axes, which may agree by accident.
    let unplaced = |orientation| orientation == Orientation::Pixdim;
    match (unplaced(prediction.orientation), unplaced(target.orientation)) {
        (true, false) => return Err(EvaluateError::OrientationMissing { case, without: file, with: truth }),
        (false, true) => return Err(EvaluateError::OrientationMissing { case, without: truth, with: file }),
        _ => {}
    }
    let voxel_mm = expected.spacing_mm().into_iter().fold(f64::INFINITY, f64::min);
    let distance_mm = corner_distance_mm(found, expected);
    if distance_mm > (AFFINE_TOLERANCE_VOXELS * voxel_mm).max(AFFINE_TOLERANCE_MM) {
        return Err(EvaluateError::AffineMismatch { case, file, truth, distance_mm });
    }
    Ok(())
}

/// The largest distance between the places that two affines give a corner of the volume.
fn corner_distance_mm(a: &Grid, b: &Grid) -> f64 {
    let corner = |corner: usize| {
        let at = |axis: usize| if corner >> axis & 1 == 1 { a.shape[axis] as f64 - 1.0 } else { 0.0 };
        [at(0), at(1), at(2), 1.0]
    };
    let difference = |row: usize, at: &[f64; 4]| -> f64 {
        (0..4).map(|column| (a.affine[row][column] - b.affine[row][column]) * at[column]).sum()
    };
    (0..8)
        .map(corner)
        .map(|at| (0..3).map(|row| difference(row, &at).powi(2)).sum::<f64>().sqrt())
        .fold(0.0, f64::max)
}

fn only_declared(case: &str, file: &Path, map: &LabelMap, declared: &[u16]) -> Result<(), EvaluateError> {
    let Some(&value) = map.data.iter().find(|value| !declared.contains(value)) else { return Ok(()) };
    Err(EvaluateError::UndeclaredLabel {
        case: case.into(),
        file: file.into(),
        value,
        voxels: map.data.iter().filter(|&&other| other == value).count(),
        declared: declared.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    })
}

/// The rows of `cases.csv`: one for each case and label whose truth is known.
pub(super) fn to_rows(scores: &Scores<'_>, origin: &Origin) -> Vec<CaseScore> {
    let mut rows = Vec::new();
    for case in &scores.cases {
        for (label, counts) in scores.labels.iter().zip(&case.counts) {
            let Some(counts) = *counts else { continue };
            let (predicted_volume_ml, target_volume_ml) = (case.predicted_ml(counts), case.target_ml(counts));
            rows.push(CaseScore {
                labelling: origin.labelling.clone(),
                setting: origin.setting.clone(),
                batch_size: origin.batch_size,
                seed: origin.seed,
                fold: origin.fold,
                case: case.id.to_owned(),
                subject: case.truth.subject.clone(),
                group: case.group().to_owned(),
                label: label.name.clone(),
                dsc: counts.dsc().score(scores.policy),
                volume_difference_ml: predicted_volume_ml - target_volume_ml,
                predicted_volume_ml,
                target_volume_ml,
            });
        }
    }
    rows
}
