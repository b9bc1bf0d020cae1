//! The box figure: marks stand where the numbers are.

mod scores;

use dicewise_report::*;
use scores::{experiment, score};

/// Rows of the pixels of exactly `colour` in one PNG, above the legend, in units of the figure (two pixels each).
fn rows_of(png: &[u8], colour: Colour) -> Vec<f32> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut rgb).unwrap();
    let plot = rgb.chunks(info.width as usize * 3).take(info.height as usize - 80);
    let has_colour = |row: &[u8]| row.chunks(3).any(|pixel| pixel == colour.0);
    plot.enumerate().filter(|(_, row)| has_colour(row)).map(|(y, _)| y as f32 / 2.0).collect()
}

fn table(scores: &[CaseScore]) -> Table1 {
    let mut options = Table1Options::new(0);
    options.order.groups = vec!["G1".into()];
    Table1::new(scores, options).unwrap()
}

/// The plot spans DSC 1 at 40 to DSC 0 at 40 + 250.
fn height_of(dsc: f32) -> f32 {
    40.0 + 250.0 * (1.0 - dsc)
}

#[test]
fn whiskers_reach_from_the_least_to_the_largest_case() {
    // Type 7 quartiles of 0.4, 0.6, 0.8 are 0.5, 0.6, 0.7: no case is further than 1.5 · 0.2 from the box.
    let cases = [("a", 0.4), ("b", 0.6), ("c", 0.8)];
    let scores = cases.map(|(case, dsc)| score("full", "I", 2, "G1", case, dsc));
    let rows = rows_of(&table(&scores).dsc_figure("whole").unwrap(), Colour::BLUE);
    let (first, last) = (rows[0], rows[rows.len() - 1]);
    assert!((first - height_of(0.8)).abs() <= 2.0, "{first}");
    assert!((last - height_of(0.4)).abs() <= 2.0, "{last}");
}

#[test]
fn every_group_has_its_colour_and_stands_at_its_height() {
    let png = table(&experiment()).dsc_figure("whole").unwrap();
    let (always, emptied) = (rows_of(&png, Colour::BLUE), rows_of(&png, Colour::VERMILLION));
    // G1 stays above 0.83 in all cells; G0 falls to between 0.10 and 0.14 in one.
    assert!(always.iter().all(|&row| row < height_of(0.83)), "{always:?}");
    let low = height_of(0.14)..height_of(0.10) + 2.0;
    assert!(emptied.iter().any(|row| low.contains(row)), "{emptied:?}");
}

#[test]
fn a_label_without_scores_is_refused() {
    let error = table(&experiment()).dsc_figure("core").unwrap_err().to_string();
    assert!(error.contains("no label `core`") && error.contains("whole"), "{error}");
}
