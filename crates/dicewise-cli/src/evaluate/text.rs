//! The scores as a table.
use std::collections::BTreeSet;
use std::fmt::Write;

use dicewise_eval::{Dsc, VoxelCounts, mean_dsc};
use miette::IntoDiagnostic;

use super::Scores;
use super::score::CaseScores;
use super::truth::Truth;
use crate::table::Table;

/// A row for each label and group: mean DSC, over how many cases, and volumes.
pub(super) fn of(scores: &Scores<'_>, truth: &Truth) -> miette::Result<String> {
    let groups: BTreeSet<&str> = scores.cases.iter().map(CaseScores::group).collect();
    let mut table = Table::new([
        "label",
        "group",
        ">DSC",
        ">cases",
        ">truth empty",
        ">truth missing",
        ">ΔV ml",
        ">predicted ml",
        ">true ml",
    ]);
    for (index, label) in scores.labels.iter().enumerate() {
        for &group in &groups {
            let cases: Vec<&CaseScores<'_>> =
                scores.cases.iter().filter(|case| case.group() == group).collect();
            let dsc: Vec<Dsc> = cases.iter().filter_map(|case| case.dsc(index)).collect();
            let mean = mean_dsc(&dsc, scores.policy).into_diagnostic()?;
            let volume = |ml: fn(&CaseScores<'_>, VoxelCounts) -> f64| {
                let volumes: Vec<f64> =
                    cases.iter().filter_map(|case| Some(ml(case, case.counts[index]?))).collect();
                let sum: f64 = volumes.iter().sum();
                if volumes.is_empty() {
                    "–".to_owned()
                } else {
                    format!("{:.3}", sum / volumes.len() as f64)
                }
            };
            table.row(vec![
                label.name.clone(),
                group.to_owned(),
                mean.mean.map_or("–".to_owned(), |dsc| format!("{dsc:.3}")),
                mean.scored.to_string(),
                (mean.both_empty + mean.false_positives).to_string(),
                (cases.len() - dsc.len()).to_string(),
                volume(|case, counts| case.predicted_ml(counts) - case.target_ml(counts)),
                volume(|case, counts| case.predicted_ml(counts)),
                volume(|case, counts| case.target_ml(counts)),
            ]);
        }
    }
    let mut text = format!("Mean over the cases of {}\n{table}", truth.folder.display());
    let (scored, all) = (scores.cases.len(), truth.cases.len());
    if scored < all {
        let _ = writeln!(text, "\n{scored} of the dataset's {all} cases have predictions.");
    }
    Ok(text)
}
