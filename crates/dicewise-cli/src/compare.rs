//! `dicewise compare`: two sets of scores of the same subjects.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dicewise_eval::{EffectSize, Resampling, holm};
use dicewise_report::{CaseScore, Cell, Measure, PairedComparison, ReportError, compare_cells, read_cases};
use miette::Diagnostic;
use serde::Serialize;
use thiserror::Error;

use crate::table::Table;
use crate::{args, stdout};

/// Scores by the name of their cell, as its folder is called without the seed.
type Cells = BTreeMap<String, Vec<CaseScore>>;

#[derive(Debug, Error, Diagnostic)]
enum CompareError {
    #[error(transparent)]
    #[diagnostic(help("give a cases.csv as `run` or `evaluate` writes it, or the folder that holds it"))]
    Report(#[from] ReportError),

    #[error("{}: no scores in it", file.display())]
    #[diagnostic(help("the file has a header and no rows; run or evaluate first"))]
    NoScores { file: PathBuf },

    #[error("{}: no cell {cell}", file.display())]
    #[diagnostic(help("it has: {}", found.join(", ")))]
    NoSuchCell { file: PathBuf, cell: String, found: Vec<String> },

    #[error("{} and {} have no cell of the same name", left.display(), right.display())]
    #[diagnostic(help(
        "name one of each with --cell and --with; left: {}; right: {}", of_left.join(", "), of_right.join(", ")
    ))]
    NoSharedCell { left: PathBuf, right: PathBuf, of_left: Vec<String>, of_right: Vec<String> },

    #[error("{left} and {right}: {source}")]
    #[diagnostic(help("compare scores of the same cases, with the same names of labels and groups"))]
    Apart { left: String, right: String, source: Box<ReportError> },
}

/// Two cells and what became of every label, group and measure.
struct CellPair {
    left: String,
    right: String,
    rows: Vec<PairedComparison>,
}

pub(crate) fn run(args: &args::Compare) -> miette::Result<ExitCode> {
    let left_file = cases_file(&args.left);
    let right_file = args.right.as_deref().map_or_else(|| left_file.clone(), cases_file);
    let left = chosen(&left_file, args.cell.as_deref())?;
    let right = chosen(&right_file, args.other_cell.as_deref().or(args.cell.as_deref()))?;

    let resampling = Resampling::seeded(args.seed);
    let mut pairs = Vec::new();
    for (left, right) in pair(&left, &right, &left_file, &right_file)? {
        let rows = compare_cells(left.1, right.1, resampling).map_err(|source| CompareError::Apart {
            left: left.0.clone(),
            right: right.0.clone(),
            source: Box::new(source),
        })?;
        pairs.push(CellPair { left: left.0.clone(), right: right.0.clone(), rows });
    }
    match args.json {
        true => stdout::print_json(&json(&pairs))?,
        false => stdout::print(&text(&pairs, &left_file, &right_file))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn cases_file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("cases.csv") } else { path.into() }
}

/// The cells of a file, or the one that was asked for.
fn chosen(file: &Path, cell: Option<&str>) -> Result<Cells, CompareError> {
    let mut cells = Cells::new();
    for score in read_cases(file)? {
        let Cell { labelling, setting, batch_size } = Cell::of(&score);
        cells.entry(format!("{labelling}-{setting}-b{batch_size}")).or_default().push(score);
    }
    if cells.is_empty() {
        return Err(CompareError::NoScores { file: file.into() });
    }
    let Some(cell) = cell else { return Ok(cells) };
    match cells.remove_entry(cell) {
        Some(entry) => Ok(Cells::from([entry])),
        None => {
            let found = cells.into_keys().collect();
            Err(CompareError::NoSuchCell { file: file.into(), cell: cell.to_owned(), found })
        }
    }
}

type Named<'a> = (&'a String, &'a Vec<CaseScore>);

/// Which cell goes with which: the only ones of both sides, else those of the same name.
fn pair<'a>(
    left: &'a Cells,
    right: &'a Cells,
    left_file: &Path,
    right_file: &Path,
) -> Result<Vec<(Named<'a>, Named<'a>)>, CompareError> {
    if let (1, 1, Some(left), Some(right)) =
        (left.len(), right.len(), left.iter().next(), right.iter().next())
    {
        return Ok(vec![(left, right)]);
    }
    let pairs: Vec<_> = left.iter().filter_map(|left| Some((left, right.get_key_value(left.0)?))).collect();
    if pairs.is_empty() {
        return Err(CompareError::NoSharedCell {
            left: left_file.into(),
            right: right_file.into(),
            of_left: left.keys().cloned().collect(),
            of_right: right.keys().cloned().collect(),
        });
    }
    Ok(pairs)
}

fn text(pairs: &[CellPair], left: &Path, right: &Path) -> String {
    let mut text = String::new();
    for pair in pairs {
        let (left, right) = (left.display(), right.display());
        text += &format!("left   {} of {left}\nright  {} of {right}\n\n", pair.left, pair.right);
        let mut table = Table::new([
            "label",
            "group",
            "score",
            ">subjects",
            ">left",
            ">right",
            ">left − right",
            ">95 % interval",
            ">p bootstrap",
            ">p sign flip",
            ">p released",
            ">d_z",
        ]);
        for row in &pair.rows {
            let number = |value: f64| format!("{value:.3}").replace('-', "−");
            let mut cells =
                vec![row.label.clone(), row.group.clone(), row.measure.to_string(), row.n.to_string()];
            cells.extend(row.means.map(number));
            match row.tests {
                None => {
                    cells.push(number(row.means[0] - row.means[1]));
                    cells.extend(["–"; 5].map(str::to_owned));
                }
                Some(tests) => {
                    let difference = tests.mean_difference;
                    cells.push(number(difference.estimate));
                    cells.push(format!("{} … {}", number(difference.low), number(difference.high)));
                    let p_values = [tests.bootstrap_p, tests.sign_flip_p, tests.released_rank_p];
                    cells.extend(
                        p_values.map(|p| if p < 1e-4 { "< 0.0001".to_owned() } else { format!("{p:.4}") }),
                    );
                    let effect = |e: EffectSize| {
                        let [d, low, high] =
                            [e.estimate, e.low, e.high].map(|d| format!("{d:.2}").replace('-', "−"));
                        format!("{d} ({low} … {high})")
                    };
                    cells.push(tests.standardised.map_or_else(|| "–".to_owned(), effect));
                }
            }
            table.row(cells);
        }
        text += &format!("{table}\n");
    }
    text += "A subject counts once; 100,000 resamples. The released rank test does not see how large a difference is. d_z \
             is the mean of the differences over their standard deviation, with its 95 % interval.\n";
    text + &many(pairs)
}

/// What several comparisons at once mean for their p-values.
fn many(pairs: &[CellPair]) -> String {
    let tests = pairs.iter().flat_map(|pair| &pair.rows).filter_map(|row| row.tests);
    let p_values: Vec<f64> = tests.map(|tests| tests.sign_flip_p).collect();
    if p_values.len() < 2 {
        return String::new();
    }
    let below = |values: &[f64]| values.iter().filter(|&&p| p < 0.05).count();
    format!(
        "{n} comparisons: without any difference, {by_chance:.1} of them would fall below 0.05 by chance. Of {found} \
         sign-flip p-values below 0.05, {kept} stay below with Holm's correction for all {n}.\n",
        n = p_values.len(),
        by_chance = 0.05 * p_values.len() as f64,
        found = below(&p_values),
        kept = below(&holm(&p_values)),
    )
}

/// One measure of one label in one group, with stable names.
#[derive(Serialize)]
struct Row<'a> {
    left_cell: &'a str,
    right_cell: &'a str,
    label: &'a str,
    group: &'a str,
    score: &'static str,
    subjects: usize,
    left_mean: f64,
    right_mean: f64,
    mean_difference: f64,
    interval_95: Option<[f64; 2]>,
    cohens_dz: Option<f64>,
    cohens_dz_interval_95: Option<[f64; 2]>,
    p_bootstrap: Option<f64>,
    p_sign_flip: Option<f64>,
    p_released_rank: Option<f64>,
}

fn json(pairs: &[CellPair]) -> Vec<Row<'_>> {
    let rows = pairs.iter().flat_map(|pair| pair.rows.iter().map(move |row| (pair, row)));
    rows.map(|(pair, row)| Row {
        left_cell: &pair.left,
        right_cell: &pair.right,
        label: &row.label,
        group: &row.group,
        score: match row.measure {
            Measure::Dsc => "dsc",
            Measure::AbsoluteVolumeDifference => "absolute_volume_difference_ml",
        },
        subjects: row.n,
        left_mean: row.means[0],
        right_mean: row.means[1],
        mean_difference: row.means[0] - row.means[1],
        interval_95: row.tests.map(|tests| [tests.mean_difference.low, tests.mean_difference.high]),
        cohens_dz: row.tests.and_then(|tests| tests.standardised).map(|effect| effect.estimate),
        cohens_dz_interval_95: row.tests.and_then(|t| t.standardised).map(|effect| [effect.low, effect.high]),
        p_bootstrap: row.tests.map(|tests| tests.bootstrap_p),
        p_sign_flip: row.tests.map(|tests| tests.sign_flip_p),
        p_released_rank: row.tests.map(|tests| tests.released_rank_p),
    })
    .collect()
}
