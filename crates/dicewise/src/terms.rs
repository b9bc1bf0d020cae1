use std::ops::Range;

use crate::epsilon::Pair;
use crate::{
    Activation, ClassWeights, DiceError, DiceLoss, DiceSums, Element, InstructionSet, MissingLabels,
    MissingRule, Presence, Similarity, Target,
    kernel::{self, Coefficients, CrossEntropyOf},
};

/// Step 2: the loss and its derivative, which is affine in y within a map.
///
/// ```text
/// ∂DL/∂p_bci = a[b, c] − b[b, c] · y_{b, row[b, c], i}                                  (Eq. 4)
/// a = (2 O_φ + ε_n) / (|Φ| (U_φ + ε_d)²),   b = 2 / (|Φ| (U_φ + ε_d))
/// ```
///
/// where O_φ = Σ_φ y p is the overlap and U_φ = Σ_φ (y + p) the union of the subset φ of map (b, c). For hard
/// labels the derivative takes two values: a where y = 0, a − b where y = 1. Masked voxels get 0.
///
/// The other members of the family ([`Similarity`]) differ in a and b only, but for squared
/// Dice, whose derivative depends on p voxel by voxel: a − b·y + c·p.
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
    /// What multiplies p in the derivative, `[B, C]`: 0 but for squared Dice.
    pub c: Vec<f64>,
    /// The class whose y stands in the derivative, `[B, C]`: the map's own, but 0 for a missing class under
    /// marginal treatment.
    pub row: Vec<usize>,
    /// D_φ of each subset, `[|Φ|]`; `None` where missing labels left nothing.
    pub dice: Vec<Option<f64>>,
    /// The subset that each map adds to, `[B, C]`; `None` for a map that leaf treatment or a weight of 0 leaves out.
    pub subset: Vec<Option<usize>>,
}

impl DiceTerms {
    /// ∂DL/∂p of map `(b, c)` at a voxel whose target in class [`row`](DiceTerms::row)`[b, c]` is `y`; where
    /// p = 0, for squared Dice.
    ///
    /// # Panics
    /// If `b` or `c` is out of range.
    pub fn derivative(&self, b: usize, c: usize, y: f64) -> f64 {
        assert!(c < self.classes, "class {c} of {}", self.classes);
        let map = b * self.classes + c;
        self.a[map] - self.b[map] * y
    }

    /// 1 − D_φ of the subset that map `(b, c)` adds to; `None` for a map that adds to none.
    ///
    /// # Panics
    /// If `b` or `c` is out of range.
    pub fn map_loss(&self, b: usize, c: usize) -> Option<f64> {
        assert!(c < self.classes, "class {c} of {}", self.classes);
        Some(1.0 - self.dice[self.subset[b * self.classes + c]?]?)
    }

    /// Whether every map has its own y in its derivative: true except for missing labels under marginal
    /// treatment.
    pub fn rows_are_identity(&self) -> bool {
        self.row.iter().enumerate().all(|(map, &row)| row == map % self.classes)
    }

    /// Step 3, the voxel pass: writes ∂DL/∂p = a − b·y into `gradient`, `[B, C, I]`, in full.
    ///
    /// Masked and ignored voxels get exactly 0. The predictions are not needed.
    ///
    /// # Errors
    /// A target of another batch or number of classes than the terms, a slice that is not B·C·I long,
    /// labels outside of 0..C; the terms of squared Dice, whose derivative depends on p.
    pub fn write_gradient<T: Element>(
        &self,
        target: &Target<'_>,
        gradient: &mut [T],
    ) -> Result<(), DiceError> {
        self.write_gradient_with(None, target, gradient)
    }

    pub(crate) fn write_gradient_with<T: Element>(
        &self,
        prediction: Option<&[T]>,
        target: &Target<'_>,
        gradient: &mut [T],
    ) -> Result<(), DiceError> {
        self.check_target(target)?;
        if prediction.is_none() && self.c.iter().any(|&c| c != 0.0) {
            return Err(DiceError::DerivativeNeedsPrediction);
        }
        let coefficients = Coefficients {
            activation: Activation::None,
            a: &self.a,
            b: &self.b,
            c: &self.c,
            row: &self.row,
            cross_entropy: &[],
            cross_entropy_of: CrossEntropyOf::None,
        };
        kernel::write_gradient(InstructionSet::best(), coefficients, prediction, target, gradient)
    }

    pub(crate) fn check_target(&self, target: &Target<'_>) -> Result<(), DiceError> {
        let shape = target.shape();
        let (expected, found) = ((self.batch, self.classes), (shape.batch(), shape.classes()));
        if expected != found {
            return Err(DiceError::ShapeMismatch { argument: "target", expected, found });
        }
        Ok(())
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
            c: self.c[maps.clone()].to_vec(),
            row: self.row[maps.clone()].to_vec(),
            dice: self.dice.clone(),
            subset: self.subset[maps].to_vec(),
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
        let annotated = self.annotated(batch, classes, Some(sums.target()), presence)?;
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

        let volume_weight = self.volume_weights(sums, &annotated, &subset, &row);
        let squares = match self.similarity.is_squared() {
            true => Some((
                sums.target_square().ok_or(DiceError::SquaresMissing)?,
                sums.prediction_square().ok_or(DiceError::SquaresMissing)?,
            )),
            false => None,
        };
        let mut subsets = vec![Subset::default(); self.partition.subsets(batch, classes)];
        for map in 0..map_count {
            let Some(index) = subset[map] else { continue };
            let (phi, weight) = (&mut subsets[index], volume_weight[map]);
            phi.has_maps = true;
            let (target, prediction) = match squares {
                Some((target, prediction)) => (target[map], prediction[map]),
                None => (sums.target()[map], sums.prediction()[map]),
            };
            if annotated[map] {
                phi.overlap += weight * sums.overlap()[map];
                phi.target += weight * target;
            } else {
                let background = sums.background_overlap().ok_or(DiceError::BackgroundOverlapMissing)?;
                phi.overlap += weight * background[map];
            }
            phi.prediction += weight * prediction;
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
            let epsilon = self.epsilon.pairs_of(class);
            loss += phi.derive(self.similarity, epsilon, self.focal_exponent, *share);
        }
        let of_map = |value: fn(&Subset) -> f64| {
            let weighted = subset.iter().zip(&volume_weight);
            weighted
                .map(|(index, weight)| index.map_or(0.0, |index| weight * value(&subsets[index])))
                .collect()
        };
        Ok(DiceTerms {
            loss,
            batch,
            classes,
            a: of_map(|phi| phi.a),
            b: of_map(|phi| phi.b),
            c: of_map(|phi| phi.c),
            row,
            dice: subsets.iter().map(|phi| phi.dice).collect(),
            subset,
        })
    }

    /// What multiplies the sums of each map, `[B, C]`: the weights of generalized Dice; 1 for all others.
    ///
    /// A weight goes by the size of the map's class among the annotated maps of its subset. An infinite one
    /// becomes the largest finite one of the subset, or 0 if there is none, as in MONAI.
    fn volume_weights(
        &self,
        sums: &DiceSums,
        annotated: &[bool],
        subset: &[Option<usize>],
        row: &[usize],
    ) -> Vec<f64> {
        let Similarity::GeneralizedDice(kind) = self.similarity else { return vec![1.0; subset.len()] };
        let (batch, classes) = (sums.batch(), sums.classes());
        let mut size = vec![0.0; self.partition.subsets(batch, classes) * classes];
        let mut takes_part = vec![false; size.len()];
        for map in 0..subset.len() {
            if let (Some(index), true) = (subset[map], annotated[map]) {
                size[index * classes + row[map]] += sums.target()[map];
                takes_part[index * classes + row[map]] = true;
            }
        }
        let mut weight: Vec<f64> = size.iter().map(|&size| kind.of(size)).collect();
        for (weights, takes_part) in weight.chunks_mut(classes).zip(takes_part.chunks(classes)) {
            let counted =
                weights.iter().zip(takes_part).filter(|(w, takes_part)| **takes_part && w.is_finite());
            let largest = counted.map(|(&w, _)| w).fold(0.0, f64::max);
            weights.iter_mut().filter(|w| !w.is_finite()).for_each(|w| *w = largest);
        }
        (0..subset.len())
            .map(|map| subset[map].map_or(0.0, |index| weight[index * classes + row[map]]))
            .collect()
    }

    /// Which maps count as annotated, `[B, C]`.
    ///
    /// `sizes` is Σ_i y of each map; it is needed where missing labels are inferred.
    pub(crate) fn annotated(
        &self,
        batch: usize,
        classes: usize,
        sizes: Option<&[f64]>,
        presence: Option<&Presence>,
    ) -> Result<Vec<bool>, DiceError> {
        if let Some(presence) = presence {
            let (expected, found) = ((batch, classes), (presence.batch(), presence.classes()));
            if expected != found {
                return Err(DiceError::ShapeMismatch { argument: "presence", expected, found });
            }
        }
        let mut annotated = match (self.missing.rule(), presence) {
            (Some(MissingRule::Declared), Some(presence)) => presence.as_slice().to_vec(),
            (Some(MissingRule::Inferred), _) => {
                sizes.unwrap_or_default().iter().map(|&size| size > 0.0).collect()
            }
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
    /// O, T and P: weighed for generalized Dice, T and P of squares for squared Dice.
    overlap: f64,
    target: f64,
    prediction: f64,
    dice: Option<f64>,
    a: f64,
    b: f64,
    c: f64,
}

impl Subset {
    /// Sets the similarity and the derivative's coefficients; returns what the subset adds to the loss.
    ///
    /// Of several ε each gets an equal part of the share.
    fn derive(&mut self, similarity: Similarity, epsilon: &[Pair], gamma: f64, share: f64) -> f64 {
        let part = 1.0 / epsilon.len() as f64;
        let mut total = Self { has_maps: self.has_maps, ..Self::default() };
        let mut loss = 0.0;
        for pair in epsilon {
            let mut one = self.clone();
            loss += one.derive_with(similarity, (pair.numerator, pair.denominator), gamma, share * part);
            total.dice = one.dice.map(|dice| total.dice.unwrap_or(0.0) + part * dice);
            (total.a, total.b, total.c) = (total.a + one.a, total.b + one.b, total.c + one.c);
        }
        (self.dice, self.a, self.b, self.c) = (total.dice, total.a, total.b, total.c);
        loss
    }

    fn derive_with(&mut self, similarity: Similarity, eps: (f64, f64), gamma: f64, share: f64) -> f64 {
        if !self.has_maps {
            // φ ← ∅: ε/ε = 1, whatever ε is.
            return 0.0;
        }
        // 2 (O + α (P − O) + β (T − O)) = 2 α P + 2 β T + rest · O; P + T exactly for Dice.
        let (alpha, beta) = similarity.alpha_beta();
        let rest = 2.0 * (1.0 - alpha - beta);
        let union = 2.0 * alpha * self.prediction + 2.0 * beta * self.target + rest * self.overlap;
        let denominator = union + eps.1;
        if denominator < f64::MIN_POSITIVE {
            // ε = 0 and nothing there: the limit of ε/ε; its derivative would be infinite.
            self.dice = Some(1.0);
            return 0.0;
        }
        let dice = (2.0 * self.overlap + eps.0) / denominator;
        self.dice = Some(dice);
        let (loss, outer) = focal(1.0 - dice, gamma);
        // ∂(1 − D)/∂p = D/U' · ∂U'/∂p − 2y/U', with U' the denominator and ∂U'/∂p = 2α + rest · y; 2p if squared.
        let outer = share * outer;
        let pull = outer * dice / denominator;
        self.b = outer * 2.0 / denominator - rest * pull;
        match similarity.is_squared() {
            true => self.c = 2.0 * pull,
            false => self.a = 2.0 * alpha * pull,
        }
        share * loss
    }
}

/// x^γ and its derivative γ x^(γ−1), for x = 1 − D ≥ 0; the identity for γ = 1.
fn focal(x: f64, gamma: f64) -> (f64, f64) {
    if gamma == 1.0 {
        return (x, 1.0);
    }
    // Rounding may leave D a little above 1.
    if x <= 0.0 { (0.0, 0.0) } else { (x.powf(gamma), gamma * x.powf(gamma - 1.0)) }
}
