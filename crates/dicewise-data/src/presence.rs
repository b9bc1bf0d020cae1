//! Which labels are annotated in which case: `presence.csv`.
//!
//! ```text
//! case,edema,enhancing tumour
//! Brats18_A_1,annotated,annotated
//! Brats18_B_1,annotated,missing
//! ```
//!
//! An *annotated* label that has no voxels is empty: the structure is not there. A *missing* one was never drawn,
//! and the structure may well be there. Image files do not say which, so a user declares it here. A case without a
//! line counts as annotated in all labels.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::dataset::{Dataset, Label};

/// Name of the file, beside `dataset.json`.
pub const FILE_NAME: &str = "presence.csv";

const ANNOTATED: &str = "annotated";
const MISSING: &str = "missing";

/// Which labels are annotated, case by case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    labels: Vec<Label>,
    /// One entry a label, in the labels' order; background is always annotated.
    rows: BTreeMap<String, Vec<bool>>,
}

/// A `presence.csv` that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PresenceError {
    /// The operating system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The file is no CSV, or a line has more or fewer fields than the first.
    #[error("{path}: {source}", path = path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// What and where.
        source: csv::Error,
    },
    /// The first line is not `case` and the dataset's foreground labels.
    #[error("{path}:1: {problem}; expected: case,{expected}", path = path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// The labels that are expected, in any order.
        expected: String,
    },
    /// A case that the dataset does not have.
    #[error("{path}:{line}: the dataset has no case {case}", path = path.display())]
    UnknownCase {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// The case.
        case: String,
    },
    /// A case with two lines.
    #[error("{path}:{line}: case {case} has a line already", path = path.display())]
    DuplicateCase {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// The case.
        case: String,
    },
    /// A word other than `annotated` and `missing`.
    #[error("{path}:{line}: label {label} of case {case} is {word:?}; accepted: annotated, missing", path = path.display())]
    UnknownWord {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// The case.
        case: String,
        /// The label.
        label: String,
        /// The word.
        word: String,
    },
}

impl Presence {
    /// Everything annotated, which is what holds without a declaration.
    pub fn all_annotated(labels: &[Label]) -> Self {
        Self { labels: labels.to_vec(), rows: BTreeMap::new() }
    }

    /// Reads the dataset's `presence.csv`; without one, everything is annotated.
    pub fn of_dataset(dataset: &Dataset) -> Result<Self, PresenceError> {
        let path = dataset.root.join(FILE_NAME);
        if path.exists() { Self::read(&path, dataset) } else { Ok(Self::all_annotated(&dataset.labels)) }
    }

    /// Reads a file and checks it against the dataset.
    ///
    /// # Errors
    /// Columns other than the foreground labels, cases that the dataset does not have or that appear twice, words
    /// other than `annotated` and `missing`: with the line.
    pub fn read(path: &Path, dataset: &Dataset) -> Result<Self, PresenceError> {
        let csv_error = |source: csv::Error| PresenceError::Csv { path: path.into(), source };
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(csv_error)?;
        let columns = columns(reader.headers().map_err(csv_error)?, path, &dataset.labels)?;
        let mut presence = Self::all_annotated(&dataset.labels);
        for record in reader.records() {
            let record = record.map_err(csv_error)?;
            let line = record.position().map_or(0, csv::Position::line);
            let case = record[0].to_owned();
            if !dataset.cases.iter().any(|known| known.id == case) {
                return Err(PresenceError::UnknownCase { path: path.into(), line, case });
            }
            let mut row = vec![true; dataset.labels.len()];
            for (word, &label) in record.iter().skip(1).zip(&columns) {
                row[label] = match word {
                    ANNOTATED => true,
                    MISSING => false,
                    _ => {
                        let label = dataset.labels[label].name.clone();
                        let word = word.to_owned();
                        return Err(PresenceError::UnknownWord {
                            path: path.into(),
                            line,
                            case,
                            label,
                            word,
                        });
                    }
                };
            }
            if presence.rows.contains_key(&case) {
                return Err(PresenceError::DuplicateCase { path: path.into(), line, case });
            }
            presence.rows.insert(case, row);
        }
        Ok(presence)
    }

    /// Writes the declared cases, replacing the file as a whole.
    pub fn write(&self, path: &Path) -> Result<(), PresenceError> {
        let io = |source| PresenceError::Io { path: path.into(), source };
        let csv_error = |source: csv::Error| PresenceError::Csv { path: path.into(), source };
        let mut writer = csv::Writer::from_writer(Vec::new());
        let foreground = || self.labels.iter().enumerate().filter(|(_, label)| label.value != 0);
        let header = foreground().map(|(_, label)| label.name.as_str());
        writer.write_record(["case"].into_iter().chain(header)).map_err(csv_error)?;
        for (case, row) in &self.rows {
            let words = foreground().map(|(index, _)| if row[index] { ANNOTATED } else { MISSING });
            writer.write_record([case.as_str()].into_iter().chain(words)).map_err(csv_error)?;
        }
        let bytes = writer.into_inner().map_err(|e| io(e.into_error()))?;
        let partial = path.with_extension("csv.partial");
        std::fs::write(&partial, bytes).and_then(|()| std::fs::rename(&partial, path)).map_err(io)
    }

    /// Whether each label is annotated in a case, in the order of the dataset's labels.
    pub fn of_case(&self, case: &str) -> Vec<bool> {
        self.rows.get(case).cloned().unwrap_or_else(|| vec![true; self.labels.len()])
    }

    /// Declares a case.
    ///
    /// # Panics
    /// If there is not one entry a label, or background is not annotated, which are bugs of the caller.
    pub fn declare(&mut self, case: impl Into<String>, annotated: Vec<bool>) {
        assert_eq!(annotated.len(), self.labels.len(), "presence needs one entry a label");
        let background = self.labels.iter().position(|label| label.value == 0);
        assert!(background.is_none_or(|index| annotated[index]), "background is what the labels leave");
        self.rows.insert(case.into(), annotated);
    }
}

/// For each column after `case`, the index of its label.
fn columns(header: &csv::StringRecord, path: &Path, labels: &[Label]) -> Result<Vec<usize>, PresenceError> {
    let foreground = || labels.iter().filter(|label| label.value != 0).map(|label| label.name.as_str());
    let problem = |problem: String| PresenceError::Header {
        path: path.into(),
        problem,
        expected: foreground().collect::<Vec<_>>().join(","),
    };
    if header.get(0) != Some("case") {
        return Err(problem(format!("the first column is {:?}", header.get(0).unwrap_or_default())));
    }
    let mut columns = Vec::new();
    for name in header.iter().skip(1) {
        let label = labels.iter().position(|label| label.value != 0 && label.name == name);
        let label = label.ok_or_else(|| problem(format!("the dataset has no foreground label {name:?}")))?;
        if columns.contains(&label) {
            return Err(problem(format!("label {name:?} has two columns")));
        }
        columns.push(label);
    }
    let absent = labels.iter().enumerate().find(|(i, label)| label.value != 0 && !columns.contains(i));
    match absent {
        Some((_, label)) => Err(problem(format!("label {:?} has no column", label.name))),
        None => Ok(columns),
    }
}
