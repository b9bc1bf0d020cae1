//! The voxel pass of step 1.

use std::ops::Range;

use crate::{
    DiceError, Real, Target,
    shape::Chunk,
    target::{DenseMaps, Kind, LEFT_OUT},
};

/// The sums of one map over one chunk.
#[derive(Clone, Copy, Default)]
pub(crate) struct MapSums {
    pub(crate) overlap: f64,
    pub(crate) target: f64,
    pub(crate) prediction: f64,
    pub(crate) background_overlap: f64,
}

/// Reads one chunk of all maps of a sample, once; values are checked on the way.
pub(crate) fn measure_chunk<T: Real>(
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

/// The lowest and the highest prediction that counts, lane by lane; NaN passes by, and shows in the sum.
struct Extremes<T>([T; LANES], [T; LANES]);

impl<T: Real> Extremes<T> {
    fn new() -> Self {
        Self([T::ZERO; LANES], [T::ZERO; LANES])
    }

    #[inline(always)]
    fn see(&mut self, lane: usize, x: T) {
        self.0[lane] = if x < self.0[lane] { x } else { self.0[lane] };
        self.1[lane] = if x > self.1[lane] { x } else { self.1[lane] };
    }

    fn in_range(&self) -> bool {
        self.0.iter().chain(&self.1).all(|&x| is_probability(x))
    }
}

/// Adds one map over one block of label codes; false if a prediction that counts is no probability.
fn add_labels<T: Real, const BACKGROUND: bool>(
    p: &[T],
    codes: &[i32],
    class: i32,
    sums: &mut MapSums,
) -> bool {
    let (mut overlap, mut predicted, mut on_background) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
    let mut voxels = [0_i32; LANES];
    let mut extremes = Extremes::new();
    let mut step = |p: &[T; LANES], codes: &[i32; LANES]| {
        for lane in 0..LANES {
            let code = codes[lane];
            // Selected, not multiplied: 0 · NaN under the mask would be NaN.
            let x = if code >= 0 { p[lane] } else { T::ZERO };
            extremes.see(lane, x);
            predicted[lane] += x.to_f64();
            overlap[lane] += (if code == class { x } else { T::ZERO }).to_f64();
            voxels[lane] += i32::from(code == class);
            if BACKGROUND {
                on_background[lane] += (if code == 0 { x } else { T::ZERO }).to_f64();
            }
        }
    };
    let ((whole_p, rest_p), (whole_codes, rest_codes)) = (p.as_chunks(), codes.as_chunks());
    for (p, codes) in whole_p.iter().zip(whole_codes) {
        step(p, codes);
    }
    step(&padded(rest_p, T::ZERO), &padded(rest_codes, LEFT_OUT));
    let predicted: f64 = predicted.iter().sum();
    sums.overlap += overlap.iter().sum::<f64>();
    sums.target += f64::from(voxels.iter().sum::<i32>());
    sums.prediction += predicted;
    sums.background_overlap += on_background.iter().sum::<f64>();
    extremes.in_range() && predicted.is_finite()
}

/// The last few values of a block, filled up to a whole vector.
fn padded<T: Copy>(rest: &[T], filler: T) -> [T; LANES] {
    let mut lanes = [filler; LANES];
    lanes[..rest.len()].copy_from_slice(rest);
    lanes
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
    let mut extremes = (Extremes::new(), Extremes::new());
    let mut step = |p: &[T; LANES], y: &[U; LANES], codes: &[i32; LANES]| {
        for lane in 0..LANES {
            let counts = codes[lane] >= 0;
            let x = if counts { p[lane] } else { T::ZERO };
            let t = if counts { y[lane] } else { U::ZERO };
            extremes.0.see(lane, x);
            extremes.1.see(lane, t);
            predicted[lane] += x.to_f64();
            in_target[lane] += t.to_f64();
            overlap[lane] += x.to_f64() * t.to_f64();
        }
    };
    let ((whole_p, rest_p), (whole_y, rest_y)) = (p.as_chunks(), y.as_chunks());
    let (whole_codes, rest_codes) = codes.as_chunks();
    for ((p, y), codes) in whole_p.iter().zip(whole_y).zip(whole_codes) {
        step(p, y, codes);
    }
    step(&padded(rest_p, T::ZERO), &padded(rest_y, U::ZERO), &padded(rest_codes, LEFT_OUT));
    let (in_target, predicted): (f64, f64) = (in_target.iter().sum(), predicted.iter().sum());
    sums.overlap += overlap.iter().sum::<f64>();
    sums.target += in_target;
    sums.prediction += predicted;
    if let Some(y0) = y0 {
        let counted = p.iter().zip(y0).zip(codes).filter(|&(_, &code)| code >= 0);
        sums.background_overlap += counted.map(|((p, y0), _)| p.to_f64() * y0.to_f64()).sum::<f64>();
    }
    let in_range = extremes.0.in_range() && extremes.1.in_range();
    in_range && predicted.is_finite() && in_target.is_finite()
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
