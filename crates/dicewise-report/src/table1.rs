//! Table 1: mean DSC and ΔV of every cell, group and label, each compared with its full-label reference.

use std::collections::BTreeMap;
use std::path::Path;

use dicewise_eval::{PairedDifferences, Resampling, paired_bootstrap};

use crate::case_score::to_csv;
use crate::comparison::{ByCase, pair_subjects};
use crate::{CaseScore, Cell, CellOrder, Measure, ReportError, write_atomically};

/// How Table 1 is computed and arranged.
#[derive(Clone, Debug)]
pub struct Table1Options {
    /// Order of groups, settings and labellings.
    pub order: CellOrder,
    /// Labelling of the reference cells.
    pub reference_labelling: String,
    /// Setting compared with where a setting was not run with full labels, as leaf and marginal Dice.
    pub reference_setting: String,
    /// Resamples of the bootstrap test.
    pub resampling: Resampling,
}

impl Table1Options {
    /// References are `full` cells, `full` `I` for a setting that has none; 100,000 resamples from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            order: CellOrder::default(),
            reference_labelling: "full".into(),
            reference_setting: "I".into(),
            resampling: Resampling::seeded(seed),
        }
    }
}

/// A mean DSC this much below its reference, with [`SIGNIFICANT`] p, is marked.
pub(crate) const LOW_BY: f64 = 0.05;
/// p-values below this are called significant.
pub(crate) const SIGNIFICANT: f64 = 0.05;

/// Mean scores of one cell, group and label.
#[derive(Clone, Debug, PartialEq)]
pub struct Table1Row {
    /// The cell.
    pub cell: Cell,
    /// Group of cases.
    pub group: String,
    /// Scored structure.
    pub label: String,
    /// Cases scored, of all folds.
    pub n: usize,
    /// DSC of every case that has one, in the order of the cases' names.
    pub dsc_of_cases: Vec<f64>,
    /// Mean of [`Self::dsc_of_cases`].
    pub dsc_mean: Option<f64>,
    /// Prediction − target of every case in ml, in the order of the cases' names.
    pub volume_differences_ml: Vec<f64>,
    /// Mean of prediction − target over the cases, in ml.
    pub volume_difference_ml_mean: f64,
    /// Comparison with the full-label reference, where there is one that shares two subjects or more.
    pub comparison: Option<Comparison>,
}

impl Table1Row {
    /// Whether the DSC is more than 0.05 below its full-label reference with p < 0.05.
    pub fn is_unexpectedly_low(&self) -> bool {
        self.comparison.as_ref().is_some_and(|c| c.mean_difference < -LOW_BY && c.p_value < SIGNIFICANT)
    }
}

/// A cell against its full-label reference, on the subjects that both have.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The reference.
    pub reference: Cell,
    /// Subjects that both cells scored.
    pub n: usize,
    /// Mean over these subjects of DSC − DSC of the reference.
    pub mean_difference: f64,
    /// Two-sided p-value of the paired bootstrap.
    pub p_value: f64,
}

/// Table 1 of an experiment.
///
/// Seeds (and folds, if a case was left out in several) of one case are averaged first, so that a mean is over cases
/// and a case counts once. For the p-value, scores are paired by seed, fold, case and label, averaged per case, then
/// per subject, and the bootstrap draws subjects: several seeds or cases of one subject are not independent.
#[derive(Clone, Debug)]
pub struct Table1 {
    pub(crate) rows: Vec<Table1Row>,
    pub(crate) options: Table1Options,
}

impl Table1 {
    /// Tabulates the scores of an experiment.
    pub fn new(scores: &[CaseScore], options: Table1Options) -> Result<Self, ReportError> {
        let mut strata: BTreeMap<(&str, &str), BTreeMap<Cell, ByCase>> = BTreeMap::new();
        for score in scores {
            score.check()?;
            let cells = strata.entry((&score.group, &score.label)).or_default();
            let by_case = cells.entry(Cell::of(score)).or_default();
            let runs = by_case.entry(&score.case).or_default();
            if runs.insert((score.seed, score.fold), score).is_some() {
                return Err(ReportError::ScoredTwice { score: score.describe() });
            }
        }
        let mut rows = Vec::new();
        for ((group, label), cells) in &strata {
            for (cell, by_case) in cells {
                let comparison = reference(cell, cells.keys(), &options)
                    .and_then(|reference| compare(by_case, reference, &cells[reference], options.resampling));
                rows.push(row(cell, group, label, by_case, comparison));
            }
        }
        rows.sort_by(|a, b| options.order.of_row(a).cmp(&options.order.of_row(b)));
        Ok(Self { rows, options })
    }

    /// The rows, in the order of [`Table1Options::order`].
    pub fn rows(&self) -> &[Table1Row] {
        &self.rows
    }

    /// Writes `table1.csv`.
    pub fn write_csv(&self, path: &Path) -> Result<(), ReportError> {
        const HEADER: [&str; 9] = [
            "labelling",
            "setting",
            "batch_size",
            "group",
            "label",
            "n",
            "dsc_mean",
            "volume_difference_ml_mean",
            "p_value_vs_full",
        ];
        let or_empty = |value: Option<f64>| value.map_or_else(String::new, |v| v.to_string());
        let record = |row: &Table1Row| {
            [
                row.cell.labelling.clone(),
                row.cell.setting.clone(),
                row.cell.batch_size.to_string(),
                row.group.clone(),
                row.label.clone(),
                row.n.to_string(),
                or_empty(row.dsc_mean),
                row.volume_difference_ml_mean.to_string(),
                or_empty(row.comparison.as_ref().map(|c| c.p_value)),
            ]
        };
        write_atomically(path, &to_csv(HEADER, self.rows.iter().map(record)))
    }
}

/// The full-label cell to compare with: same setting, else the reference setting; same batch size, else the nearest.
fn reference<'a>(
    cell: &Cell,
    cells: impl Iterator<Item = &'a Cell> + Clone,
    options: &Table1Options,
) -> Option<&'a Cell> {
    if cell.labelling == options.reference_labelling {
        return None;
    }
    let nearest = |setting: &str| {
        cells
            .clone()
            .filter(|c| c.labelling == options.reference_labelling && c.setting == setting)
            // The smaller one of two that are equally near.
            .min_by_key(|c| (c.batch_size.abs_diff(cell.batch_size), c.batch_size))
    };
    nearest(&cell.setting).or_else(|| nearest(&options.reference_setting))
}

fn compare(cell: &ByCase, name: &Cell, reference: &ByCase, resampling: Resampling) -> Option<Comparison> {
    let (left, right): (Vec<f64>, Vec<f64>) =
        pair_subjects(cell, reference, Measure::Dsc).into_values().unzip();
    // The scores were checked, so only too few subjects can be refused: then there is no comparison.
    let test = paired_bootstrap(&PairedDifferences::new(&left, &right).ok()?, resampling);
    Some(Comparison {
        reference: name.clone(),
        n: test.n,
        mean_difference: test.mean_difference,
        p_value: test.p_value,
    })
}

fn row(cell: &Cell, group: &str, label: &str, by_case: &ByCase, comparison: Option<Comparison>) -> Table1Row {
    let dscs: Vec<f64> =
        by_case.values().filter_map(|runs| mean(runs.values().filter_map(|s| s.dsc))).collect();
    let volume_differences: Vec<f64> = by_case
        .values()
        .filter_map(|runs| mean(runs.values().map(|score| score.volume_difference_ml)))
        .collect();
    Table1Row {
        cell: cell.clone(),
        group: group.into(),
        label: label.into(),
        n: by_case.len(),
        dsc_mean: mean(dscs.iter().copied()),
        dsc_of_cases: dscs,
        volume_difference_ml_mean: mean(volume_differences.iter().copied())
            .expect("a stratum has at least one case"),
        volume_differences_ml: volume_differences,
        comparison,
    }
}

/// Mean; `None` of nothing.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (n, sum) = values.fold((0usize, 0.0), |(n, sum), value| (n + 1, sum + value));
    (n > 0).then(|| sum / n as f64)
}
