//! The loss as a training uses it: from logits, with cross-entropy beside it.

mod sums;
mod terms;

pub use sums::SegmentationSums;
pub use terms::SegmentationTerms;

use crate::{
    Activation, DiceError, DiceLoss, DiceSums, Element, InstructionSet, MissingRule, Presence, Target,
    kernel::{self, Coefficients, CrossEntropyOf, Wanted},
};

/// A member of the Dice family on the output of a network: activation, Dice and cross-entropy in one.
///
/// ```text
/// L = w_D · DL(p, y) + w_CE · CE(x, y),      p = activation(x)
/// ```
///
/// where x is the input `[B, C, I]`, DL a [`DiceLoss`] and CE the mean cross-entropy, if any:
///
/// ```text
/// softmax:  CE = −(1/N) Σ_{b,i} Σ_c y_bci ln p'_{b,g(c),i},    p'_g = Σ_{k: g(k) = g} p_k
/// sigmoid:  CE = −(1/N) Σ_{b,c,i} [y ln p + (1 − y) ln (1 − p)]
/// ```
///
/// where N counts the voxels that are not left out (over all samples for softmax, over all annotated maps for
/// sigmoid; CE = 0 if there are none). Missing labels, recognised as the `DiceLoss` says (leaf and marginal
/// treatment alike), are merged into the background for softmax: g(c) = 0 if c is missing in the sample, else c, by
/// a log-sum-exp over the logits of the group, so that a voxel labelled background may as well be a class that
/// nobody looked for (label-set marginal cross-entropy). For sigmoid, missing maps are left out.
///
/// Masked and ignored voxels enter no sum and get gradient exactly 0, whatever the input is there.
///
/// # The three steps
///
/// [`sums`](Self::sums) reads input and target once, [`terms`](Self::terms) is scalar maths, and
/// [`write_gradient`](Self::write_gradient) or [`gradient_in_place`](Self::gradient_in_place) reads them once more.
/// Nothing of the size of the input is kept in between. Between step 1 and step 2 is where ranks talk:
/// [`SegmentationSums`].
///
/// ```
/// use dicewise::{Activation, DiceLoss, Epsilon, Partition, SegmentationLoss, Shape, Target};
///
/// let dice = DiceLoss::new(Partition::BatchWise, Epsilon::uniform(1e-5)?)?;
/// let loss = SegmentationLoss::new(dice, Activation::Softmax)?.with_cross_entropy(1.0)?;
///
/// let logits = [2.0_f32, -1.0, 0.5, /* class 1: */ -1.0, 1.5, 0.0];
/// let target = Target::labels(Shape::new(1, 2, 3)?, &[0_u8, 1, 1])?;
/// let sums = loss.sums(&logits, &target, None)?;
/// let terms = loss.terms(&sums, None)?;
/// let mut gradient = [0.0_f32; 6];
/// loss.write_gradient(&terms, &logits, &target, 1.0, &mut gradient)?;
/// assert!(terms.loss > 0.0 && gradient[0] < 0.0 && gradient[1] > 0.0);
/// # Ok::<(), dicewise::DiceError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentationLoss {
    dice: DiceLoss,
    activation: Activation,
    dice_weight: f64,
    cross_entropy_weight: Option<f64>,
    instruction_set: InstructionSet,
}

impl SegmentationLoss {
    /// A Dice loss behind an activation: w_D = 1, no cross-entropy.
    ///
    /// # Errors
    /// Marginal treatment with sigmoid.
    pub fn new(dice: DiceLoss, activation: Activation) -> Result<Self, DiceError> {
        if dice.missing_labels().is_marginal() && activation == Activation::Sigmoid {
            return Err(DiceError::MarginalWithSigmoid);
        }
        let instruction_set = InstructionSet::best();
        Ok(Self { dice, activation, dice_weight: 1.0, cross_entropy_weight: None, instruction_set })
    }

    /// Adds cross-entropy with weight w_CE: categorical for softmax, binary for sigmoid.
    ///
    /// # Errors
    /// A weight that is negative or not finite; no activation.
    pub fn with_cross_entropy(mut self, weight: f64) -> Result<Self, DiceError> {
        check_weight("cross-entropy weight", weight)?;
        if self.activation == Activation::None {
            return Err(DiceError::CrossEntropyWithoutActivation);
        }
        self.cross_entropy_weight = Some(weight);
        Ok(self)
    }

    /// Sets w_D, the weight of the Dice loss.
    ///
    /// # Errors
    /// A weight that is negative or not finite.
    pub fn with_dice_weight(mut self, weight: f64) -> Result<Self, DiceError> {
        check_weight("Dice weight", weight)?;
        self.dice_weight = weight;
        Ok(self)
    }

    /// Runs the voxel passes with these instructions rather than the machine's best.
    #[must_use]
    pub fn with_instruction_set(mut self, set: InstructionSet) -> Self {
        self.instruction_set = set;
        self
    }

    /// The Dice loss.
    pub fn dice(&self) -> &DiceLoss {
        &self.dice
    }

    /// The activation.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// w_D.
    pub fn dice_weight(&self) -> f64 {
        self.dice_weight
    }

    /// w_CE; `None` without cross-entropy.
    pub fn cross_entropy_weight(&self) -> Option<f64> {
        self.cross_entropy_weight
    }

    /// Step 1, the voxel pass: reads the input `[B, C, I]` and its target once, in parallel.
    ///
    /// The result does not depend on the number of threads. `presence` matters here for categorical cross-entropy
    /// only; with the rule [`MissingRule::Inferred`] that reads the target once more beforehand.
    ///
    /// # Errors
    /// An input that is not B·C·I long or not finite; without activation, outside of \[0, 1\] by more than 1e-4;
    /// labels outside of 0..C; dense targets outside of \[0, 1\]; a presence of another shape.
    pub fn sums<T: Element>(
        &self,
        input: &[T],
        target: &Target<'_>,
        presence: Option<&Presence>,
    ) -> Result<SegmentationSums, DiceError> {
        let groups = match self.merges_missing() {
            false => Vec::new(),
            true => {
                let inferred = self.dice.missing_labels().rule() == Some(MissingRule::Inferred);
                let sizes = if inferred { Some(kernel::measure_target(target)?) } else { None };
                self.groups(target.shape().batch(), target.shape().classes(), sizes.as_deref(), presence)?
            }
        };
        let (background, squares) =
            (self.dice.missing_labels().is_marginal(), self.dice.similarity().is_squared());
        let cross_entropy = self.cross_entropy_of(&groups);
        let wanted = Wanted { activation: self.activation, background, squares, cross_entropy };
        let maps = kernel::measure(self.instruction_set, wanted, input, target)?;
        let dice = DiceSums::from_maps(target.shape(), &maps, background, squares);
        Ok(SegmentationSums::new(dice, self.cross_entropy_weight.map(|_| maps.as_slice())))
    }

    /// L: steps 1 and 2.
    ///
    /// # Errors
    /// As [`sums`](Self::sums) and [`terms`](Self::terms).
    pub fn value<T: Element>(
        &self,
        input: &[T],
        target: &Target<'_>,
        presence: Option<&Presence>,
    ) -> Result<f64, DiceError> {
        Ok(self.terms(&self.sums(input, target, presence)?, presence)?.loss)
    }

    /// Step 3, the voxel pass: writes `scale` · ∂L/∂x into `gradient`, `[B, C, I]`, in full.
    ///
    /// `scale` is the derivative of whatever L enters with respect to L; with `f16`, whose smallest number is
    /// 6e-8, the loss scale of mixed-precision training belongs here.
    ///
    /// # Errors
    /// A target of another batch or number of classes than the terms, slices that are not B·C·I long, a scale or
    /// values that are not finite, labels outside of 0..C.
    pub fn write_gradient<T: Element>(
        &self,
        terms: &SegmentationTerms,
        input: &[T],
        target: &Target<'_>,
        scale: f64,
        gradient: &mut [T],
    ) -> Result<(), DiceError> {
        self.differentiate(terms, Some(input), target, scale, gradient)
    }

    /// Step 3 over its own input: replaces x by `scale` · ∂L/∂x, so that no memory is needed.
    ///
    /// # Errors
    /// As [`write_gradient`](Self::write_gradient); the input may then be overwritten in part.
    pub fn gradient_in_place<T: Element>(
        &self,
        terms: &SegmentationTerms,
        input: &mut [T],
        target: &Target<'_>,
        scale: f64,
    ) -> Result<(), DiceError> {
        self.differentiate(terms, None, target, scale, input)
    }

    fn differentiate<T: Element>(
        &self,
        terms: &SegmentationTerms,
        input: Option<&[T]>,
        target: &Target<'_>,
        scale: f64,
        gradient: &mut [T],
    ) -> Result<(), DiceError> {
        if !scale.is_finite() {
            let accepted = "it must be finite";
            return Err(DiceError::Domain { argument: "scale of the gradient", value: scale, accepted });
        }
        terms.dice.check_target(target)?;
        let scaled =
            |values: &[f64], factor: f64| -> Vec<f64> { values.iter().map(|value| value * factor).collect() };
        let dice = self.dice_weight * scale;
        let coefficients = Coefficients {
            activation: self.activation,
            a: &scaled(&terms.dice.a, dice),
            b: &scaled(&terms.dice.b, dice),
            c: &scaled(&terms.dice.c, dice),
            row: &terms.dice.row,
            cross_entropy: &scaled(&terms.cross_entropy_factor, scale),
            cross_entropy_of: self.cross_entropy_of(&terms.groups),
        };
        kernel::write_gradient(self.instruction_set, coefficients, input, target, gradient)
    }

    /// Whether there is a categorical cross-entropy.
    fn merges_missing(&self) -> bool {
        self.cross_entropy_weight.is_some() && self.activation == Activation::Softmax
    }

    fn cross_entropy_of<'a>(&self, groups: &'a [usize]) -> CrossEntropyOf<'a> {
        match (self.cross_entropy_weight, self.activation) {
            (Some(_), Activation::Softmax) => CrossEntropyOf::Groups(groups),
            (Some(_), Activation::Sigmoid) => CrossEntropyOf::Maps,
            (None, _) | (Some(_), Activation::None) => CrossEntropyOf::None,
        }
    }

    /// g(c) of each map, `[B, C]`: 0 for missing classes, whose label is in the background's.
    ///
    /// For fronts that take the sums themselves. `sizes` are Σ_i y, `[B, C]`, by which the rule
    /// [`MissingRule::Inferred`] goes.
    ///
    /// # Errors
    /// A presence of another shape; a background that is declared missing under marginal treatment.
    pub fn groups(
        &self,
        batch: usize,
        classes: usize,
        sizes: Option<&[f64]>,
        presence: Option<&Presence>,
    ) -> Result<Vec<usize>, DiceError> {
        let annotated = self.dice.annotated(batch, classes, sizes, presence)?;
        Ok((0..batch * classes).map(|map| if annotated[map] { map % classes } else { 0 }).collect())
    }
}

fn check_weight(argument: &'static str, value: f64) -> Result<(), DiceError> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(DiceError::Domain { argument, value, accepted: "it must be finite and at least 0" })
}
