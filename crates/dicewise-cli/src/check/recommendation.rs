//! Which Φ, ε and treatment of missing labels fit a dataset, and why.
use serde::Serialize;

use super::label_size::LabelSizes;
use super::looks_missing::LooksMissing;

/// A setting of the loss, in the words of `dicewise train`.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Recommendation {
    /// Φ.
    pub(super) partition: &'static str,
    /// In voxels.
    pub(super) epsilon: f64,
    /// What becomes of labels that are declared missing.
    pub(super) missing: &'static str,
    /// Images in a batch, at least.
    pub(super) batch_size: usize,
    pub(super) reason: String,
}

/// Small against any object, so that it decides nothing.
const TINY: f64 = 1e-7;

/// None where no label is drawn at all.
pub(super) fn of(labels: &[LabelSizes<'_>], suspects: &[LooksMissing<'_>]) -> Option<Recommendation> {
    let foreground = || labels.iter().filter(|label| label.summary.label.value != 0);
    if foreground().all(|label| label.summary.annotated == label.summary.empty) {
        return None;
    }
    let missing: usize = foreground().map(|label| label.missing).sum();
    let empty: usize = foreground().map(|label| label.summary.empty).sum();
    let leaf = missing > 0 || !suspects.is_empty();
    let mut reason = String::from(match (leaf, empty) {
        (true, _) => {
            "BI learns from every empty map, which those of patches beside a structure are; labels declared missing \
             are left out, so that they teach nothing"
        }
        (false, 0) => {
            "nothing is missing, and BI learns that patches beside a structure show none of it; on whole images I \
             would do as well"
        }
        (false, _) => {
            "nothing is declared missing, so the empty maps are true, and BI learns from them; I with a tiny ε would \
             ignore them"
        }
    });
    if !suspects.is_empty() {
        reason.push_str("; declare first what was not drawn");
    }
    Some(Recommendation {
        partition: "BI",
        epsilon: TINY,
        missing: if leaf { "leaf" } else { "as-empty" },
        batch_size: 2,
        reason,
    })
}

impl Recommendation {
    /// The flags of `dicewise train`.
    pub(super) fn flags(&self) -> String {
        let Self { partition, epsilon, missing, batch_size, .. } = self;
        format!("--partition {partition} --epsilon {epsilon:e} --missing {missing} --batch-size {batch_size}")
    }
}
