//! What missing and empty labels mean for the choice of the loss.
use super::label_size::LabelSizes;
use super::looks_missing::LooksMissing;

/// The advice for a dataset, one point each.
pub(super) fn of(labels: &[LabelSizes<'_>], suspects: &[LooksMissing<'_>]) -> Vec<String> {
    let foreground = || labels.iter().filter(|label| label.summary.label.value != 0);
    let mut advice: Vec<String> = suspects.iter().map(ToString::to_string).collect();
    let missing: usize = foreground().map(|label| label.missing).sum();
    let empty: usize = foreground().map(|label| label.summary.empty).sum();
    // Without a label map nothing is known, and nothing can be advised.
    if foreground().all(|label| label.summary.annotated + label.missing == 0) {
        return advice;
    }
    let declare = "If some of them were never drawn, declare them missing in presence.csv.";
    advice.push(match (missing, empty) {
        (0, 0) => "No label is missing or empty in any case: on whole images I, BI and I_eps agree. Patches beside \
                   the structure are empty maps: BI and I_eps learn from them, I does not."
            .to_owned(),
        (0, empty) => format!(
            "{} and none is declared missing. To learn that the structure is absent there, train with BI and at \
             least 2 images in a batch, or with I_eps; I with a tiny ε would ignore these maps. {declare}",
            maps(empty, "empty")
        ),
        (missing, 0) => format!(
            "{} and none is empty. To leave them alone, train with I and a tiny ε, or with leaf; BI with 2 or more \
             images in a batch and I_eps would learn that the structure is absent.",
            maps(missing, "declared missing")
        ),
        (missing, empty) => format!(
            "{}, {}. Leaf with declared presence on BI, with at least 2 images in a batch, is right for both: \
             missing maps are left alone and empty ones are learnt. {declare}",
            maps(missing, "declared missing"),
            maps(empty, "empty")
        ),
    });
    let sizes: Vec<String> = foreground()
        .filter_map(|label| Some(format!("{} {:.0}", label.summary.label.name, label.summary.mean_voxels?)))
        .collect();
    if !sizes.is_empty() {
        advice.push(format!(
            "ε of I_eps, the mean size in voxels of these files: {}. Training counts again in the voxels that the \
             network sees.",
            sizes.join(", ")
        ));
    }
    advice
}

fn maps(count: usize, state: &str) -> String {
    if count == 1 { format!("1 label map is {state}") } else { format!("{count} label maps are {state}") }
}
