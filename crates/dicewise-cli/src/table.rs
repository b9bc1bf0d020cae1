//! Tables on the terminal: aligned columns, two spaces apart.
use std::fmt;

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

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let right: Vec<bool> = self.header.iter().map(|name| name.starts_with('>')).collect();
        let names: Vec<String> =
            self.header.iter().map(|name| name.trim_start_matches('>').to_owned()).collect();
        let rows = || std::iter::once(&names).chain(&self.rows);
        let width = |column: usize| {
            rows().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..names.len()).map(width).collect();
        for row in rows() {
            let mut line = String::from("  ");
            for ((cell, &width), &right) in row.iter().zip(&widths).zip(&right) {
                match right {
                    true => line.push_str(&format!("{cell:>width$}  ")),
                    false => line.push_str(&format!("{cell:<width$}  ")),
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
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
}
