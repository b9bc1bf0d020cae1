//! Labels that a whole group or site lacks: probably not drawn there, and not absent from all of its subjects.
use std::collections::BTreeMap;
use std::fmt;

use dicewise_data::check::{CaseSummary, CheckReport};
use serde::Serialize;

/// Fewer cases than this say nothing about a group.
const LEAST_CASES: usize = 2;

/// A label that is empty in every case of a group, though declared annotated, and is drawn in others.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct LooksMissing<'a> {
    pub(super) label: &'a str,
    #[serde(flatten)]
    pub(super) origin: Origin<'a>,
    /// The cases in which to declare it missing, if it was not drawn there.
    pub(super) cases: Vec<&'a str>,
}

/// What cases have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Origin<'a> {
    /// A group of the layout.
    Group(&'a str),
    /// What their names begin with: datasets of several sites are often numbered within each.
    Site(&'a str),
}

impl<'a> Origin<'a> {
    fn of(case: &'a CaseSummary) -> Self {
        let number = |c: char| c.is_ascii_digit() || c == '_' || c == '-';
        case.group.as_deref().map_or_else(|| Self::Site(case.id.trim_end_matches(number)), Self::Group)
    }
}

/// All of them, by label and origin.
pub(super) fn of_report(report: &CheckReport) -> Vec<LooksMissing<'_>> {
    let foreground = report.labels.iter().enumerate().filter(|(_, label)| label.label.value != 0);
    foreground.flat_map(|(index, label)| of_label(report, index, &label.label.name)).collect()
}

fn of_label<'a>(report: &'a CheckReport, index: usize, label: &'a str) -> Vec<LooksMissing<'a>> {
    let mut origins: BTreeMap<Origin<'_>, (Vec<&str>, bool)> = BTreeMap::new();
    for case in &report.cases {
        let Some(size) = case.labels.as_ref().map(|sizes| sizes[index]) else { continue };
        if size.annotated {
            let (cases, drawn) = origins.entry(Origin::of(case)).or_default();
            cases.push(&case.id);
            *drawn |= size.voxels > 0;
        }
    }
    // A label that nobody has is reported as never seen.
    if !origins.values().any(|(_, drawn)| *drawn) {
        return Vec::new();
    }
    let lacks = |(_, (cases, drawn)): &(Origin<'_>, (Vec<&str>, bool))| !drawn && cases.len() >= LEAST_CASES;
    let found = origins.into_iter().filter(lacks);
    found.map(|(origin, (cases, _))| LooksMissing { label, origin, cases }).collect()
}

impl fmt::Display for LooksMissing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { label, origin, cases } = self;
        write!(
            f,
            "Label {label} is empty in all {} cases of {origin} and not in the others: was it drawn there?",
            cases.len()
        )
    }
}

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(name) => write!(f, "group {name}"),
            Self::Site(prefix) => write!(f, "site {prefix} (by name)"),
        }
    }
}

/// The lines of a `presence.csv` that declares these labels missing, besides what is declared already.
pub(super) fn declaration(report: &CheckReport, suspects: &[LooksMissing<'_>]) -> Vec<String> {
    let foreground = || report.labels.iter().enumerate().filter(|(_, label)| label.label.value != 0);
    let names: Vec<&str> = foreground().map(|(_, label)| label.label.name.as_str()).collect();
    let mut lines = vec![format!("case,{}", names.join(","))];
    for case in &report.cases {
        let suspected = |label: &str| {
            suspects.iter().any(|suspect| suspect.label == label && suspect.cases.contains(&&*case.id))
        };
        let words: Vec<&str> = foreground()
            .map(|(index, label)| {
                let declared = case.labels.as_ref().is_some_and(|sizes| !sizes[index].annotated);
                if declared || suspected(&label.label.name) { "missing" } else { "annotated" }
            })
            .collect();
        if words.contains(&"missing") {
            lines.push(format!("{},{}", case.id, words.join(",")));
        }
    }
    lines
}
