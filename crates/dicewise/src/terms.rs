use std::ops::Range;

use crate::{ClassWeights, DiceError, DiceLoss, DiceSums, MissingLabels, MissingRule, Presence};

/// Step 2: the loss and its derivative, which is affine in y within a map.
///
/// ```text
/// ∂DL/∂p_bci = a[b, c] − b[b, c] · y_{b, row[b, c], i}                                  (Eq. 4)
/// a = (2 O_φ + ε_n) / (|Φ| (U_φ + ε_d)²),   b = 2 / (|Φ| (U_φ + ε_d))
/// ```
///
/// where O_φ = Σ_φ y p is the overlap and U_φ = Σ_φ (y + p) the union of the subset φ of map (b, c). For hard
/// labels the derivative takes two values: a where y = 0, a − b where y = 1. Masked voxels get 0.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DiceTerms {
    /// DL, Eq. 3.
    pub loss: f64,
    /// B.
    pub batch: usize,
    /// C.
    pub classes: usize,
    /// The derivative where y = 0, `[B, C]`.
    pub a: Vec<f64>,
    /// By how much the derivative is lower where y = 1, `[B, C]`.
    pub b: Vec<f64>,
    /// The class whose y stands in the derivative, `[B, C]`: the map's own, but 0 for a missing class under
    /// marginal treatment.
    pub row: Vec<usize>,
    /// D_φ of each subset, `[|Φ|]`; `None` where missing labels left nothing.
    pub dice: Vec<Option<f64>>,
}

impl DiceTerms {
    /// ∂DL/∂p of map `(b, c)` at a voxel whose target in class [`row`](DiceTerms::row)`[b, c]` is `y`.
    ///
    /// # Panics
    /// If `b` or `c` is out of range.
    pub fn derivative(&self, b: usize, c: usize, y: f64) -> f64 {
        assert!(c < self.classes, "class {c} of {}", self.classes);
        let map = b * self.classes + c;
        self.a[map] - self.b[map] * y
    }

    /// Whether every map has its own y in its derivative: true except for missing labels under marginal
    /// treatment.
    pub fn rows_are_identity(&self) -> bool {
        self.row.iter().enumerate().all(|(map, &row)| row == map % self.classes)
    }

    /// The terms of some of the samples, e.g. of one rank's; the loss stays that of the whole batch.
    ///
    /// # Errors
    /// A range that is empty or reaches beyond the batch.
    pub fn rows(&self, samples: Range<usize>) -> Result<Self, DiceError> {
        if samples.is_empty() || samples.end > self.batch {
            return Err(DiceError::ShapeMismatch {
                argument: "range of samples",
                expected: (self.batch, self.classes),
                found: (samples.end, self.classes),
            });
        }
        let maps = samples.start * self.classes..samples.end * self.classes;
        Ok(Self {
            loss: self.loss,
            batch: samples.len(),
            classes: self.classes,
            a: self.a[maps.clone()].to_vec(),
            b: self.b[maps.clone()].to_vec(),
            row: self.row[maps].to_vec(),
            dice: self.dice.clone(),
        })
    }
}

impl DiceLoss {
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
