use std::fmt;

use crate::{ClassWeights, DiceError, DiceSums, Epsilon, MissingLabels, Partition, Presence, Real, Target};

/// The Dice loss DL for a partition Φ and a smoothing term ε, Eq. 3.
///
/// ```text
/// DL = 1 − (1/|Φ|) Σ_{φ∈Φ} (2 Σ_φ y p + ε) / (Σ_φ (y + p) + ε)
/// ```
///
/// where p is the prediction (a probability), y the target, and φ a subset of the `[B, C]` maps. Φ and ε
/// have no default: together they decide what a map without ground truth teaches. See
/// [`explain`](crate::explain) for what a choice does.
#[derive(Clone, Debug, PartialEq)]
pub struct DiceLoss {
    pub(crate) partition: Partition,
    pub(crate) epsilon: Epsilon,
    pub(crate) weights: Option<ClassWeights>,
    pub(crate) missing: MissingLabels,
}

impl DiceLoss {
    /// A loss in which all classes count the same and missing labels are taken as empty, as in the paper.
    ///
    /// # Errors
    /// One ε per class with Φ = CI or BCI, whose subsets mix classes.
    pub fn new(partition: Partition, epsilon: Epsilon) -> Result<Self, DiceError> {
        if epsilon.is_per_class() && partition.mixes_classes() {
            return Err(DiceError::EpsilonMixesClasses { partition });
        }
        Ok(Self { partition, epsilon, weights: None, missing: MissingLabels::AsEmpty })
    }

    /// Sets the class weights.
    ///
    /// # Errors
    /// Graded or unnormalised weights with Φ = CI or BCI; no weight on the background under marginal
    /// treatment.
    pub fn with_class_weights(mut self, weights: ClassWeights) -> Result<Self, DiceError> {
        weights.check_partition(self.partition)?;
        self.weights = Some(weights);
        self.check_marginal()?;
        Ok(self)
    }

    /// Sets what happens to missing labels.
    ///
    /// # Errors
    /// Marginal treatment without weight on the background.
    pub fn with_missing_labels(mut self, missing: MissingLabels) -> Result<Self, DiceError> {
        self.missing = missing;
        self.check_marginal()?;
        Ok(self)
    }

    fn check_marginal(&self) -> Result<(), DiceError> {
        let background = self.weights.as_ref().and_then(|weights| weights.as_slice().first());
        if self.missing.is_marginal() && background == Some(&0.0) {
            return Err(DiceError::MarginalWithoutBackground);
        }
        Ok(())
    }

    /// Φ.
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// ε.
    pub fn epsilon(&self) -> &Epsilon {
        &self.epsilon
    }

    /// The class weights; `None` if all classes count the same.
    pub fn class_weights(&self) -> Option<&ClassWeights> {
        self.weights.as_ref()
    }

    /// What happens to missing labels.
    pub fn missing_labels(&self) -> MissingLabels {
        self.missing
    }

    /// Step 1, the voxel pass: as [`DiceSums::measure`], with Σ y_0 p_c if the treatment is marginal.
    ///
    /// # Errors
    /// As [`DiceSums::measure`].
    pub fn sums<T: Real>(&self, prediction: &[T], target: &Target<'_>) -> Result<DiceSums, DiceError> {
        DiceSums::measure_with(prediction, target, self.missing.is_marginal())
    }

    /// DL, Eq. 3: steps 1 and 2.
    ///
    /// # Errors
    /// As [`DiceSums::measure`] and [`DiceLoss::terms`].
    pub fn value<T: Real>(
        &self,
        prediction: &[T],
        target: &Target<'_>,
        presence: Option<&Presence>,
    ) -> Result<f64, DiceError> {
        Ok(self.terms(&self.sums(prediction, target)?, presence)?.loss)
    }

    /// DL and its gradient with respect to the probabilities, Eq. 3 and 4: all three steps.
    ///
    /// `gradient` is `[B, C, I]` and written in full.
    ///
    /// # Errors
    /// As [`DiceSums::measure`], [`DiceLoss::terms`] and [`DiceTerms::write_gradient`](crate::DiceTerms::write_gradient).
    pub fn value_and_gradient<T: Real>(
        &self,
        prediction: &[T],
        target: &Target<'_>,
        presence: Option<&Presence>,
        gradient: &mut [T],
    ) -> Result<f64, DiceError> {
        let terms = self.terms(&self.sums(prediction, target)?, presence)?;
        terms.write_gradient(target, gradient)?;
        Ok(terms.loss)
    }
}

/// For example `DL_BI, ε = 1e-7, missing labels: leaf`.
impl fmt::Display for DiceLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DL_{}, ε = {}, missing labels: {}", self.partition, self.epsilon, self.missing)?;
        match &self.weights {
            None => Ok(()),
            Some(weights) => {
                let kind = if weights.is_normalised() { "" } else { " unnormalised" };
                write!(f, ", class weights {:?}{kind}", weights.as_slice())
            }
        }
    }
}
