//! What a loss teaches on present, empty and missing maps, before any training.
//!
//! [`explain`] puts a [`Scenario`], a batch in which one map has no ground truth, through a loss and reports
//! the derivative on that map. [`Preset`] names the losses that others ship, whose defaults pick opposite
//! behaviours in silence.
//!
//! ```
//! use dicewise::{Shape, explain::{Preset, Scenario, Verdict}};
//!
//! let scenario = Scenario::new(Shape::new(2, 3, 64 * 64)?, 400.0)?;
//! assert_eq!(Preset::MonaiDefault.explain(&scenario)?.on_empty, Verdict::Ignores);
//! assert_eq!(Preset::Smp.explain(&scenario)?.on_empty, Verdict::Learns);
//! println!("{}", "nnunet-batch-dice".parse::<Preset>()?.explain(&scenario)?);
//! # Ok::<(), dicewise::DiceError>(())
//! ```

mod generalized;
mod over_epsilon;
mod preset;
mod scenario;

use std::fmt;

pub use over_epsilon::over_epsilon;
pub use preset::Preset;
pub use scenario::Scenario;

use crate::{DiceError, DiceLoss};

/// Below this ratio of [`Explanation::push_on_empty`] a map without ground truth is ignored.
pub const IGNORES_BELOW: f64 = 1e-3;
/// From this ratio on, it is learnt to be empty.
pub const LEARNS_FROM: f64 = 0.1;

/// What a loss does with a map without ground truth.
///
/// Measured by the ratio of the derivative on that map to the derivative on the background (y = 0) of a map
/// whose object is present: how hard a voxel is pushed towards 0, compared with a voxel that is known to
/// be 0. Below 1e-3 ([`IGNORES_BELOW`]) is ignoring, 0.1 and above ([`LEARNS_FROM`]) is learning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The map teaches nothing: right if the label is missing, wrong if it is empty.
    Ignores,
    /// The map teaches a little, and more as its prediction shrinks towards ε.
    InBetween,
    /// The map teaches that the structure is absent: right if the label is empty, wrong if it is missing.
    Learns,
}

impl Verdict {
    fn of(push: f64) -> Self {
        match push {
            push if push < IGNORES_BELOW => Self::Ignores,
            push if push < LEARNS_FROM => Self::InBetween,
            _ => Self::Learns,
        }
    }
}

/// `ignores it`, `in between` or `learns that it is empty`.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ignores => "ignores it",
            Self::InBetween => "in between",
            Self::Learns => "learns that it is empty",
        })
    }
}

/// The two values of ∂L/∂p on a map with hard labels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MapDerivative {
    /// Where y = 0; above 0 pushes the prediction down.
    pub outside: f64,
    /// Where y = 1; below 0 pushes the prediction up.
    pub inside: f64,
}

/// What a loss does in a [`Scenario`]; its `Display` is meant for users.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The loss in words.
    pub loss: String,
    /// The scenario in words.
    pub scenario: String,
    /// ∂L/∂p on a map whose object is present.
    pub present: MapDerivative,
    /// Mean ∂L/∂p on the map without ground truth, if it is annotated: the structure is absent.
    pub empty: f64,
    /// Mean ∂L/∂p on the map without ground truth, if it is declared missing.
    pub missing: f64,
    /// Whether the missing class shares the background's derivative (marginal treatment), so that the loss
    /// does not tell the two apart.
    pub missing_is_background: bool,
    /// What the loss does with an empty label.
    pub on_empty: Verdict,
    /// What the loss does with a missing label.
    pub on_missing: Verdict,
}

impl Explanation {
    fn new(
        loss: String,
        scenario: &Scenario,
        present: MapDerivative,
        empty: f64,
        missing: f64,
        missing_is_background: bool,
    ) -> Self {
        let shape = scenario.shape();
        Self {
            loss,
            scenario: format!(
                "B = {}, C = {}, {} voxels, an object of {} voxels in class {}, none in the last image",
                shape.batch(),
                shape.classes(),
                shape.voxels(),
                scenario.object_size(),
                scenario.class()
            ),
            present,
            empty,
            missing,
            missing_is_background,
            on_empty: Verdict::of(ratio(empty, present)),
            on_missing: if missing_is_background {
                Verdict::Ignores
            } else {
                Verdict::of(ratio(missing, present))
            },
        }
    }

    /// The derivative on the empty map in units of the one on the background of a present map: what
    /// [`Verdict`] goes by.
    pub fn push_on_empty(&self) -> f64 {
        ratio(self.empty, self.present)
    }
}

/// 0 where nothing is pushed, even if nothing is pushed on the present map either (class weight 0).
fn ratio(derivative: f64, present: MapDerivative) -> f64 {
    if derivative == 0.0 { 0.0 } else { derivative.abs() / present.outside.abs() }
}

/// Explains what a loss teaches on present, empty and missing maps.
///
/// The present map is the same class in the first image; if B = 1, the only image with its object in place.
///
/// # Errors
/// As [`DiceLoss::terms`].
pub fn explain(loss: &DiceLoss, scenario: &Scenario) -> Result<Explanation, DiceError> {
    let (class, last) = (scenario.class(), scenario.image_without());
    let sums = scenario.sums(true)?;
    let as_empty = loss.terms(&sums, None)?;
    let as_missing = loss.terms(&sums, Some(&scenario.declared_missing()?))?;
    let present_terms = if last > 0 { as_empty.clone() } else { loss.terms(&scenario.sums(false)?, None)? };
    let classes = sums.classes();
    // Squared Dice has a term c·p; p is one value on the object and one elsewhere.
    let (p_inside, p_outside) = scenario.prediction();
    let present = MapDerivative {
        outside: present_terms.derivative(0, class, 0.0) + present_terms.c[class] * p_outside,
        inside: present_terms.derivative(0, class, 1.0) + present_terms.c[class] * p_inside,
    };
    // Affine in y, so the mean over the map is the derivative at the mean y of its row.
    let mean = |terms: &crate::DiceTerms| {
        let row = last * classes + terms.row[last * classes + class];
        let c = terms.c[last * classes + class];
        terms.derivative(last, class, sums.target()[row] / scenario.shape().voxels() as f64) + c * p_outside
    };
    let routed = as_missing.row[last * classes + class] != class;
    let mut explanation =
        Explanation::new(loss.to_string(), scenario, present, mean(&as_empty), mean(&as_missing), routed);
    if as_empty.row[last * classes + class] != class {
        // Inferred: an empty label is taken for a missing one.
        explanation.on_empty = Verdict::Ignores;
    }
    Ok(explanation)
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "loss      {}", self.loss)?;
        writeln!(f, "setting   {}", self.scenario)?;
        writeln!(f)?;
        writeln!(f, "mean derivative with respect to the prediction (above 0 pushes it down)")?;
        writeln!(f, "  object present, on its voxels      {:>10.1e}", self.present.inside)?;
        writeln!(f, "  object present, beside it          {:>10.1e}", self.present.outside)?;
        writeln!(f, "  label empty (object absent)        {:>10.1e}   {}", self.empty, self.on_empty)?;
        let routed = if self.missing_is_background { " (as background)" } else { "" };
        writeln!(
            f,
            "  label missing (nobody looked)      {:>10.1e}   {}{routed}",
            self.missing, self.on_missing
        )?;
        writeln!(f)?;
        f.write_str(match (self.on_empty, self.on_missing) {
            (Verdict::Learns, Verdict::Ignores) => {
                "Right for both: empty labels are learnt, and labels declared missing are left alone."
            }
            (Verdict::Ignores, Verdict::Ignores) => {
                "Right if labels are missing. Empty labels are not learnt: this Dice charges nothing for false positives there."
            }
            (Verdict::Learns, Verdict::Learns) => {
                "Right if labels are empty. Missing labels are learnt as absent: the network unlearns the structure."
            }
            _ => {
                "Undecided: maps without ground truth are pushed weakly, and harder as their prediction \
                 shrinks towards ε."
            }
        })
    }
}
