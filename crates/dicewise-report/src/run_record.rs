//! `run.json`: what a run was, for the report.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Cell, ReportError, write_atomically};

/// Everything about a run that its tables do not say. Dates and durations are here and nowhere else, so that the
/// tables of two runs can be compared byte by byte.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Version of the program.
    pub version: String,
    /// Name of the experiment.
    pub experiment: String,
    /// What it shows, in a sentence.
    pub description: String,
    /// The experiment file as it was read.
    pub configuration: String,
    /// Scored structures.
    pub labels: Vec<RecordedLabel>,
    /// Which labels the training did not have, under partial labelling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<RecordedPartial>,
    /// Groups of cases, the always-labelled one first.
    pub groups: Vec<String>,
    /// Losses by the name of their setting.
    pub settings: Vec<RecordedSetting>,
    /// Every trained network.
    pub trainings: Vec<RecordedTraining>,
    /// Images kept for the figures.
    #[serde(default)]
    pub shown: Vec<ShownCase>,
    /// The machine.
    pub machine: Machine,
    /// When the run began, in UTC: `2026-01-31T12:00:00Z`.
    pub started: String,
    /// How long this call of the program took, in seconds.
    pub seconds: f64,
}

/// A scored structure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedLabel {
    /// Its name.
    pub name: String,
    /// Its value in predicted label maps.
    pub value: u16,
    /// Name of a predicted label map after the case's: empty unless labels overlap and have a file each.
    #[serde(default)]
    pub suffix: String,
}

/// A label that one group lacks under partial labelling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedPartial {
    /// The label.
    pub label: String,
    /// The group.
    pub group: String,
}

/// A loss.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedSetting {
    /// Name of the setting.
    pub name: String,
    /// Φ, ε and treatment of missing labels in words.
    pub loss: String,
}

/// A trained network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedTraining {
    /// Which labels were there.
    pub labelling: String,
    /// Name of the setting.
    pub setting: String,
    /// Images in a batch.
    pub batch_size: usize,
    /// Seed.
    pub seed: u64,
    /// The fold held out.
    pub fold: usize,
    /// Its folder inside the folder of results, with `/`.
    pub folder: String,
}

impl RecordedTraining {
    pub(crate) fn cell(&self) -> Cell {
        let (labelling, setting) = (self.labelling.clone(), self.setting.clone());
        Cell { labelling, setting, batch_size: self.batch_size }
    }
}

/// A case whose image and truth were kept: `shown/CASE_image.nii.gz` and `shown/CASE_truth.nii.gz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownCase {
    /// The case.
    pub case: String,
    /// Its group.
    pub group: String,
    /// `worst`, `median` or `best` of its group.
    pub rank: String,
    /// The fold that held it out.
    pub fold: usize,
}

/// The machine of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Operating system.
    pub system: String,
    /// Processor.
    pub processor: String,
    /// Threads used.
    pub threads: usize,
}

/// Name of the file in a folder of results.
pub const RUN_RECORD: &str = "run.json";
/// Folder of the kept images.
pub const SHOWN_FOLDER: &str = "shown";

impl RunRecord {
    /// Writes `run.json` into a folder of results.
    pub fn write(&self, results: &Path) -> Result<(), ReportError> {
        let text = serde_json::to_string_pretty(self).expect("a record has no maps with odd keys");
        write_atomically(&results.join(RUN_RECORD), format!("{text}\n").as_bytes())
    }

    /// The kept cases, those of the group that lacked its label first: that is where the settings part.
    pub(crate) fn shown_in_order(&self) -> Vec<&ShownCase> {
        let mut shown: Vec<&ShownCase> = self.shown.iter().collect();
        shown
            .sort_by_key(|case| std::cmp::Reverse(self.groups.iter().position(|group| *group == case.group)));
        shown
    }

    /// Reads the `run.json` of a folder of results.
    ///
    /// # Errors
    /// [`ReportError`] with file and line where it is missing or something else.
    pub fn read(results: &Path) -> Result<Self, ReportError> {
        let path = results.join(RUN_RECORD);
        let text = std::fs::read_to_string(&path)
            .map_err(|source| ReportError::Read { path: path.clone(), source })?;
        serde_json::from_str(&text).map_err(|error| ReportError::Record {
            path,
            line: error.line() as u64,
            problem: error.to_string(),
        })
    }
}
