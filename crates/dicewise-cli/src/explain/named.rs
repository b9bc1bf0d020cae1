//! Losses by name: the paper's settings, and what other packages ship.
use std::str::FromStr;

use dicewise::explain::{Preset, Scenario};
use dicewise::{DiceError, DiceLoss};
use dicewise_experiment::{OutputActivation, Setting, Smoothing, Target, TargetLabel};
use miette::Diagnostic;
use thiserror::Error;

/// The small ε of the paper's settings.
pub(super) const EPSILON_TINY: f64 = 1e-7;
/// How alike two words have to be for one to be meant by the other; clap takes the same.
const ALIKE: f64 = 0.7;

/// A loss with a name.
#[derive(Debug)]
pub(super) enum Named {
    /// As `run` trains with it.
    Setting(Setting),
    /// As another package ships it.
    Preset(Preset),
}

/// A name that no loss has.
#[derive(Debug, Error, Diagnostic)]
#[error("there is no loss named `{name}`{}", meant.map_or(String::new(), |meant| format!("; did you mean `{meant}`?")))]
#[diagnostic(help("accepted: {accepted}; or give --partition and --epsilon"))]
pub(super) struct UnknownLoss {
    name: String,
    meant: Option<&'static str>,
    accepted: String,
}

impl FromStr for Named {
    type Err = UnknownLoss;

    fn from_str(name: &str) -> Result<Self, UnknownLoss> {
        let heuristic = Smoothing::FromData;
        if let Some(setting) = Setting::built_in(name, EPSILON_TINY, &heuristic, false) {
            return Ok(Self::Setting(setting));
        }
        if let Ok(preset) = name.parse() {
            return Ok(Self::Preset(preset));
        }
        let accepted: Vec<&str> = names().collect();
        Err(UnknownLoss { name: name.to_owned(), meant: nearest(name), accepted: accepted.join(", ") })
    }
}

impl Named {
    /// The loss in a scenario; ε of I_eps is the size of each class in it. None for generalized Dice, which is no
    /// member of the family of Eq. 3.
    pub(super) fn dice(&self, scenario: &Scenario) -> Result<Option<DiceLoss>, DiceError> {
        match self {
            Self::Preset(preset) => preset.loss(scenario.shape().classes(), scenario.object_size()),
            Self::Setting(setting) => loss(setting, scenario).map(Some),
        }
    }
}

fn loss(setting: &Setting, scenario: &Scenario) -> Result<DiceLoss, DiceError> {
    let (classes, object) = (scenario.shape().classes(), scenario.object_size());
    let activation = if classes == 1 { OutputActivation::Sigmoid } else { OutputActivation::Softmax };
    let labels = (1..=classes.saturating_sub(1).max(1))
        .map(|class| TargetLabel {
            name: class.to_string(),
            values: vec![u16::try_from(class).unwrap_or(u16::MAX)],
        })
        .collect::<Vec<_>>();
    let mut sizes = vec![object; labels.len()];
    if classes > 1 {
        sizes.insert(0, scenario.shape().voxels() as f64 - object * labels.len() as f64);
    }
    setting.dice_loss(&Target { activation, labels, soft: false }, &sizes)
}

/// Φ of a setting, in the loss's own type.
pub(super) fn symbol(setting: &Setting) -> dicewise::Partition {
    let same = |partition: &dicewise::Partition| partition.symbol() == setting.partition.symbol();
    dicewise::Partition::ALL.into_iter().find(same).expect("both crates name the paper's four partitions")
}

fn names() -> impl Iterator<Item = &'static str> {
    Setting::BUILT_IN.into_iter().chain(Preset::ALL.map(Preset::name))
}

/// The name that a mistyped one was meant to be.
fn nearest(name: &str) -> Option<&'static str> {
    let plain = |name: &str| name.to_lowercase().replace('_', "-");
    names()
        .map(|known| (strsim::jaro(&plain(name), &plain(known)), known))
        .filter(|(alike, _)| *alike > ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_accepted_name_has_a_loss() {
        for name in names() {
            name.parse::<Named>().unwrap_or_else(|error| panic!("{error}"));
        }
        assert_eq!(names().count(), 7 + 14);
    }

    #[test]
    fn a_slip_is_recognised() {
        assert_eq!(nearest("monai_defualt"), Some("monai-default"));
        assert_eq!(nearest("i_eps"), Some("I_eps"));
        assert_eq!(nearest("nnunet-batchdice"), Some("nnunet-batch-dice"));
        assert_eq!(nearest("cross-entropy"), None);
    }
}
