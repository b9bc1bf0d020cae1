//! `dicewise evaluate`: predicted label maps against true ones.
mod error;
mod label_maps;
mod origin;
mod score;
mod scored_label;
mod summary;
mod text;
mod truth;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dicewise_eval as eval;
use dicewise_report::{write_atomically, write_cases};
use miette::IntoDiagnostic;
use rayon::prelude::*;

use self::error::EvaluateError;
use self::score::CaseScores;
use self::scored_label::ScoredLabel;
use self::truth::{Truth, TruthCase};
use crate::{args, case_progress, stdout};

/// Scores of all cases, and what is needed to show them.
struct Scores<'a> {
    labels: &'a [ScoredLabel],
    cases: Vec<CaseScores<'a>>,
    policy: eval::EmptyTruth,
}

pub(crate) fn run(args: &args::Evaluate) -> miette::Result<ExitCode> {
    let predictions = label_maps::of_folder(&args.predictions)?;
    let truth = Truth::open(args)?;
    let labels = scored_label::choose(&args.labels, &truth)?;
    let pairs = pair(&predictions, &truth, args)?;
    let out = args.out.as_deref().unwrap_or(&args.predictions);
    refuse_results_of_a_run(out)?;

    let bar = case_progress::over_cases(pairs.len(), "Scoring");
    let scored: Vec<Result<CaseScores<'_>, EvaluateError>> = pairs
        .par_iter()
        .map(|pair| {
            let scored = score::score(pair, &truth, &labels);
            bar.inc(1);
            scored
        })
        .collect();
    bar.finish_and_clear();
    let (total, mut cases, mut problems) = (scored.len(), Vec::new(), Vec::new());
    for case in scored {
        match case {
            Ok(case) => cases.push(case),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(EvaluateError::Unscored { total, problems }.into());
    }

    let scores = Scores { labels: &labels, cases, policy: policy(args.empty_truth) };
    let text = text::of(&scores, &truth)?;
    let summary = serde_json::to_string_pretty(&summary::of(&scores)?).into_diagnostic()?;
    let rows = score::to_rows(&scores, &origin::of(&args.predictions));
    fs::create_dir_all(out).map_err(|source| EvaluateError::Io { path: out.into(), source })?;
    let (cases_csv, summary_json) = (out.join("cases.csv"), out.join("summary.json"));
    write_cases(&cases_csv, &rows).into_diagnostic()?;
    write_atomically(&summary_json, format!("{summary}\n").as_bytes()).into_diagnostic()?;
    stdout::print(&format!("{text}\nWrote {} and {}\n", cases_csv.display(), summary_json.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// A prediction and its truth.
struct Pair<'a> {
    id: &'a str,
    prediction: &'a Path,
    truth: &'a TruthCase,
}

/// Every prediction needs a truth; in a folder of nothing but label maps every truth needs a prediction too.
fn pair<'a>(
    predictions: &'a BTreeMap<String, PathBuf>,
    truth: &'a Truth,
    args: &args::Evaluate,
) -> Result<Vec<Pair<'a>>, EvaluateError> {
    let folder = || args.truth.clone();
    let stray: Vec<&PathBuf> =
        predictions.iter().filter(|(id, _)| !truth.cases.contains_key(*id)).map(|(_, file)| file).collect();
    if let Some(&file) = stray.first() {
        return Err(EvaluateError::NoTruth { file: file.clone(), folder: folder(), others: stray.len() - 1 });
    }
    let unpredicted: Vec<&String> = truth.cases.keys().filter(|id| !predictions.contains_key(*id)).collect();
    if let (Some(&case), false) = (unpredicted.first(), truth.is_dataset) {
        return Err(EvaluateError::NoPrediction {
            case: case.clone(),
            file: args.predictions.join(format!("{case}.nii.gz")),
            truth: truth.cases[case].file.clone(),
            others: unpredicted.len() - 1,
        });
    }
    let pair = |(id, file): (&'a String, &'a PathBuf)| {
        let truth = &truth.cases[id];
        Pair { id, prediction: file, truth }
    };
    Ok(predictions.iter().map(pair).collect())
}

/// The folder of a run has a `cases.csv` of its own, which cost hours.
fn refuse_results_of_a_run(out: &Path) -> Result<(), EvaluateError> {
    let table = out.join("table1.csv");
    if table.exists() { Err(EvaluateError::ResultsOfARun { table }) } else { Ok(()) }
}

fn policy(flag: args::EmptyTruth) -> eval::EmptyTruth {
    match flag {
        args::EmptyTruth::Undefined => eval::EmptyTruth::Skip,
        args::EmptyTruth::Score => eval::EmptyTruth::Score { both_empty: 1.0, false_positives: 0.0 },
    }
}
