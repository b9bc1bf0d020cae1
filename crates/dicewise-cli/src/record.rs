//! What a run leaves for its report: `run.json`, and the images of a few cases.
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use dicewise_data::{LabelMap, nifti};
use dicewise_experiment::{
    CellConfig, Epsilon, Experiment, Missing, MissingRule, Setting, Smoothing, Target,
};
use dicewise_report::{
    CaseScore, Machine, RecordedLabel, RecordedPartial, RecordedSetting, RecordedTraining, RunRecord,
    SHOWN_FOLDER, ShownCase, representative_cases,
};

use crate::cases;
use crate::devices;
use crate::prepared_case::PreparedCase;
use crate::run;
use crate::run_error::RunError;
use crate::score::overlap;
use crate::utc::utc;

/// A finished run.
pub(crate) struct Record<'a> {
    pub(crate) experiment: &'a Experiment,
    /// The experiment file.
    pub(crate) text: &'a str,
    pub(crate) configs: &'a [CellConfig],
    pub(crate) cases: &'a [PreparedCase],
    pub(crate) scores: &'a [CaseScore],
}

impl Record<'_> {
    /// Writes `run.json` and the images and true label maps of the cases that the report shows.
    pub(crate) fn write(&self, out: &Path, began: SystemTime, took: Duration) -> Result<(), RunError> {
        let Self { experiment, configs, .. } = self;
        let groups = run::groups(experiment, self.scores);
        let labels = recorded_labels(&experiment.target);
        let of_interest = experiment.partial.as_ref().map_or(&labels[0].name, |partial| &partial.label);
        let shown = representative_cases(self.scores, of_interest, &groups);
        self.write_shown(out, &shown)?;
        let mut settings: Vec<RecordedSetting> = Vec::new();
        for setting in configs.iter().map(|config| &config.cell.setting) {
            if settings.iter().all(|known| known.name != setting.name) {
                settings.push(RecordedSetting { name: setting.name.clone(), loss: in_words(setting) });
            }
        }
        let training = |config: &CellConfig| {
            let cell = &config.cell;
            RecordedTraining {
                labelling: cell.labelling.to_string(),
                setting: cell.setting.name.clone(),
                batch_size: cell.batch_size,
                seed: cell.seed,
                fold: cell.fold,
                folder: cell.folder_name(),
            }
        };
        let partial = experiment.partial.as_ref();
        let record = RunRecord {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            experiment: experiment.name.clone(),
            description: experiment.description.clone(),
            configuration: self.text.to_owned(),
            labels,
            partial: partial.map(|p| RecordedPartial { label: p.label.clone(), group: p.group.clone() }),
            groups,
            settings,
            trainings: configs.iter().map(training).collect(),
            shown,
            machine: machine(),
            started: utc(began),
            seconds: took.as_secs_f64(),
        };
        Ok(record.write(out)?)
    }

    fn write_shown(&self, out: &Path, shown: &[ShownCase]) -> Result<(), RunError> {
        let folder = out.join(SHOWN_FOLDER);
        fs::create_dir_all(&folder).map_err(RunError::io(&folder))?;
        let target = &self.experiment.target;
        for ShownCase { case: id, .. } in shown {
            let Some(case) = self.cases.iter().find(|case| case.id == *id) else { continue };
            nifti::write(
                folder.join(format!("{id}_image.nii.gz")),
                &cases::first_channel(&self.configs[0], id)?,
            )?;
            let voxels = case.voxels().map_err(RunError::io(out))?;
            for (suffix, map) in truth_maps(target, &voxels.truth) {
                nifti::write(folder.join(format!("{id}_truth{suffix}.nii.gz")), &map)?;
            }
        }
        Ok(())
    }
}

/// The truth as predictions are written: one map with the first value of each label, or a map of 0 and 1 for each
/// label where labels overlap.
fn truth_maps(target: &Target, truth: &LabelMap) -> Vec<(String, LabelMap)> {
    if overlap(target) {
        let of = |values: &[u16]| truth.map(|value| u16::from(values.contains(value)));
        return target.labels.iter().map(|label| (format!("_{}", label.name), of(&label.values))).collect();
    }
    let merged = |value: &u16| {
        let label = target.labels.iter().find(|label| label.values.contains(value));
        label.map_or(0, |label| label.values[0])
    };
    vec![(String::new(), truth.map(merged))]
}

fn recorded_labels(target: &Target) -> Vec<RecordedLabel> {
    let overlaps = overlap(target);
    let label = |label: &dicewise_experiment::TargetLabel| RecordedLabel {
        name: label.name.clone(),
        value: if overlaps { 1 } else { label.values[0] },
        suffix: if overlaps { format!("_{}", label.name) } else { String::new() },
    };
    target.labels.iter().map(label).collect()
}

/// `Φ = BI, ε = 1e-7, background left out, missing labels taken as empty`
fn in_words(setting: &Setting) -> String {
    let smoothing = |smoothing: &Smoothing| match smoothing {
        Smoothing::Uniform(epsilon) => format!("{epsilon:e}"),
        Smoothing::PerClass(epsilon) => format!("{epsilon:?}"),
        Smoothing::FromData => "E Σy of each class over the training images".to_owned(),
        Smoothing::TimesFromData(times) => {
            format!("{times} times E Σy of each class over the training images")
        }
    };
    let Epsilon { numerator, denominator } = &setting.epsilon;
    let epsilon = match numerator == denominator {
        true => format!("ε = {}", smoothing(numerator)),
        false => {
            format!(
                "ε = {} in the numerator, {} in the denominator",
                smoothing(numerator),
                smoothing(denominator)
            )
        }
    };
    let rule = match setting.rule {
        MissingRule::Declared => "declared missing",
        MissingRule::Inferred => "inferred missing where a map is empty",
    };
    let missing = match setting.missing {
        Missing::AsEmpty => "missing labels taken as empty".to_owned(),
        Missing::Leaf => format!("leaf Dice, labels {rule}"),
        Missing::Marginal => format!("marginal Dice, labels {rule}"),
    };
    let background = if setting.background { "with background" } else { "background left out" };
    let symbol = setting.partition.symbol();
    let cross_entropy = match setting.cross_entropy {
        0.0 => String::new(),
        weight => format!(", and {weight} times cross-entropy"),
    };
    format!("Φ = {symbol}, {epsilon}, {background}, {missing}{cross_entropy}")
}

fn machine() -> Machine {
    Machine {
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        processor: devices::model(),
        threads: rayon::current_num_threads(),
    }
}
