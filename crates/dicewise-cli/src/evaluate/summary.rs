//! `summary.json`, laid out like nnU-Net's, with `null` and a count where that has a bare NaN.
use dicewise_eval::{Dsc, EmptyTruth, VoxelCounts, mean_dsc};
use miette::IntoDiagnostic;
use serde_json::{Map, Value, json};

use super::Scores;
use super::score::CaseScores;

/// Measures that are averaged, in nnU-Net's words where it has one.
const MEASURES: [&str; 10] =
    ["Dice", "IoU", "FN", "FP", "TN", "TP", "n_pred", "n_ref", "volume_difference_ml", "predicted_volume_ml"];

/// `metric_per_case`, `mean` for each label, `foreground_mean`; `labels` names the keys, `empty_truth` the policy.
pub(super) fn of(scores: &Scores<'_>) -> miette::Result<Value> {
    let mut means = Map::new();
    for (index, label) in scores.labels.iter().enumerate() {
        means.insert(label.key(), mean_of_label(scores, index)?);
    }
    let names: Map<String, Value> =
        scores.labels.iter().map(|label| (label.key(), json!(label.name))).collect();
    let per_case: Vec<Value> = scores.cases.iter().map(|case| of_case(scores, case)).collect();
    Ok(json!({
        "foreground_mean": foreground_mean(&means),
        "mean": means,
        "metric_per_case": per_case,
        "labels": names,
        "empty_truth": match scores.policy {
            EmptyTruth::Score { .. } => "score",
            _ => "undefined",
        },
    }))
}

fn of_case(scores: &Scores<'_>, case: &CaseScores<'_>) -> Value {
    let metrics: Map<String, Value> = scores
        .labels
        .iter()
        .zip(&case.counts)
        .map(|(label, counts)| {
            let metrics = counts.map_or(Value::Null, |counts| {
                let values = measures(case, counts, scores.policy);
                MEASURES.iter().zip(values).map(|(name, value)| (*name, number(name, value))).collect()
            });
            (label.key(), metrics)
        })
        .collect();
    json!({
        "metrics": metrics,
        "prediction_file": case.prediction.display().to_string(),
        "reference_file": case.truth.file.display().to_string(),
    })
}

/// In the order of [`MEASURES`].
fn measures(case: &CaseScores<'_>, counts: VoxelCounts, policy: EmptyTruth) -> [Option<f64>; 10] {
    let VoxelCounts { overlap, prediction, target } = counts;
    let union = prediction + target - overlap;
    let dsc = counts.dsc();
    // Where the truth is empty both follow the policy.
    let iou = match dsc {
        Dsc::Defined(_) => Some(overlap as f64 / union as f64),
        _ => dsc.score(policy),
    };
    let (predicted_ml, target_ml) = (case.predicted_ml(counts), case.target_ml(counts));
    let voxels = [target - overlap, prediction - overlap, case.voxels - union, overlap, prediction, target];
    let [fn_, fp, tn, tp, n_pred, n_ref] = voxels.map(|count| Some(count as f64));
    let difference_ml = Some(predicted_ml - target_ml);
    [dsc.score(policy), iou, fn_, fp, tn, tp, n_pred, n_ref, difference_ml, Some(predicted_ml)]
}

/// Voxel counts of one case stay whole numbers.
fn number(name: &str, value: Option<f64>) -> Value {
    match value {
        Some(value) if matches!(name, "FN" | "FP" | "TN" | "TP" | "n_pred" | "n_ref") => json!(value as u64),
        value => json!(value),
    }
}

fn mean_of_label(scores: &Scores<'_>, label: usize) -> miette::Result<Value> {
    let cases: Vec<[Option<f64>; 10]> = scores
        .cases
        .iter()
        .filter_map(|case| Some(measures(case, case.counts[label]?, scores.policy)))
        .collect();
    let mut means = Map::new();
    for (index, name) in MEASURES.iter().enumerate() {
        let values: Vec<f64> = cases.iter().filter_map(|values| values[index]).collect();
        means.insert((*name).to_owned(), json!(mean(&values)));
    }
    let dsc: Vec<Dsc> = scores.cases.iter().filter_map(|case| case.dsc(label)).collect();
    let dsc_mean = mean_dsc(&dsc, scores.policy).into_diagnostic()?;
    means.insert(
        "counts".to_owned(),
        json!({
            "cases": scores.cases.len(),
            "Dice": dsc_mean.scored,
            "truth_empty": dsc_mean.both_empty + dsc_mean.false_positives,
            "truth_empty_and_predicted": dsc_mean.false_positives,
            "truth_missing": scores.cases.len() - dsc.len(),
        }),
    );
    Ok(Value::Object(means))
}

/// The mean over labels of their means, over those labels that have one; `counts` says how many.
fn foreground_mean(means: &Map<String, Value>) -> Value {
    let mut foreground = Map::new();
    for name in MEASURES {
        let values: Vec<f64> = means.values().filter_map(|label| label[name].as_f64()).collect();
        if name == "Dice" {
            foreground.insert("counts".to_owned(), json!({ "labels": means.len(), "Dice": values.len() }));
        }
        foreground.insert(name.to_owned(), json!(mean(&values)));
    }
    Value::Object(foreground)
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
