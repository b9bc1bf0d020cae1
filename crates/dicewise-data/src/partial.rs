//! Partial labelling: the paper's experiment, in which one label is emptied in one group of the cases.
//!
//! It is a view of a case in memory. No file is touched, and scoring goes on using the full labels.

use crate::dataset::{Case, Label};
use crate::volume::LabelMap;

/// Which label is emptied in which group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialLabelling {
    /// Id of the label.
    pub label: u16,
    /// The group whose cases lose it.
    pub group: String,
}

/// A case's labels as training sees them.
#[derive(Clone, Debug, PartialEq)]
pub struct PartialLabels {
    /// The label map, emptied of the label if the case is in the group.
    pub labels: LabelMap,
    /// Whether each label is annotated, in the order of the dataset's labels: false for the emptied one.
    pub presence: Vec<bool>,
}

/// Partial labelling that cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PartialError {
    /// Emptying background is no partial labelling.
    #[error("label 0 is background, which cannot be emptied; name a foreground label")]
    Background,
    /// A label that the dataset does not have.
    #[error("the dataset has no label {label}; declared: {declared:?}")]
    UnknownLabel {
        /// The id.
        label: u16,
        /// The ids there are.
        declared: Vec<u16>,
    },
    /// A group that no case is in.
    #[error("no case is in group {group}; there are {found:?}")]
    UnknownGroup {
        /// The group.
        group: String,
        /// The groups there are.
        found: Vec<String>,
    },
    /// A case without labels.
    #[error("case {case} has no label map")]
    NoLabels {
        /// The case.
        case: String,
    },
    /// A presence row of another length than the labels.
    #[error("case {case}: presence has {found} entries for {expected} labels")]
    PresenceLength {
        /// The case.
        case: String,
        /// Entries given.
        found: usize,
        /// Labels of the dataset.
        expected: usize,
    },
}

impl PartialLabelling {
    /// Checks that label and group exist: a misspelt group would otherwise leave the data complete in silence.
    pub fn check<'a>(
        &self,
        labels: &[Label],
        groups: impl IntoIterator<Item = Option<&'a str>>,
    ) -> Result<(), PartialError> {
        self.index(labels)?;
        let found: std::collections::BTreeSet<&str> = groups.into_iter().flatten().collect();
        if found.contains(self.group.as_str()) {
            return Ok(());
        }
        let found = found.into_iter().map(String::from).collect();
        Err(PartialError::UnknownGroup { group: self.group.clone(), found })
    }

    /// The labels of a case as training sees them.
    ///
    /// `presence` is what is declared already, one entry a label of `labels`; the emptied label becomes missing in it.
    /// Whether a loss takes missing labels for empty ones is its own choice.
    pub fn apply(
        &self,
        case: &Case,
        labels: &[Label],
        presence: &[bool],
    ) -> Result<PartialLabels, PartialError> {
        let index = self.index(labels)?;
        if presence.len() != labels.len() {
            let [found, expected] = [presence.len(), labels.len()];
            return Err(PartialError::PresenceLength { case: case.id.clone(), found, expected });
        }
        let full = case.labels.as_ref().ok_or_else(|| PartialError::NoLabels { case: case.id.clone() })?;
        let mut presence = presence.to_vec();
        if case.group.as_deref() != Some(self.group.as_str()) {
            return Ok(PartialLabels { labels: full.clone(), presence });
        }
        presence[index] = false;
        let labels = full.map(|&id| if id == self.label { 0 } else { id });
        Ok(PartialLabels { labels, presence })
    }

    /// Where the label is among the dataset's.
    fn index(&self, labels: &[Label]) -> Result<usize, PartialError> {
        if self.label == 0 {
            return Err(PartialError::Background);
        }
        labels.iter().position(|label| label.value == self.label).ok_or_else(|| {
            let declared = labels.iter().map(|label| label.value).collect();
            PartialError::UnknownLabel { label: self.label, declared }
        })
    }
}
