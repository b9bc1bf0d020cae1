//! Scores of a small made-up experiment.

use dicewise_report::CaseScore;

/// A score of `label` whole, predicted volume 10 ml + ΔV.
pub(crate) fn score(
    labelling: &str,
    setting: &str,
    batch_size: usize,
    group: &str,
    case: &str,
    dsc: f64,
) -> CaseScore {
    CaseScore {
        labelling: labelling.into(),
        setting: setting.into(),
        batch_size,
        seed: 0,
        fold: 0,
        case: case.into(),
        subject: case.into(),
        group: group.into(),
        label: "whole".into(),
        dsc: Some(dsc),
        volume_difference_ml: -10.0 * (1.0 - dsc),
        predicted_volume_ml: 10.0 * dsc,
        target_volume_ml: 10.0,
    }
}

/// The paper's pattern in twelve cases: partial labels empty group G0 under BI, and leave it alone under I and leaf.
pub(crate) fn experiment() -> Vec<CaseScore> {
    let mut scores = Vec::new();
    for case in 0..12 {
        let (group, name) = (if case < 6 { "G1" } else { "G0" }, format!("case_{case:03}"));
        let dsc = 0.85 + 0.01 * f64::from(case % 6);
        let emptied = if group == "G0" { 0.1 + 0.01 * f64::from(case % 5) } else { dsc - 0.01 };
        let mut add =
            |labelling, setting, b, dsc| scores.push(score(labelling, setting, b, group, &name, dsc));
        add("full", "I", 2, dsc);
        add("full", "BI", 2, dsc - 0.002);
        add("full", "I", 4, dsc + 0.001);
        add("partial", "I", 2, dsc - 0.004);
        add("partial", "BI", 2, emptied);
        add("partial", "leaf", 2, dsc - 0.003);
    }
    scores
}
