//! The grid of an experiment as text, for `dicewise run --dry-run`.
use std::fmt;

use crate::{Epsilon, Experiment, Labelling, Missing, MissingRule, OutputActivation, Setting, Smoothing};

/// Shows the grid of an experiment: one row for each labelling, setting and batch size, then what to look out for.
#[derive(Clone, Copy, Debug)]
pub struct Grid<'a>(pub &'a Experiment);

const HEADINGS: [&str; 6] = ["labelling", "setting", "B", "Φ", "ε", "missing labels"];

impl fmt::Display for Grid<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let experiment = self.0;
        let mut rows = vec![HEADINGS.map(str::to_owned)];
        for block in &experiment.blocks {
            for setting in &block.settings {
                for batch_size in &block.batch_sizes {
                    rows.push([
                        block.labelling.to_string(),
                        setting.name.clone(),
                        batch_size.to_string(),
                        match setting.cross_entropy {
                            0.0 => setting.partition.symbol().to_owned(),
                            weight => format!("{} + {weight} CE", setting.partition.symbol()),
                        },
                        epsilon_text(&setting.epsilon),
                        missing_text(setting).to_owned(),
                    ]);
                }
            }
        }
        let (combinations, seeds) = (rows.len() - 1, experiment.seeds.len());
        let folds = experiment.split.runs();
        writeln!(f, "{}: {}", experiment.name, experiment.description)?;
        writeln!(
            f,
            "{} × {} × {} = {}; seeds {:?}, folds {:?}",
            plural(combinations, "combination"),
            plural(seeds, "seed"),
            plural(folds.len(), "fold"),
            plural(combinations * seeds * folds.len(), "training"),
            experiment.seeds,
            folds,
        )?;
        if let Some(partial) = &experiment.partial {
            writeln!(f, "partial: {} is emptied in group {}", partial.label, partial.group)?;
        }
        writeln!(f)?;
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        for row in &rows {
            let cells: Vec<String> = (0..HEADINGS.len())
                .map(|column| format!("{:<width$}", row[column], width = width(column)))
                .collect();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
        }
        for note in notes(experiment) {
            write!(f, "\nnote: {note}\n")?;
        }
        Ok(())
    }
}

fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn epsilon_text(epsilon: &Epsilon) -> String {
    if epsilon.numerator == epsilon.denominator {
        smoothing_text(&epsilon.numerator)
    } else {
        format!(
            "{} above, {} below",
            smoothing_text(&epsilon.numerator),
            smoothing_text(&epsilon.denominator)
        )
    }
}

fn smoothing_text(smoothing: &Smoothing) -> String {
    match smoothing {
        Smoothing::Uniform(value) => format!("{value:?}"),
        Smoothing::PerClass(values) => format!("{values:?}"),
        Smoothing::FromData => "E Σy".to_owned(),
        Smoothing::TimesFromData(times) => format!("{times} E Σy"),
    }
}

fn missing_text(setting: &Setting) -> &'static str {
    match (setting.missing, setting.rule) {
        (Missing::AsEmpty, _) => "taken as empty",
        (Missing::Leaf, MissingRule::Declared) => "left out where declared missing",
        (Missing::Leaf, MissingRule::Inferred) => "left out where empty",
        (Missing::Marginal, MissingRule::Declared) => "merged into background where declared missing",
        (Missing::Marginal, MissingRule::Inferred) => "merged into background where empty",
    }
}

/// What is known to go wrong with experiments like this one.
fn notes(experiment: &Experiment) -> Vec<String> {
    let mut notes = Vec::new();
    let from_data = experiment.blocks.iter().flat_map(|block| &block.settings);
    let cold = |setting: &&Setting| setting.epsilon.is_from_data() && setting.epsilon_warm_up.is_none();
    let from_data = from_data.filter(cold).count() > 0;
    let softmax = experiment.target.activation == OutputActivation::Softmax;
    if from_data && softmax && experiment.training.epsilon_warm_up.is_none() {
        notes.push(
            "softmax with ε of the size of the objects often ends with a class empty in every group; \
             `epsilon_warm_up` in [training] starts with a tiny ε"
                .to_owned(),
        );
    }
    if !softmax && !experiment.network.prior_bias {
        notes.push("sigmoid without `prior_bias = true` in [network] learns slowly".to_owned());
    }
    let full = experiment.blocks.iter().any(|block| block.labelling == Labelling::Full);
    if !full && experiment.blocks.iter().any(|block| block.labelling == Labelling::Partial) {
        notes.push("no cell has full labels: the table has nothing to compare with".to_owned());
    }
    notes
}
