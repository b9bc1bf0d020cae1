//! Cells of an experiment's grid and the order they are shown in.

use std::fmt;

use crate::{CaseScore, Table1Row};

/// One cell of the grid: what was trained, apart from seed and fold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    /// Which labels were there in training.
    pub labelling: String,
    /// Φ, ε and treatment of missing labels.
    pub setting: String,
    /// Patches in a batch.
    pub batch_size: usize,
}

impl Cell {
    /// The cell of a score.
    pub fn of(score: &CaseScore) -> Self {
        Self {
            labelling: score.labelling.clone(),
            setting: score.setting.clone(),
            batch_size: score.batch_size,
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {} B={}", self.labelling, self.setting, self.batch_size)
    }
}

/// The order in which names appear. Names that are not listed follow in alphabetical order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellOrder {
    /// Labellings, rows of Table 1.
    pub labellings: Vec<String>,
    /// Settings, columns of Table 1.
    pub settings: Vec<String>,
    /// Groups, blocks of columns; the paper has the always-labelled group first.
    pub groups: Vec<String>,
}

impl Default for CellOrder {
    /// `full` before all other labellings; I, CI, BI, BCI before all other settings.
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self { labellings: names(&["full"]), settings: names(&["I", "CI", "BI", "BCI"]), groups: Vec::new() }
    }
}

/// Place in a list of names, then the name.
pub(crate) type Place<'a> = (usize, &'a str);

impl CellOrder {
    pub(crate) fn of_cell<'a>(&self, cell: &'a Cell) -> (Place<'a>, Place<'a>, usize) {
        (self.of_labelling(&cell.labelling), self.of_setting(&cell.setting), cell.batch_size)
    }

    pub(crate) fn of_row<'a>(&self, row: &'a Table1Row) -> impl Ord + use<'a> {
        (self.of_cell(&row.cell), self.of_group(&row.group), row.label.as_str())
    }

    pub(crate) fn of_labelling<'a>(&self, labelling: &'a str) -> Place<'a> {
        place(&self.labellings, labelling)
    }

    pub(crate) fn of_setting<'a>(&self, setting: &'a str) -> Place<'a> {
        place(&self.settings, setting)
    }

    pub(crate) fn of_group<'a>(&self, group: &'a str) -> Place<'a> {
        place(&self.groups, group)
    }
}

fn place<'a>(listed: &[String], name: &'a str) -> Place<'a> {
    (listed.iter().position(|listed| listed == name).unwrap_or(listed.len()), name)
}
