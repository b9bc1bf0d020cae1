//! `grid.json`: the trainings of a run in their order, for `dicewise status`.
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use dicewise_experiment::{CellConfig, Duration};
use serde::{Deserialize, Serialize};

use crate::cases;
use crate::cell::{self, CONFIG};
use crate::lock::half_written;
use crate::network::iterations;
use crate::prepared_case::PreparedCase;
use crate::run_error::RunError;

const GRID: &str = "grid.json";

/// The trainings of a run.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct GridFile {
    pub(crate) experiment: String,
    /// In the order of [`dicewise_experiment::Experiment::cells`]: `--task` counts them.
    pub(crate) trainings: Vec<PlannedTraining>,
}

/// A training of the grid.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PlannedTraining {
    /// Its folder, in that of the run.
    pub(crate) folder: String,
    /// How long it takes at most; unknown where epochs are counted and the data have not been seen.
    pub(crate) iterations: Option<usize>,
}

impl GridFile {
    /// `cases` are those of the experiment, once they are loaded.
    pub(crate) fn new(configs: &[CellConfig], cases: Option<&[PreparedCase]>) -> Result<Self, RunError> {
        let training = |config: &CellConfig| -> Result<PlannedTraining, RunError> {
            // Also where it is not needed: folds that cannot be are found before anything is written.
            let split = cases.map(|cases| cases::split(config, cases)).transpose()?;
            let iterations = match (config.training.duration, cases.zip(split)) {
                (Duration::Iterations(iterations), _) => Some(iterations),
                (Duration::Epochs(_), None) => None,
                (Duration::Epochs(_), Some((cases, split))) => {
                    let drawn: usize =
                        split.train.iter().map(|&case| cell::repeats(config, &cases[case])).sum();
                    Some(iterations(&config.training, drawn.div_ceil(config.cell.batch_size)))
                }
            };
            Ok(PlannedTraining { folder: config.cell.folder_name(), iterations })
        };
        let trainings = configs.iter().map(training).collect::<Result<_, _>>()?;
        Ok(Self { experiment: configs[0].experiment.clone(), trainings })
    }

    /// Writes it, unless it is there: many processes may share the folder.
    pub(crate) fn write(&self, out: &Path) -> Result<(), RunError> {
        let file = out.join(GRID);
        let text = serde_json::to_string_pretty(self).expect("names and numbers") + "\n";
        if fs::read_to_string(&file).is_ok_and(|before| before == text) {
            return Ok(());
        }
        let half = half_written(&file);
        fs::write(&half, text).and_then(|()| fs::rename(&half, &file)).map_err(RunError::io(file))
    }

    /// Of the folder that `run` wrote, or `train`, which has one training.
    pub(crate) fn read(out: &Path) -> Result<Self, RunError> {
        let file = out.join(GRID);
        match fs::read_to_string(&file) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| RunError::Io {
                path: file,
                source: std::io::Error::new(ErrorKind::InvalidData, error),
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Self::of_training(out),
            Err(error) => Err(RunError::io(file)(error)),
        }
    }

    fn of_training(out: &Path) -> Result<Self, RunError> {
        let file = out.join(CONFIG);
        let text = match fs::read_to_string(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(RunError::NoRun { folder: out.to_owned() });
            }
            text => text.map_err(RunError::io(&file))?,
        };
        let config = CellConfig::from_toml(&file, &text)?;
        let mut grid = Self::new(std::slice::from_ref(&config), None)?;
        // The folder is that of the training itself.
        grid.trainings[0].folder = String::new();
        Ok(grid)
    }
}
