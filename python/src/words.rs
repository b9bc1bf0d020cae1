//! Errors of the loss in the words that Python takes: `partition="batch"`, not BI.

use dicewise::{DiceError, Partition};
use pyo3::PyErr;

use crate::value_error;

/// A `ValueError` whose remedy can be typed in Python.
pub(crate) fn loss_error(error: DiceError) -> PyErr {
    match error {
        DiceError::EpsilonMixesClasses { partition } => value_error(format!(
            "one ε per class needs subsets of one class: use partition=\"image\" or \"batch\"; \"{}\" mixes classes",
            word(partition)
        )),
        DiceError::GeneralizedNeedsClasses { partition } => value_error(format!(
            "generalized Dice weighs the classes of a subset: use partition=\"class\" or \"all\"; \"{}\" has one \
             class in each",
            word(partition)
        )),
        DiceError::WeightsMixClasses { partition } => value_error(format!(
            "partition=\"{}\" has no Dice of one class to weigh: there, normalised class_weights may only switch a \
             class on or off (all nonzero weights equal)",
            word(partition)
        )),
        // 0..3 leaves out the 3 in Rust, but not for everybody.
        DiceError::LabelOutOfRange { label, batch, voxel, classes } => value_error(format!(
            "label {label} at batch {batch}, voxel {voxel} is no class: labels must be 0 to {}; a label to leave out \
             is declared with ignore_index",
            classes - 1
        )),
        other => value_error(other),
    }
}

/// Φ as the argument `partition` names it.
fn word(partition: Partition) -> &'static str {
    match partition {
        Partition::ImageWise => "image",
        Partition::ClassWise => "class",
        Partition::BatchWise => "batch",
        Partition::AllWise => "all",
    }
}
