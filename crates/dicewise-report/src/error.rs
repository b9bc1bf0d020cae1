//! What can go wrong with an experiment's outputs.

use std::path::PathBuf;

use thiserror::Error;

/// Why an output could not be read, computed or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A file could not be written. What was there before is untouched.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The first line is not the header of a `cases.csv`.
    #[error("{}:1: the columns are `{found}`, expected `{expected}`", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// Its first line.
        found: String,
        /// The header that belongs there.
        expected: String,
    },
    /// A line is not a record of the table.
    #[error("{}:{line}: {problem}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// A field does not hold what its column needs.
    #[error("{}:{line}: {field} is `{value}`, expected {expected}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Column.
        field: &'static str,
        /// What the file has there.
        value: String,
        /// What is accepted.
        expected: &'static str,
    },
    /// One case was scored twice under the same cell, seed, fold and label.
    #[error("{}:{line}: {score} was already scored on line {first}: remove one of the two", path.display())]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Line of the first score.
        first: u64,
        /// Cell, seed, fold, case and label.
        score: String,
    },
    /// Two scores handed over are of the same case under the same cell, seed, fold and label.
    #[error("{score} was scored twice")]
    ScoredTwice {
        /// Cell, seed, fold, case and label.
        score: String,
    },
    /// A score handed over for writing or tabulating cannot stand in a table.
    #[error("case {case}: {field} is {value}, expected {expected}")]
    Score {
        /// The case.
        case: String,
        /// Column.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What is accepted.
        expected: &'static str,
    },
    /// No case belongs to the group that an ROC should detect.
    #[error("no case belongs to group `{group}`; the cases have {found:?}")]
    UnknownGroup {
        /// The group asked for.
        group: String,
        /// Groups of the cases.
        found: Vec<String>,
    },
    /// Two cells have no subject with a value on both sides.
    #[error("the two have no label and group of a case in common: nothing can be compared")]
    NothingToCompare,
    /// An image or label map of the results cannot be read.
    #[error(transparent)]
    Nifti(#[from] dicewise_data::nifti::NiftiError),
    /// A figure was described inconsistently.
    #[error("cannot draw the figure: {problem}")]
    Figure {
        /// What does not fit.
        problem: String,
    },
}
