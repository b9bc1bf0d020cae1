//! Checks ε, wherever one is written.
use toml::Spanned;

use super::{Checker, Section};
use crate::file::EpsilonValue;
use crate::{Epsilon, MistakeKind, OutputActivation, Setting, Smoothing, Target};

/// The values of two keys; says so when there is another key.
pub(super) fn two_of<'t>(
    checker: &mut Checker<'_>,
    entries: &'t [(Spanned<String>, Spanned<EpsilonValue>)],
    keys: [&str; 2],
) -> [Option<&'t Spanned<EpsilonValue>>; 2] {
    for (key, _) in entries {
        if !keys.contains(&key.get_ref().as_str()) {
            checker.unknown(MistakeKind::UnknownKey, key, "key", &keys);
        }
    }
    keys.map(|wanted| entries.iter().find(|(key, _)| key.get_ref() == wanted).map(|(_, value)| value))
}

/// One ε: at least `least` (0 itself only where `least` is negative).
pub(super) fn smoothing(
    checker: &mut Checker<'_>,
    value: &Spanned<EpsilonValue>,
    from_data: &str,
    target: Option<&Target>,
    least: f64,
) -> Option<Smoothing> {
    let accepted = if least < 0.0 { "voxels, 0 or more" } else { "voxels, more than 0" };
    let fits = |epsilon: f64| epsilon.is_finite() && epsilon > least && epsilon >= 0.0;
    match value.get_ref() {
        &EpsilonValue::Number(epsilon) if fits(epsilon) => Some(Smoothing::Uniform(epsilon)),
        EpsilonValue::Word(word) if word == from_data => Some(Smoothing::FromData),
        EpsilonValue::PerClass(values) => {
            let channels = target.map_or(values.len(), Target::channels);
            if values.len() != channels {
                let background = target.is_some_and(|t| t.activation == OutputActivation::Softmax);
                let of_which = if background { ", background first" } else { "" };
                let message = format!("{} values of ε for {channels} classes", values.len());
                let help =
                    format!("one number for each class ({channels}{of_which}), or a single one for all");
                checker.add(MistakeKind::WrongLength, value.span(), message, "wrong length", help);
                return None;
            }
            if let Some(wrong) = values.iter().find(|&&epsilon| !fits(epsilon)) {
                checker.out_of_range(value.span(), "epsilon", wrong, accepted.to_owned());
                return None;
            }
            Some(Smoothing::PerClass(values.clone()))
        }
        EpsilonValue::Number(epsilon) => {
            checker.out_of_range(value.span(), "epsilon", epsilon, accepted.to_owned());
            None
        }
        EpsilonValue::Word(word) => {
            checker.unknown_text(
                MistakeKind::UnknownWord,
                value.span(),
                word,
                "ε",
                &[from_data, "a number", "one number a class"],
            );
            None
        }
        EpsilonValue::Table(_) => {
            let message = "a table inside a table".to_owned();
            let help = format!("a number, a list of numbers, or {from_data:?}");
            checker.add(MistakeKind::WrongType, value.span(), message, "not here", help);
            None
        }
    }
}

/// Whether a setting has an ε for each class though its subsets mix classes.
pub(super) fn mixes(setting: &Setting) -> bool {
    let uniform = |smoothing: &Smoothing| matches!(smoothing, Smoothing::Uniform(_));
    let Epsilon { numerator, denominator } = &setting.epsilon;
    setting.partition.mixes_classes() && !(uniform(numerator) && uniform(denominator))
}

/// The ε of a setting, which may differ between numerator and denominator.
pub(super) fn of_setting(
    checker: &mut Checker<'_>,
    value: &Spanned<EpsilonValue>,
    target: Option<&Target>,
) -> Option<Epsilon> {
    let EpsilonValue::Table(entries) = value.get_ref() else {
        return smoothing(checker, value, "heuristic", target, 0.0).map(Epsilon::both);
    };
    if let [(key, times)] = entries.0.as_slice()
        && key.get_ref() == "times_heuristic"
    {
        return times_heuristic(checker, times).map(Epsilon::both);
    }
    let section = Section { name: "`epsilon`", span: value.span() };
    let [numerator, denominator] = two_of(checker, &entries.0, ["numerator", "denominator"]);
    let numerator = checker.required(numerator, &section, "numerator", "numerator = 0.0");
    let denominator = checker.required(denominator, &section, "denominator", "denominator = 1e-7");
    let numerator = numerator.and_then(|value| smoothing(checker, value, "heuristic", target, -1.0));
    let denominator = denominator.and_then(|value| smoothing(checker, value, "heuristic", target, 0.0));
    Some(Epsilon { numerator: numerator?, denominator: denominator? })
}

fn times_heuristic(checker: &mut Checker<'_>, times: &Spanned<EpsilonValue>) -> Option<Smoothing> {
    match times.get_ref() {
        &EpsilonValue::Number(times) if times.is_finite() && times > 0.0 => {
            Some(Smoothing::TimesFromData(times))
        }
        _ => {
            let text = checker.text_at(&times.span()).to_owned();
            checker.out_of_range(times.span(), "times_heuristic", text, "a number greater than 0".to_owned());
            None
        }
    }
}
