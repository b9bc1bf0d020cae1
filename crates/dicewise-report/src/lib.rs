//! Tables and figures of an experiment.
//!
//! An experiment scores every left-out case once a cell, seed and fold: these [`CaseScore`]s are `cases.csv`, and all
//! else follows from them.
//!
//! - [`Table1`]: mean DSC and ΔV of every cell, compared with full labels, as `table1.csv`, Markdown,
//!   terminal text and a figure with a dot for every case.
//! - [`compare_cells`]: two cells, subject by subject, with three tests.
//! - [`roc_table`]: how well the predicted volume gives away the always-labelled group, as `roc.csv`.
//! - [`OverlayFigure`]: slices with the contours of truth and predictions, as a PNG.
//! - [`write_report`]: the page `report/index.html` of a folder of results, with every figure as SVG, PNG and CSV.
//! - [`explorer_page`]: what Φ and ε teach, with sliders, on a page of its own.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use dicewise_report::{Table1, Table1Options, read_cases, roc_table, write_atomically, write_roc};
//!
//! let results = Path::new("results/phantom");
//! let scores = read_cases(&results.join("cases.csv"))?;
//! let mut options = Table1Options::new(0);
//! options.order.groups = vec!["G1".into(), "G0".into()];
//! let roc = roc_table(&scores, "G1", &options.order)?;
//! let table1 = Table1::new(&scores, options)?;
//! table1.write_csv(&results.join("table1.csv"))?;
//! write_atomically(&results.join("table1.md"), table1.to_markdown().as_bytes())?;
//! write_roc(&results.join("roc.csv"), &roc)?;
//! # Ok::<(), dicewise_report::ReportError>(())
//! ```

mod base64;
mod case_score;
mod cell;
mod comparison;
mod error;
mod figure;
mod html;
mod output;
mod page;
mod roc_table;
mod run_record;
mod shown;
mod table1;
mod table1_layout;
mod table1_text;
mod tensorboard;
mod training_log;

pub use case_score::{CASES_HEADER, CaseScore, parse_cases, read_cases, write_cases};
pub use cell::{Cell, CellOrder};
pub use comparison::{Measure, PairedComparison, Tests, compare_cells};
pub use error::ReportError;
pub use figure::{Colour, Contour, LegendEntry, OverlayFigure, OverlayRow, Tile, write_epsilon_figure};
pub use output::write_atomically;
pub use page::{
    ExplorerStart, Finding, Outcome, ReportOptions, explorer_page, findings, write_progress, write_report,
};
pub use roc_table::{RocRow, roc_table, write_roc};
pub use run_record::{
    Machine, RUN_RECORD, RecordedLabel, RecordedPartial, RecordedSetting, RecordedTraining, RunRecord,
    SHOWN_FOLDER, ShownCase,
};
pub use shown::representative_cases;
pub use table1::{Comparison, Table1, Table1Options, Table1Row};
pub use table1_text::{TerminalStyle, colour_wanted, wrapped};
pub use tensorboard::EventFile;
pub use training_log::{LogRow, METRICS_HEADER, read_metrics};
