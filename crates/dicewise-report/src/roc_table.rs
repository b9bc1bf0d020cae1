//! `roc.csv`: how well the predicted volume gives away the always-labelled group, the numbers of Figure 2.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use dicewise_eval::Roc;

use crate::case_score::to_csv;
use crate::table1::mean;
use crate::{CaseScore, Cell, CellOrder, ReportError, write_atomically};

/// Detection of one group by the predicted volume of one label.
#[derive(Clone, Debug, PartialEq)]
pub struct RocRow {
    /// The cell.
    pub cell: Cell,
    /// Structure whose volume is the score.
    pub label: String,
    /// Group that counts as positive.
    pub positive_group: String,
    /// Area under the exact ROC, the mean over seeds; `None` where no seed has cases of both groups.
    pub auc: Option<f64>,
}

/// Volumes of the positive and of the other groups.
pub(crate) type Volumes = (Vec<f64>, Vec<f64>);

/// AUC of telling `positive_group` (the always-labelled one in the paper) from all other groups by predicted volume.
///
/// The folds of a seed make one ROC, as in the paper, since every case is left out once; seeds make one ROC each.
///
/// # Errors
/// [`ReportError::UnknownGroup`] if no case belongs to `positive_group`.
pub fn roc_table(
    scores: &[CaseScore],
    positive_group: &str,
    order: &CellOrder,
) -> Result<Vec<RocRow>, ReportError> {
    let strata = volumes_by_seed(scores, positive_group)?;
    let mut rows: Vec<RocRow> = strata
        .into_iter()
        .map(|((cell, label), by_seed)| {
            // Volumes are finite, so only a seed without one of the groups has no ROC.
            let aucs = by_seed.values().filter_map(|(p, n)| Roc::new(p, n).ok()).map(|roc| roc.auc());
            RocRow { auc: mean(aucs), cell, label: label.into(), positive_group: positive_group.into() }
        })
        .collect();
    rows.sort_by(|a, b| (order.of_cell(&a.cell), &a.label).cmp(&(order.of_cell(&b.cell), &b.label)));
    Ok(rows)
}

/// Predicted volumes of both groups, of each cell and label, by seed.
pub(crate) fn volumes_by_seed<'a>(
    scores: &'a [CaseScore],
    positive_group: &str,
) -> Result<BTreeMap<(Cell, &'a str), BTreeMap<u64, Volumes>>, ReportError> {
    if !scores.is_empty() && scores.iter().all(|score| score.group != positive_group) {
        let found: BTreeSet<String> = scores.iter().map(|score| score.group.clone()).collect();
        let found = found.into_iter().collect();
        return Err(ReportError::UnknownGroup { group: positive_group.into(), found });
    }
    let mut strata: BTreeMap<(Cell, &str), BTreeMap<u64, Volumes>> = BTreeMap::new();
    for score in scores {
        score.check()?;
        let by_seed = strata.entry((Cell::of(score), &score.label)).or_default();
        let (positives, negatives) = by_seed.entry(score.seed).or_default();
        let volumes = if score.group == positive_group { positives } else { negatives };
        volumes.push(score.predicted_volume_ml);
    }
    Ok(strata)
}

/// Writes `roc.csv`.
pub fn write_roc(path: &Path, rows: &[RocRow]) -> Result<(), ReportError> {
    let record = |row: &RocRow| {
        [
            row.cell.labelling.clone(),
            row.cell.setting.clone(),
            row.cell.batch_size.to_string(),
            row.label.clone(),
            row.positive_group.clone(),
            row.auc.map_or_else(String::new, |auc| auc.to_string()),
        ]
    };
    let header = ["labelling", "setting", "batch_size", "label", "positive_group", "auc"];
    write_atomically(path, &to_csv(header, rows.iter().map(record)))
}
