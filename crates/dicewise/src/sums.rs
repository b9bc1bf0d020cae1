use crate::{
    Activation, DiceError, Element, InstructionSet, Shape, Target,
    kernel::{self, CrossEntropyOf, MapSums, Wanted},
};

/// Step 1: all that the loss has to know about the voxels, per sample and class, in `f64`.
///
/// ```text
/// overlap[b, c] = Σ_i y p      target[b, c] = Σ_i y      prediction[b, c] = Σ_i p
/// ```
///
/// Measured here from arrays, or brought along from a device with [`DiceSums::from_parts`].
///
/// # Several ranks
///
/// With Φ = BI or BCI a subset spans the whole batch, so ranks share their sums, 3·B·C numbers, before
/// step 2: all-gather them and [`concat`](DiceSums::concat) (or all-reduce zero-padded `[ΣB, C]` arrays), take
/// the terms of the whole, and keep [`DiceTerms::rows`](crate::DiceTerms::rows) of the own samples. Every
/// rank then has the loss of the whole batch and its exact derivative; a framework that *averages* gradients
/// over R ranks wants it multiplied by R.
#[derive(Clone, Debug, PartialEq)]
pub struct DiceSums {
    batch: usize,
    classes: usize,
    overlap: Vec<f64>,
    target: Vec<f64>,
    prediction: Vec<f64>,
    background_overlap: Option<Vec<f64>>,
    squares: Option<Squares>,
}

/// Σ_i y² and Σ_i p², `[B, C]` each.
#[derive(Clone, Debug, PartialEq)]
struct Squares {
    target: Vec<f64>,
    prediction: Vec<f64>,
}

impl DiceSums {
    /// Reads predictions `[B, C, I]` and their target once, in parallel.
    ///
    /// The result does not depend on the number of threads. For marginal treatment and for squared Dice use
    /// [`DiceLoss::sums`](crate::DiceLoss::sums), which knows what it needs.
    ///
    /// # Errors
    /// Predictions that are not B·C·I long, not finite, or outside of \[0, 1\] by more than 1e-4; labels
    /// outside of 0..C; dense targets outside of \[0, 1\] likewise.
    pub fn measure<T: Element>(prediction: &[T], target: &Target<'_>) -> Result<Self, DiceError> {
        Self::measure_with(prediction, target, false, false)
    }

    pub(crate) fn measure_with<T: Element>(
        prediction: &[T],
        target: &Target<'_>,
        background: bool,
        squares: bool,
    ) -> Result<Self, DiceError> {
        let cross_entropy = CrossEntropyOf::None;
        let wanted = Wanted { activation: Activation::None, background, squares, cross_entropy };
        let maps = kernel::measure(InstructionSet::best(), wanted, prediction, target)?;
        Ok(Self::from_maps(target.shape(), &maps, background, squares))
    }

    pub(crate) fn from_maps(shape: Shape, maps: &[MapSums], background: bool, squares: bool) -> Self {
        let all = |sum: fn(&MapSums) -> f64| maps.iter().map(sum).collect::<Vec<f64>>();
        Self {
            batch: shape.batch(),
            classes: shape.classes(),
            overlap: all(|map| map.overlap),
            target: all(|map| map.target),
            prediction: all(|map| map.prediction),
            background_overlap: background.then(|| all(|map| map.background_overlap)),
            squares: squares.then(|| Squares {
                target: all(|map| map.target_square),
                prediction: all(|map| map.prediction_square),
            }),
        }
    }

    /// Sums computed elsewhere, each `[B, C]`: overlap Σ y p, target Σ y, prediction Σ p.
    ///
    /// # Errors
    /// A dimension of 0, a slice that is not B·C long, a sum that is not finite.
    pub fn from_parts(
        batch: usize,
        classes: usize,
        overlap: Vec<f64>,
        target: Vec<f64>,
        prediction: Vec<f64>,
    ) -> Result<Self, DiceError> {
        for (dimension, size) in [("batch", batch), ("classes", classes)] {
            if size == 0 {
                return Err(DiceError::ZeroDimension { dimension });
            }
        }
        check_sums("overlap", &overlap, batch, classes)?;
        check_sums("target", &target, batch, classes)?;
        check_sums("prediction", &prediction, batch, classes)?;
        Ok(Self { batch, classes, overlap, target, prediction, background_overlap: None, squares: None })
    }

    /// Adds Σ_i y_0 p_c, `[B, C]`, which marginal treatment needs.
    ///
    /// # Errors
    /// A slice that is not B·C long, a sum that is not finite.
    pub fn with_background_overlap(mut self, background_overlap: Vec<f64>) -> Result<Self, DiceError> {
        check_sums("background overlap", &background_overlap, self.batch, self.classes)?;
        self.background_overlap = Some(background_overlap);
        Ok(self)
    }

    /// Adds Σ_i y² and Σ_i p², `[B, C]` each, which squared Dice needs.
    ///
    /// # Errors
    /// A slice that is not B·C long, a sum that is not finite.
    pub fn with_squares(mut self, target: Vec<f64>, prediction: Vec<f64>) -> Result<Self, DiceError> {
        check_sums("squared target", &target, self.batch, self.classes)?;
        check_sums("squared prediction", &prediction, self.batch, self.classes)?;
        self.squares = Some(Squares { target, prediction });
        Ok(self)
    }

    /// Stacks the sums of several ranks along the batch; see [the type](DiceSums#several-ranks).
    ///
    /// # Errors
    /// No part, parts that differ in the number of classes, or background overlaps or squares in only some of
    /// them.
    pub fn concat(parts: &[Self]) -> Result<Self, DiceError> {
        let first = parts.first().ok_or(DiceError::ZeroDimension { dimension: "batch" })?;
        for part in parts {
            if part.classes != first.classes {
                return Err(DiceError::ShapeMismatch {
                    argument: "sums of a rank",
                    expected: (part.batch, first.classes),
                    found: (part.batch, part.classes),
                });
            }
            if part.background_overlap.is_some() != first.background_overlap.is_some() {
                return Err(DiceError::BackgroundOverlapMissing);
            }
            if part.squares.is_some() != first.squares.is_some() {
                return Err(DiceError::SquaresMissing);
            }
        }
        let stack = |field: fn(&Self) -> &[f64]| parts.iter().flat_map(field).copied().collect::<Vec<f64>>();
        Ok(Self {
            batch: parts.iter().map(|part| part.batch).sum(),
            classes: first.classes,
            overlap: stack(Self::overlap),
            target: stack(Self::target),
            prediction: stack(Self::prediction),
            background_overlap: first
                .background_overlap
                .is_some()
                .then(|| stack(|part| part.background_overlap().unwrap_or_default())),
            squares: first.squares.is_some().then(|| Squares {
                target: stack(|part| part.target_square().unwrap_or_default()),
                prediction: stack(|part| part.prediction_square().unwrap_or_default()),
            }),
        })
    }

    /// B.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// C.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Σ_i y p, `[B, C]`.
    pub fn overlap(&self) -> &[f64] {
        &self.overlap
    }

    /// Σ_i y, `[B, C]`.
    pub fn target(&self) -> &[f64] {
        &self.target
    }

    /// Σ_i p, `[B, C]`.
    pub fn prediction(&self) -> &[f64] {
        &self.prediction
    }

    /// Σ_i y_0 p_c, `[B, C]`, if measured.
    pub fn background_overlap(&self) -> Option<&[f64]> {
        self.background_overlap.as_deref()
    }

    /// Σ_i y², `[B, C]`, if measured.
    pub fn target_square(&self) -> Option<&[f64]> {
        self.squares.as_ref().map(|squares| squares.target.as_slice())
    }

    /// Σ_i p², `[B, C]`, if measured.
    pub fn prediction_square(&self) -> Option<&[f64]> {
        self.squares.as_ref().map(|squares| squares.prediction.as_slice())
    }
}

pub(crate) fn check_sums(
    argument: &'static str,
    sums: &[f64],
    batch: usize,
    classes: usize,
) -> Result<(), DiceError> {
    if sums.len() != batch * classes {
        let shape = format!("[{batch}, {classes}]");
        return Err(DiceError::Length { argument, shape, expected: batch * classes, found: sums.len() });
    }
    match sums.iter().enumerate().find(|(_, sum)| !sum.is_finite()) {
        None => Ok(()),
        Some((bc, &value)) => {
            Err(DiceError::SumNotFinite { argument, value, batch: bc / classes, class: bc % classes })
        }
    }
}
