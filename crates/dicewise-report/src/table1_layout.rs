//! The paper's arrangement of Table 1: a row for labelling and B, a block of columns for DSC and ΔV of every group.

use std::collections::BTreeSet;

use crate::table1::{LOW_BY, SIGNIFICANT};
use crate::{Comparison, Table1, Table1Row};

/// Marks a DSC that is unexpectedly low.
pub(crate) const LOW: &str = "▼";
/// Stands where a cell was not run.
pub(crate) const NOT_RUN: &str = "–";

/// Stands where a cell was scored but no case has a DSC.
pub(crate) const UNDEFINED: &str = "n/a";

/// The table of one label.
pub(crate) struct Layout<'a> {
    pub(crate) label: &'a str,
    /// Labelling and batch size of each row.
    pub(crate) rows: Vec<(&'a str, usize)>,
    /// One block for each metric and group: all DSC first, then all ΔV.
    pub(crate) blocks: Vec<Block<'a>>,
    /// Cases of each group: the most that any cell has.
    pub(crate) group_sizes: Vec<(&'a str, usize)>,
}

/// The columns of one metric and group, one for each setting.
pub(crate) struct Block<'a> {
    pub(crate) metric: Metric,
    pub(crate) group: &'a str,
    pub(crate) settings: Vec<&'a str>,
    /// `[row][setting]`
    pub(crate) entries: Vec<Vec<Entry>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metric {
    Dsc,
    VolumeDifference,
}

impl Metric {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Dsc => "DSC",
            Self::VolumeDifference => "ΔV",
        }
    }
}

/// Text of one entry and whether it should stand out.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) text: String,
    pub(crate) low: bool,
}

impl Table1 {
    /// One layout for each label.
    pub(crate) fn layouts(&self) -> Vec<Layout<'_>> {
        let labels: BTreeSet<&str> = self.rows.iter().map(|row| row.label.as_str()).collect();
        labels.into_iter().map(|label| self.layout(label)).collect()
    }

    fn layout<'a>(&'a self, label: &'a str) -> Layout<'a> {
        let order = &self.options.order;
        let of_label = || self.rows.iter().filter(|row| row.label == label);
        let rows: BTreeSet<_> =
            of_label().map(|r| (order.of_labelling(&r.cell.labelling), r.cell.batch_size)).collect();
        let rows: Vec<_> =
            rows.into_iter().map(|((_, labelling), batch_size)| (labelling, batch_size)).collect();
        let settings: BTreeSet<_> = of_label().map(|r| order.of_setting(&r.cell.setting)).collect();
        let settings: Vec<_> = settings.into_iter().map(|(_, setting)| setting).collect();
        let groups: BTreeSet<_> = of_label().map(|r| order.of_group(&r.group)).collect();
        let largest = |group| of_label().filter(|r| r.group == group).map(|r| r.n).max().unwrap_or(0);
        let group_sizes: Vec<_> = groups.into_iter().map(|(_, group)| (group, largest(group))).collect();

        let decimals = volume_decimals(of_label());
        let find = |labelling: &str, batch_size, setting: &str, group: &str| {
            of_label().find(|r| {
                let cell = &r.cell;
                (cell.labelling == labelling && cell.batch_size == batch_size)
                    && (cell.setting == setting && r.group == group)
            })
        };
        let mut blocks = Vec::new();
        for metric in [Metric::Dsc, Metric::VolumeDifference] {
            for &(group, n) in &group_sizes {
                let row_of = |&(labelling, batch_size)| {
                    let entry = |setting: &&str| {
                        entry(metric, find(labelling, batch_size, setting, group), n, decimals)
                    };
                    settings.iter().map(entry).collect()
                };
                let entries = rows.iter().map(row_of).collect();
                blocks.push(Block { metric, group, settings: settings.clone(), entries });
            }
        }
        Layout { label, rows, blocks, group_sizes }
    }

    /// What the reader of the table has to know, one sentence or two each.
    pub(crate) fn legend(&self) -> Vec<String> {
        let Self { rows, options } = self;
        let mut legend = vec![
            "DSC and ΔV (prediction − target, ml) are means over the cases of all folds; several seeds of a case are \
             averaged first."
                .to_owned(),
        ];
        if rows.iter().any(|row| row.comparison.is_some()) {
            legend.push(format!(
                "{LOW} DSC unexpectedly low: more than {LOW_BY} below the {full} cell of the same setting and B (else \
                 the nearest B, else {full} {setting}) with p < {SIGNIFICANT}, two-sided paired bootstrap over subjects, \
                 {n} resamples, seed {seed}.",
                full = options.reference_labelling,
                setting = options.reference_setting,
                n = options.resampling.iterations(),
                seed = options.resampling.seed(),
            ));
        }
        let mut elsewhere: Vec<String> = Vec::new();
        for row in rows {
            let Some(Comparison { reference, .. }) = &row.comparison else { continue };
            let sentence = format!("{} → {reference}", row.cell);
            let same = reference.setting == row.cell.setting && reference.batch_size == row.cell.batch_size;
            if !same && !elsewhere.contains(&sentence) {
                elsewhere.push(sentence);
            }
        }
        if !elsewhere.is_empty() {
            legend.push(format!("Compared with another cell: {}.", elsewhere.join("; ")));
        }
        let layouts = self.layouts();
        let shown = |mark: fn(&Entry) -> bool| layouts.iter().flat_map(Layout::entries).any(mark);
        if shown(|entry| entry.text.ends_with(')')) {
            legend.push(
                "(n) mean over n cases only: the others were not scored, or have no defined DSC.".to_owned(),
            );
        }
        if shown(|entry| entry.text == UNDEFINED) {
            legend.push(format!("{UNDEFINED} no case has a defined DSC."));
        }
        if shown(|entry| entry.text == NOT_RUN) {
            legend.push(format!("{NOT_RUN} not run."));
        }
        legend
    }
}

impl Layout<'_> {
    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.blocks.iter().flat_map(|block| block.entries.iter().flatten())
    }
}

/// One entry; `n` is the number of cases that needs no mention.
fn entry(metric: Metric, row: Option<&Table1Row>, n: usize, decimals: usize) -> Entry {
    let Some(row) = row else { return Entry { text: NOT_RUN.into(), low: false } };
    let (value, cases) = match metric {
        Metric::Dsc => (row.dsc_mean.map(|dsc| format!("{dsc:.3}")), row.dsc_of_cases.len()),
        Metric::VolumeDifference => (Some(signed(row.volume_difference_ml_mean, decimals)), row.n),
    };
    let low = metric == Metric::Dsc && row.is_unexpectedly_low();
    let Some(mut text) = value else { return Entry { text: UNDEFINED.into(), low } };
    if low {
        text = format!("{LOW} {text}");
    }
    if cases < n {
        text = format!("{text} ({cases})");
    }
    Entry { text, low }
}

/// Decimals that show three digits of the largest ΔV, at most 3.
fn volume_decimals<'a>(rows: impl Iterator<Item = &'a Table1Row>) -> usize {
    match rows.map(|row| row.volume_difference_ml_mean.abs()).fold(0.0, f64::max) {
        largest if largest >= 100.0 => 0,
        largest if largest >= 10.0 => 1,
        largest if largest >= 1.0 => 2,
        _ => 3,
    }
}

/// A number with a true minus sign, and none on a rounded zero.
fn signed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(digits) if digits.chars().all(|c| c == '0' || c == '.') => digits.to_owned(),
        Some(digits) => format!("−{digits}"),
        None => text,
    }
}
