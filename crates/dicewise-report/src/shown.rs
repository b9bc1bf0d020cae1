//! Which cases the qualitative figures show.

use std::collections::{BTreeMap, BTreeSet};

use crate::table1::mean;
use crate::{CaseScore, ShownCase};

/// The worst, the median and the best case of every group, by the mean DSC of one label under full labels (under all
/// labellings where there is none): how hard a case is, whatever its labels were.
///
/// Only the first seed and its held-out folds count. Groups with fewer than three cases show all they have.
pub fn representative_cases(scores: &[CaseScore], label: &str, groups: &[String]) -> Vec<ShownCase> {
    let seed = scores.iter().map(|score| score.seed).min();
    let of_label = || scores.iter().filter(|s| s.label == label && Some(s.seed) == seed);
    let full = of_label().any(|score| score.labelling == "full");
    let counted = || of_label().filter(|score| !full || score.labelling == "full");
    let mut shown = Vec::new();
    for group in groups {
        let mut by_case: BTreeMap<&str, (usize, Vec<f64>)> = BTreeMap::new();
        for score in counted().filter(|score| score.group == *group) {
            let (_, values) = by_case.entry(&score.case).or_insert((score.fold, Vec::new()));
            values.extend(score.dsc);
        }
        let mut ranked: Vec<(f64, &str, usize)> = by_case
            .iter()
            .filter_map(|(case, (fold, values))| Some((mean(values.iter().copied())?, *case, *fold)))
            .collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(b.1)));
        let Some(last) = ranked.len().checked_sub(1) else { continue };
        let mut taken = BTreeSet::new();
        for (rank, place) in [("median", last / 2), ("worst", 0), ("best", last)] {
            let (_, case, fold) = ranked[place];
            if taken.insert(case) {
                shown.push(ShownCase { case: case.into(), group: group.clone(), rank: rank.into(), fold });
            }
        }
    }
    shown
}
