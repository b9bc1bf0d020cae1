//! Trainings from the first iteration to the saved network.

/// The optimiser's first steps, computed by hand.
mod adam;
/// Running statistics of batch normalisation.
mod batch_norm;
/// The test binary as another process.
mod child;
/// What a process that dies, and a disk that is full, leave behind.
#[cfg(unix)]
mod crash_safety;
/// Flipped bits and cut files, each noticed, and going on from the checkpoint before.
mod damage;
/// Files that are not, or no longer, checkpoints.
mod damaged_checkpoints;
/// Noticing a class that is no longer predicted.
mod empty_class;
/// Networks and trainings on a graphics processor (`cargo xtask gpu` sees to it that there is one, if only in software).
#[cfg(feature = "wgpu")]
mod graphics;
/// Checkpoints made to exhaust memory, time or the stack.
mod hostile_checkpoints;
/// That training works at all.
mod learning;
/// Samples drawn ahead of the training.
mod loading;
/// NaN, and other input that no network can learn from.
mod not_finite;
/// Interruption, and going on as if nothing had been.
mod resume;
/// Samples, configurations and an observer that writes down what it sees.
mod setup;
/// ε warm-up, validation, early stopping.
mod validation;
