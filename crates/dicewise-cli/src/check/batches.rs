//! What batch-wise Dice gets to see: how often a batch has none of a label, and how often an empty map has company.
use serde::Serialize;

use super::label_size::LabelSizes;

/// Batch sizes that are looked at.
const SIZES: [usize; 4] = [1, 2, 4, 8];

/// The chances of one label, for batches of distinct cases drawn at random.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct LabelBatches<'a> {
    pub(super) label: &'a str,
    /// Cases, and those of them that have the label.
    pub(super) cases: usize,
    pub(super) positive: usize,
    pub(super) chances: Vec<Chances>,
}

/// With batches of one size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Chances {
    pub(super) batch_size: usize,
    /// Probability that no case of a batch has the label.
    pub(super) no_positive: f64,
    /// Probability that a case without the label shares its batch with one that has it: then BI pushes its map towards empty.
    pub(super) empty_with_positive: f64,
}

/// Of every label that some cases have and others do not.
pub(super) fn of<'a>(labels: &[LabelSizes<'a>]) -> Vec<LabelBatches<'a>> {
    let foreground = labels.iter().filter(|label| label.summary.label.value != 0);
    foreground
        .filter_map(|label| {
            let cases = label.summary.annotated + label.missing;
            let positive = label.summary.annotated - label.summary.empty;
            (0 < positive && positive < cases).then(|| LabelBatches {
                label: &label.summary.label.name,
                cases,
                positive,
                chances: SIZES
                    .iter()
                    .filter(|&&b| b <= cases)
                    .map(|&b| chances(cases, positive, b))
                    .collect(),
            })
        })
        .collect()
}

fn chances(cases: usize, positive: usize, batch_size: usize) -> Chances {
    Chances {
        batch_size,
        no_positive: none_of(cases, positive, batch_size),
        empty_with_positive: 1.0 - none_of(cases - 1, positive, batch_size - 1),
    }
}

/// The probability that `drawn` of `cases` cases, drawn without putting back, have none of the `positive` ones:
/// C(N − K, n) / C(N, n) of the hypergeometric distribution.
fn none_of(cases: usize, positive: usize, drawn: usize) -> f64 {
    let negative = cases - positive;
    (0..drawn).map(|i| negative.saturating_sub(i) as f64 / (cases - i) as f64).product()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every batch of 2 and 3 of 7 cases, the first two of which have the label, written out.
    #[test]
    fn chances_are_those_of_all_batches_there_are() {
        let batches = |size: u32| (0_u32..128).filter(move |batch| batch.count_ones() == size);
        for size in [1, 2, 3] {
            let (mut all, mut none, mut maps, mut with) = (0.0, 0.0, 0.0, 0.0);
            for batch in batches(size) {
                let positives = (batch & 0b11).count_ones();
                all += 1.0;
                none += f64::from(u8::from(positives == 0));
                maps += f64::from(size - positives);
                with += if positives > 0 { f64::from(size - positives) } else { 0.0 };
            }
            let found = chances(7, 2, size as usize);
            assert!((found.no_positive - none / all).abs() < 1e-12, "{found:?}");
            assert!((found.empty_with_positive - with / maps).abs() < 1e-12, "{found:?}");
        }
        assert_eq!(chances(5, 4, 3).no_positive, 0.0);
    }
}
