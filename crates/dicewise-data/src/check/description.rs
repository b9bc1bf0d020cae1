//! What `dataset.json` says, against what is there.

use super::Defect;
use crate::dataset::{Dataset, Layout};

/// Defects of a description that can be used nevertheless.
pub(super) fn defects(dataset: &Dataset) -> Vec<Defect> {
    let mut defects = Vec::new();
    let found = dataset.cases.len();
    if let Some(announced) = dataset.announced_cases().filter(|&announced| announced != found) {
        defects.push(Defect::CaseCount { announced, found });
    }
    // ACDC and BraTS have their ids from their authors.
    if matches!(dataset.layout, Layout::NnUnet | Layout::Msd) {
        let ids = || dataset.labels.iter().map(|label| label.value);
        if let Some(absent) =
            (0..).zip(ids()).find(|(expected, id)| expected != id).map(|(expected, _)| expected)
        {
            defects.push(Defect::LabelIdGap { absent, declared: ids().collect() });
        }
    }
    defects
}
