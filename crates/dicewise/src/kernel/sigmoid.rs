//! p = 1 / (1 + e⁻ˣ), each map on its own, with binary cross-entropy.

use super::{
    Backward, Coefficients, CrossEntropyOf, Forward, Kernel, MapSums,
    block::{Input, find_bad_value},
    codes::Codes,
    instruction_set::prefetch,
    lanes::LANES,
    tile::{Simd, Tile},
};
use crate::{DiceError, Element, element::sealed::Lane};

/// Voxels of a block.
const BLOCK: usize = 1024;

/// Tiles ahead of the one at hand that are asked for.
const AHEAD: usize = 32;

type TileOf<T, S> = <<T as Element>::Lane as Lane>::Tile<S>;

/// Tiles whose 1 + e⁻|ˣ| ≤ 2 are multiplied before one logarithm.
const FACTORS: usize = 32;

/// p and 1 − p of any x, both without cancellation, and 1 + e⁻|ˣ|.
#[inline(always)]
fn sigmoid<F: Lane, V: Tile<F>>(x: V) -> (V, V, V) {
    let power = x.minus_abs().exp();
    let one_plus = V::splat(F::ONE).plus(power);
    let large = V::splat(F::ONE).over(one_plus);
    let small = power.times(large);
    let positive = x.is_not_negative();
    (V::select(positive, large, small), V::select(positive, small, large), one_plus)
}

/// p and 1 − p of x within ±44, which is noted in `seen`, with fewer steps.
#[inline(always)]
fn near_sigmoid<F: Lane, V: Tile<F>>(x: V, seen: &mut V::Seen) -> (V, V) {
    let power = x.inverse_power(seen);
    let p = V::splat(F::ONE).over(V::splat(F::ONE).plus(power));
    (p, power.times(p))
}

/// The sums of a map over a block; false if a logit is not finite or y is outside of [0, 1].
#[inline(always)]
fn add_map<F: Lane, V: Tile<F>, const DENSE: bool>(
    input: &Input<'_, F>,
    class: i32,
    cross_entropy: bool,
    squares: bool,
    sums: &mut MapSums,
) -> bool {
    let (zero, one) = (V::splat(F::ZERO), V::splat(F::ONE));
    let [mut overlap, mut target, mut prediction, mut loss, mut invalid] = [zero; 5];
    let [mut target_square, mut prediction_square] = [zero; 2];
    let mut range = (zero, zero);
    let tiles = input.codes.len();
    let x = &input.x[..tiles];
    for start in (0..tiles).step_by(FACTORS) {
        // Σ ln s = ln Π s.
        let mut product = one;
        for tile in start..(start + FACTORS).min(tiles) {
            let (codes, x) = (&input.codes[tile], V::load(&x[tile]));
            // NaN if x is not finite.
            invalid = x.times_plus(zero, invalid);
            let (mut p, _, mut one_plus) = sigmoid(x);
            if input.left_out {
                let counts = V::counts(codes);
                (p, one_plus) = (p.only(counts), V::select(counts, one_plus, one));
            }
            prediction = prediction.plus(p);
            let y = if DENSE {
                let y = V::load(&input.y[tile]);
                range = (range.0.min(y), range.1.max(y));
                target = target.plus(y);
                overlap = p.times_plus(y, overlap);
                y
            } else {
                let is_class = V::is_class(codes, class);
                overlap = overlap.plus(p.only(is_class));
                one.only(is_class)
            };
            if squares {
                target_square = y.times_plus(y, target_square);
                prediction_square = p.times_plus(p, prediction_square);
            }
            if cross_entropy {
                // −y ln p − (1 − y) ln (1 − p) = max(x, 0) − x·y + ln(1 + e⁻|ˣ|); x = 0 where left out.
                product = product.times(one_plus);
                loss = loss.plus(x.max(zero).minus(x.times(y)));
            }
        }
        if cross_entropy {
            loss = loss.plus(product.ln());
        }
    }
    sums.overlap += overlap.lanes().sum();
    sums.prediction += prediction.lanes().sum();
    sums.prediction_square += prediction_square.lanes().sum();
    if DENSE {
        sums.target += target.lanes().sum();
        sums.target_square += target_square.lanes().sum();
    } else {
        let count = input.count(class);
        sums.target += count;
        sums.target_square += count;
    }
    sums.cross_entropy += loss.lanes().sum();
    invalid.lanes().is_finite() && (!DENSE || Input::in_range(range) && target.lanes().is_finite())
}

/// As [`add_map`] without cross-entropy and squares; false, with nothing added, also if a logit is beyond ±44.
#[inline(always)]
fn add_near_map<F: Lane, V: Tile<F>, const DENSE: bool>(
    input: &Input<'_, F>,
    class: i32,
    sums: &mut MapSums,
) -> bool {
    let zero = V::splat(F::ZERO);
    let [mut overlap, mut target, mut prediction] = [zero; 3];
    let mut range = (zero, zero);
    let mut seen = V::nothing_seen();
    let x = &input.x[..input.codes.len()];
    for (tile, (codes, x)) in input.codes.iter().zip(x).enumerate() {
        prefetch(std::ptr::from_ref(x).wrapping_add(AHEAD));
        let (mut p, _) = near_sigmoid::<F, V>(V::load(x), &mut seen);
        if input.left_out {
            p = p.only(V::counts(codes));
        }
        prediction = prediction.plus(p);
        if DENSE {
            let y = &input.y[tile];
            prefetch(std::ptr::from_ref(y).wrapping_add(AHEAD));
            let y = V::load(y);
            range = (range.0.min(y), range.1.max(y));
            target = target.plus(y);
            overlap = p.times_plus(y, overlap);
        } else {
            overlap = overlap.plus(p.only(V::is_class(codes, class)));
        }
    }
    let accepted = V::were_in_range(seen) && (!DENSE || Input::in_range(range) && target.lanes().is_finite());
    if accepted {
        sums.overlap += overlap.lanes().sum();
        sums.prediction += prediction.lanes().sum();
        sums.target += if DENSE { target.lanes().sum() } else { input.count(class) };
    }
    accepted
}

pub(super) struct Measure<'a, T>(pub(super) Forward<'a, T>);

impl<T: Element> Kernel for Measure<'_, T> {
    type Output = Result<Vec<MapSums>, DiceError>;

    #[inline(always)]
    fn run<S: Simd>(self) -> Self::Output {
        let Forward { wanted, input, target, chunk } = self.0;
        let shape = target.shape();
        let cross_entropy = matches!(wanted.cross_entropy, CrossEntropyOf::Maps);
        let mut sums = vec![MapSums::default(); shape.classes()];
        let mut codes = Codes::new();
        let [mut x, mut y] = [[T::Lane::ZERO; BLOCK]; 2];
        for voxels in chunk.blocks(BLOCK) {
            codes.read(target, chunk.b, &voxels)?;
            let counted = codes.counted();
            for (c, sums) in sums.iter_mut().enumerate() {
                let row = &input[shape.map(chunk.b, c, &voxels)];
                let input = Input::new(row, target, (chunk.b, c), &voxels, &codes, (&mut x, &mut y));
                let (class, squares) = (c as i32, wanted.squares);
                let accepted = if input.is_dense() {
                    (!cross_entropy && !squares && add_near_map::<_, TileOf<T, S>, true>(&input, class, sums))
                        || add_map::<_, TileOf<T, S>, true>(&input, class, cross_entropy, squares, sums)
                } else {
                    (!cross_entropy
                        && !squares
                        && add_near_map::<_, TileOf<T, S>, false>(&input, class, sums))
                        || add_map::<_, TileOf<T, S>, false>(&input, class, cross_entropy, squares, sums)
                };
                if !(accepted && input.accepted) {
                    find_bad_value(|j| row[j].to_f64(), target, false, (chunk.b, c), &voxels, codes.get())
                        .map_or(Ok(()), Err)?;
                }
                if cross_entropy {
                    sums.voxels += counted;
                }
            }
        }
        Ok(sums)
    }
}

/// The derivative of a tile.
#[inline(always)]
fn derivative<F: Lane, V: Tile<F>>(
    input: &Input<'_, F>,
    class: i32,
    tile: usize,
    [a, slope, curvature, weight]: [V; 4],
    (p, q): (V, V),
) -> V {
    let (codes, one) = (&input.codes[tile], V::splat(F::ONE));
    let y = match input.is_dense() {
        true => V::load(&input.y[tile]),
        false => one.only(V::is_class(codes, class)),
    };
    let derivative = a.minus(slope.times(y)).plus(curvature.times(p));
    // p − y = p (1 − y) − (1 − p) y, without cancellation where both are near 1.
    let residual = p.times(one.minus(y)).minus(y.times(q));
    let value = p.times(q).times(derivative).plus(weight.times(residual));
    if input.left_out { value.only(V::counts(codes)) } else { value }
}

/// Writes the derivative of a map's block; false if a logit is not finite, or if it is beyond ±44 where `NEAR`.
#[inline(always)]
fn differentiate<T: Element, V: Tile<T::Lane>, const NEAR: bool>(
    input: &Input<'_, T::Lane>,
    class: i32,
    coefficients: [V; 4],
    out: &mut [T],
) -> bool {
    let mut seen = V::nothing_seen();
    let mut invalid = V::splat(T::Lane::ZERO);
    let x = &input.x[..input.codes.len()];
    let (whole, rest) = out.as_chunks_mut::<LANES>();
    let mut last = [T::ZERO; LANES];
    let outs = whole.iter_mut().chain(std::iter::once(&mut last));
    for (tile, (x, out)) in x.iter().zip(outs).enumerate() {
        if NEAR {
            prefetch(std::ptr::from_ref(x).wrapping_add(AHEAD));
            if let Some(y) = input.y.get(tile) {
                prefetch(std::ptr::from_ref(y).wrapping_add(AHEAD));
            }
        }
        let x = V::load(x);
        let (p, q) = if NEAR {
            near_sigmoid(x, &mut seen)
        } else {
            // NaN if x is not finite.
            invalid = x.times_plus(V::splat(T::Lane::ZERO), invalid);
            let (p, q, _) = sigmoid(x);
            (p, q)
        };
        let value = derivative(input, class, tile, coefficients, (p, q)).lanes().0;
        for (out, value) in out.iter_mut().zip(value) {
            *out = T::narrow(value);
        }
    }
    rest.iter_mut().zip(last).for_each(|(out, value)| *out = value);
    if NEAR { V::were_in_range(seen) } else { invalid.lanes().is_finite() }
}

pub(super) struct Differentiate<'a, T>(pub(super) Backward<'a, T>);

impl<T: Element> Kernel for Differentiate<'_, T> {
    type Output = Result<(), DiceError>;

    #[inline(always)]
    fn run<S: Simd>(self) -> Self::Output {
        let mut pass = self.0;
        let target = pass.target;
        let (b, classes) = (pass.chunk.b, target.shape().classes());
        let lane = <T::Lane as Lane>::of;
        let mut codes = Codes::new();
        let [mut x, mut y] = [[T::Lane::ZERO; BLOCK]; 2];
        for voxels in pass.chunk.blocks(BLOCK) {
            codes.read(target, b, &voxels)?;
            let here = pass.chunk.within(&voxels);
            for class in 0..classes {
                let map = b * classes + class;
                let Coefficients { a, b: slope, c: curvature, cross_entropy, .. } = pass.coefficients;
                let coefficients = [
                    TileOf::<T, S>::splat(lane(a[map])),
                    TileOf::<T, S>::splat(lane(slope[map])),
                    TileOf::<T, S>::splat(lane(curvature[map])),
                    TileOf::<T, S>::splat(lane(cross_entropy[map])),
                ];
                let direct = pass.input.map(|input| &input[target.shape().map(b, class, &voxels)]);
                let out = &mut pass.maps[class][here.clone()];
                // Over its own input, x has to be copied out first.
                let input = match direct {
                    Some(row) => Input::new(row, target, (b, class), &voxels, &codes, (&mut x, &mut y)),
                    None => Input::copied(out, target, (b, class), &voxels, &codes, (&mut x, &mut y)),
                };
                let near = differentiate::<T, TileOf<T, S>, true>(&input, class as i32, coefficients, out);
                let accepted =
                    near || differentiate::<T, TileOf<T, S>, false>(&input, class as i32, coefficients, out);
                if !(accepted && input.accepted) {
                    let value = |j: usize| match direct {
                        Some(row) => row[j].to_f64(),
                        None => input.x.as_flattened()[j].wide(),
                    };
                    find_bad_value(value, target, false, (b, class), &voxels, codes.get())
                        .map_or(Ok(()), Err)?;
                }
            }
        }
        Ok(())
    }
}
