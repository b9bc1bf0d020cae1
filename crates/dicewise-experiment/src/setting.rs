//! A setting: which Dice loss, and what happens to missing labels.
use serde::{Deserialize, Serialize};

use crate::{Batches, WarmUp, is_default};

/// Φ: the partition of the voxels of a batch into the subsets over which Dice is computed (`|Φ|` subsets each).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Partition {
    /// I: one subset for each image and class.
    ImageWise,
    /// CI: one subset for each image.
    ClassWise,
    /// BI: one subset for each class.
    BatchWise,
    /// BCI: a single subset.
    AllWise,
}

impl Partition {
    /// The paper's symbol.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::ImageWise => "I",
            Self::ClassWise => "CI",
            Self::BatchWise => "BI",
            Self::AllWise => "BCI",
        }
    }

    /// Whether a subset holds voxels of several classes, so that an ε for each class has no meaning.
    pub fn mixes_classes(self) -> bool {
        matches!(self, Self::ClassWise | Self::AllWise)
    }
}

/// One ε.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Smoothing {
    /// The same number, in voxels, for every class.
    Uniform(f64),
    /// One number, in voxels, for each class; with softmax the background is the first.
    PerClass(Vec<f64>),
    /// The paper's heuristic (Eq. 5 with a = ½, b = 2): for each class E Σy, the mean number of voxels over the
    /// training images as the network sees them, labels emptied where the labelling says so.
    FromData,
    /// This many times [`Self::FromData`].
    TimesFromData(f64),
}

impl Smoothing {
    /// This ε times a factor.
    pub fn times(&self, factor: f64) -> Self {
        match self {
            Self::Uniform(epsilon) => Self::Uniform(epsilon * factor),
            Self::PerClass(epsilons) => Self::PerClass(epsilons.iter().map(|e| e * factor).collect()),
            Self::FromData => Self::TimesFromData(factor),
            Self::TimesFromData(times) => Self::TimesFromData(times * factor),
        }
    }

    /// Whether it is a multiple of what the data give.
    fn is_from_data(&self) -> bool {
        matches!(self, Self::FromData | Self::TimesFromData(_))
    }
}

/// ε of Eq. 3, in voxels. Equal in numerator and denominator unless a setting says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epsilon {
    /// Added to twice the overlap.
    pub numerator: Smoothing,
    /// Added to the union.
    pub denominator: Smoothing,
}

impl Epsilon {
    /// The same ε in numerator and denominator, as in the paper.
    pub fn both(smoothing: Smoothing) -> Self {
        Self { numerator: smoothing.clone(), denominator: smoothing }
    }

    /// Whether ε is of the size of the objects, so that training may have to start with a tiny one (ε warm-up).
    pub fn is_from_data(&self) -> bool {
        self.numerator.is_from_data() || self.denominator.is_from_data()
    }
}

/// Which ε stands in which term, where there is one for each class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EpsilonLayout {
    /// A class's own in its terms, as the paper says.
    #[default]
    Paper,
    /// Every class's in every term, averaged: what the authors' code computed by broadcasting.
    Released,
}

/// What the loss makes of a missing label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// Its zero map is taken as the truth: Φ and ε decide what is learnt.
    AsEmpty,
    /// Its voxels leave their subset (leaf Dice).
    Leaf,
    /// Its probability is added to the background's (marginal Dice).
    Marginal,
}

/// How the loss knows that a label is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissingRule {
    /// The labelling, or `presence.csv`, says so.
    Declared,
    /// Its map is empty, as leaf and marginal Dice were run in the paper.
    Inferred,
}

/// What the weighted sum over classes is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weighting {
    /// The sum of the weights.
    Normalised,
    /// The number of classes, as in the paper's ACDC runs.
    Unnormalised,
}

/// A setting: one way of computing the Dice loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// Its name in tables and folders.
    pub name: String,
    /// Φ.
    pub partition: Partition,
    /// What is done with missing labels.
    pub missing: Missing,
    /// How they are known.
    pub rule: MissingRule,
    /// Whether the background channel of a softmax counts; always false with sigmoid, which has none.
    pub background: bool,
    /// A weight for each class, with softmax the background first; overrides `background`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<Vec<f64>>,
    /// What the weighted sum is divided by.
    pub weighting: Weighting,
    /// Which ε stands in which term.
    #[serde(default, skip_serializing_if = "is_default")]
    pub epsilon_layout: EpsilonLayout,
    /// ε.
    pub epsilon: Epsilon,
    /// Weight of a cross-entropy added to the Dice loss; 0 adds none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cross_entropy: f64,
    /// Instead of the training's [`Training::epsilon_warm_up`](crate::Training::epsilon_warm_up).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsilon_warm_up: Option<WarmUp>,
    /// Instead of the training's [`Training::batches`](crate::Training::batches).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batches: Option<Batches>,
}

impl Setting {
    /// Names that need no `[[setting]]`, as the paper ran them.
    pub const BUILT_IN: [&'static str; 7] = ["I", "BI", "CI", "BCI", "I_eps", "leaf", "marginal"];

    /// The built-in setting of that name: `tiny` is its small ε, `heuristic` what I_eps uses, `background` whether the
    /// background channel counts (leaf never counts it, marginal always does). None for a name that is not built in.
    pub fn built_in(name: &str, tiny: f64, heuristic: &Smoothing, background: bool) -> Option<Self> {
        let paper = |partition| Self {
            name: name.to_owned(),
            partition,
            missing: Missing::AsEmpty,
            rule: MissingRule::Declared,
            background,
            weights: None,
            weighting: Weighting::Normalised,
            epsilon_layout: EpsilonLayout::Paper,
            epsilon: Epsilon::both(Smoothing::Uniform(tiny)),
            cross_entropy: 0.0,
            epsilon_warm_up: None,
            batches: None,
        };
        let setting = match name {
            "I" => paper(Partition::ImageWise),
            "BI" => paper(Partition::BatchWise),
            "CI" => paper(Partition::ClassWise),
            "BCI" => paper(Partition::AllWise),
            "I_eps" => Self { epsilon: Epsilon::both(heuristic.clone()), ..paper(Partition::ImageWise) },
            // No ε above: an absent class contributes Dice 0, a constant with gradient exactly 0.
            "leaf" => Self {
                missing: Missing::Leaf,
                rule: MissingRule::Inferred,
                background: false,
                epsilon: Epsilon {
                    numerator: Smoothing::Uniform(0.0),
                    denominator: Smoothing::Uniform(tiny),
                },
                ..paper(Partition::ImageWise)
            },
            "marginal" => Self {
                missing: Missing::Marginal,
                rule: MissingRule::Inferred,
                background: true,
                ..paper(Partition::ImageWise)
            },
            _ => return None,
        };
        Some(setting)
    }
}
