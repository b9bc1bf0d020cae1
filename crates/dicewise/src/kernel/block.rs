//! Loading a block and adding it up: what the kernels share.

use std::ops::Range;

use super::{Kernel, MapSums, Wanted, codes::Codes, lanes::LANES, tile::Simd};
use crate::{
    DiceError, Element, Target,
    element::sealed::Lane,
    target::{DenseMaps, Kind},
};

/// A block of logits into rows `[C, length]`, left-out voxels as 0; false if one of the others is not finite.
pub(super) struct Load<'a, F, M> {
    pub(super) map: M,
    pub(super) codes: &'a [i32],
    pub(super) left_out: bool,
    pub(super) rows: &'a mut [F],
}

impl<'a, T: Element, M: Fn(usize) -> &'a [T]> Kernel for Load<'_, T::Lane, M> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self) -> bool {
        let mut finite = true;
        for (c, row) in self.rows.chunks_exact_mut(self.codes.len()).enumerate() {
            finite &= load_logits((self.map)(c), self.codes, self.left_out, row);
        }
        finite
    }
}

/// As [`Load`], with the classes of sixteen voxels side by side, `[tiles, C, 16]`: many rows at a distance of a power
/// of two would share a few sets of the cache.
pub(super) struct LoadTiles<'a, F, M> {
    pub(super) map: M,
    pub(super) classes: usize,
    pub(super) codes: &'a [i32],
    pub(super) left_out: bool,
    pub(super) block: &'a mut [F],
}

impl<'a, T: Element, M: Fn(usize) -> &'a [T]> Kernel for LoadTiles<'_, T::Lane, M> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self) -> bool {
        let mut finite = true;
        let block = self.block.as_chunks_mut::<LANES>().0;
        for c in 0..self.classes {
            let map = (self.map)(c);
            let tiles = block.iter_mut().skip(c).step_by(self.classes);
            for ((tile, x), codes) in tiles.zip(map.chunks(LANES)).zip(self.codes.as_chunks::<LANES>().0) {
                match <&[T; LANES]>::try_from(x) {
                    Ok(x) if !self.left_out => {
                        let mut largest = 0;
                        for (out, x) in tile.iter_mut().zip(x) {
                            *out = x.widen();
                            largest = largest.max(out.magnitude());
                        }
                        finite &= largest < T::Lane::INFINITE;
                    }
                    _ => finite &= load_logits(x, codes, true, tile),
                }
            }
        }
        finite
    }
}

/// The row of one class out of `[tiles, C, 16]`.
pub(super) struct Gather<'a, F> {
    pub(super) block: &'a [F],
    pub(super) classes: usize,
    pub(super) c: usize,
    pub(super) row: &'a mut [F],
}

impl<F: Lane> Kernel for Gather<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let tiles = self.block.as_chunks::<LANES>().0.iter().skip(self.c).step_by(self.classes);
        for (out, tile) in self.row.as_chunks_mut::<LANES>().0.iter_mut().zip(tiles) {
            *out = *tile;
        }
    }
}

/// A row of lanes into a map, 0 where left out.
pub(super) struct Store<'a, F, T> {
    pub(super) row: &'a [F],
    pub(super) codes: &'a [i32],
    pub(super) left_out: bool,
    pub(super) map: &'a mut [T],
}

impl<T: Element> Kernel for Store<'_, T::Lane, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        if !self.left_out {
            self.map.iter_mut().zip(self.row).for_each(|(out, &value)| *out = T::narrow(value));
            return;
        }
        for ((out, &value), &code) in self.map.iter_mut().zip(self.row).zip(self.codes) {
            *out = if code >= 0 { T::narrow(value) } else { T::ZERO };
        }
    }
}

/// One map's block of logits or probabilities in tiles, straight from the array where its type and the block allow;
/// false if a copy has met a value that is not finite.
#[inline(always)]
pub(super) fn tiles<'a, T: Element>(
    row: &'a [T],
    codes: &Codes,
    room: &'a mut [T::Lane],
) -> (&'a [[T::Lane; LANES]], bool) {
    match T::lanes(row) {
        Some(x) if !codes.left_out => (x.as_chunks().0, true),
        _ => {
            let room = &mut room[..codes.get().len()];
            let finite = load_logits(row, codes.get(), codes.left_out, room);
            (room.as_chunks().0, finite)
        }
    }
}

/// Logits into lanes, left-out voxels as 0; false if one of the others is not finite.
#[inline(always)]
pub(super) fn load_logits<T: Element>(x: &[T], codes: &[i32], left_out: bool, row: &mut [T::Lane]) -> bool {
    let mut largest = 0;
    if !left_out {
        for (out, x) in row.iter_mut().zip(x) {
            *out = x.widen();
            largest = largest.max(out.magnitude());
        }
        return largest < T::Lane::INFINITE;
    }
    for ((out, x), &code) in row.iter_mut().zip(x).zip(codes) {
        let x = x.widen();
        // Selected, not multiplied: 0 · NaN under the mask would be NaN.
        let x = if code >= 0 { x } else { T::Lane::ZERO };
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
        DenseMaps::U8(y) => load_mask(&y[here], codes, row),
    }
}

/// Bytes into lanes, left-out voxels as 0; false if one of the others is neither 0 nor 1.
#[inline(always)]
fn load_mask<F: Lane>(y: &[u8], codes: &[i32], row: &mut [F]) -> bool {
    let mut bits = 0;
    for ((out, &y), &code) in row.iter_mut().zip(y).zip(codes) {
        let y = if code >= 0 { y } else { 0 };
        bits |= y;
        *out = if y == 0 { F::ZERO } else { F::ONE };
    }
    row[y.len()..].fill(F::ZERO);
    bits <= 1
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

/// `Σ_j term(j, row[j])` in `f64`, in [`LANES`] partial sums, so that the loop fills vector registers.
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
pub(super) const LOWEST: f64 = -1e-4;
pub(super) const HIGHEST: f64 = 1.0 + 1e-4;

/// Names the first value of a map's block that is refused, if any.
#[cold]
pub(super) fn find_bad_value(
    row: impl Fn(usize) -> f64,
    target: &Target<'_>,
    probabilities: bool,
    (batch, class): (usize, usize),
    voxels: &Range<usize>,
    codes: &[i32],
) -> Option<DiceError> {
    let is_probability = |value: f64| (LOWEST..=HIGHEST).contains(&value);
    let counted = || (0..voxels.len()).filter(|&offset| codes[offset] >= 0);
    let mut input = counted().map(|offset| (offset, row(offset)));
    if let Some((offset, value)) =
        input.find(|&(_, value)| !value.is_finite() || probabilities && !is_probability(value))
    {
        let voxel = voxels.start + offset;
        return Some(match value.is_finite() {
            true => DiceError::PredictionNotProbability { value, batch, class, voxel },
            false => DiceError::PredictionNotFinite { value, batch, class, voxel },
        });
    }
    let start = target.shape().map(batch, class, voxels).start;
    let Kind::Dense(maps) = target.kind() else { return None };
    let mut truth = counted().map(|offset| (offset, maps.get(start + offset)));
    let (offset, value) = truth.find(|&(_, value)| !is_probability(value))?;
    Some(DiceError::TargetNotProbability { value, batch, class, voxel: voxels.start + offset })
}
