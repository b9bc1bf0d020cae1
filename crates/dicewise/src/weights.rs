use crate::{DiceError, Partition};

/// w: how much the Dice of each class counts. Length C always; a class is switched off by weight 0.
///
/// ```text
/// normalised:    DL = 1 − Σ_φ w_φ D_φ / Σ_φ w_φ
/// unnormalised:  DL = 1 − Σ_φ w_φ D_φ / |Φ|
/// ```
///
/// where w_φ is the weight of the one class of subset φ. With Φ = CI or BCI a subset mixes classes; there,
/// normalised weights only switch classes on or off: a class of weight 0 leaves its subset.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassWeights {
    weights: Vec<f64>,
    normalised: bool,
}

impl ClassWeights {
    /// Weights whose sum does not matter: the loss stays in \[0, 1\].
    ///
    /// # Errors
    /// A weight negative, NaN or infinite; all weights 0.
    pub fn normalised(weights: Vec<f64>) -> Result<Self, DiceError> {
        Self::new(weights, true)
    }

    /// Weights that multiply the Dice while the mean still divides by |Φ|, as the paper ran ACDC.
    ///
    /// With `[0, 1, 1, 1]` the loss ranges over \[0.25, 1\] and its gradient is ¾ of the foreground mean's.
    /// A subset without anything left counts as Dice 1, so all-missing gives 1 − Σw / C instead of 0.
    ///
    /// # Errors
    /// As [`ClassWeights::normalised`].
    pub fn unnormalised(weights: Vec<f64>) -> Result<Self, DiceError> {
        Self::new(weights, false)
    }

    /// Every class but class 0, with equal weight.
    ///
    /// # Errors
    /// Fewer than two classes: nothing would be left.
    #[doc(alias = "include_background=False")]
    #[doc(alias = "do_bg=False")]
    pub fn without_background(classes: usize) -> Result<Self, DiceError> {
        Self::normalised((0..classes).map(|c| if c == 0 { 0.0 } else { 1.0 }).collect())
    }

    fn new(weights: Vec<f64>, normalised: bool) -> Result<Self, DiceError> {
        if let Some((class, &value)) =
            weights.iter().enumerate().find(|(_, w)| !(w.is_finite() && **w >= 0.0))
        {
            return Err(DiceError::WeightValue { class, value });
        }
        if weights.iter().all(|&w| w == 0.0) {
            return Err(DiceError::WeightsAllZero);
        }
        Ok(Self { weights, normalised })
    }

    /// The weights as given.
    pub fn as_slice(&self) -> &[f64] {
        &self.weights
    }

    /// Whether the loss divides by the sum of the weights.
    pub fn is_normalised(&self) -> bool {
        self.normalised
    }

    pub(crate) fn check_partition(&self, partition: Partition) -> Result<(), DiceError> {
        let largest = self.weights.iter().copied().fold(0.0, f64::max);
        let graded = self.weights.iter().any(|&w| w != 0.0 && w != largest);
        if partition.mixes_classes() && (graded || !self.normalised) {
            return Err(DiceError::WeightsMixClasses { partition });
        }
        Ok(())
    }

    pub(crate) fn check_classes(&self, classes: usize) -> Result<(), DiceError> {
        if self.weights.len() != classes {
            return Err(DiceError::WeightsLength { expected: classes, found: self.weights.len() });
        }
        Ok(())
    }
}
