use std::fmt;

use crate::{
    ClassWeights, DiceError, DiceSums, Element, Epsilon, MissingLabels, Partition, Presence, Similarity,
    Target,
};

/// The Dice loss DL for a partition Φ and a smoothing term ε, Eq. 3.
///
/// ```text
/// DL = 1 − (1/|Φ|) Σ_{φ∈Φ} (2 Σ_φ y p + ε) / (Σ_φ (y + p) + ε)
/// ```
///
/// where p is the prediction (a probability), y the target, and φ a subset of the `[B, C]` maps. Φ and ε
/// have no default: together they decide what a map without ground truth teaches. See
/// [`explain`](crate::explain) for what a choice does, and [`Similarity`] for Dice's relatives. To go from logits,
/// or to add cross-entropy, wrap it in a [`SegmentationLoss`](crate::SegmentationLoss).
#[derive(Clone, Debug, PartialEq)]
pub struct DiceLoss {
    pub(crate) partition: Partition,
    pub(crate) epsilon: Epsilon,
    pub(crate) weights: Option<ClassWeights>,
    pub(crate) missing: MissingLabels,
    pub(crate) similarity: Similarity,
    pub(crate) focal_exponent: f64,
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
        Ok(Self {
            partition,
            epsilon,
            weights: None,
            missing: MissingLabels::AsEmpty,
            similarity: Similarity::Dice,
            focal_exponent: 1.0,
        })
    }

    /// The same loss with another ε.
    ///
    /// # Errors
    /// As [`DiceLoss::new`].
    pub fn with_epsilon(self, epsilon: Epsilon) -> Result<Self, DiceError> {
        let Self { epsilon, .. } = Self::new(self.partition, epsilon)?;
        Ok(Self { epsilon, ..self })
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

    /// Replaces Dice by another member of its family.
    ///
    /// # Errors
    /// α or β negative, not finite, or both 0; generalized Dice with Φ = I or BI; squared Dice with marginal
    /// treatment.
    pub fn with_similarity(mut self, similarity: Similarity) -> Result<Self, DiceError> {
        similarity.check(self.partition)?;
        self.similarity = similarity;
        self.check_marginal()?;
        Ok(self)
    }

    /// Raises the loss of each subset to the power γ, as in focal Tversky (Abraham, Khan, ISBI 2019, whose γ is
    /// 1/γ here):
    ///
    /// ```text
    /// L = (1/|Φ|) Σ_φ (1 − D_φ)^γ
    /// ```
    ///
    /// γ > 1 attends to subsets that are segmented badly, γ < 1 to those that are nearly perfect. At D_φ = 1,
    /// where the derivative for γ < 1 is infinite, it is taken as 0.
    ///
    /// # Errors
    /// γ not finite, or not above 0.
    pub fn with_focal_exponent(mut self, gamma: f64) -> Result<Self, DiceError> {
        if !(gamma.is_finite() && gamma > 0.0) {
            let accepted = "it must be finite and above 0";
            return Err(DiceError::Domain { argument: "focal exponent γ", value: gamma, accepted });
        }
        self.focal_exponent = gamma;
        Ok(self)
    }

    fn check_marginal(&self) -> Result<(), DiceError> {
        if self.missing.is_marginal() && self.similarity.is_squared() {
            return Err(DiceError::MarginalWithSquares);
        }
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

    /// The member of the family.
    pub fn similarity(&self) -> Similarity {
        self.similarity
    }

    /// γ, 1 unless set.
    pub fn focal_exponent(&self) -> f64 {
        self.focal_exponent
    }

    /// Step 1, the voxel pass: as [`DiceSums::measure`], with Σ y_0 p_c if the treatment is marginal and Σ y²,
    /// Σ p² for squared Dice.
    ///
    /// # Errors
    /// As [`DiceSums::measure`].
    pub fn sums<T: Element>(&self, prediction: &[T], target: &Target<'_>) -> Result<DiceSums, DiceError> {
        DiceSums::measure_with(prediction, target, self.missing.is_marginal(), self.similarity.is_squared())
    }

    /// DL, Eq. 3: steps 1 and 2.
    ///
    /// # Errors
    /// As [`DiceSums::measure`] and [`DiceLoss::terms`].
    pub fn value<T: Element>(
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
    pub fn value_and_gradient<T: Element>(
        &self,
        prediction: &[T],
        target: &Target<'_>,
        presence: Option<&Presence>,
        gradient: &mut [T],
    ) -> Result<f64, DiceError> {
        let terms = self.terms(&self.sums(prediction, target)?, presence)?;
        terms.write_gradient_with(Some(prediction), target, gradient)?;
        Ok(terms.loss)
    }
}

/// For example `DL_BI, ε = 1e-7, missing labels: leaf`.
impl fmt::Display for DiceLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DL_{}, ε = {}, missing labels: {}", self.partition, self.epsilon, self.missing)?;
        if self.similarity != Similarity::Dice {
            write!(f, ", {}", self.similarity)?;
        }
        if self.focal_exponent != 1.0 {
            write!(f, ", γ = {}", self.focal_exponent)?;
        }
        match &self.weights {
            None => Ok(()),
            Some(weights) => {
                let kind = if weights.is_normalised() { "" } else { " unnormalised" };
                write!(f, ", class weights {:?}{kind}", weights.as_slice())
            }
        }
    }
}
