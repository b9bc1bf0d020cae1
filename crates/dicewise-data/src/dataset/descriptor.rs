//! `dataset.json`, of nnU-Net and of the Medical Segmentation Decathlon.

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{DatasetError, Label, Layout};

pub(super) const FILE_NAME: &str = "dataset.json";

/// What `dataset.json` says.
#[derive(Debug, Deserialize)]
pub(super) struct Descriptor {
    #[serde(skip)]
    path: PathBuf,
    channel_names: Option<Map<String, Value>>,
    modality: Option<Map<String, Value>>,
    labels: Option<Map<String, Value>>,
    file_ending: Option<String>,
    #[serde(rename = "numTraining")]
    announced_cases: Option<Value>,
    /// nnU-Net, when files lie elsewhere than in `imagesTr`.
    pub(super) dataset: Option<std::collections::BTreeMap<String, NnUnetCase>>,
    pub(super) training: Option<Vec<MsdCase>>,
}

/// A case of nnU-Net's `dataset` field.
#[derive(Debug, Deserialize)]
pub(super) struct NnUnetCase {
    pub(super) images: Vec<String>,
    pub(super) label: String,
}

/// An entry of MSD's `training` list.
#[derive(Debug, Deserialize)]
pub(super) struct MsdCase {
    pub(super) image: String,
    pub(super) label: String,
}

impl Descriptor {
    pub(super) fn read(root: &Path) -> Result<Self, DatasetError> {
        let path = root.join(FILE_NAME);
        let text = std::fs::read(&path).map_err(|source| DatasetError::Io { path: path.clone(), source })?;
        let read: Self = serde_json::from_slice(&text)
            .map_err(|source| DatasetError::Json { path: path.clone(), source })?;
        Ok(Self { path, ..read })
    }

    pub(super) fn layout(&self) -> Result<Layout, DatasetError> {
        if self.channel_names.is_some() {
            Ok(Layout::NnUnet)
        } else if self.modality.is_some() && self.training.is_some() {
            Ok(Layout::Msd)
        } else {
            Err(self.bad(
                "channel_names",
                "absent",
                "channel_names (nnU-Net), or modality and training (MSD)",
            ))
        }
    }

    /// `numTraining`, if that is a number of cases.
    pub(super) fn announced_cases(&self) -> Option<usize> {
        self.announced_cases.as_ref()?.as_u64()?.try_into().ok()
    }

    /// `.nii.gz` or `.nii`.
    pub(super) fn file_ending(&self) -> Result<&str, DatasetError> {
        const ACCEPTED: &str = ".nii.gz or .nii";
        match self.file_ending.as_deref() {
            Some(ending @ (".nii.gz" | ".nii")) => Ok(ending),
            Some(other) => Err(self.bad("file_ending", other, ACCEPTED)),
            None => Err(self.bad("file_ending", "absent", ACCEPTED)),
        }
    }

    /// The channels, numbered from 0 without gaps.
    pub(super) fn channel_names(&self) -> Result<Vec<String>, DatasetError> {
        let (field, channels) = match (&self.channel_names, &self.modality) {
            (Some(channels), _) => ("channel_names", channels),
            (None, Some(channels)) => ("modality", channels),
            (None, None) => return Err(self.bad("channel_names", "absent", "one name a channel")),
        };
        if channels.is_empty() {
            return Err(self.bad(field, "empty", "at least one channel"));
        }
        (0..channels.len())
            .map(|index| match channels.get(&index.to_string()) {
                Some(Value::String(name)) => Ok(name.clone()),
                Some(other) => Err(self.bad(&format!("{field}.{index}"), other, "a name")),
                None => Err(self.bad(&format!("{field}.{index}"), "absent", "channels numbered 0, 1, 2, …")),
            })
            .collect()
    }

    /// The labels, by id. Both directions are in use: `{"background": 0}` and `{"0": "background"}`.
    pub(super) fn labels(&self) -> Result<Vec<Label>, DatasetError> {
        const ACCEPTED: &str = "a whole number from 0 to 65535";
        let Some(entries) = &self.labels else {
            return Err(self.bad("labels", "absent", "one name and id a label"));
        };
        let mut labels = Vec::new();
        for (key, value) in entries {
            let field = || format!("labels.{key}");
            let (name, value) = match value {
                Value::Array(_) => {
                    return Err(DatasetError::RegionLabel { path: self.path.clone(), label: key.clone() });
                }
                Value::String(text) => match (key.parse(), text.parse()) {
                    (Ok(value), _) => (text.clone(), value),
                    (Err(_), Ok(value)) => (key.clone(), value),
                    _ => return Err(self.bad(&field(), text, ACCEPTED)),
                },
                other => match other.as_u64().and_then(|id| u16::try_from(id).ok()) {
                    Some(value) => (key.clone(), value),
                    None => return Err(self.bad(&field(), other, ACCEPTED)),
                },
            };
            labels.push(Label { name, value });
        }
        labels.sort_by_key(|label| label.value);
        if labels.first().is_none_or(|label| label.value != 0) {
            return Err(self.bad("labels", "without id 0", "background has id 0"));
        }
        if let Some(pair) = labels.windows(2).find(|pair| pair[0].value == pair[1].value) {
            let value = format!("{} and {}, both {}", pair[0].name, pair[1].name, pair[0].value);
            return Err(self.bad("labels", value, "one id a label"));
        }
        Ok(labels)
    }

    /// A path that the file names, which has to stay inside the dataset.
    pub(super) fn inside(&self, root: &Path, entry: &str) -> Result<PathBuf, DatasetError> {
        let relative = Path::new(entry);
        let stays = relative.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        // A backslash separates folders on Windows, where `..\\..` must not pass as a name.
        if !stays || entry.contains('\\') || entry.is_empty() {
            return Err(DatasetError::PathEscapes { path: self.path.clone(), entry: entry.into() });
        }
        Ok(root.join(relative.strip_prefix(".").unwrap_or(relative)))
    }

    pub(super) fn bad(&self, field: &str, value: impl ToString, accepted: &'static str) -> DatasetError {
        DatasetError::BadField {
            path: self.path.clone(),
            field: field.into(),
            value: value.to_string(),
            accepted,
        }
    }
}
