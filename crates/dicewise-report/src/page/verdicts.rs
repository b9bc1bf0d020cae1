//! What happened, in words.

use crate::{RecordedPartial, Table1, Table1Row};

/// Below this share of the DSC with full labels a structure is lost.
const LOST_BELOW: f64 = 0.5;

/// What a cell's networks did with the maps that had no label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// They segment the structure as with full labels.
    Ignored,
    /// They segment it clearly worse.
    InBetween,
    /// They no longer find it.
    Learnt,
}

/// One sentence on one cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Setting and batch size.
    pub cell: String,
    /// The verdict.
    pub outcome: Outcome,
    /// The numbers that it rests on.
    pub evidence: String,
}

/// One finding for each cell trained on partial labels that has a full-label reference: by the DSC of the unlabelled
/// structure in the group that lacked its label.
///
/// Ignored: not unexpectedly low ([`Table1Row::is_unexpectedly_low`]). Learnt: unexpectedly low, and below half of the
/// reference's mean. In between: what remains.
pub fn findings(table: &Table1, partial: &RecordedPartial) -> Vec<Finding> {
    let of_interest = |row: &&Table1Row| row.group == partial.group && row.label == partial.label;
    table.rows().iter().filter(of_interest).filter_map(finding).collect()
}

fn finding(row: &Table1Row) -> Option<Finding> {
    let (comparison, dsc) = (row.comparison.as_ref()?, row.dsc_mean?);
    // On the subjects that both have.
    let reference = dsc - comparison.mean_difference;
    let outcome = match row.is_unexpectedly_low() {
        false => Outcome::Ignored,
        true if dsc < LOST_BELOW * reference => Outcome::Learnt,
        true => Outcome::InBetween,
    };
    let p = match comparison.p_value {
        p if p < 0.001 => "p < 0.001".to_owned(),
        p => format!("p = {p:.3}"),
    };
    Some(Finding {
        cell: format!("{}, B = {}", row.cell.setting, row.cell.batch_size),
        outcome,
        evidence: format!(
            "DSC of {} in {} {dsc:.3}, with full labels {reference:.3} ({p}, {} subjects)",
            row.label, row.group, comparison.n
        ),
    })
}
