//! `evaluations.csv`: scores of the held-out cases while a training goes on.
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use dicewise_report::{CaseScore, write_atomically};

use crate::run_error::RunError;

const HEADER: &str = "iteration,case,group,label,dsc,volume_difference_ml\n";

/// The rows so far.
pub(crate) struct Evaluations {
    path: PathBuf,
    text: String,
}

impl Evaluations {
    /// Those of a training that has done `iteration` iterations: rows of work that was lost go.
    pub(crate) fn open(path: PathBuf, iteration: usize) -> Result<Self, RunError> {
        let before = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            read => read.map_err(RunError::io(&path))?,
        };
        let done = |row: &&str| {
            row.split(',').next().and_then(|n| n.parse().ok()).is_some_and(|n: usize| n <= iteration)
        };
        let rows = before.lines().skip(1).filter(done).map(|row| format!("{row}\n"));
        Ok(Self { path, text: std::iter::once(HEADER.to_owned()).chain(rows).collect() })
    }

    /// Adds the scores after an iteration.
    pub(crate) fn write(&mut self, iteration: usize, scores: &[CaseScore]) -> Result<(), RunError> {
        for score in scores {
            let CaseScore { case, group, label, volume_difference_ml, .. } = score;
            let dsc = score.dsc.map_or_else(String::new, |dsc| dsc.to_string());
            self.text += &format!("{iteration},{case},{group},{label},{dsc},{volume_difference_ml}\n");
        }
        Ok(write_atomically(&self.path, self.text.as_bytes())?)
    }
}
