use std::{fmt, str::FromStr};

use crate::DiceError;

/// Which (sample, class) labels are annotated.
///
/// An annotated label may be *empty* (the structure is really absent); a label that is not annotated is
/// *missing* (the structure may well be there). Label files do not say which: the user declares it here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    batch: usize,
    classes: usize,
    annotated: Vec<bool>,
}

impl Presence {
    /// `annotated[b * classes + c]` is true where the label of class `c` in sample `b` is annotated.
    ///
    /// # Errors
    /// A dimension of 0, or a slice that is not B·C long.
    pub fn new(batch: usize, classes: usize, annotated: Vec<bool>) -> Result<Self, DiceError> {
        for (dimension, size) in [("batch", batch), ("classes", classes)] {
            if size == 0 {
                return Err(DiceError::ZeroDimension { dimension });
            }
        }
        if annotated.len() != batch * classes {
            return Err(DiceError::Length {
                argument: "presence",
                shape: format!("[{batch}, {classes}]"),
                expected: batch * classes,
                found: annotated.len(),
            });
        }
        Ok(Self { batch, classes, annotated })
    }

    /// B.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// C.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Whether the label of class `c` in sample `b` is annotated.
    ///
    /// # Panics
    /// If `b` or `c` is out of range.
    pub fn is_annotated(&self, b: usize, c: usize) -> bool {
        assert!(c < self.classes, "class {c} of {}", self.classes);
        self.annotated[b * self.classes + c]
    }

    /// `[B, C]`, row by row.
    pub fn as_slice(&self) -> &[bool] {
        &self.annotated
    }

    /// Stacks the presence of several ranks along the batch, as [`DiceSums::concat`](crate::DiceSums::concat)
    /// stacks their sums.
    ///
    /// # Errors
    /// No part, or parts that differ in the number of classes.
    pub fn concat(parts: &[Self]) -> Result<Self, DiceError> {
        let classes = parts.first().ok_or(DiceError::ZeroDimension { dimension: "batch" })?.classes;
        if let Some(part) = parts.iter().find(|part| part.classes != classes) {
            return Err(DiceError::ShapeMismatch {
                argument: "presence of a rank",
                expected: (part.batch, classes),
                found: (part.batch, part.classes),
            });
        }
        let annotated = parts.iter().flat_map(|part| part.annotated.iter().copied()).collect();
        Self::new(parts.iter().map(|part| part.batch).sum(), classes, annotated)
    }
}

/// How a missing (sample, class) label is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MissingRule {
    /// Missing is what [`Presence`] declares; without a declaration everything is annotated.
    ///
    /// A label that is annotated but empty is still learnt to be empty (with Φ = BI or a large ε).
    Declared,
    /// Missing is what has no ground truth in the sample, Σ_i y = 0: the rule of leaf Dice as the paper ran
    /// it. A label that is really empty cannot be told from a missing one.
    Inferred,
}

/// What the loss does with a missing (sample, class) label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MissingLabels {
    /// The zero map is taken as the truth: the paper's naive use, decided by Φ and ε.
    AsEmpty,
    /// The map leaves its subset: it enters neither overlap nor union. A subset left with nothing
    /// contributes loss 0 and gradient 0 (the paper's φ ← ∅, where ε/ε = 1); |Φ| stays.
    Leaf(MissingRule),
    /// The prediction of missing classes is added to the background's, then Dice includes the background:
    ///
    /// ```text
    /// p'_0 = p_0 + Σ_{c missing} p_c,    p'_c = 0 for missing c
    /// ```
    ///
    /// so that a missing class receives the background's gradient. Needs softmax output with class 0 as
    /// background; the background itself is never missing.
    Marginal(MissingRule),
}

impl MissingLabels {
    /// How missing labels are recognised; `None` if they are not treated apart.
    pub fn rule(self) -> Option<MissingRule> {
        match self {
            Self::AsEmpty => None,
            Self::Leaf(rule) | Self::Marginal(rule) => Some(rule),
        }
    }

    /// Whether missing classes are added to the background.
    pub fn is_marginal(self) -> bool {
        matches!(self, Self::Marginal(_))
    }
}

/// `as-empty`, `leaf`, `leaf-inferred`, `marginal` or `marginal-inferred`, which [`FromStr`] reads back.
impl fmt::Display for MissingLabels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::AsEmpty => "as-empty",
            Self::Leaf(MissingRule::Declared) => "leaf",
            Self::Leaf(MissingRule::Inferred) => "leaf-inferred",
            Self::Marginal(MissingRule::Declared) => "marginal",
            Self::Marginal(MissingRule::Inferred) => "marginal-inferred",
        })
    }
}

/// Reads `as-empty`, `leaf`, `leaf-inferred`, `marginal`, `marginal-inferred`.
impl FromStr for MissingLabels {
    type Err = DiceError;

    fn from_str(name: &str) -> Result<Self, DiceError> {
        match name.trim() {
            "as-empty" => Ok(Self::AsEmpty),
            "leaf" | "leaf-declared" => Ok(Self::Leaf(MissingRule::Declared)),
            "leaf-inferred" => Ok(Self::Leaf(MissingRule::Inferred)),
            "marginal" | "marginal-declared" => Ok(Self::Marginal(MissingRule::Declared)),
            "marginal-inferred" => Ok(Self::Marginal(MissingRule::Inferred)),
            _ => Err(DiceError::UnknownName {
                what: "treatment of missing labels",
                name: name.to_owned(),
                accepted: "as-empty, leaf, leaf-inferred, marginal, marginal-inferred".to_owned(),
            }),
        }
    }
}
