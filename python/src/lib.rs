//! `dicewise._core`: the crate `dicewise` for Python.
//!
//! Nothing here knows PyTorch or NumPy. The fronts in `python/dicewise` hand over arrays as (address, type,
//! length), see [`memory`], and get their results written into arrays they have made; so nothing is copied, and
//! whatever takes time runs without the interpreter lock.

mod explain;
mod loss;
mod memory;
mod metrics;
mod words;

use pyo3::{PyErr, exceptions::PyValueError};

/// A mistake in an argument is a `ValueError` with the message of the Rust error.
fn value_error(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

#[pyo3::pymodule]
mod _core {
    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "the name that Python expects")]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_export]
    use crate::{
        explain::{explain, explain_preset, heuristic_epsilon, presets, solve_epsilon},
        loss::Loss,
        metrics::{mean_dsc, volume_difference_ml, voxel_counts},
    };
}
