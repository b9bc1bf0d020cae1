//! Which training predictions come from, as far as their folder says.
use std::fs;
use std::path::{Path, PathBuf};

use dicewise_experiment::CellConfig;

/// The columns of `cases.csv` that describe the training.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) labelling: String,
    pub(super) setting: String,
    pub(super) batch_size: usize,
    pub(super) seed: u64,
    pub(super) fold: usize,
}

/// Looks for a `config.toml` in the folder and the one above it; predictions of other programs have none and get
/// `unknown`, and the smallest numbers that the columns take.
pub(super) fn of(predictions: &Path) -> Origin {
    let folder = predictions.canonicalize().unwrap_or_else(|_| predictions.into());
    let configs = folder.ancestors().take(2).map(|folder| folder.join("config.toml"));
    match configs.filter_map(read).next() {
        Some(CellConfig { cell, .. }) => Origin {
            labelling: cell.labelling.to_string(),
            setting: cell.setting.name,
            batch_size: cell.batch_size,
            seed: cell.seed,
            fold: cell.fold,
        },
        None => Origin {
            labelling: "unknown".to_owned(),
            setting: "unknown".to_owned(),
            batch_size: 1,
            seed: 0,
            fold: 0,
        },
    }
}

fn read(path: PathBuf) -> Option<CellConfig> {
    // Other programs have a config.toml too.
    CellConfig::from_toml(&path, &fs::read_to_string(&path).ok()?).ok()
}
