//! What happened, in words.

use super::Report;
use crate::html::{Page, escape};
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

impl Report<'_> {
    pub(super) fn push_verdicts(&self, page: &mut Page) {
        page.push("<h2 id=\"verdicts\">What happened</h2>\n");
        let Some(partial) = &self.record.partial else {
            page.push("<p>All networks were trained with all labels: nothing was missing or emptied.</p>\n");
            return;
        };
        page.push(&format!(
            "<p>Under partial labelling, the training images of group <b>{}</b> had no label <b>{}</b>, although the \
             structure is there. Did the networks ignore these maps, or learn that there is nothing?</p>\n",
            escape(&partial.group),
            escape(&partial.label)
        ));
        let findings = findings(&self.table, partial);
        if findings.is_empty() {
            page.push(
                "<p>No cell with partial labels has a cell with full labels to be compared with.</p>\n",
            );
            return;
        }
        page.push("<ul class=\"verdicts\">\n");
        for finding in &findings {
            let (class, verb) = match finding.outcome {
                Outcome::Ignored => ("ignores", "ignores the maps without a label"),
                Outcome::InBetween => ("between", "is in between"),
                Outcome::Learnt => ("learns", "learns that there is nothing"),
            };
            page.push(&format!(
                "<li class=\"{class}\"><strong>{} <b>{verb}</b></strong><span>{}</span></li>\n",
                escape(&finding.cell),
                escape(&finding.evidence)
            ));
        }
        page.push("</ul>\n");
        let word = |outcome| findings.iter().filter(|f| f.outcome == outcome).count();
        page.push(&format!(
            "<p class=\"facts\">{} ignore, {} in between, {} learn. Learnt: the DSC of the unlabelled structure is \
             unexpectedly low (Table 1) and below half of that with full labels. Ignored: it is not unexpectedly \
             low.</p>\n",
            word(Outcome::Ignored),
            word(Outcome::InBetween),
            word(Outcome::Learnt)
        ));
    }
}
