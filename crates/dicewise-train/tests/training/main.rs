//! Trainings from the first iteration to the saved network.

/// The optimiser's first steps, computed by hand.
mod adam;
/// Running statistics of batch normalisation.
mod batch_norm;
/// Files that are not, or no longer, checkpoints.
mod damaged_checkpoints;
/// Noticing a class that is no longer predicted.
mod empty_class;
/// That training works at all.
mod learning;
/// NaN, and other input that no network can learn from.
mod not_finite;
/// Interruption, and going on as if nothing had been.
mod resume;
/// Samples, configurations and an observer that writes down what it sees.
mod setup;
/// ε warm-up, validation, early stopping.
mod validation;
