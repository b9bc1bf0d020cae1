//! The labels to score: those of the dataset, or those of `--labels`, which may merge several.
use dicewise_data::dataset::Label;

use super::error::EvaluateError;
use super::truth::Truth;
use crate::args;

/// A structure made of one label id or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScoredLabel {
    pub(super) name: String,
    /// Ascending.
    pub(super) values: Vec<u16>,
}

impl ScoredLabel {
    /// As nnU-Net writes it: `1`, or `(1, 2, 4)` for a region.
    pub(super) fn key(&self) -> String {
        let values: Vec<String> = self.values.iter().map(ToString::to_string).collect();
        if values.len() == 1 { values[0].clone() } else { format!("({})", values.join(", ")) }
    }
}

/// The labels that the command line names, else every label that the dataset declares but the background.
pub(super) fn choose(flags: &[args::Label], truth: &Truth) -> Result<Vec<ScoredLabel>, EvaluateError> {
    if flags.is_empty() {
        let declared = truth.labels.as_ref();
        let declared =
            declared.ok_or_else(|| EvaluateError::LabelsUnknown { folder: truth.folder.clone() })?;
        let foreground = declared.iter().filter(|label| label.value != 0);
        return Ok(foreground
            .map(|label| ScoredLabel { name: label.name.clone(), values: vec![label.value] })
            .collect());
    }
    let mut chosen: Vec<ScoredLabel> = Vec::new();
    for flag in flags {
        let mut values = flag.values.clone();
        values.sort_unstable();
        values.dedup();
        let label = ScoredLabel { name: flag.name.clone(), values };
        check(&label, truth.labels.as_deref())?;
        if let Some(twin) = chosen.iter().find(|c| c.name == label.name || c.values == label.values) {
            return Err(EvaluateError::SameLabel { first: twin.name.clone(), second: label.name });
        }
        chosen.push(label);
    }
    Ok(chosen)
}

fn check(label: &ScoredLabel, declared: Option<&[Label]>) -> Result<(), EvaluateError> {
    let Some(declared) = declared else { return Ok(()) };
    let unknown = label.values.iter().find(|value| declared.iter().all(|label| label.value != **value));
    unknown.map_or(Ok(()), |&value| {
        let declared: Vec<String> =
            declared.iter().map(|label| format!("{} ({})", label.value, label.name)).collect();
        let declared = declared.join(", ");
        Err(EvaluateError::ValueNotDeclared { name: label.name.clone(), value, declared })
    })
}

/// All ids that may stand in a label map, ascending: what the dataset declares, else what is scored.
pub(super) fn declared_values(truth: &Truth, scored: &[ScoredLabel]) -> Vec<u16> {
    let mut values: Vec<u16> = match &truth.labels {
        Some(labels) => labels.iter().map(|label| label.value).collect(),
        None => scored.iter().flat_map(|label| label.values.iter().copied()).collect(),
    };
    values.push(0);
    values.sort_unstable();
    values.dedup();
    values
}
