//! A cell: one training of the grid, its folder and its configuration.
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{
    Augmentation, Data, ExperimentError, GroupAssignment, GroupCount, Network, PartialLabelling, Patch,
    Preprocessing, Setting, Split, Target, Training,
};

/// Which labels the training data have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Labelling {
    /// All of them.
    Full,
    /// One label is emptied in one group, see [`PartialLabelling`].
    Partial,
}

impl fmt::Display for Labelling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Full => "full",
            Self::Partial => "partial",
        })
    }
}

/// One training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Which labels are there.
    pub labelling: Labelling,
    /// Images in a batch.
    pub batch_size: usize,
    /// Seed of weights, batches and augmentation.
    pub seed: u64,
    /// The fold held out; 0 for a hold-out.
    pub fold: usize,
    /// How often an epoch shows each training case of a group, where that is more than once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeat: Vec<GroupCount>,
    /// The loss.
    pub setting: Setting,
}

impl Cell {
    /// Its folder inside the experiment's output folder, for example `partial-BI-b2-seed0/fold_0`.
    pub fn folder_name(&self) -> String {
        let Self { labelling, batch_size, seed, fold, setting, .. } = self;
        format!("{labelling}-{}-b{batch_size}-seed{seed}/fold_{fold}", setting.name)
    }
}

/// Everything that decides the result of a cell: the `config.toml` of its folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellConfig {
    /// Name of the experiment.
    pub experiment: String,
    /// ε during ε warm-up.
    pub epsilon_tiny: f64,
    /// The cell.
    pub cell: Cell,
    /// Where images and label maps come from.
    pub data: Data,
    /// What the network learns.
    pub target: Target,
    /// Groups for data that have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<GroupAssignment>,
    /// Who is held out.
    pub split: Split,
    /// What "partial" means; absent with full labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial: Option<PartialLabelling>,
    /// What is done to every image.
    pub preprocessing: Preprocessing,
    /// Random changes of training images.
    #[serde(default)]
    pub augmentation: Augmentation,
    /// The part of an image that the network sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<Patch>,
    /// The network.
    pub network: Network,
    /// How it is trained.
    pub training: Training,
}

impl CellConfig {
    /// The canonical text: equal configurations give equal text.
    ///
    /// # Errors
    /// When a value has no place in TOML, for example a path that is not Unicode.
    pub fn to_toml(&self) -> Result<String, ExperimentError> {
        toml::to_string(self).map_err(|error| ExperimentError::Configuration {
            path: self.cell.folder_name().into(),
            message: error.to_string(),
        })
    }

    /// Reads what [`CellConfig::to_toml`] wrote; `path` names it in messages.
    ///
    /// # Errors
    /// When the text is something else.
    pub fn from_toml(path: &Path, text: &str) -> Result<Self, ExperimentError> {
        toml::from_str(text).map_err(|error| ExperimentError::Configuration {
            path: path.to_owned(),
            message: error.message().to_owned(),
        })
    }

    /// Sixteen hexadecimal digits that change when anything changes that could change the result (FNV-1a, 64 bit).
    /// The experiment's name and the place of the data do not count: both may move.
    ///
    /// # Errors
    /// As [`CellConfig::to_toml`].
    pub fn hash(&self) -> Result<String, ExperimentError> {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for (key, value) in self.entries()? {
            for byte in format!("{key}={value}\n").bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
        Ok(format!("{hash:016x}"))
    }

    /// What is different in `other`, one line each: `training.duration.iterations: 600, was 300` with the value of
    /// `self` first. Empty when a result of one is a result of the other, that is when their hashes agree.
    ///
    /// # Errors
    /// As [`CellConfig::to_toml`].
    pub fn differences(&self, other: &Self) -> Result<Vec<String>, ExperimentError> {
        let (here, there) = (self.entries()?, other.entries()?);
        let keys: std::collections::BTreeSet<_> = here.keys().chain(there.keys()).collect();
        let shown = |value: Option<&String>| value.map_or("absent", String::as_str).to_owned();
        Ok(keys
            .into_iter()
            .filter(|&key| here.get(key) != there.get(key))
            .map(|key| format!("{key}: {}, was {}", shown(here.get(key)), shown(there.get(key))))
            .collect())
    }

    /// Every value that counts, by its dotted key.
    fn entries(&self) -> Result<BTreeMap<String, String>, ExperimentError> {
        let mut counted = self.clone();
        counted.experiment = String::new();
        if let Data::Folder { path, .. } = &mut counted.data {
            path.clear();
        }
        let table = toml::Table::try_from(&counted).map_err(|error| ExperimentError::Configuration {
            path: self.cell.folder_name().into(),
            message: error.to_string(),
        })?;
        let mut entries = BTreeMap::new();
        flatten("", &toml::Value::Table(table), &mut entries);
        Ok(entries)
    }
}

fn flatten(prefix: &str, value: &toml::Value, entries: &mut BTreeMap<String, String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let dot = if prefix.is_empty() { "" } else { "." };
                flatten(&format!("{prefix}{dot}{key}"), value, entries);
            }
        }
        other => {
            entries.insert(prefix.to_owned(), other.to_string());
        }
    }
}
