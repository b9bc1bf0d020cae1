//! DSC and volume difference of finished segmentations.

use dicewise_eval::{DscMean, EmptyTruth, OverlapError, VoxelCounts};
use pyo3::prelude::*;

use crate::{
    memory::{Element, Memory},
    value_error,
};

/// |Y ∩ Ỹ|, |Ỹ| and |Y|.
type Counts = (u64, u64, u64);

/// Voxels of `label` in both, in the prediction, and in the target.
#[pyfunction]
pub(crate) fn voxel_counts(
    py: Python<'_>,
    prediction: Memory,
    target: Memory,
    label: i64,
) -> PyResult<Counts> {
    match prediction.element() {
        "uint8" => count::<u8>(py, &prediction, &target, label),
        "uint16" => count::<u16>(py, &prediction, &target, label),
        "int16" => count::<i16>(py, &prediction, &target, label),
        "int32" => count::<i32>(py, &prediction, &target, label),
        "int64" => count::<i64>(py, &prediction, &target, label),
        other => Err(value_error(format!(
            "label maps are of type {other}: use uint8, uint16, int16, int32, int64 or bool"
        ))),
    }
}

fn count<L: Element + PartialEq + TryFrom<i64> + Sync>(
    py: Python<'_>,
    prediction: &Memory,
    target: &Memory,
    label: i64,
) -> PyResult<Counts> {
    let (prediction, target) = (prediction.read::<L>("prediction")?, target.read::<L>("target")?);
    let Ok(label) = L::try_from(label) else {
        return Err(value_error(format!("label {label} is no {}: no voxel can have it", L::NAME)));
    };
    let counts = py.detach(|| VoxelCounts::of_label(prediction, target, &label)).map_err(value_error)?;
    Ok((counts.overlap, counts.prediction, counts.target))
}

/// Mean, then cases scored, defined, both empty, false positives.
type Mean = (Option<f64>, usize, usize, usize, usize);

/// Mean DSC; `scores` are (both empty, false positives) under the policy `"score"`.
#[pyfunction]
#[pyo3(signature = (cases, policy, scores=None))]
pub(crate) fn mean_dsc(cases: Vec<Counts>, policy: &str, scores: Option<(f64, f64)>) -> PyResult<Mean> {
    let policy = match (policy, scores) {
        ("skip", None) => EmptyTruth::Skip,
        ("formula", None) => EmptyTruth::Formula,
        ("score", Some((both_empty, false_positives))) => EmptyTruth::Score { both_empty, false_positives },
        _ => {
            return Err(value_error(
                "empty_truth must be \"skip\", \"formula\" or a pair of scores (both empty, false positives)",
            ));
        }
    };
    let mean = |cases: &[_]| -> Result<DscMean, OverlapError> { dicewise_eval::mean_dsc(cases, policy) };
    let dsc: Vec<_> = cases
        .into_iter()
        .map(|(overlap, prediction, target)| VoxelCounts { overlap, prediction, target }.dsc())
        .collect();
    let mean = mean(&dsc).map_err(value_error)?;
    Ok((mean.mean, mean.scored, mean.defined, mean.both_empty, mean.false_positives))
}

/// V(prediction) − V(target) in ml, of Σ over voxels of each and the volume of a voxel.
#[pyfunction]
pub(crate) fn volume_difference_ml(
    prediction_sum: f64,
    target_sum: f64,
    voxel_volume_ml: f64,
) -> PyResult<f64> {
    dicewise_eval::volume_difference_ml(prediction_sum, target_sum, voxel_volume_ml).map_err(value_error)
}
