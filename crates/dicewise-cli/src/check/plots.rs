//! Labels over the cases as small plots: in how many they are drawn, and how large.
use super::Findings;
use super::label_size::LabelSizes;
use crate::table::Table;
use crate::terminal::{Reader, Tone};

/// Columns of a histogram of sizes.
const BINS: usize = 16;

/// One row a label.
pub(super) fn of(findings: &Findings<'_>, reader: Reader) -> String {
    let signs = if reader.width.is_some() { ['█', '░', '·'] } else { ['#', '-', '.'] };
    let [drawn, empty, missing] = signs;
    // What stands beside the bars takes about sixty columns.
    let columns = reader.plot_width().saturating_sub(60).clamp(12, 40);
    let header = format!("{drawn} drawn {empty} empty {missing} missing");
    let mut table = Table::new(["label", header.as_str(), ">smallest", "cases by size", "largest"]);
    for (index, label) in findings.labels.iter().enumerate() {
        if label.summary.label.value == 0 {
            continue;
        }
        let sizes = drawn_sizes(findings, index);
        let (least, most) = (sizes.iter().min(), sizes.iter().max());
        let text = |size: Option<&usize>| size.map_or("–".to_owned(), usize::to_string);
        let histogram = match (least, most) {
            (Some(&least), Some(&most)) => reader.histogram(&counts(&sizes, least, most)),
            _ => String::new(),
        };
        table.row(vec![
            label.summary.label.name.clone(),
            states(label, sizes.len(), columns, signs),
            text(least),
            histogram,
            text(most),
        ]);
    }
    let title = reader.paint(Tone::Strong, "Labels over the cases, sizes in voxels");
    format!("\n{title}\n{}", table.fitted(reader))
}

/// Voxels of the label in each case that has it.
fn drawn_sizes(findings: &Findings<'_>, index: usize) -> Vec<usize> {
    let sizes = findings.cases.iter().filter_map(|case| Some(case.labels.as_ref()?[index]));
    sizes.filter(|size| size.annotated && size.voxels > 0).map(|size| size.voxels).collect()
}

/// Cases in each of the equal ranges between the smallest and the largest.
fn counts(sizes: &[usize], least: usize, most: usize) -> Vec<usize> {
    let mut counts = vec![0; if least == most { 1 } else { BINS }];
    for &size in sizes {
        let place = (size - least) as f64 / (most - least).max(1) as f64 * counts.len() as f64;
        let last = counts.len() - 1;
        counts[(place as usize).min(last)] += 1;
    }
    counts
}

/// A bar in three parts. Whatever there is can be seen, were it one case of a thousand.
fn states(label: &LabelSizes<'_>, drawn: usize, columns: usize, signs: [char; 3]) -> String {
    let cases = [drawn, label.summary.empty, label.missing];
    signs.iter().zip(parts(cases, columns)).map(|(sign, part)| sign.to_string().repeat(part)).collect()
}

/// Columns in proportion, all of them together, at least one for what is not 0.
fn parts(cases: [usize; 3], columns: usize) -> [usize; 3] {
    let all: usize = cases.iter().sum();
    let mut parts = cases.map(|n| if n == 0 { 0 } else { (n * columns / all).max(1) });
    if let Some(largest) = (0..3).filter(|_| all > 0).max_by_key(|&i| cases[i]) {
        let others: usize = parts.iter().sum::<usize>() - parts[largest];
        parts[largest] = columns - others;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_full_and_hide_nothing() {
        assert_eq!(parts([3, 0, 0], 12), [12, 0, 0]);
        assert_eq!(parts([2, 1, 1], 12), [6, 3, 3]);
        assert_eq!(parts([998, 1, 1], 12), [10, 1, 1]);
        assert_eq!(parts([0, 0, 0], 12), [0, 0, 0]);
    }

    /// Sixteen ranges of 10 between 0 and 160; the largest belongs to the last.
    #[test]
    fn sizes_are_counted_in_equal_ranges() {
        let found = counts(&[0, 9, 10, 159, 160], 0, 160);
        assert_eq!((found[0], found[1], found[15]), (2, 1, 2));
        assert_eq!(counts(&[7, 7], 7, 7), [2]);
    }
}
