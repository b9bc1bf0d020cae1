//! Loading a block and adding it up: what the kernels share.

use std::ops::Range;

use super::{MapSums, Wanted};
use crate::{
    DiceError, Element, Target,
    element::sealed::Lane,
    target::{DenseMaps, Kind, LEFT_OUT},
};

/// Rows of a block are padded to a multiple of this many voxels, which count as left out.
pub(super) const LANES: usize = 16;

/// The length of a row that holds `voxels`.
pub(super) fn padded(voxels: usize) -> usize {
    voxels.next_multiple_of(LANES)
}

/// The codes of a block's voxels, and whether some of them are left out.
pub(super) struct Codes {
    codes: Vec<i32>,
    pub(super) left_out: bool,
}

impl Codes {
    pub(super) fn new() -> Self {
        Self { codes: Vec::new(), left_out: false }
    }

    #[inline(always)]
    pub(super) fn read(
        &mut self,
        target: &Target<'_>,
        b: usize,
        voxels: &Range<usize>,
    ) -> Result<&[i32], DiceError> {
        target.codes(b, voxels, &mut self.codes)?;
        self.codes.resize(padded(voxels.len()), LEFT_OUT);
        self.left_out = self.codes.iter().fold(0, |least: i32, &code| least.min(code)) < 0;
        Ok(&self.codes)
    }

    pub(super) fn get(&self) -> &[i32] {
        &self.codes
    }
}

/// Logits into lanes, left-out voxels as 0; false if one of the others is not finite.
#[inline(always)]
pub(super) fn load_logits<T: Element>(x: &[T], codes: &[i32], row: &mut [T::Lane]) -> bool {
    let mut largest = 0;
    for ((out, x), &code) in row.iter_mut().zip(x).zip(codes) {
        let x = if code >= 0 { x.widen() } else { T::Lane::ZERO };
        largest = largest.max(x.magnitude());
        *out = x;
    }
    row[x.len()..].fill(T::Lane::ZERO);
    largest < T::Lane::INFINITE
}

/// Probabilities into lanes, left-out voxels as 0; false if one of the others is no probability.
#[inline(always)]
pub(super) fn load_probabilities<T: Element, F: Lane>(x: &[T], codes: &[i32], row: &mut [F]) -> bool {
    let (lowest, highest) = (T::Lane::of(LOWEST), T::Lane::of(HIGHEST));
    let mut outside = false;
    for ((out, x), &code) in row.iter_mut().zip(x).zip(codes) {
        let x = if code >= 0 { x.widen() } else { T::Lane::ZERO };
        outside |= !((x >= lowest) & (x <= highest));
        *out = F::of(x.wide());
    }
    row[x.len()..].fill(F::ZERO);
    !outside
}

/// Row `c` of a dense target into lanes; false if a value that counts is outside of [0, 1].
#[inline(always)]
pub(super) fn load_dense<F: Lane>(
    maps: DenseMaps<'_>,
    target: &Target<'_>,
    (b, c): (usize, usize),
    voxels: &Range<usize>,
    codes: &[i32],
    row: &mut [F],
) -> bool {
    let here = target.shape().map(b, c, voxels);
    match maps {
        DenseMaps::F32(y) => load_probabilities(&y[here], codes, row),
        DenseMaps::F64(y) => load_probabilities(&y[here], codes, row),
        DenseMaps::F16(y) => load_probabilities(&y[here], codes, row),
        DenseMaps::Bf16(y) => load_probabilities(&y[here], codes, row),
    }
}

/// y of one class over a block.
#[derive(Clone, Copy)]
pub(super) enum Truth<'a, F> {
    /// 1 where the code is the class.
    Class(i32, &'a [i32]),
    /// Values, 0 where left out.
    Dense(&'a [F]),
}

/// Adds a map's block of probabilities, which are 0 where left out, to its sums. `background` is y_0.
#[inline(always)]
pub(super) fn add_map<F: Lane>(
    p: &[F],
    truth: Truth<'_, F>,
    background: Truth<'_, F>,
    wanted: &Wanted<'_>,
    sums: &mut MapSums,
) {
    let predicted = fold(p, |_, p| p);
    sums.prediction += predicted;
    match truth {
        Truth::Class(class, codes) => {
            sums.overlap += fold(p, |j, p| if codes[j] == class { p } else { 0.0 });
            let voxels = f64::from(codes.iter().map(|&code| i32::from(code == class)).sum::<i32>());
            sums.target += voxels;
            sums.target_square += voxels;
        }
        Truth::Dense(y) => {
            sums.overlap += fold(p, |j, p| p * y[j].wide());
            sums.target += fold(y, |_, y| y);
            if wanted.squares {
                sums.target_square += fold(y, |_, y| y * y);
            }
        }
    }
    if wanted.squares {
        sums.prediction_square += fold(p, |_, p| p * p);
    }
    if wanted.background {
        sums.background_overlap += match background {
            Truth::Class(class, codes) => fold(p, |j, p| if codes[j] == class { p } else { 0.0 }),
            Truth::Dense(y) => fold(p, |j, p| p * y[j].wide()),
        };
    }
}

/// Σ_j term(j, row[j]) in `f64`, in [`LANES`] partial sums, so that the loop fills vector registers.
#[inline(always)]
pub(super) fn fold<F: Lane>(row: &[F], term: impl Fn(usize, f64) -> f64) -> f64 {
    let mut sums = [0.0; LANES];
    for (k, values) in row.as_chunks::<LANES>().0.iter().enumerate() {
        for lane in 0..LANES {
            sums[lane] += term(k * LANES + lane, values[lane].wide());
        }
    }
    sums.iter().sum()
}

/// Within [0, 1] up to rounding: logits would be far outside.
const LOWEST: f64 = -1e-4;
const HIGHEST: f64 = 1.0 + 1e-4;

/// Names the first value of a block that a load has refused.
#[cold]
pub(super) fn find_bad_value<T: Element>(
    row: impl Fn(usize) -> T,
    target: &Target<'_>,
    probabilities: bool,
    (batch, class): (usize, usize),
    voxels: &Range<usize>,
    codes: &[i32],
) -> DiceError {
    let is_probability = |value: f64| (LOWEST..=HIGHEST).contains(&value);
    let counted = || (0..voxels.len()).filter(|&offset| codes[offset] >= 0);
    let mut input = counted().map(|offset| (offset, row(offset).to_f64()));
    if let Some((offset, value)) =
        input.find(|&(_, value)| !value.is_finite() || probabilities && !is_probability(value))
    {
        let voxel = voxels.start + offset;
        return match value.is_finite() {
            true => DiceError::PredictionNotProbability { value, batch, class, voxel },
            false => DiceError::PredictionNotFinite { value, batch, class, voxel },
        };
    }
    let start = target.shape().map(batch, class, voxels).start;
    let Kind::Dense(maps) = target.kind() else { unreachable!("a load has refused a value of this block") };
    let mut truth = counted().map(|offset| (offset, maps.get(start + offset)));
    let (offset, value) =
        truth.find(|&(_, value)| !is_probability(value)).expect("a load has refused a value of this block");
    DiceError::TargetNotProbability { value, batch, class, voxel: voxels.start + offset }
}
