//! The program as users call it: exit codes, what it prints, which files it writes.

/// What is refused before training, and how.
mod bad_input;
/// Defects, missing and empty labels of a dataset.
mod check;
/// Significance of the difference between two sets of scores.
mod compare;
/// Small datasets and label maps with known sizes.
mod dataset;
/// What can be computed on.
mod devices;
/// Scores of predictions.
mod evaluate;
/// Losses by name and spelled out.
mod explain;
/// Results that find no room on the disk.
#[cfg(target_os = "linux")]
mod full_disk;
/// Two processes, folders that cannot be written to, trainings that fail: what is refused, and what is kept.
mod guards;
/// Ctrl-C and SIGTERM, once and twice.
#[cfg(unix)]
mod interruption;
/// Processes that are killed, and what a resumed run makes of it.
mod kills;
/// The paper's experiments, small, on folders as downloaded.
mod papers;
/// Predictions of new images.
mod predict;
/// Predicted label maps, and the scores of them.
mod predictions;
/// The program and what it said.
mod program;
/// Scans, where DICEWISE_DATA says that there are some.
mod real_data;
/// Experiments from file to tables.
mod run;
/// The program while it runs.
mod running;
/// Single trainings of a grid, as schedulers start them, and how far they are.
mod tasks;
/// Predictions that cannot be scored, and results that are not written over.
mod unscored;
