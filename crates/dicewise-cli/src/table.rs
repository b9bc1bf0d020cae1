//! Tables on the terminal: aligned columns, two spaces apart.
use std::fmt;

use crate::terminal::{Reader, columns};

/// Spaces before each column.
const GAP: usize = 2;

/// A table under construction.
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A column whose header starts with `>` is aligned to the right.
    pub(crate) fn new<S: Into<String>>(header: impl IntoIterator<Item = S>) -> Self {
        Self { header: header.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row of one cell a column.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.header.len(), "a row needs a cell for each column");
        self.rows.push(cells);
    }
}

impl Table {
    /// The table for a reader: what a terminal is too narrow for goes below, with the first column again. A column
    /// without a name stays with the one before.
    pub(crate) fn fitted(&self, reader: Reader) -> String {
        let widths = self.widths();
        let room = reader.width.unwrap_or(usize::MAX);
        let mut parts: Vec<Vec<usize>> = Vec::new();
        let mut next = 1;
        while next < widths.len() {
            let end = (next + 1..widths.len()).find(|&c| !self.name(c).is_empty()).unwrap_or(widths.len());
            let with = |part: &[usize]| -> usize {
                part.iter().copied().chain(next..end).map(|column| widths[column] + GAP).sum()
            };
            match parts.last_mut().filter(|part| with(part) <= room) {
                Some(part) => part.extend(next..end),
                None => parts.push(std::iter::once(0).chain(next..end).collect()),
            }
            next = end;
        }
        if parts.is_empty() {
            parts.push((0..widths.len()).collect());
        }
        parts.iter().map(|part| self.text(part, &widths)).collect::<Vec<_>>().join("\n")
    }

    fn name(&self, column: usize) -> &str {
        self.header[column].trim_start_matches('>')
    }

    fn widths(&self) -> Vec<usize> {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].as_str());
            cells.chain([self.name(column)]).map(columns).max().unwrap_or(0)
        };
        (0..self.header.len()).map(width).collect()
    }

    /// Some of the columns.
    fn text(&self, part: &[usize], widths: &[usize]) -> String {
        let names: Vec<String> = (0..self.header.len()).map(|column| self.name(column).to_owned()).collect();
        let mut text = String::new();
        for row in std::iter::once(&names).chain(&self.rows) {
            let mut line = String::new();
            for &column in part {
                let (cell, width) = (&row[column], widths[column]);
                line += &" ".repeat(GAP);
                match self.header[column].starts_with('>') {
                    true => line += &format!("{cell:>width$}"),
                    false => line += &format!("{cell:<width$}"),
                }
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fitted(Reader::PROGRAM))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_in_letters_not_bytes() {
        let mut table = Table::new(["name", ">ml"]);
        table.row(vec!["ΔV".into(), "1.5".into()]);
        table.row(vec!["size".into(), "10.0".into()]);
        assert_eq!(table.to_string(), "  name    ml\n  ΔV     1.5\n  size  10.0\n");
    }

    #[test]
    fn what_a_terminal_is_too_narrow_for_goes_below_and_units_stay_with_their_numbers() {
        let mut table = Table::new(["case", ">big", "", ">small"]);
        table.row(["a", "10", "ml", "7"].map(str::to_owned).to_vec());
        assert_eq!(table.fitted(Reader::columns(40)), "  case  big      small\n  a      10  ml      7\n");
        let narrow = "  case  big\n  a      10  ml\n\n  case  small\n  a         7\n";
        assert_eq!(table.fitted(Reader::columns(20)), narrow);
        // Never empty-handed, however narrow.
        assert_eq!(table.fitted(Reader::columns(3)), narrow);
    }
}
