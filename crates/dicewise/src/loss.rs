use std::fmt;

use crate::{
    ClassWeights, DiceError, DiceSums, DiceTerms, Epsilon, MissingLabels, MissingRule, Partition, Presence,
    Real, Target,
};

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
    partition: Partition,
    epsilon: Epsilon,
    weights: Option<ClassWeights>,
    missing: MissingLabels,
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

    /// Step 2, scalar maths: the loss, and the derivative's coefficients for each map, Eq. 3 and 4.
    ///
    /// Without `presence` everything counts as annotated. Never NaN: a subset left with nothing by missing
    /// labels contributes loss 0 and gradient 0, and so does one with Σ(y + p) = 0 at ε = 0.
    ///
    /// # Errors
    /// Presence, weights or ε per class that do not fit the sums; what marginal treatment needs and lacks.
    pub fn terms(&self, sums: &DiceSums, presence: Option<&Presence>) -> Result<DiceTerms, DiceError> {
        let (batch, classes) = (sums.batch(), sums.classes());
        self.epsilon.check_classes(classes)?;
        let annotated = self.annotated(sums, presence)?;
        let weights = match &self.weights {
            Some(weights) => {
                weights.check_classes(classes)?;
                weights.as_slice().to_vec()
            }
            None => vec![1.0; classes],
        };
        let map_count = batch * classes;
        let row: Vec<usize> = (0..map_count)
            .map(|map| if self.missing.is_marginal() && !annotated[map] { 0 } else { map % classes })
            .collect();
        // The subset that each map adds to; none if it is missing, or switched off where classes mix.
        let subset: Vec<Option<usize>> = (0..map_count)
            .map(|map| {
                let leaves = !annotated[map] && !self.missing.is_marginal();
                let off = self.partition.mixes_classes() && weights[row[map]] == 0.0;
                (!leaves && !off).then(|| self.partition.subset(map / classes, row[map], classes))
            })
            .collect();

        let mut subsets = vec![Subset::default(); self.partition.subsets(batch, classes)];
        for map in 0..map_count {
            let Some(index) = subset[map] else { continue };
            let phi = &mut subsets[index];
            phi.has_maps = true;
            if annotated[map] {
                phi.overlap += sums.overlap()[map];
                phi.union += sums.target()[map] + sums.prediction()[map];
            } else {
                let background = sums.background_overlap().ok_or(DiceError::BackgroundOverlapMissing)?;
                phi.overlap += background[map];
                phi.union += sums.prediction()[map];
            }
        }

        let class_of = |index: usize| if self.partition.mixes_classes() { 0 } else { index % classes };
        let weight_of =
            |index: usize| if self.partition.mixes_classes() { 1.0 } else { weights[class_of(index)] };
        let normalised = self.weights.as_ref().is_none_or(ClassWeights::is_normalised);
        let total: f64 = match normalised {
            true => (0..subsets.len()).map(weight_of).sum(),
            false => subsets.len() as f64,
        };
        let shares: Vec<f64> = (0..subsets.len()).map(|index| weight_of(index) / total).collect();
        // 1 − Σ share · D, written so that shares that add up to 1 leave no rounding error behind.
        let mut loss = if normalised { 0.0 } else { 1.0 - shares.iter().sum::<f64>() };
        for (index, (phi, share)) in subsets.iter_mut().zip(&shares).enumerate() {
            let class = class_of(index);
            loss += phi.derive(self.epsilon.numerator(class), self.epsilon.denominator(class), *share);
        }
        let of_map = |value: fn(&Subset) -> f64| {
            subset.iter().map(|index| index.map_or(0.0, |index| value(&subsets[index]))).collect()
        };
        Ok(DiceTerms {
            loss,
            batch,
            classes,
            a: of_map(|phi| phi.a),
            b: of_map(|phi| phi.b),
            row,
            dice: subsets.iter().map(|phi| phi.dice).collect(),
        })
    }

    /// Which maps count as annotated, `[B, C]`.
    fn annotated(&self, sums: &DiceSums, presence: Option<&Presence>) -> Result<Vec<bool>, DiceError> {
        let (batch, classes) = (sums.batch(), sums.classes());
        if let Some(presence) = presence {
            let (expected, found) = ((batch, classes), (presence.batch(), presence.classes()));
            if expected != found {
                return Err(DiceError::ShapeMismatch { argument: "presence", expected, found });
            }
        }
        let mut annotated = match (self.missing.rule(), presence) {
            (Some(MissingRule::Declared), Some(presence)) => presence.as_slice().to_vec(),
            (Some(MissingRule::Inferred), _) => sums.target().iter().map(|&size| size > 0.0).collect(),
            (None, _) | (Some(MissingRule::Declared), None) => vec![true; batch * classes],
        };
        if self.missing.is_marginal() {
            if classes < 2 {
                return Err(DiceError::MarginalWithoutBackground);
            }
            for b in 0..batch {
                let background = &mut annotated[b * classes];
                if !*background && self.missing == MissingLabels::Marginal(MissingRule::Declared) {
                    return Err(DiceError::BackgroundMissing { batch: b });
                }
                *background = true;
            }
        }
        Ok(annotated)
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
    /// As [`DiceSums::measure`], [`DiceLoss::terms`] and [`DiceTerms::write_gradient`].
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

#[derive(Clone, Default)]
struct Subset {
    has_maps: bool,
    overlap: f64,
    union: f64,
    dice: Option<f64>,
    a: f64,
    b: f64,
}

impl Subset {
    /// Sets Dice and the derivative's coefficients; returns what the subset adds to the loss.
    fn derive(&mut self, eps_numerator: f64, eps_denominator: f64, share: f64) -> f64 {
        if !self.has_maps {
            // φ ← ∅: ε/ε = 1, whatever ε is.
            return 0.0;
        }
        let denominator = self.union + eps_denominator;
        if denominator < f64::MIN_POSITIVE {
            // ε = 0 and nothing there: the limit of ε/ε; its derivative would be infinite.
            self.dice = Some(1.0);
            return 0.0;
        }
        let dice = (2.0 * self.overlap + eps_numerator) / denominator;
        self.dice = Some(dice);
        self.a = share * dice / denominator;
        self.b = share * 2.0 / denominator;
        share * (1.0 - dice)
    }
}
