//! The dot figure: marks stand where the numbers are.

mod scores;

use dicewise_report::*;
use scores::{experiment, score};

/// Mean row of the pixels of exactly `colour` in one PNG, above the legend (the lowest 40 rows).
fn rows_of(png: &[u8], colour: Colour) -> Vec<usize> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut rgb).unwrap();
    let width = info.width as usize * 3;
    let plot = rgb.chunks(width).take(info.height as usize - 40);
    plot.enumerate().filter(|(_, row)| row.chunks(3).any(|pixel| pixel == colour.0)).map(|(y, _)| y).collect()
}

fn table(scores: &[CaseScore]) -> Table1 {
    let mut options = Table1Options::new(0);
    options.order.groups = vec!["G1".into()];
    Table1::new(scores, options).unwrap()
}

#[test]
fn the_bar_stands_at_the_mean() {
    // The plot spans DSC 1 at row 44 to DSC 0 at row 44 + 280; dots are translucent, only the bar has the full colour.
    let scores = [score("full", "I", 2, "G1", "a", 0.5), score("full", "I", 2, "G1", "b", 1.0)];
    let rows = rows_of(&table(&scores).dsc_figure("whole").unwrap(), Colour::BLUE);
    let expected = 44 + 70;
    assert!(!rows.is_empty() && rows.iter().all(|row| row.abs_diff(expected) <= 2), "{rows:?}");
}

#[test]
fn every_labelling_has_its_line_and_every_group_its_colour() {
    let png = table(&experiment()).dsc_figure("whole").unwrap();
    let (always, emptied) = (rows_of(&png, Colour::BLUE), rows_of(&png, Colour::VERMILLION));
    // One line is 44 + 280 + 40 rows high. G1 stays near 0.87 in both lines; G0 falls to 0.12 in the second.
    let low = 364 + 44 + (280.0 * (1.0 - 0.12)) as usize;
    assert!(always.iter().all(|&row| row % 364 < 44 + 56), "{always:?}");
    assert!(emptied.iter().any(|row| row.abs_diff(low) <= 4), "{emptied:?}");
}

#[test]
fn a_label_without_scores_is_refused() {
    let error = table(&experiment()).dsc_figure("core").unwrap_err().to_string();
    assert!(error.contains("no label `core`") && error.contains("whole"), "{error}");
}
