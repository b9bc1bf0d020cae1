//! What a loss teaches on present, empty and missing maps, and the heuristic ε.

use dicewise::{
    EpsilonSolutions, Shape,
    explain::{Explanation, Preset, Scenario},
};
use pyo3::{prelude::*, types::PyDict};

use crate::{loss::Loss, value_error};

/// B, C, voxels of a map, and voxels of an object: the batch in which a loss is explained.
type Situation = (usize, usize, usize, f64);

fn scenario((batch, classes, voxels, object): Situation) -> PyResult<Scenario> {
    let shape = Shape::new(batch, classes, voxels).map_err(value_error)?;
    Scenario::new(shape, object).map_err(value_error)
}

fn to_dict<'py>(py: Python<'py>, explanation: &Explanation) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("loss", &explanation.loss)?;
    dict.set_item("situation", &explanation.scenario)?;
    dict.set_item("present_inside", explanation.present.inside)?;
    dict.set_item("present_outside", explanation.present.outside)?;
    dict.set_item("empty", explanation.empty)?;
    dict.set_item("missing", explanation.missing)?;
    dict.set_item("on_empty", explanation.on_empty.to_string())?;
    dict.set_item("on_missing", explanation.on_missing.to_string())?;
    dict.set_item("text", explanation.to_string())?;
    Ok(dict)
}

/// What a loss teaches in a situation (B, C, voxels of a map, voxels of an object): derivatives, verdicts, text.
#[pyfunction]
pub(crate) fn explain<'py>(
    py: Python<'py>,
    loss: &Loss,
    situation: Situation,
) -> PyResult<Bound<'py, PyDict>> {
    to_dict(py, &dicewise::explain::explain(loss.dice(), &scenario(situation)?).map_err(value_error)?)
}

/// The same for a loss as others ship it, by its name in `presets`.
#[pyfunction]
pub(crate) fn explain_preset<'py>(
    py: Python<'py>,
    name: &str,
    situation: Situation,
) -> PyResult<Bound<'py, PyDict>> {
    let preset: Preset = name.parse().map_err(value_error)?;
    to_dict(py, &preset.explain(&scenario(situation)?).map_err(value_error)?)
}

/// Names of losses as others ship them, for `dicewise.explain`.
#[pyfunction]
pub(crate) fn presets() -> Vec<&'static str> {
    Preset::ALL.into_iter().map(Preset::name).collect()
}

/// ε = v̂: the paper's I_ε for objects of v̂ voxels on average (Eq. 5 with a = ½, b = 2).
///
/// Raises ValueError for a size that is not finite and above 0.
#[pyfunction]
pub(crate) fn heuristic_epsilon(mean_target_size: f64) -> PyResult<f64> {
    dicewise::heuristic_epsilon(mean_target_size).map_err(value_error)
}

/// All ε that solve Eq. 5, 2a·v̂ / (b·v̂)² = ε / (v̂ + ε)², in voxels: two, one, or none.
///
/// v̂ is the mean size of an object in voxels; overlap a and union b are in units of v̂. Raises ValueError for v̂ not above
/// 0, a outside of (0, 1], or b below 1 + a.
#[pyfunction]
pub(crate) fn solve_epsilon(mean_target_size: f64, overlap: f64, union: f64) -> PyResult<Vec<f64>> {
    Ok(match dicewise::solve_epsilon(mean_target_size, overlap, union).map_err(value_error)? {
        EpsilonSolutions::Two { lo, hi } => vec![lo, hi],
        EpsilonSolutions::One(epsilon) => vec![epsilon],
        EpsilonSolutions::None => vec![],
    })
}
