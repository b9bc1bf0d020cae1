//! The findings as text.
use std::collections::BTreeMap;
use std::fmt::Write;

use dicewise_data::check::{CaseSummary, LabelSize, Severity};

use super::label_size::{LabelSizes, Spread};
use super::recommendation::Recommendation;
use super::{Finding, Findings, plots};
use crate::table::Table;
use crate::terminal::{Reader, Tone};

/// Defects first, then the cases, the labels over all cases, and what that means for the loss.
pub(super) fn of(findings: &Findings<'_>, reader: Reader) -> String {
    let title =
        |text: &str| format!("\n{}\n", reader.paint(Tone::Strong, reader.paragraph(text, 0).trim_end()));
    let mut text = head(findings);
    let _ = write!(text, "\n{}", defects(&findings.defects));
    if !findings.cases.is_empty() {
        let legend =
            "voxels and ml of each label; missing: declared as not annotated; empty: annotated, no voxels";
        text += &title(&format!("Cases: {legend}"));
        text += &cases(findings).fitted(reader);
        let spread = "mean size over annotated cases ± standard deviation (smallest to largest)";
        text += &title(&format!("Labels: {spread}"));
        text += &labels(findings).fitted(reader);
        text += &plots::of(findings, reader);
    }
    if !findings.batches.is_empty() {
        let legend = "share of batches without the label / share of maps without it that share a batch with one that has \
                      it, which BI then learns to be empty";
        text += &title(&format!("Batches drawn at random: {legend}"));
        text += &batches(findings).fitted(reader);
    }
    if !findings.advice.is_empty() {
        text += &title("What this means for the loss");
        text.extend(findings.advice.iter().map(|advice| reader.paragraph(advice, 2)));
    }
    text.push_str(&declaration(&findings.presence_csv));
    if let Some(recommendation) = &findings.recommendation {
        let Recommendation { reason, .. } = recommendation;
        text += &title(&format!("Recommended: {}", recommendation.flags()));
        text += &reader.paragraph(&format!("because {reason}"), 2);
    }
    text
}

/// Lines of a declaration that are shown; JSON has all.
const SHOWN_LINES: usize = 8;

fn declaration(lines: &[String]) -> String {
    let mut text = String::new();
    if lines.is_empty() {
        return text;
    }
    let _ = write!(text, "\nIf these labels were not drawn, declare them missing in presence.csv\n");
    for line in lines.iter().take(SHOWN_LINES) {
        let _ = writeln!(text, "  {line}");
    }
    if lines.len() > SHOWN_LINES {
        let _ = writeln!(text, "  … and {} lines more, which --json prints", lines.len() - SHOWN_LINES);
    }
    text
}

fn batches(findings: &Findings<'_>) -> Table {
    let sizes: Vec<usize> = findings.batches[0].chances.iter().map(|chances| chances.batch_size).collect();
    let heads = sizes.iter().map(|size| format!(">B = {size}"));
    let mut table = Table::new(["label".to_owned(), ">cases".to_owned()].into_iter().chain(heads));
    for label in &findings.batches {
        let mut row = vec![label.label.to_owned(), format!("{} of {}", label.positive, label.cases)];
        row.extend(label.chances.iter().map(|chances| {
            let percent = |share: f64| (100.0 * share).round();
            format!("{}% / {}%", percent(chances.no_positive), percent(chances.empty_with_positive))
        }));
        table.row(row);
    }
    table
}

fn head(findings: &Findings<'_>) -> String {
    let Findings { root, layout, case_count, cases, .. } = findings;
    let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
    for group in cases.iter().filter_map(|case| case.group.as_deref()) {
        *groups.entry(group).or_default() += 1;
    }
    let groups: Vec<String> = groups.iter().map(|(group, count)| format!("{count} {group}")).collect();
    let groups = if groups.is_empty() { String::new() } else { format!(" ({})", groups.join(", ")) };
    let readable = match case_count - cases.len() {
        0 => String::new(),
        unusable => format!(", {unusable} of them unusable"),
    };
    let s = if *case_count == 1 { "" } else { "s" };
    format!("{root}, {layout} layout: {case_count} case{s}{readable}{groups}\n")
}

fn defects(defects: &[Finding<'_>]) -> String {
    let mut text = match defects.len() {
        0 => "No defects\n".to_owned(),
        1 => "1 defect\n".to_owned(),
        count => format!("{count} defects\n"),
    };
    for Finding { severity, message, remedy, .. } in defects {
        let severity = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let _ = writeln!(text, "  {severity:<7}  {message}");
        if let Some(remedy) = remedy {
            let _ = writeln!(text, "  {:<7}  help: {remedy}", "");
        }
    }
    text
}

fn cases(findings: &Findings<'_>) -> Table {
    let foreground = || {
        let labels = findings.labels.iter().enumerate();
        labels.filter(|(_, label)| label.summary.label.value != 0)
    };
    let with_groups = findings.cases.iter().any(|case| case.group.is_some());
    let group = with_groups.then_some("group".to_owned());
    let header = ["case".to_owned()].into_iter().chain(group);
    let header = header.chain([">shape".to_owned(), ">spacing mm".to_owned()]);
    let names =
        foreground().flat_map(|(_, label)| [format!(">{}", label.summary.label.name), ">".to_owned()]);
    let mut table = Table::new(header.chain(names));
    for case in findings.cases {
        let CaseSummary { id, group, shape, spacing_mm, labels, .. } = case;
        let mut row = vec![id.clone()];
        if with_groups {
            row.push(group.clone().unwrap_or_default());
        }
        row.extend([triple(*shape), triple(spacing_mm.map(short))]);
        for (index, _) in foreground() {
            row.extend(match labels {
                Some(labels) => size(&labels[index]),
                None => ["no labels".to_owned(), String::new()],
            });
        }
        table.row(row);
    }
    table
}

fn size(size: &LabelSize) -> [String; 2] {
    match size {
        LabelSize { annotated: false, .. } => ["missing".to_owned(), String::new()],
        LabelSize { voxels: 0, .. } => ["empty".to_owned(), String::new()],
        LabelSize { voxels, ml, .. } => [voxels.to_string(), format!("{} ml", millilitres(*ml))],
    }
}

fn labels(findings: &Findings<'_>) -> Table {
    let mut table = Table::new([
        "label",
        ">value",
        ">annotated",
        ">missing",
        ">empty",
        ">mean voxels",
        "",
        ">mean ml",
        "",
    ]);
    for LabelSizes { summary, missing, voxels, ml, .. } in &findings.labels {
        if summary.label.value == 0 {
            continue;
        }
        let [mean_voxels, voxel_spread] = mean_and_spread(summary.mean_voxels, voxels.as_ref(), |_| 0);
        let [mean_ml, ml_spread] = mean_and_spread(summary.mean_ml, ml.as_ref(), ml_decimals);
        table.row(vec![
            summary.label.name.clone(),
            summary.label.value.to_string(),
            summary.annotated.to_string(),
            missing.to_string(),
            summary.empty.to_string(),
            mean_voxels,
            voxel_spread,
            mean_ml,
            ml_spread,
        ]);
    }
    table
}

/// `1706` and `± 296 (1054 to 2593)`, all with the decimals of the mean.
fn mean_and_spread(mean: Option<f64>, spread: Option<&Spread>, decimals: fn(f64) -> usize) -> [String; 2] {
    let (Some(mean), Some(Spread { standard_deviation, min, max })) = (mean, spread) else {
        return ["–".to_owned(), String::new()];
    };
    let text = |value: f64| format!("{value:.*}", decimals(mean));
    let deviation = standard_deviation.map_or(String::new(), |sd| format!("± {} ", text(sd)));
    [text(mean), format!("{deviation}({} to {})", text(*min), text(*max))]
}

fn triple<T: ToString>(values: [T; 3]) -> String {
    values.map(|value| value.to_string()).join("×")
}

/// At most three decimals, no trailing zeros.
fn short(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn millilitres(ml: f64) -> String {
    format!("{ml:.*}", ml_decimals(ml))
}

/// Three digits that mean something, for a nodule as for a liver.
fn ml_decimals(ml: f64) -> usize {
    match ml {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    }
}
