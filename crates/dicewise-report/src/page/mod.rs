//! The report of a run: one page, and every figure of it as files.

mod charts;
mod explorer;
mod qualitative;
mod run;
mod scores;
mod table;
mod training;
mod verdicts;
mod viewer;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

pub use explorer::{ExplorerStart, explorer_page};
pub use verdicts::{Finding, Outcome, findings};

use self::charts::write_chart;
use self::run::duration;
use crate::figure::{CellLog, loss_chart, partitions_chart};
use crate::html::{Page, escape};
use crate::output::write_figure;
use crate::{
    CaseScore, Cell, CellOrder, LogRow, ReportError, RunRecord, Table1, Table1Options, read_cases,
    read_metrics, write_atomically,
};

const STYLE: &str = include_str!("../../assets/page.css");

/// How the report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportOptions {
    /// Put the viewer into the page itself instead of beside it, so that one file is all.
    pub single_file: bool,
}

/// Writes `report/index.html` into a folder of results, from the files that are there, and `report/figures/` with every
/// figure as SVG, PNG and CSV. Returns the path of the page.
///
/// # Errors
/// [`ReportError`] naming the file that is missing, damaged or could not be written.
pub fn write_report(results: &Path, options: ReportOptions) -> Result<PathBuf, ReportError> {
    let report = Report::read(results)?;
    let folder = results.join("report");
    let figures = folder.join("figures");
    fs::create_dir_all(&figures).map_err(|source| ReportError::Write { path: figures.clone(), source })?;
    let index = folder.join("index.html");
    let mut page = Page::new(&format!("{}: dicewise report", report.record.experiment), STYLE);
    report.push_all(&mut page, &figures, options)?;
    if !options.single_file
        && let Some(viewer) = viewer::page(results, &report.record)?
    {
        write_atomically(&folder.join("viewer.html"), viewer.as_bytes())?;
    }
    write_atomically(&index, page.finish().as_bytes())?;
    Ok(index)
}

/// Draws the losses of one training so far, out of its `metrics.csv`, as `progress.png` beside it.
///
/// # Errors
/// [`ReportError`] naming the file that cannot be read or written.
pub fn write_progress(folder: &Path, cell: Cell) -> Result<(), ReportError> {
    let logs = vec![read_metrics(&folder.join("metrics.csv"))?];
    match loss_chart(&[CellLog { cell, logs }], &CellOrder::default()) {
        Some(chart) => write_figure(&folder.join("progress.png"), &chart.scene.to_png(1.5)?),
        None => Ok(()),
    }
}

/// What the files of a run say.
struct Report<'a> {
    results: &'a Path,
    record: RunRecord,
    scores: Vec<CaseScore>,
    order: CellOrder,
    table: Table1,
    logs: Vec<CellLog>,
}

impl<'a> Report<'a> {
    fn read(results: &'a Path) -> Result<Self, ReportError> {
        let record = RunRecord::read(results)?;
        let scores = read_cases(&results.join("cases.csv"))?;
        let mut options = Table1Options::new(0);
        options.order.groups = record.groups.clone();
        let order = options.order.clone();
        let table = Table1::new(&scores, options)?;
        let mut logs: Vec<CellLog> = Vec::new();
        for training in &record.trainings {
            let path = results.join(&training.folder).join("metrics.csv");
            let rows: Vec<LogRow> = read_metrics(&path)?;
            let cell = training.cell();
            match logs.iter_mut().find(|log| log.cell == cell) {
                Some(log) => log.logs.push(rows),
                None => logs.push(CellLog { cell, logs: vec![rows] }),
            }
        }
        Ok(Self { results, record, scores, order, table, logs })
    }

    fn push_all(&self, page: &mut Page, figures: &Path, options: ReportOptions) -> Result<(), ReportError> {
        self.push_header(page);
        page.push("<main>\n");
        self.push_verdicts(page);
        page.push("<h2 id=\"table1\">Table 1</h2>\n");
        page.push(&table::tables(&self.table));
        self.push_boxes(page, figures)?;
        self.push_roc(page, figures)?;
        self.push_cases(page, figures, options)?;
        self.push_training(page, figures)?;
        page.push("<h2 id=\"explorer\">Explorer: what Φ and ε teach</h2>\n");
        page.push(
            "<p>Before any training: how hard a loss pushes a map without ground truth towards empty. All numbers are \
             computed by the Rust core of dicewise, compiled to WebAssembly.</p>\n",
        );
        write_chart(figures, "partitions", &partitions_chart())?;
        explorer::push_explorer(page, &ExplorerStart::default());
        self.push_run(page);
        page.push("</main>\n");
        page.push(explorer::FOOTER);
        Ok(())
    }

    fn push_header(&self, page: &mut Page) {
        let record = &self.record;
        let sections = [
            ("verdicts", "What happened"),
            ("table1", "Table 1"),
            ("boxes", "Every case"),
            ("roc", "ROC"),
            ("cases", "Segmentations"),
            ("training", "Training"),
            ("explorer", "Explorer"),
            ("run", "What was run"),
        ];
        let links: String =
            sections.iter().map(|(id, name)| format!("<li><a href=\"#{id}\">{name}</a></li>")).collect();
        page.push(&format!(
            "<header><h1>{}</h1>\n<p class=\"lead\">{}</p>\n<p class=\"facts\">{} networks · {} scored cases · dicewise \
             {} · {} · {} · {}</p>\n<nav aria-label=\"Sections\"><ul>{links}</ul></nav></header>\n",
            escape(&record.experiment),
            escape(&record.description),
            record.trainings.len(),
            self.case_count(),
            escape(&record.version),
            escape(&record.started),
            duration(record.seconds),
            escape(&record.machine.processor),
        ));
    }

    fn case_count(&self) -> usize {
        self.scores.iter().map(|score| &score.case).collect::<BTreeSet<_>>().len()
    }

    fn labels(&self) -> impl Iterator<Item = &str> {
        let scored = |name: &&str| self.scores.iter().any(|score| score.label == **name);
        self.record.labels.iter().map(|label| label.name.as_str()).filter(scored)
    }
}
