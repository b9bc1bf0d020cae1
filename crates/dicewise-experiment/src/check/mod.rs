//! From the file as written to an [`Experiment`], collecting every mistake on the way.
mod cells;
mod checker;
mod dataset;
mod epsilon;
mod folder;
mod network;
mod preprocessing;
mod scale;
mod setting;
mod split;
mod syntax;
mod training;

use std::path::Path;

use checker::{Checker, Section};

use crate::file::{ExperimentFile, Word};
use crate::{Experiment, ExperimentError, InvalidExperiment, Mistake, MistakeKind, Overrides};

pub(crate) fn check(
    path: &Path,
    text: &str,
    overrides: &Overrides,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Experiment, ExperimentError> {
    let mut checker = Checker::new(text);
    let experiment = match toml::from_str::<ExperimentFile>(text) {
        Ok(file) => {
            let folder = folder::Folder { experiment: path, overrides, variable };
            experiment(&mut checker, &file, &folder)
        }
        Err(error) => {
            syntax::explain(&mut checker, &error);
            None
        }
    };
    let mut mistakes = checker.mistakes;
    mistakes.sort_by_key(|mistake| mistake.span.start);
    let mut mistakes = mistakes.into_iter();
    match (mistakes.next(), experiment) {
        (None, Some(experiment)) => Ok(experiment),
        (first, _) => {
            let first = first.unwrap_or_else(incomplete);
            let invalid =
                InvalidExperiment::new(&path.display().to_string(), text, first, mistakes.collect());
            Err(ExperimentError::Invalid(Box::new(invalid)))
        }
    }
}

/// A check gave nothing back without saying why: still an error for the caller, never half an experiment.
fn incomplete() -> Mistake {
    Mistake {
        kind: MistakeKind::Missing,
        message: "the experiment is incomplete".to_owned(),
        span: 0..0,
        label: "in this file".to_owned(),
        help: "compare it with experiments/phantom.toml".to_owned(),
    }
}

fn experiment(
    checker: &mut Checker<'_>,
    file: &ExperimentFile,
    folder: &folder::Folder<'_>,
) -> Option<Experiment> {
    let top = Section { name: "the experiment", span: 0..0 };
    let name = checker.required(file.name.as_ref(), &top, "name", "name = \"phantom\"");
    let name = name.and_then(|name| file_name(checker, name, "name of an experiment"));
    let seeds = seeds(checker, file, folder.overrides, &top);
    let data = checker.required(file.data.as_ref(), &top, "[data]", "a section [data]");
    let data = data.and_then(|table| dataset::data(checker, table, folder));
    let target = checker.required(file.target.as_ref(), &top, "[target]", "a section [target]");
    let target = target.and_then(|table| dataset::target(checker, table));
    let groups =
        file.groups.as_ref().map(|table| dataset::groups(checker, table, data.as_ref(), target.as_ref()));
    let groups_known = groups.as_ref().is_none_or(Option::is_some);
    let groups = groups.flatten();
    let known = match (&data, groups_known) {
        (Some(data), true) => dataset::KnownGroups::of(data, groups.as_ref()),
        // Reported already; nothing said about groups further on would help.
        _ => dataset::KnownGroups::unknown(),
    };
    let split = checker.required(file.split.as_ref(), &top, "[split]", "a section [split]");
    let split = split.and_then(|table| split::split(checker, table, &known));
    let partial =
        file.partial.as_ref().map(|table| dataset::partial(checker, table, target.as_ref(), &known));
    let preprocessing = preprocessing::preprocessing(checker, file.preprocessing.as_ref(), target.as_ref());
    let augmentation = training::augmentation(checker, file.augmentation.as_ref());
    let released = file.released.unwrap_or(false);
    let patch = file.patch.as_ref().map(|table| training::patch(checker, table, released));
    let network = checker.required(file.network.as_ref(), &top, "[network]", "a section [network]");
    let network = network.and_then(|table| network::network(checker, table));
    let training = checker.required(file.training.as_ref(), &top, "[training]", "a section [training]");
    let training = training.and_then(|table| training::training(checker, table, released));
    let loss = setting::loss(checker, file.loss.as_ref(), target.as_ref(), released);
    let blocks = cells::blocks(checker, file, target.as_ref(), loss.as_ref(), &known, &top);
    scale::scales(checker, file, folder.overrides, data.as_ref());
    if let (Some(network), Some(data)) = (&network, &data) {
        network::sizes(checker, file, network, data);
    }
    let augmentation = augmentation?;
    training::shift_fits(checker, file, &augmentation);
    let experiment = Experiment {
        name: name?,
        description: file.description.clone().unwrap_or_default(),
        released,
        seeds: seeds?,
        data: data?,
        target: target?,
        groups,
        split: split?,
        partial: partial.flatten(),
        preprocessing: preprocessing?,
        augmentation,
        patch: patch.flatten(),
        network: network?,
        training: training?,
        epsilon_tiny: loss?.tiny,
        blocks: blocks?,
    };
    Some(match folder.overrides.scale {
        Some(factor) => experiment.scaled(factor),
        None => experiment,
    })
}

fn seeds(
    checker: &mut Checker<'_>,
    file: &ExperimentFile,
    overrides: &Overrides,
    top: &Section,
) -> Option<Vec<u64>> {
    let listed = checker.required(file.seeds.as_ref(), top, "seeds", "seeds = [0]")?;
    if listed.get_ref().is_empty() {
        checker.add(
            MistakeKind::OutOfRange,
            listed.span(),
            "`seeds` is empty: nothing would be trained".to_owned(),
            "no seed",
            "one whole number or more, for example seeds = [0, 1, 2]",
        );
        return None;
    }
    checker.distinct(listed.get_ref(), "seed");
    let mut seeds: Vec<u64> = Vec::new();
    let file_seeds: Vec<u32> = listed.get_ref().iter().map(|seed| *seed.get_ref()).collect();
    let chosen = if overrides.seeds.is_empty() { &file_seeds } else { &overrides.seeds };
    for &seed in chosen {
        if !seeds.contains(&u64::from(seed)) {
            seeds.push(u64::from(seed));
        }
    }
    Some(seeds)
}

/// A name that becomes part of a folder's name.
fn file_name(checker: &mut Checker<'_>, word: &Word, what: &str) -> Option<String> {
    let name = word.get_ref();
    let accepted = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !name.is_empty() && !name.starts_with('.') && name.len() <= 64 && name.chars().all(accepted) {
        return Some(name.clone());
    }
    checker.add(
        MistakeKind::OutOfRange,
        word.span(),
        format!("{name:?} cannot be the {what}: folders are named after it"),
        "not usable in a folder's name",
        "letters a–z and A–Z, digits, `_`, `-` and `.`, at most 64, not starting with `.`",
    );
    None
}
