//! `metrics.csv`, one row an iteration, and the same for TensorBoard.
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use dicewise_report::{EventFile, LogRow, METRICS_HEADER};
use dicewise_train::Step;

use crate::run_error::RunError;

/// Its name, in the folder of a training.
pub(crate) const METRICS: &str = "metrics.csv";
/// More than two rows take.
const ROW_BYTES: u64 = 1000;

/// The open files. Rows are not buffered: those of a saved iteration must be there when the process is killed.
pub(crate) struct Metrics {
    path: PathBuf,
    file: File,
    events: EventFile,
}

impl Metrics {
    /// Opens the file for a training that has done `iteration` iterations: later rows, of work that was lost, go.
    pub(crate) fn open(path: PathBuf, iteration: usize) -> Result<Self, RunError> {
        let open = || {
            let header = header();
            let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
            let mut before = Vec::new();
            file.read_to_end(&mut before)?;
            let kept = kept(&header, &before, iteration);
            // Cut rather than written anew: what is kept is never away.
            file.set_len(kept as u64)?;
            file.seek(SeekFrom::End(0))?;
            if kept == 0 {
                file.write_all(header.as_bytes())?;
            }
            Ok::<_, std::io::Error>(file)
        };
        let file = open().map_err(RunError::io(&path))?;
        let folder = path.parent().unwrap_or(Path::new(".")).join("tensorboard");
        std::fs::create_dir_all(&folder).map_err(RunError::io(&folder))?;
        let events = EventFile::create(&folder)?;
        Ok(Self { path, file, events })
    }

    pub(crate) fn write(&mut self, step: &Step) -> Result<(), RunError> {
        let (or_nan, lesson) = (|value: Option<f64>| value.unwrap_or(f64::NAN), step.lesson);
        let row = LogRow {
            iteration: step.iteration as f64,
            learning_rate: step.learning_rate,
            loss: step.loss,
            validation_loss: or_nan(step.validation_loss),
            loss_empty: or_nan(lesson.loss_empty),
            loss_present: or_nan(lesson.loss_present),
            push_empty: or_nan(lesson.push_empty),
            push_present: or_nan(lesson.push_present),
            pull_present: or_nan(lesson.pull_present),
            mass_empty: or_nan(lesson.mass_empty),
            mass_present: or_nan(lesson.mass_present),
        };
        self.events.write(&row)?;
        let line = format!("{}\n", row.to_line());
        self.file.write_all(line.as_bytes()).map_err(RunError::io(&self.path))
    }

    /// Makes sure that the rows are on the disk.
    pub(crate) fn close(self) -> Result<(), RunError> {
        match self.file.sync_all() {
            Err(error) if error.kind() != ErrorKind::Unsupported => Err(RunError::io(self.path)(error)),
            _ => Ok(()),
        }
    }
}

/// The last iteration of a training's folder, 0 if there is none, and when its row was written.
pub(crate) fn last(folder: &Path) -> io::Result<(usize, Option<SystemTime>)> {
    let mut file = match File::open(folder.join(METRICS)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((0, None)),
        file => file?,
    };
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(ROW_BYTES)))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    // A row that is being written is none.
    let rows = String::from_utf8_lossy(&end);
    let rows = rows.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let iteration = rows.rsplit('\n').next().and_then(|row| row.split(',').next()?.parse().ok());
    Ok((iteration.unwrap_or(0), file.metadata()?.modified().ok()))
}

fn header() -> String {
    METRICS_HEADER.join(",") + "\n"
}

/// Bytes of the header and the whole rows 1, 2, … up to `iteration`. A row that was being written is none.
fn kept(header: &str, text: &[u8], iteration: usize) -> usize {
    let Some(rows) = text.strip_prefix(header.as_bytes()) else { return 0 };
    let whole = |&(number, row): &(usize, &[u8])| {
        let first = row.split(|&byte| byte == b',').next();
        row.ends_with(b"\n") && first == Some(number.to_string().as_bytes())
    };
    let rows = (1..=iteration).zip(rows.split_inclusive(|&byte| byte == b'\n'));
    header.len() + rows.take_while(whole).map(|(_, row)| row.len()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use dicewise_train::Lesson;

    use super::*;

    fn step(iteration: usize, loss: f64) -> Step {
        Step { iteration, loss, learning_rate: 0.5, validation_loss: None, lesson: Lesson::default() }
    }

    #[test]
    fn rows_of_lost_work_and_half_rows_go_and_the_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let three = format!("{}1,0.5,1,,,,,,,,\n2,0.5,2,,,,,,,,\n3,0.5,3,,,,,,,,\n", header());
        let upto = |rows: usize| three.split_inclusive('\n').take(1 + rows).collect::<String>();
        for (before, iteration, left) in [
            ("", 0, 0),
            ("iterat", 3, 0),
            ("another file\n1,2,3,4\n", 3, 0),
            (three.as_str(), 0, 0),
            (three.as_str(), 2, 2),
            (three.as_str(), 3, 3),
            (three.as_str(), 9, 3),
            // Cut in "3,0.5,3,,,,,,,,": what is left of a row may look like a row.
            (&three[..three.len() - 1], 3, 2),
            (&three[..three.len() - 9], 3, 2),
        ] {
            std::fs::write(&path, before).unwrap();
            let mut metrics = Metrics::open(path.clone(), iteration).unwrap();
            metrics.write(&step(left + 1, 7.0)).unwrap();
            let expected = format!("{}{},0.5,7,,,,,,,,\n", upto(left), left + 1);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), expected, "{before:?}, {iteration}");
            metrics.close().unwrap();
        }
    }

    #[test]
    fn the_last_iteration_is_that_of_the_last_whole_row() {
        let folder = tempfile::tempdir().unwrap();
        let iteration = |text: &str| {
            std::fs::write(folder.path().join(METRICS), text).unwrap();
            last(folder.path()).unwrap().0
        };
        assert_eq!(last(folder.path()).unwrap(), (0, None));
        let rows: String = (1..=300).map(|n| format!("{n},0.001,{},,0.25,,,,,,\n", 1.0 / n as f64)).collect();
        assert_eq!(iteration(&(header() + &rows)), 300);
        assert_eq!(iteration(&(header() + &rows + "301,0.0")), 300);
        assert_eq!(iteration(&header()), 0);
        assert_eq!(iteration(""), 0);
    }

    #[test]
    fn a_row_can_be_read_as_soon_as_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let mut metrics = Metrics::open(path.clone(), 0).unwrap();
        metrics.write(&step(1, 0.25)).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}1,0.5,0.25,,,,,,,,\n", header()));
    }
}
