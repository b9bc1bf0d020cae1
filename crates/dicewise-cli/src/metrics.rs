//! `metrics.csv`, one row an iteration, and the same for TensorBoard.
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use dicewise_report::{EventFile, LogRow, METRICS_HEADER};
use dicewise_train::Step;

use crate::run_error::RunError;

/// The open files.
pub(crate) struct Metrics {
    path: PathBuf,
    file: BufWriter<File>,
    events: EventFile,
}

impl Metrics {
    /// Opens the file for a training that has done `iteration` iterations: later rows, of work that was lost, go.
    pub(crate) fn open(path: PathBuf, iteration: usize) -> Result<Self, RunError> {
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        let kept = before.lines().skip(1).take_while(|row| {
            let number = row.split(',').next().and_then(|number| number.parse::<usize>().ok());
            number.is_some_and(|number| number <= iteration)
        });
        let header = METRICS_HEADER.join(",");
        let rows: Vec<&str> = std::iter::once(header.as_str()).chain(kept).collect();
        let file = File::create(&path).map_err(RunError::io(&path))?;
        let folder = path.parent().map_or_else(|| PathBuf::from("."), Path::to_owned).join("tensorboard");
        std::fs::create_dir_all(&folder).map_err(RunError::io(&folder))?;
        let events = EventFile::create(&folder)?;
        let mut metrics = Self { path, file: BufWriter::new(file), events };
        for row in rows {
            metrics.line(row)?;
        }
        Ok(metrics)
    }

    pub(crate) fn write(&mut self, step: &Step) -> Result<(), RunError> {
        let (or_nan, lesson) = (|value: Option<f64>| value.unwrap_or(f64::NAN), step.lesson);
        let row = LogRow {
            iteration: step.iteration as f64,
            learning_rate: step.learning_rate,
            loss: step.loss,
            validation_loss: or_nan(step.validation_loss),
            push_empty: or_nan(lesson.push_empty),
            push_present: or_nan(lesson.push_present),
            pull_present: or_nan(lesson.pull_present),
            mass_empty: or_nan(lesson.mass_empty),
            mass_present: or_nan(lesson.mass_present),
        };
        self.events.write(&row)?;
        self.line(&row.to_line())
    }

    /// Lets others see the rows so far.
    pub(crate) fn flush(&mut self) -> Result<(), RunError> {
        self.file.flush().map_err(RunError::io(&self.path))
    }

    /// Writes what is buffered.
    pub(crate) fn close(mut self) -> Result<(), RunError> {
        self.flush()
    }

    fn line(&mut self, row: &str) -> Result<(), RunError> {
        writeln!(self.file, "{row}").map_err(RunError::io(&self.path))
    }
}
