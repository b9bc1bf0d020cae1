//! The report of a run: one page, and every figure of it as files.

mod explorer;
mod qualitative;
mod table;
mod verdicts;
mod viewer;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

pub use explorer::{ExplorerStart, explorer_page};
pub use verdicts::{Finding, Outcome, findings};

use self::qualitative::{CaseVolumes, Plane, dsc_of};
use crate::figure::scene::Scene;
use crate::figure::{CellLog, Chart, gradient_chart, loss_chart, partitions_chart, roc_chart};
use crate::html::{Page, escape};
use crate::output::write_figure;
use crate::table1_layout::Metric;
use crate::{
    CaseScore, Cell, CellOrder, LogRow, ReportError, RunRecord, Table1, Table1Options, read_cases,
    read_metrics, write_atomically,
};

const STYLE: &str = include_str!("../../assets/page.css");
/// Pixels of a PNG for one unit of a figure: 300 dpi at a width of 18 cm is 2126 pixels.
const PNG_SCALE: f32 = 2.5;

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
    if !options.single_file {
        if let Some(viewer) = viewer::page(results, &report.record)? {
            write_atomically(&folder.join("viewer.html"), viewer.as_bytes())?;
        }
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
        self.scores.iter().map(|score| &score.case).collect::<std::collections::BTreeSet<_>>().len()
    }

    fn push_verdicts(&self, page: &mut Page) {
        page.push("<h2 id=\"verdicts\">What happened</h2>\n");
        let Some(partial) = &self.record.partial else {
            page.push("<p>All networks were trained with all labels: nothing was missing or emptied.</p>\n");
            return;
        };
        page.push(&format!(
            "<p>Under partial labelling, the training images of group <b>{}</b> had no label <b>{}</b>, although the \
             structure is there. Did the networks ignore these maps, or learn that there is nothing?</p>\n",
            escape(&partial.group),
            escape(&partial.label)
        ));
        let findings = findings(&self.table, partial);
        if findings.is_empty() {
            page.push(
                "<p>No cell with partial labels has a cell with full labels to be compared with.</p>\n",
            );
            return;
        }
        page.push("<ul class=\"verdicts\">\n");
        for finding in &findings {
            let (class, verb) = match finding.outcome {
                Outcome::Ignored => ("ignores", "ignores the maps without a label"),
                Outcome::InBetween => ("between", "is in between"),
                Outcome::Learnt => ("learns", "learns that there is nothing"),
            };
            page.push(&format!(
                "<li class=\"{class}\"><strong>{} <b>{verb}</b></strong><span>{}</span></li>\n",
                escape(&finding.cell),
                escape(&finding.evidence)
            ));
        }
        page.push("</ul>\n");
        let word = |outcome| findings.iter().filter(|f| f.outcome == outcome).count();
        page.push(&format!(
            "<p class=\"facts\">{} ignore, {} in between, {} learn. Learnt: the DSC of the unlabelled structure is \
             unexpectedly low (Table 1) and below half of that with full labels. Ignored: it is not unexpectedly \
             low.</p>\n",
            word(Outcome::Ignored),
            word(Outcome::InBetween),
            word(Outcome::Learnt)
        ));
    }

    fn labels(&self) -> impl Iterator<Item = &str> {
        let scored = |name: &&str| self.scores.iter().any(|score| score.label == **name);
        self.record.labels.iter().map(|label| label.name.as_str()).filter(scored)
    }

    fn push_boxes(&self, page: &mut Page, figures: &Path) -> Result<(), ReportError> {
        page.push("<h2 id=\"boxes\">Every case</h2>\n");
        for label in self.labels() {
            for (metric, name, what) in [
                (Metric::Dsc, "dsc", "DSC"),
                (Metric::VolumeDifference, "volume_difference", "Volume difference"),
            ] {
                let chart = self.table.box_chart(label, metric)?;
                let caption =
                    format!("{what} of {label} for every cell; each dot is a case (mean over seeds).");
                self.push_chart(page, figures, &file_name(&format!("{name}_{label}")), &chart, &caption)?;
            }
        }
        Ok(())
    }

    fn push_roc(&self, page: &mut Page, figures: &Path) -> Result<(), ReportError> {
        page.push("<h2 id=\"roc\">ROC: does the predicted volume give the group away?</h2>\n");
        let [positive, _, ..] = self.record.groups.as_slice() else {
            page.push("<p>There is only one group of cases.</p>\n");
            return Ok(());
        };
        page.push(&format!(
            "<p>A network that learnt “no label, no structure” predicts almost nothing in the unlabelled group, and \
             its predicted volume tells the groups apart. An AUC as with full labels is what one wants. Positive: \
             {}.</p>\n",
            escape(positive)
        ));
        for label in self.labels() {
            let chart = roc_chart(&self.scores, positive, label, &self.order)?;
            let caption = format!(
                "Detecting {positive} by the predicted volume of {label} (Figure 2 of the paper): colours by setting, \
                 dashes by B, a curve for each seed."
            );
            self.push_chart(page, figures, &file_name(&format!("roc_{label}")), &chart, &caption)?;
        }
        Ok(())
    }

    fn push_cases(&self, page: &mut Page, figures: &Path, options: ReportOptions) -> Result<(), ReportError> {
        page.push("<h2 id=\"cases\">Segmentations</h2>\n");
        let record = &self.record;
        let label = match &record.partial {
            Some(partial) => record.labels.iter().find(|label| label.name == partial.label),
            None => record.labels.first(),
        };
        let (Some(label), false) = (label, record.shown.is_empty()) else {
            page.push("<p>No images were kept with these results.</p>\n");
            return Ok(());
        };
        page.push(&format!(
            "<p>Contours of {} on the image, in the slice where it is largest. Worst, median and best of each group by \
             the DSC with full labels.</p>\n",
            escape(&label.name)
        ));
        for (place, case) in record.shown_in_order().into_iter().enumerate() {
            let volumes = CaseVolumes::read(self.results, record, case, label)?;
            let title = format!("{}, {} case: {}", case.group, case.rank, case.case);
            let open = if place == 0 { " open" } else { "" };
            page.push(&format!("<details{open}><summary>{}</summary>\n", escape(&title)));
            for plane in Plane::ALL {
                let scene =
                    volumes.figure(plane, &self.order, dsc_of(&self.scores, record, case, &label.name))?;
                let name = file_name(&format!("case_{}_{}", case.case, plane.name()));
                write_scene(figures, &name, &scene, 1.0)?;
                let caption =
                    format!("{title}, {} slice. The DSC is that of the whole volume.", plane.name());
                push_figure(page, &name, &scene, &caption, "../../cases.csv");
            }
            page.push("</details>\n");
        }
        if options.single_file {
            viewer::push(page, self.results, record)?;
        } else {
            page.push(
                "<p><a href=\"viewer.html\">Open the viewer</a>: these cases in three planes and in 3-D, with truth \
                 and predictions as overlays.</p>\n",
            );
        }
        Ok(())
    }

    fn push_training(&self, page: &mut Page, figures: &Path) -> Result<(), ReportError> {
        page.push("<h2 id=\"training\">Training</h2>\n");
        if let Some(chart) = loss_chart(&self.logs, &self.order) {
            let caption = "Dice loss over the iterations: means over seeds and folds, and over a sixtieth of the \
                           training for each point. Losses of different Φ and ε have different values.";
            self.push_chart(page, figures, "training_loss", &chart, caption)?;
        }
        if let Some(chart) = gradient_chart(&self.logs, &self.order) {
            let caption = "What maps teach during training: the mean derivative on maps without ground truth and on \
                           known background, and how much is still predicted on maps without ground truth.";
            self.push_chart(page, figures, "training_gradient", &chart, caption)?;
        }
        Ok(())
    }

    fn push_run(&self, page: &mut Page) {
        let record = &self.record;
        page.push("<h2 id=\"run\">What was run</h2>\n");
        let mut rows = String::new();
        let mut row = |name: &str, value: &str| {
            let _ = writeln!(
                rows,
                "<tr><th scope=\"row\">{name}</th><td class=\"left\">{}</td></tr>",
                escape(value)
            );
        };
        let seeds: std::collections::BTreeSet<u64> = record.trainings.iter().map(|t| t.seed).collect();
        let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
        row("program", &format!("dicewise {}", record.version));
        row("started", &record.started);
        row("duration of the last call", &duration(record.seconds));
        row("machine", &format!("{}, {}", record.machine.processor, record.machine.system));
        row("threads", &record.machine.threads.to_string());
        row("seeds", &seeds.join(", "));
        row("networks", &record.trainings.len().to_string());
        page.push(&format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table: the run\"><table><tbody>{rows}\
             </tbody></table></div>\n"
        ));
        let mut losses = String::new();
        for setting in &record.settings {
            let _ = writeln!(
                losses,
                "<tr><th scope=\"row\">{}</th><td class=\"left\">{}</td></tr>",
                escape(&setting.name),
                escape(&setting.loss)
            );
        }
        page.push(&format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table: losses\"><table>\
             <thead><tr><th class=\"left\" scope=\"col\">setting</th><th class=\"left\" scope=\"col\">loss</th></tr>\
             </thead><tbody>{losses}</tbody></table></div>\n<details><summary>The experiment file</summary>\
             <pre tabindex=\"0\">{}</pre></details>\n",
            escape(&record.configuration)
        ));
        page.push(
            "<p class=\"facts\">Tables beside this page: <code>cases.csv</code>, <code>table1.csv</code>, \
             <code>roc.csv</code>; figures as SVG, PNG and CSV in <code>report/figures</code>. \
             <code>dicewise report</code> writes this page again from these files.</p>\n",
        );
    }

    fn push_chart(
        &self,
        page: &mut Page,
        figures: &Path,
        name: &str,
        chart: &Chart,
        caption: &str,
    ) -> Result<(), ReportError> {
        write_chart(figures, name, chart)?;
        push_figure(page, name, &chart.scene, caption, &format!("{name}.csv"));
        Ok(())
    }
}

fn push_figure(page: &mut Page, name: &str, scene: &Scene, caption: &str, data: &str) {
    let (caption, name, data) = (escape(caption), escape(name), escape(data));
    page.push(&format!(
        "<figure id=\"figure-{name}\"><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Figure: \
         {name}\">{}</div><figcaption>{caption} Files: <a href=\"figures/{name}.svg\">SVG</a>, <a \
         href=\"figures/{name}.png\">PNG</a>, <a href=\"figures/{data}\">CSV</a>.</figcaption></figure>\n",
        scene.to_svg_inline()
    ));
}

fn write_chart(figures: &Path, name: &str, chart: &Chart) -> Result<(), ReportError> {
    write_scene(figures, name, &chart.scene, PNG_SCALE)?;
    write_figure(&figures.join(format!("{name}.csv")), &chart.csv)
}

fn write_scene(figures: &Path, name: &str, scene: &Scene, scale: f32) -> Result<(), ReportError> {
    write_figure(&figures.join(format!("{name}.svg")), scene.to_svg_file().as_bytes())?;
    write_figure(&figures.join(format!("{name}.png")), &scene.to_png(scale)?)
}

/// `2 h 5 min`, `3 min 20 s`, `12 s`
fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

/// A name of labels or cases as a file's: what a file system or an address may refuse becomes `_`.
fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' }).collect()
}
