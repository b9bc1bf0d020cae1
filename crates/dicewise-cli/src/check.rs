//! `dicewise check`: what a dataset holds, what is wrong with it, and what that means for the loss.
mod advice;
mod batches;
mod label_size;
mod looks_missing;
mod plots;
mod recommendation;
mod text;

use std::process::ExitCode;

use dicewise_data::check::{CaseSummary, CheckReport, Defect, Severity, check};
use dicewise_data::dataset::{Dataset, DatasetError};
use serde::Serialize;

use self::batches::LabelBatches;
use self::label_size::LabelSizes;
use self::looks_missing::LooksMissing;
use self::recommendation::Recommendation;
use crate::terminal::Reader;
use crate::{args, case_progress, dataset_folder, failure, remedy, stdout};

/// Exit code where a dataset has defects.
const DEFECTS: u8 = 1;

pub(crate) fn run(args: &args::Check) -> miette::Result<ExitCode> {
    let dataset = dataset_folder::list(&args.data, args.layout).map_err(|error: DatasetError| {
        let remedy = remedy::of_dataset_error(&error);
        failure::with_remedy(error, remedy)
    })?;
    let report = read(&dataset)?;
    let findings = Findings::new(&dataset, &report);
    match args.json {
        true => stdout::print_json(&findings)?,
        false => stdout::print(&text::of(&findings, Reader::of_stdout()))?,
    }
    Ok(ExitCode::from(if report.defects.is_empty() { 0 } else { DEFECTS }))
}

fn read(dataset: &Dataset) -> miette::Result<CheckReport> {
    let presence = dataset_folder::presence(dataset)?;
    let bar = case_progress::over_cases(dataset.cases.len(), "Checking");
    let report = check(dataset, &presence, |progress| {
        bar.set_message(progress.case.to_owned());
        bar.inc(1);
    });
    bar.finish_and_clear();
    Ok(report)
}

/// What is printed: as text, or as JSON with these names.
#[derive(Serialize)]
struct Findings<'a> {
    /// The folder.
    root: String,
    /// The word that `--layout` takes.
    layout: &'static str,
    /// Cases of the dataset, readable or not.
    case_count: usize,
    defects: Vec<Finding<'a>>,
    labels: Vec<LabelSizes<'a>>,
    /// How often batch-wise Dice sees a label that not all cases have.
    batches: Vec<LabelBatches<'a>>,
    cases: &'a [CaseSummary],
    /// Labels that are declared annotated, as all are without a word, and were probably not drawn.
    looks_missing: Vec<LooksMissing<'a>>,
    /// The lines of a presence.csv that declares them missing; none if nothing looks missing.
    presence_csv: Vec<String>,
    /// What this means for the loss, one sentence or two each.
    advice: Vec<String>,
    recommendation: Option<Recommendation>,
}

/// A defect and what to do about it.
#[derive(Serialize)]
struct Finding<'a> {
    severity: Severity,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
    #[serde(flatten)]
    defect: &'a Defect,
}

impl<'a> Findings<'a> {
    fn new(dataset: &Dataset, report: &'a CheckReport) -> Self {
        let finding = |defect: &'a Defect| Finding {
            severity: defect.severity(),
            message: defect.to_string(),
            remedy: remedy::of_defect(defect),
            defect,
        };
        let mut defects: Vec<Finding<'a>> = report.defects.iter().map(finding).collect();
        defects.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let labels = label_size::of_report(report);
        let looks_missing = looks_missing::of_report(report);
        let presence_csv = match looks_missing.is_empty() {
            true => Vec::new(),
            false => looks_missing::declaration(report, &looks_missing),
        };
        Self {
            root: report.root.display().to_string(),
            layout: dataset_folder::layout_name(report.layout),
            case_count: dataset.cases.len(),
            defects,
            advice: advice::of(&labels, &looks_missing),
            recommendation: recommendation::of(&labels, &looks_missing),
            batches: batches::of(&labels),
            looks_missing,
            presence_csv,
            labels,
            cases: &report.cases,
        }
    }
}
