use rayon::prelude::*;

use crate::{DiceError, Real, Target, measure::measure_chunk};

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
}

impl DiceSums {
    /// Reads predictions `[B, C, I]` and their target once, in parallel.
    ///
    /// The result does not depend on the number of threads. For marginal treatment use
    /// [`DiceLoss::sums`](crate::DiceLoss::sums), which knows what it needs.
    ///
    /// # Errors
    /// Predictions that are not B·C·I long, not finite, or outside of \[0, 1\] by more than 1e-4; labels
    /// outside of 0..C; dense targets outside of \[0, 1\] likewise.
    pub fn measure<T: Real>(prediction: &[T], target: &Target<'_>) -> Result<Self, DiceError> {
        Self::measure_with(prediction, target, false)
    }

    pub(crate) fn measure_with<T: Real>(
        prediction: &[T],
        target: &Target<'_>,
        background: bool,
    ) -> Result<Self, DiceError> {
        let shape = target.shape();
        shape.check_maps("prediction", prediction.len())?;
        let chunks = shape.chunks();
        let parts: Vec<_> =
            chunks.par_iter().map(|chunk| measure_chunk(prediction, target, chunk, background)).collect();
        let (batch, classes) = (shape.batch(), shape.classes());
        let zeros = || vec![0.0; batch * classes];
        let (mut overlap, mut in_target, mut predicted, mut on_background) =
            (zeros(), zeros(), zeros(), zeros());
        // Added in the order of the chunks, whichever thread was first.
        for (chunk, part) in chunks.iter().zip(parts) {
            for (c, map) in part?.into_iter().enumerate() {
                let bc = chunk.b * classes + c;
                overlap[bc] += map.overlap;
                in_target[bc] += map.target;
                predicted[bc] += map.prediction;
                on_background[bc] += map.background_overlap;
            }
        }
        let background_overlap = background.then_some(on_background);
        Ok(Self { batch, classes, overlap, target: in_target, prediction: predicted, background_overlap })
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
        Ok(Self { batch, classes, overlap, target, prediction, background_overlap: None })
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

    /// Stacks the sums of several ranks along the batch; see [the type](DiceSums#several-ranks).
    ///
    /// # Errors
    /// No part, parts that differ in the number of classes, or background overlaps in only some of them.
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
}

fn check_sums(argument: &'static str, sums: &[f64], batch: usize, classes: usize) -> Result<(), DiceError> {
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
