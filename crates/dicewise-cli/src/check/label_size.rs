//! How large each label is over the cases, and where it is missing or empty.
use std::collections::BTreeMap;

use dicewise_data::check::{CheckReport, LabelSize, LabelSummary};
use serde::Serialize;

/// One label over all cases that could be read.
#[derive(Serialize)]
pub(super) struct LabelSizes<'a> {
    /// Name, value, annotated, empty, and the mean size: ε of I_eps for whole volumes.
    #[serde(flatten)]
    pub(super) summary: &'a LabelSummary,
    /// Cases in which it is declared missing.
    pub(super) missing: usize,
    /// Of its size in voxels over the annotated cases.
    pub(super) voxels: Option<Spread>,
    /// Of its size in millilitres over the annotated cases.
    pub(super) ml: Option<Spread>,
    /// Annotated cases of each group, and how many of them are empty.
    pub(super) groups: BTreeMap<&'a str, GroupCount>,
}

/// How sizes differ between cases.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    /// Standard deviation, of a sample; None for a single case.
    pub(super) standard_deviation: Option<f64>,
    pub(super) min: f64,
    pub(super) max: f64,
}

/// How often a label is annotated in a group, and empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct GroupCount {
    pub(super) annotated: usize,
    pub(super) empty: usize,
}

/// All labels, background included.
pub(super) fn of_report(report: &CheckReport) -> Vec<LabelSizes<'_>> {
    report.labels.iter().enumerate().map(|(index, summary)| of_label(report, index, summary)).collect()
}

fn of_label<'a>(report: &'a CheckReport, index: usize, summary: &'a LabelSummary) -> LabelSizes<'a> {
    let sizes = || report.cases.iter().filter_map(move |case| Some((case, case.labels.as_ref()?[index])));
    let annotated: Vec<LabelSize> = sizes().map(|(_, size)| size).filter(|size| size.annotated).collect();
    let mut groups: BTreeMap<&str, GroupCount> = BTreeMap::new();
    for (case, size) in sizes().filter(|(_, size)| size.annotated) {
        if let Some(group) = &case.group {
            let count = groups.entry(group).or_default();
            count.annotated += 1;
            count.empty += usize::from(size.voxels == 0);
        }
    }
    LabelSizes {
        summary,
        missing: sizes().filter(|(_, size)| !size.annotated).count(),
        voxels: Spread::of(annotated.iter().map(|size| size.voxels as f64).collect()),
        ml: Spread::of(annotated.iter().map(|size| size.ml).collect()),
        groups,
    }
}

impl Spread {
    /// None without values.
    fn of(values: Vec<f64>) -> Option<Self> {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        (!values.is_empty()).then(|| Self {
            standard_deviation: (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt()),
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2, 4, 9: mean 5, squares 9 + 1 + 16 = 26, over n − 1 = 2.
    #[test]
    fn the_standard_deviation_is_that_of_a_sample() {
        let spread = Spread::of(vec![4.0, 9.0, 2.0]).unwrap();
        assert_eq!(spread, Spread { standard_deviation: Some(13_f64.sqrt()), min: 2.0, max: 9.0 });
        assert_eq!(Spread::of(vec![3.0]).unwrap().standard_deviation, None);
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
