//! `dicewise explain`: what a Dice loss teaches on present, empty and missing maps.
mod curve;
mod named;

use std::process::ExitCode;

use dicewise::explain::{Explanation, Preset, Scenario, Verdict, explain};
use dicewise::{DiceError, DiceLoss, Shape, heuristic_epsilon};
use dicewise_report::{ExplorerStart, explorer_page, write_atomically};
use miette::IntoDiagnostic;
use serde_json::{Value, json};

use self::curve::Curve;
use self::named::{EPSILON_TINY, Named};
use crate::terminal::Reader;
use crate::{args, browser, failure, stdout};

pub(crate) fn run(args: &args::Explain) -> miette::Result<ExitCode> {
    let asked = args.name.is_some() || args.partition.is_some();
    if args.open || args.html.is_some() {
        write_explorer(args)?;
    }
    if !asked {
        return Ok(ExitCode::SUCCESS);
    }
    let loss = Loss::of(args)?;
    let scenario = scenario(args, args.batch_size)?;
    let explanation = loss.explain(&scenario)?;
    // Φ decides over the batch: what a loss does may change with its size.
    let other_batch = if args.batch_size == 1 { 2 } else { 1 };
    let other = loss.explain(&self::scenario(args, other_batch)?)?;
    let curve = Curve::of(&loss, &scenario)?;
    match args.json {
        true => stdout::print_json(&to_json(args, &explanation, (other_batch, &other), &curve))?,
        false => {
            let batch_size = match other.on_empty == explanation.on_empty {
                true => format!("With B = {other_batch} it is the same."),
                false => format!("With B = {other_batch} the loss {}.", on_empty_label(other.on_empty)),
            };
            let reader = Reader::of_stdout();
            let words = reader.lines(&format!("{explanation}\n{batch_size}\n"));
            stdout::print(&(words + &curve.to_text(reader)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn scenario(args: &args::Explain, batch_size: usize) -> miette::Result<Scenario> {
    Shape::new(batch_size, args.classes, args.voxels)
        .and_then(|shape| Scenario::new(shape, args.object as f64))
        .map_err(|error| {
            let remedy = remedy(&error, args);
            failure::with_remedy(error, remedy)
        })
}

/// Writes the explorer, its sliders at what the command line asks about.
fn write_explorer(args: &args::Explain) -> miette::Result<()> {
    let mut start = ExplorerStart {
        batch_size: args.batch_size,
        classes: args.classes,
        voxels: args.voxels,
        object: args.object as f64,
        ..ExplorerStart::default()
    };
    if args.name.is_some() || args.partition.is_some() {
        let (preset, partition, epsilon) = Loss::of(args)?.explorer(start.object);
        (start.preset, start.partition, start.epsilon) = (preset, partition, epsilon);
    }
    let file = match &args.html {
        Some(file) => file.clone(),
        None => std::env::temp_dir().join("dicewise-explorer.html"),
    };
    write_atomically(&file, explorer_page(&start).as_bytes()).into_diagnostic()?;
    stdout::print(&format!("explorer in {}\n", file.display()))?;
    if args.open {
        browser::open(&file)?;
    }
    Ok(())
}

/// The loss that the command line asks about.
enum Loss {
    Named(Named),
    SpelledOut { partition: dicewise::Partition, epsilon: args::Epsilon },
}

impl Loss {
    fn of(args: &args::Explain) -> miette::Result<Self> {
        match (&args.name, args.partition, args.epsilon) {
            (Some(name), _, _) => Ok(Self::Named(name.parse::<Named>()?)),
            (None, Some(partition), Some(epsilon)) => {
                Ok(Self::SpelledOut { partition: symbol(partition), epsilon })
            }
            // Clap asks for a name, or for both of the others.
            _ => Err(miette::miette!(help = "see `dicewise explain --help`", "no loss to explain")),
        }
    }

    /// Preset, or Φ and ε, for the explorer's sliders; what a setting of the paper does with missing labels is left to
    /// the reader.
    fn explorer(&self, object: f64) -> (Option<Preset>, dicewise::Partition, f64) {
        match self {
            Self::Named(Named::Preset(preset)) => {
                (Some(*preset), dicewise::Partition::ImageWise, EPSILON_TINY)
            }
            Self::Named(Named::Setting(setting)) => {
                let partition = named::symbol(setting);
                let epsilon = if setting.epsilon.is_from_data() { object } else { EPSILON_TINY };
                (None, partition, epsilon)
            }
            Self::SpelledOut { partition, epsilon } => {
                let epsilon = match epsilon {
                    args::Epsilon::Voxels(voxels) => *voxels,
                    args::Epsilon::Heuristic => object,
                };
                (None, *partition, epsilon)
            }
        }
    }

    fn explain(&self, scenario: &Scenario) -> miette::Result<Explanation> {
        match (self, self.dice(scenario)?) {
            (_, Some(dice)) => explain(&dice, scenario).into_diagnostic(),
            (Self::Named(Named::Preset(preset)), None) => preset.explain(scenario).into_diagnostic(),
            (_, None) => unreachable!("only presets may be of another family"),
        }
    }

    /// None where it is no member of Dice's family.
    fn dice(&self, scenario: &Scenario) -> miette::Result<Option<DiceLoss>> {
        match self {
            Self::Named(named) => named.dice(scenario).into_diagnostic(),
            Self::SpelledOut { partition, epsilon } => {
                let epsilon = match epsilon {
                    args::Epsilon::Voxels(voxels) => *voxels,
                    args::Epsilon::Heuristic => {
                        heuristic_epsilon(scenario.object_size()).into_diagnostic()?
                    }
                };
                let loss = dicewise::Epsilon::uniform(epsilon).and_then(|e| DiceLoss::new(*partition, e));
                loss.map(Some).into_diagnostic()
            }
        }
    }
}

/// Flags are told apart from what the loss crate calls them.
fn remedy(error: &DiceError, args: &args::Explain) -> Option<String> {
    let objects = args.classes.saturating_sub(1).max(1);
    match error {
        DiceError::Domain { .. } => Some(format!(
            "--object {} in each of {objects} classes does not fit into --voxels {}: lower it, or raise --voxels",
            args.object, args.voxels
        )),
        DiceError::ShapeTooLarge { .. } => Some("lower --batch-size, --classes or --voxels".to_owned()),
        _ => None,
    }
}

fn symbol(partition: args::Partition) -> dicewise::Partition {
    match partition {
        args::Partition::I => dicewise::Partition::ImageWise,
        args::Partition::Ci => dicewise::Partition::ClassWise,
        args::Partition::Bi => dicewise::Partition::BatchWise,
        args::Partition::Bci => dicewise::Partition::AllWise,
    }
}

fn on_empty_label(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ignores => "ignores an empty label",
        Verdict::InBetween => "learns a little from an empty label",
        Verdict::Learns => "learns from an empty label",
    }
}

fn to_json(
    args: &args::Explain,
    explanation: &Explanation,
    other: (usize, &Explanation),
    curve: &Curve,
) -> Value {
    let (other_batch, other) = other;
    json!({
        "name": args.name,
        "loss": explanation.loss,
        "scenario": {
            "text": explanation.scenario,
            "batch_size": args.batch_size,
            "classes": args.classes,
            "voxels": args.voxels,
            "object": args.object,
        },
        "derivative": {
            "present": { "inside": explanation.present.inside, "outside": explanation.present.outside },
            "empty": explanation.empty,
            "missing": explanation.missing,
        },
        "push_on_empty": explanation.push_on_empty(),
        "missing_is_background": explanation.missing_is_background,
        "on_empty": word(explanation.on_empty),
        "on_missing": word(explanation.on_missing),
        "other_batch_size": { "batch_size": other_batch, "on_empty": word(other.on_empty) },
        "over_epsilon": curve.to_json(),
    })
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ignores => "ignores",
        Verdict::InBetween => "in_between",
        Verdict::Learns => "learns",
    }
}
