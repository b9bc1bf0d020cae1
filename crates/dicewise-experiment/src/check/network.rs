//! Checks `[network]`, and that its levels divide what it sees.
use toml::Spanned;

use super::{Checker, Section};
use crate::file::{ExperimentFile, NetworkTable};
use crate::{Architecture, Data, HiddenActivation, MistakeKind, Network, Norm};

pub(super) fn network(checker: &mut Checker<'_>, table: &Spanned<NetworkTable>) -> Option<Network> {
    let section = Section::of("[network]", table);
    let table = table.get_ref();
    let prior_bias = table.prior_bias.unwrap_or(false);
    let width = match &table.width {
        None => Some(1.0),
        Some(width) => checker.number(width, "width", |w| w > 0.0 && w <= 8.0, "more than 0, at most 8"),
    };
    if let Some(preset) = &table.preset {
        let (message, help) = ("a preset network has this built in", "remove it, or `preset`");
        checker.excluded(table.base.as_ref(), message, help);
        checker.excluded(table.levels.as_ref(), message, help);
        checker.excluded(table.norm.as_ref(), message, help);
        checker.excluded(table.activation.as_ref(), message, help);
        let accepted = [("brats", Architecture::Brats), ("acdc", Architecture::Acdc)];
        let architecture = checker.one_of(preset, "preset", &accepted)?;
        return Some(Network { prior_bias, width: width?, architecture });
    }
    let (message, help) = ("`width` goes with `preset`", "change `base`, or give a `preset`");
    checker.excluded(table.width.as_ref(), message, help);
    let example = "base = 8 and levels = 3, or preset = \"brats\"";
    let base = checker.required(table.base.as_ref(), &section, "base", example);
    let base = base.and_then(|base| checker.whole(base, "base", 1..=1024));
    let levels = checker.required(table.levels.as_ref(), &section, "levels", "levels = 3");
    let levels = levels.and_then(|levels| checker.whole(levels, "levels", 1..=8));
    let norm = match &table.norm {
        None => Some(Norm::Instance),
        Some(word) => {
            checker.one_of(word, "normalisation", &[("instance", Norm::Instance), ("batch", Norm::Batch)])
        }
    };
    let activation = match &table.activation {
        None => Some(HiddenActivation::LeakyRelu),
        Some(word) => {
            let accepted = [("leaky-relu", HiddenActivation::LeakyRelu), ("prelu", HiddenActivation::PRelu)];
            checker.one_of(word, "activation of hidden layers", &accepted)
        }
    };
    let (norm, activation) = (norm?, activation?);
    let architecture = Architecture::Custom { base: base?, levels: levels?, norm, activation };
    Some(Network { prior_bias, width: width?, architecture })
}

/// Every size that the network sees must be divisible by what its levels divide by.
pub(super) fn sizes(checker: &mut Checker<'_>, file: &ExperimentFile, network: &Network, data: &Data) {
    let image = file.preprocessing.as_ref().and_then(|table| table.get_ref().size.as_ref());
    let resampled = file.preprocessing.as_ref().is_some_and(|table| table.get_ref().spacing_mm.is_some());
    let phantom = match data {
        Data::Folder { .. } => None,
        _ if resampled => None,
        _ => file.data.as_ref().and_then(|table| table.get_ref().phantom_shape.as_ref()),
    };
    let patch = file.patch.as_ref().map(Spanned::get_ref);
    let whole = patch.is_none_or(|p| p.prediction.as_ref().is_some_and(|word| word.get_ref() == "whole"));
    let seen = [
        patch.and_then(|patch| patch.size.as_ref()).map(|size| ("patch", size)),
        if whole { image.or(phantom).map(|size| ("image", size)) } else { None },
    ];
    for (what, size) in seen.into_iter().flatten() {
        let axes = ["x", "y", "z"].iter().zip(network.architecture.divisor());
        for ((axis, divisor), size) in axes.zip(size.get_ref()) {
            let voxels = *size.get_ref();
            if voxels % divisor != 0 {
                let below = voxels - voxels % divisor;
                let message = format!(
                    "the {what} has {voxels} voxels along {axis}: the network needs a multiple of {divisor}"
                );
                let near =
                    if below == 0 { divisor.to_string() } else { format!("{below} or {}", below + divisor) };
                let fewer = match network.architecture {
                    Architecture::Custom { .. } => "; or fewer levels in [network]",
                    Architecture::Brats | Architecture::Acdc => "",
                };
                let help = format!("a multiple of {divisor}: {near}{fewer}");
                checker.add(MistakeKind::NotDivisible, size.span(), message, "not divisible", help);
            }
        }
    }
}
