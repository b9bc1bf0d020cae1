use std::ops::Range;

use rayon::prelude::*;

use crate::{
    DiceError, Real, Target,
    shape::Chunk,
    target::{DenseMaps, Kind},
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

/// The sums of one map over one chunk.
#[derive(Clone, Copy, Default)]
struct MapSums {
    overlap: f64,
    target: f64,
    prediction: f64,
    background_overlap: f64,
}

fn measure_chunk<T: Real>(
    prediction: &[T],
    target: &Target<'_>,
    chunk: &Chunk,
    background: bool,
) -> Result<Vec<MapSums>, DiceError> {
    let shape = target.shape();
    let mut sums = vec![MapSums::default(); shape.classes()];
    let mut codes = Vec::new();
    for voxels in chunk.blocks() {
        target.codes(chunk.b, &voxels, &mut codes)?;
        for (c, sum) in sums.iter_mut().enumerate() {
            let p = &prediction[shape.map(chunk.b, c, &voxels)];
            let in_range = match target.kind() {
                Kind::Labels(_) if background => add_labels::<T, true>(p, &codes, c as i32, sum),
                Kind::Labels(_) => add_labels::<T, false>(p, &codes, c as i32, sum),
                Kind::Dense(DenseMaps::F32(y)) => {
                    let (y, y0) = (&y[shape.map(chunk.b, c, &voxels)], &y[shape.map(chunk.b, 0, &voxels)]);
                    add_dense(p, y, background.then_some(y0), &codes, sum)
                }
                Kind::Dense(DenseMaps::F64(y)) => {
                    let (y, y0) = (&y[shape.map(chunk.b, c, &voxels)], &y[shape.map(chunk.b, 0, &voxels)]);
                    add_dense(p, y, background.then_some(y0), &codes, sum)
                }
            };
            if !in_range {
                return Err(find_bad_value(p, target, &codes, chunk.b, c, &voxels));
            }
        }
    }
    Ok(sums)
}

/// Independent partial sums, so that the loop fills vector registers.
const LANES: usize = 16;

/// Adds one map over one block of label codes; false if a prediction that counts is no probability.
fn add_labels<T: Real, const BACKGROUND: bool>(
    p: &[T],
    codes: &[i32],
    class: i32,
    sums: &mut MapSums,
) -> bool {
    let (mut overlap, mut predicted, mut on_background) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
    let mut voxels = [0_i32; LANES];
    let mut outside = [false; LANES];
    let mut step = |p: &[T], codes: &[i32]| {
        for lane in 0..p.len() {
            let code = codes[lane];
            // Selected, not multiplied: 0 · NaN under the mask would be NaN.
            let x = if code >= 0 { p[lane] } else { T::ZERO };
            outside[lane] |= !is_probability(x);
            predicted[lane] += x.to_f64();
            overlap[lane] += (if code == class { x } else { T::ZERO }).to_f64();
            voxels[lane] += i32::from(code == class);
            if BACKGROUND {
                on_background[lane] += (if code == 0 { x } else { T::ZERO }).to_f64();
            }
        }
    };
    let (whole_p, whole_codes) = (p.chunks_exact(LANES), codes.chunks_exact(LANES));
    let (rest_p, rest_codes) = (whole_p.remainder(), whole_codes.remainder());
    for (p, codes) in whole_p.zip(whole_codes) {
        step(&p[..LANES], &codes[..LANES]);
    }
    step(rest_p, rest_codes);
    sums.overlap += overlap.iter().sum::<f64>();
    sums.target += f64::from(voxels.iter().sum::<i32>());
    sums.prediction += predicted.iter().sum::<f64>();
    sums.background_overlap += on_background.iter().sum::<f64>();
    !outside.contains(&true)
}

/// Adds one map over one block of a dense target; false if a value that counts is outside of [0, 1].
fn add_dense<T: Real, U: Real>(
    p: &[T],
    y: &[U],
    y0: Option<&[U]>,
    codes: &[i32],
    sums: &mut MapSums,
) -> bool {
    let (mut overlap, mut in_target, mut predicted) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
    let mut outside = [false; LANES];
    let mut step = |p: &[T], y: &[U], codes: &[i32]| {
        for lane in 0..p.len() {
            let counts = codes[lane] >= 0;
            let x = if counts { p[lane] } else { T::ZERO };
            let t = if counts { y[lane] } else { U::ZERO };
            outside[lane] |= !(is_probability(x) & is_probability(t));
            predicted[lane] += x.to_f64();
            in_target[lane] += t.to_f64();
            overlap[lane] += x.to_f64() * t.to_f64();
        }
    };
    let (whole_p, whole_y) = (p.chunks_exact(LANES), y.chunks_exact(LANES));
    let whole_codes = codes.chunks_exact(LANES);
    let (rest_p, rest_y, rest_codes) = (whole_p.remainder(), whole_y.remainder(), whole_codes.remainder());
    for ((p, y), codes) in whole_p.zip(whole_y).zip(whole_codes) {
        step(&p[..LANES], &y[..LANES], &codes[..LANES]);
    }
    step(rest_p, rest_y, rest_codes);
    sums.overlap += overlap.iter().sum::<f64>();
    sums.target += in_target.iter().sum::<f64>();
    sums.prediction += predicted.iter().sum::<f64>();
    if let Some(y0) = y0 {
        let counted = p.iter().zip(y0).zip(codes).filter(|&(_, &code)| code >= 0);
        sums.background_overlap += counted.map(|((p, y0), _)| p.to_f64() * y0.to_f64()).sum::<f64>();
    }
    !outside.contains(&true)
}

#[cold]
fn find_bad_value<T: Real>(
    p: &[T],
    target: &Target<'_>,
    codes: &[i32],
    batch: usize,
    class: usize,
    voxels: &Range<usize>,
) -> DiceError {
    let at = target.shape().map(batch, class, voxels).start;
    let counted = || (0..p.len()).filter(|&offset| codes[offset] >= 0);
    if let Some(offset) = counted().find(|&offset| !is_probability(p[offset])) {
        let (value, voxel) = (p[offset].to_f64(), voxels.start + offset);
        return match value.is_finite() {
            true => DiceError::PredictionNotProbability { value, batch, class, voxel },
            false => DiceError::PredictionNotFinite { value, batch, class, voxel },
        };
    }
    let bad = match target.kind() {
        Kind::Labels(_) => None,
        Kind::Dense(DenseMaps::F32(y)) => {
            let found = counted().find(|&offset| !is_probability(y[at + offset]));
            found.map(|offset| (offset, y[at + offset].to_f64()))
        }
        Kind::Dense(DenseMaps::F64(y)) => {
            let found = counted().find(|&offset| !is_probability(y[at + offset]));
            found.map(|offset| (offset, y[at + offset]))
        }
    };
    let (offset, value) = bad.expect("the voxel pass saw a value outside of [0, 1] in this block");
    DiceError::TargetNotProbability { value, batch, class, voxel: voxels.start + offset }
}

/// Within [0, 1] up to rounding; false for NaN.
#[inline(always)]
fn is_probability<T: Real>(x: T) -> bool {
    (x >= T::LOWEST) & (x <= T::HIGHEST)
}
