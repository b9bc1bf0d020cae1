//! `cases.csv`: one row for every scored case, label, fold, seed and cell.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use csv::StringRecord;

use crate::{ReportError, write_atomically};

/// The columns of `cases.csv`, in order.
pub const CASES_HEADER: [&str; 13] = [
    "labelling",
    "setting",
    "batch_size",
    "seed",
    "fold",
    "case",
    "subject",
    "group",
    "label",
    "dsc",
    "volume_difference_ml",
    "predicted_volume_ml",
    "target_volume_ml",
];

/// The score of one label of one case, predicted by the model of one cell, seed and fold.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseScore {
    /// Which labels were there in training: `full`, `partial`.
    pub labelling: String,
    /// Φ, ε and treatment of missing labels: `I`, `BI`, `leaf`, ….
    pub setting: String,
    /// Patches in a batch.
    pub batch_size: usize,
    /// Seed of the run.
    pub seed: u64,
    /// Fold in which the case was left out of training.
    pub fold: usize,
    /// Case: an image and its label map.
    pub case: String,
    /// Patient; several cases may be of one subject.
    pub subject: String,
    /// Group whose labels are kept or emptied together: `HGG` or `LGG`, `ED` or `ES`.
    pub group: String,
    /// Scored structure.
    pub label: String,
    /// DSC from 0 to 1; `None` where it is not defined.
    pub dsc: Option<f64>,
    /// Prediction − target, in ml.
    pub volume_difference_ml: f64,
    /// Predicted volume, in ml.
    pub predicted_volume_ml: f64,
    /// Volume of the ground truth, in ml.
    pub target_volume_ml: f64,
}

impl CaseScore {
    /// What tells two scores apart, and the order of the rows in the file.
    fn key(&self) -> (&str, &str, usize, u64, usize, &str, &str) {
        (&self.labelling, &self.setting, self.batch_size, self.seed, self.fold, &self.case, &self.label)
    }

    /// The key in words, for errors.
    pub(crate) fn describe(&self) -> String {
        let Self { labelling, setting, batch_size, seed, fold, case, label, .. } = self;
        format!(
            "case {case}, label {label} of {labelling} {setting} B={batch_size}, seed {seed}, fold {fold}"
        )
    }

    pub(crate) fn check(&self) -> Result<(), ReportError> {
        let refuse = |field, value, expected| {
            Err(ReportError::Score { case: self.case.clone(), field, value, expected })
        };
        if let Some(dsc) = self.dsc.filter(|dsc| !(0.0..=1.0).contains(dsc)) {
            return refuse("dsc", dsc, "a number from 0 to 1, or none where the DSC is not defined");
        }
        let volumes = [self.volume_difference_ml, self.predicted_volume_ml, self.target_volume_ml];
        for (field, value) in CASES_HEADER[10..].iter().zip(volumes) {
            if !value.is_finite() {
                return refuse(field, value, "a finite number of ml");
            }
        }
        Ok(())
    }

    fn to_record(&self) -> [String; 13] {
        [
            self.labelling.clone(),
            self.setting.clone(),
            self.batch_size.to_string(),
            self.seed.to_string(),
            self.fold.to_string(),
            self.case.clone(),
            self.subject.clone(),
            self.group.clone(),
            self.label.clone(),
            // `to_string` is the shortest decimal that reads back as the same f64.
            self.dsc.map_or_else(String::new, |dsc| dsc.to_string()),
            self.volume_difference_ml.to_string(),
            self.predicted_volume_ml.to_string(),
            self.target_volume_ml.to_string(),
        ]
    }
}

/// Writes `cases.csv`, sorted by labelling, setting, batch size, seed, fold, case and label: runs that score the same
/// give the same bytes, in whatever order their cells finished.
pub fn write_cases(path: &Path, scores: &[CaseScore]) -> Result<(), ReportError> {
    scores.iter().try_for_each(CaseScore::check)?;
    let mut sorted: Vec<&CaseScore> = scores.iter().collect();
    sorted.sort_by_key(|score| score.key());
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0].key() == pair[1].key()) {
        return Err(ReportError::ScoredTwice { score: pair[0].describe() });
    }
    write_atomically(path, &to_csv(CASES_HEADER, sorted.into_iter().map(CaseScore::to_record)))
}

/// A CSV file in memory, with `\n` line ends on every system.
pub(crate) fn to_csv<const N: usize>(header: [&str; N], rows: impl Iterator<Item = [String; N]>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header).expect("writing to memory does not fail");
    for row in rows {
        writer.write_record(row).expect("writing to memory does not fail");
    }
    writer.into_inner().expect("writing to memory does not fail")
}

/// Reads a `cases.csv`.
///
/// # Errors
/// [`ReportError`] with file, line, field and value where a row is not a score, or repeats one.
pub fn read_cases(path: &Path) -> Result<Vec<CaseScore>, ReportError> {
    let file = File::open(path).map_err(|source| ReportError::Read { path: path.into(), source })?;
    parse_cases(path, file)
}

/// Reads the text of a `cases.csv`; `path` is named in errors.
pub fn parse_cases(path: &Path, text: impl Read) -> Result<Vec<CaseScore>, ReportError> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text);
    let header = reader.headers().map_err(|error| csv_error(path, error))?;
    if header.iter().ne(CASES_HEADER) {
        return Err(ReportError::Header {
            path: path.into(),
            found: header.iter().collect::<Vec<_>>().join(","),
            expected: CASES_HEADER.join(","),
        });
    }
    let mut scores: Vec<CaseScore> = Vec::new();
    let mut lines = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| csv_error(path, error))?;
        let row = Row { path, line: record.position().map_or(0, csv::Position::line), record };
        scores.push(row.score()?);
        lines.push(row.line);
    }
    let mut first_lines = HashMap::new();
    for (score, &line) in scores.iter().zip(&lines) {
        if let Some(first) = first_lines.insert(score.key(), line) {
            return Err(ReportError::Duplicate { path: path.into(), line, first, score: score.describe() });
        }
    }
    Ok(scores)
}

fn csv_error(path: &Path, error: csv::Error) -> ReportError {
    let line = error.position().map_or(1, csv::Position::line);
    match error.into_kind() {
        csv::ErrorKind::Io(source) => ReportError::Read { path: path.into(), source },
        csv::ErrorKind::Utf8 { .. } => {
            ReportError::Record { path: path.into(), line, problem: "the text is not UTF-8".into() }
        }
        other => ReportError::Record { path: path.into(), line, problem: format!("{other:?}") },
    }
}

/// One line of the file while it is read.
struct Row<'a> {
    path: &'a Path,
    line: u64,
    record: StringRecord,
}

impl Row<'_> {
    fn score(&self) -> Result<CaseScore, ReportError> {
        if self.record.len() != CASES_HEADER.len() {
            let problem = format!("{} fields, expected {}", self.record.len(), CASES_HEADER.len());
            return Err(ReportError::Record { path: self.path.into(), line: self.line, problem });
        }
        Ok(CaseScore {
            labelling: self.name(0)?,
            setting: self.name(1)?,
            batch_size: self.number(2, "a whole number, at least 1", |&b: &usize| b > 0)?,
            seed: self.number(3, "a whole number", |_| true)?,
            fold: self.number(4, "a whole number", |_| true)?,
            case: self.name(5)?,
            subject: self.name(6)?,
            group: self.name(7)?,
            label: self.name(8)?,
            dsc: match &self.record[9] {
                "" => None,
                _ => Some(self.number(9, "a number from 0 to 1, or nothing", |d| (0.0..=1.0).contains(d))?),
            },
            volume_difference_ml: self.finite(10)?,
            predicted_volume_ml: self.finite(11)?,
            target_volume_ml: self.finite(12)?,
        })
    }

    fn name(&self, column: usize) -> Result<String, ReportError> {
        match &self.record[column] {
            "" => Err(self.refuse(column, "a name")),
            name => Ok(name.to_owned()),
        }
    }

    fn finite(&self, column: usize) -> Result<f64, ReportError> {
        self.number(column, "a finite number of ml", |v: &f64| v.is_finite())
    }

    fn number<T: FromStr>(
        &self,
        column: usize,
        expected: &'static str,
        accept: impl Fn(&T) -> bool,
    ) -> Result<T, ReportError> {
        self.record[column].parse().ok().filter(accept).ok_or_else(|| self.refuse(column, expected))
    }

    fn refuse(&self, column: usize, expected: &'static str) -> ReportError {
        ReportError::Field {
            path: self.path.into(),
            line: self.line,
            field: CASES_HEADER[column],
            value: self.record[column].to_owned(),
            expected,
        }
    }
}
