//! Checks `[loss]` and `[[setting]]`.
use toml::Spanned;

use super::{Checker, Section, epsilon, file_name, training};
use crate::file::{EpsilonValue, LossTable, SettingTable, Word};
use crate::{
    Epsilon, EpsilonLayout, Labelling, Missing, MissingRule, MistakeKind, OutputActivation, Partition,
    Setting, Smoothing, Target, Weighting,
};

const PARTITIONS: [(&str, Partition); 8] = [
    ("image-wise", Partition::ImageWise),
    ("class-wise", Partition::ClassWise),
    ("batch-wise", Partition::BatchWise),
    ("all-wise", Partition::AllWise),
    ("I", Partition::ImageWise),
    ("CI", Partition::ClassWise),
    ("BI", Partition::BatchWise),
    ("BCI", Partition::AllWise),
];

/// What `[loss]` says, for all settings.
#[derive(Clone, Debug)]
pub(super) struct Loss {
    pub(super) tiny: f64,
    pub(super) background: bool,
    layout: EpsilonLayout,
    weighting: Weighting,
    heuristic_full: Smoothing,
    heuristic_partial: Smoothing,
}

impl Loss {
    pub(super) fn heuristic(&self, labelling: Labelling) -> &Smoothing {
        match labelling {
            Labelling::Full => &self.heuristic_full,
            Labelling::Partial => &self.heuristic_partial,
        }
    }

    /// The built-in setting of that name, as this section has it.
    pub(super) fn built_in(
        &self,
        name: &str,
        labelling: Labelling,
        target: Option<&Target>,
    ) -> Option<Setting> {
        let setting = Setting::built_in(name, self.tiny, self.heuristic(labelling), self.background)?;
        let mut setting = Setting { epsilon_layout: self.layout, ..setting };
        let softmax =
            target.filter(|target| target.activation == OutputActivation::Softmax && !self.background);
        if let (Some(target), "I" | "BI" | "I_eps", Weighting::Unnormalised) = (softmax, name, self.weighting)
        {
            let mut weights = vec![1.0; target.channels()];
            weights[0] = 0.0;
            setting.weights = Some(weights);
            setting.weighting = Weighting::Unnormalised;
        }
        Some(setting)
    }
}

const WEIGHTINGS: [(&str, Weighting); 2] =
    [("normalised", Weighting::Normalised), ("unnormalised", Weighting::Unnormalised)];

pub(super) fn loss(
    checker: &mut Checker<'_>,
    table: Option<&Spanned<LossTable>>,
    target: Option<&Target>,
    released: bool,
) -> Option<Loss> {
    let from_data = || Some(Smoothing::FromData);
    let table = table.map(Spanned::get_ref);
    let tiny = match table.and_then(|table| table.epsilon_tiny.as_ref()) {
        None => Some(1e-7),
        Some(tiny) => {
            checker.number(tiny, "epsilon_tiny", |e| e > 0.0, "a number greater than 0, such as 1e-7")
        }
    };
    let background = table.and_then(|table| table.background.as_ref());
    let no_background = target.is_some_and(|target| target.activation == OutputActivation::Sigmoid);
    let counted = background.is_some_and(|background| *background.get_ref());
    if counted && no_background {
        let help = "background = false, or activation = \"softmax\" in [target]";
        checker.excluded(background, "a sigmoid has no background channel", help);
    }
    let layout = match table.and_then(|table| table.epsilon_layout.as_ref()) {
        None if released => Some(EpsilonLayout::Released),
        None => Some(EpsilonLayout::Paper),
        Some(word) => {
            let accepted = [("paper", EpsilonLayout::Paper), ("released", EpsilonLayout::Released)];
            checker.one_of(word, "layout of ε", &accepted)
        }
    };
    let weighting = match table.and_then(|table| table.weighting.as_ref()) {
        None => Some(Weighting::Normalised),
        Some(word) => checker.one_of(word, "weighting", &WEIGHTINGS),
    };
    let heuristic = table.and_then(|table| table.epsilon_heuristic.as_ref());
    let (heuristic_full, heuristic_partial) = match heuristic.map(|value| (value, value.get_ref())) {
        None => (from_data(), from_data()),
        Some((_, EpsilonValue::Table(entries))) => {
            let [full, partial] = epsilon::two_of(checker, &entries.0, ["full", "partial"]);
            let full = full
                .map_or_else(from_data, |value| epsilon::smoothing(checker, value, "from-data", target, 0.0));
            let partial = partial
                .map_or_else(from_data, |value| epsilon::smoothing(checker, value, "from-data", target, 0.0));
            (full, partial)
        }
        Some((value, _)) => {
            let smoothing = epsilon::smoothing(checker, value, "from-data", target, 0.0);
            (smoothing.clone(), smoothing)
        }
    };
    Some(Loss {
        tiny: tiny?,
        background: counted,
        layout: layout?,
        weighting: weighting?,
        heuristic_full: heuristic_full?,
        heuristic_partial: heuristic_partial?,
    })
}

/// A setting as spelled out; `None` in its ε stands for what `[loss]` and the labelling make of "heuristic".
pub(super) fn spelled_out(
    checker: &mut Checker<'_>,
    table: &Spanned<SettingTable>,
    target: Option<&Target>,
    loss: &Loss,
    earlier: &[(String, [Option<Setting>; 2])],
) -> Option<(String, [Option<Setting>; 2])> {
    let section = Section::of("[[setting]]", table);
    let table = table.get_ref();
    let word = checker.required(table.name.as_ref(), &section, "name", "name = \"leaf_batch\"")?;
    let name = file_name(checker, word, "name of a setting");
    if Setting::BUILT_IN.contains(&word.get_ref().as_str()) {
        let message = format!("`{}` is a built-in setting", word.get_ref());
        let help = format!("another name than {}", Setting::BUILT_IN.join(", "));
        checker.add(MistakeKind::Duplicate, word.span(), message, "taken", help);
    } else if earlier.iter().any(|(other, _)| other == word.get_ref()) {
        let message = format!("a second setting is named `{}`", word.get_ref());
        checker.add(MistakeKind::Duplicate, word.span(), message, "again", "give it another name");
    }
    let example = "partition = \"batch-wise\", the Φ of the Dice loss";
    let partition = checker.required(table.partition.as_ref(), &section, "partition", example);
    let partition = partition.and_then(|word| checker.one_of(word, "partition", &PARTITIONS));
    let missing = match &table.missing {
        None => Some(Missing::AsEmpty),
        Some(word) => {
            let accepted =
                [("as-empty", Missing::AsEmpty), ("leaf", Missing::Leaf), ("marginal", Missing::Marginal)];
            checker.one_of(word, "treatment of missing labels", &accepted)
        }
    };
    let rule = rule(checker, table, missing);
    let background = background(checker, table, missing, target, loss);
    let weights = table.weights.as_ref().map(|weights| self::weights(checker, weights, target));
    let weighting = match &table.weighting {
        None => Some(Weighting::Normalised),
        Some(word) => checker.one_of(word, "weighting", &WEIGHTINGS),
    };
    if missing == Some(Missing::Marginal)
        && let Some(word) = &table.missing
    {
        marginal_fits(checker, word, target);
    }
    let example = "epsilon = 1e-7, or epsilon = \"heuristic\"";
    let epsilon = checker.required(table.epsilon.as_ref(), &section, "epsilon", example);
    let epsilon = epsilon.and_then(|value| Some((value, epsilon::of_setting(checker, value, target)?)));
    let cross_entropy = match &table.cross_entropy {
        None => Some(0.0),
        Some(weight) => checker.number(weight, "cross_entropy", |w| w >= 0.0, "a weight of 0 or more"),
    };
    let warm_up = table.epsilon_warm_up.as_ref().map(|value| training::warm_up(checker, value, None));
    let batches = table.batches.as_ref().map(|word| training::batches(checker, word));
    let weights = match weights {
        Some(weights) => Some(weights?),
        None => None,
    };
    if table.weights.is_none() {
        let help = "add weights = [ … ], one for each class, or remove it";
        checker.excluded(table.weighting.as_ref(), "`weighting` has no effect without `weights`", help);
    }
    if let (Some(values), Some(written)) = (&weights, &table.weights) {
        weights_fit(checker, values, written, partition, missing, weighting);
    }
    let (value, epsilon) = epsilon?;
    let setting = Setting {
        name: name?,
        partition: partition?,
        missing: missing?,
        rule: rule?,
        background: background?,
        weights,
        weighting: weighting?,
        epsilon_layout: loss.layout,
        epsilon,
        cross_entropy: cross_entropy?,
        epsilon_warm_up: warm_up.map_or(Some(None), |value| value.map(Some))?,
        batches: batches.map_or(Some(None), |value| value.map(Some))?,
    };
    let resolved = [Labelling::Full, Labelling::Partial].map(|labelling| {
        let heuristic = loss.heuristic(labelling);
        let resolve = |smoothing: &Smoothing| match smoothing {
            Smoothing::FromData => heuristic.clone(),
            Smoothing::TimesFromData(times) => heuristic.times(*times),
            other => other.clone(),
        };
        let Epsilon { numerator, denominator } = &setting.epsilon;
        let epsilon = Epsilon { numerator: resolve(numerator), denominator: resolve(denominator) };
        Setting { epsilon, ..setting.clone() }
    });
    if resolved.iter().any(epsilon::mixes) {
        let message = format!(
            "ε for each class, but the subsets of the {} partition mix classes",
            setting.partition.symbol()
        );
        let help = "a single number for all classes, or partition image-wise (I) or batch-wise (BI)";
        checker.add(MistakeKind::EpsilonMixesClasses, value.span(), message, "one ε a class", help);
        return None;
    }
    Some((setting.name.clone(), resolved.map(Some)))
}

fn rule(checker: &mut Checker<'_>, table: &SettingTable, missing: Option<Missing>) -> Option<MissingRule> {
    let Some(word) = &table.rule else { return Some(MissingRule::Declared) };
    let accepted = [("declared", MissingRule::Declared), ("inferred", MissingRule::Inferred)];
    let rule = checker.one_of(word, "rule for missing labels", &accepted);
    if missing == Some(Missing::AsEmpty) {
        let message = "`rule` has no effect on missing labels taken as empty";
        checker.excluded(Some(word), message, "remove it, or write missing = \"leaf\" or \"marginal\"");
    }
    rule
}

fn background(
    checker: &mut Checker<'_>,
    table: &SettingTable,
    missing: Option<Missing>,
    target: Option<&Target>,
    loss: &Loss,
) -> Option<bool> {
    let marginal = missing == Some(Missing::Marginal);
    let Some(background) = &table.background else { return Some(marginal || loss.background) };
    let sigmoid = target.is_some_and(|target| target.activation == OutputActivation::Sigmoid);
    if table.weights.is_some() {
        let help = "keep `weights`; a first weight of 0 leaves the background out";
        checker.excluded(Some(background), "`weights` decide on the background", help);
    } else if *background.get_ref() && sigmoid {
        let help = "background = false, or activation = \"softmax\" in [target]";
        checker.excluded(Some(background), "a sigmoid has no background channel", help);
    } else if marginal && !*background.get_ref() {
        let message = "marginal Dice needs the background: missing classes are merged into it".to_owned();
        let help = "remove `background`, or write missing = \"leaf\"";
        checker.add(MistakeKind::MarginalNeedsSoftmax, background.span(), message, "needed", help);
    }
    Some(*background.get_ref())
}

fn weights(
    checker: &mut Checker<'_>,
    weights: &Spanned<Vec<Spanned<f64>>>,
    target: Option<&Target>,
) -> Option<Vec<f64>> {
    let channels = target.map_or(weights.get_ref().len(), Target::channels);
    if weights.get_ref().len() != channels {
        let message = format!("{} weights for {channels} classes", weights.get_ref().len());
        let help = "one number for each class; with softmax the background's comes first";
        checker.add(MistakeKind::WrongLength, weights.span(), message, "wrong length", help);
        return None;
    }
    let values: Vec<_> = weights
        .get_ref()
        .iter()
        .map(|weight| checker.number(weight, "weights", |w| w >= 0.0, "a number of 0 or more"))
        .collect();
    let values: Vec<f64> = values.into_iter().collect::<Option<_>>()?;
    if values.iter().all(|&weight| weight == 0.0) {
        let message = "all weights are 0: nothing would be learnt".to_owned();
        checker.add(MistakeKind::OutOfRange, weights.span(), message, "all 0", "at least one greater than 0");
        return None;
    }
    Some(values)
}

/// Graded weights mean nothing where a subset mixes classes, and marginal Dice needs the background.
fn weights_fit(
    checker: &mut Checker<'_>,
    values: &[f64],
    written: &Spanned<Vec<Spanned<f64>>>,
    partition: Option<Partition>,
    missing: Option<Missing>,
    weighting: Option<Weighting>,
) {
    let largest = values.iter().copied().fold(0.0, f64::max);
    let graded = values.iter().any(|&weight| weight != 0.0 && weight != largest);
    let unnormalised = weighting == Some(Weighting::Unnormalised);
    if partition.is_some_and(Partition::mixes_classes) && (graded || unnormalised) {
        let message = "a weight for each class, but the subsets of this partition mix classes";
        let help = "equal normalised weights, some of them 0, or partition image-wise (I) or batch-wise (BI)";
        checker.excluded(Some(written), message, help);
    }
    if missing == Some(Missing::Marginal) && values.first() == Some(&0.0) {
        let message = "marginal Dice needs the background: missing classes are merged into it".to_owned();
        let help = "a first weight greater than 0";
        checker.add(MistakeKind::MarginalNeedsSoftmax, written.span(), message, "first is 0", help);
    }
}

/// Marginal Dice needs a softmax; says so, at the word that asked for it, if there is none.
pub(super) fn marginal_fits(checker: &mut Checker<'_>, word: &Word, target: Option<&Target>) -> bool {
    let sigmoid = target.is_some_and(|target| target.activation == OutputActivation::Sigmoid);
    if sigmoid {
        let message =
            "marginal Dice needs softmax: with sigmoid there is no background to merge into".to_owned();
        let help = "activation = \"softmax\" in [target], or leaf instead of marginal";
        checker.add(MistakeKind::MarginalNeedsSoftmax, word.span(), message, "needs softmax", help);
    }
    !sigmoid
}
