//! p = 1 / (1 + e⁻ˣ), each map on its own, with binary cross-entropy.

use super::{
    Backward, CrossEntropyOf, Forward, Kernel, MapSums,
    block::{Input, find_bad_value},
    codes::Codes,
    lanes::{LANES, Lanes},
};
use crate::{DiceError, Element, element::sealed::Lane};

/// Voxels of a block.
const BLOCK: usize = 1024;

/// Tiles whose 1 + e⁻|ˣ| ≤ 2 are multiplied before one logarithm.
const FACTORS: usize = 32;

/// p and 1 − p, both without cancellation, and 1 + e⁻|ˣ|.
#[inline(always)]
fn sigmoid<F: Lane, const FMA: bool>(x: Lanes<F>) -> (Lanes<F>, Lanes<F>, Lanes<F>) {
    let z = x.map(|x| (-x.abs()).exp::<FMA>());
    let one_plus = z.map(|z| F::ONE + z);
    let inverse = one_plus.map(|one_plus| F::ONE / one_plus);
    let small = z.times(inverse);
    let (mut p, mut q) = (small, inverse);
    for lane in 0..LANES {
        let positive = x.0[lane] >= F::ZERO;
        p.0[lane] = if positive { inverse.0[lane] } else { small.0[lane] };
        q.0[lane] = if positive { small.0[lane] } else { inverse.0[lane] };
    }
    (p, q, one_plus)
}

/// The sums of a map over a block; false if a logit is not finite or y is outside of [0, 1].
#[inline(always)]
fn add_map<F: Lane, const FMA: bool, const DENSE: bool>(
    input: &Input<'_, F>,
    class: i32,
    cross_entropy: bool,
    squares: bool,
    sums: &mut MapSums,
) -> bool {
    let zero = Lanes::splat(F::ZERO);
    let [mut overlap, mut target, mut prediction, mut loss, mut invalid] = [zero; 5];
    let [mut target_square, mut prediction_square] = [zero; 2];
    let mut range = (zero, zero);
    let tiles = input.codes.len();
    let x = &input.x[..tiles];
    for start in (0..tiles).step_by(FACTORS) {
        // Σ ln s = ln Π s.
        let mut product = Lanes::splat(F::ONE);
        for tile in start..(start + FACTORS).min(tiles) {
            let (codes, x) = (&input.codes[tile], Lanes(x[tile]));
            // NaN if x is not finite.
            invalid = x.times_plus::<FMA>(zero, invalid);
            let (mut p, _, one_plus) = sigmoid::<F, FMA>(x);
            if input.left_out {
                p = p.where_counted(codes, F::ZERO);
            }
            prediction = prediction.plus(p);
            let y = if DENSE {
                let y = Lanes(input.y[tile]);
                range = (range.0.min(y), range.1.max(y));
                target = target.plus(y);
                overlap = p.times_plus::<FMA>(y, overlap);
                y
            } else {
                overlap = overlap.plus(p.where_class(codes, class, zero));
                Lanes::splat(F::ONE).where_class(codes, class, zero)
            };
            if squares {
                target_square = y.times_plus::<FMA>(y, target_square);
                prediction_square = p.times_plus::<FMA>(p, prediction_square);
            }
            if cross_entropy {
                // −y ln p − (1 − y) ln (1 − p) = max(x, 0) − x·y + ln(1 + e⁻|ˣ|); x = 0 where left out.
                product = product.times(match input.left_out {
                    true => one_plus.where_counted(codes, F::ONE),
                    false => one_plus,
                });
                loss = loss.plus(x.max(zero).minus(x.times(y)));
            }
        }
        if cross_entropy {
            loss = loss.plus(product.map(|product| product.ln::<FMA>()));
        }
    }
    sums.overlap += overlap.sum();
    sums.prediction += prediction.sum();
    sums.prediction_square += prediction_square.sum();
    if DENSE {
        sums.target += target.sum();
        sums.target_square += target_square.sum();
    } else {
        let count = input.count(class);
        sums.target += count;
        sums.target_square += count;
    }
    sums.cross_entropy += loss.sum();
    invalid.is_finite() && (!DENSE || Input::in_range(range) && target.is_finite())
}

pub(super) struct Measure<'a, T>(pub(super) Forward<'a, T>);

impl<T: Element> Kernel for Measure<'_, T> {
    type Output = Result<Vec<MapSums>, DiceError>;

    #[inline(always)]
    fn run<const FMA: bool>(self) -> Self::Output {
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
                let accepted = match input.is_dense() {
                    true => add_map::<_, FMA, true>(&input, c as i32, cross_entropy, wanted.squares, sums),
                    false => add_map::<_, FMA, false>(&input, c as i32, cross_entropy, wanted.squares, sums),
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

/// The logits of a tile and the derivative with respect to them.
#[inline(always)]
fn derivative<F: Lane, const FMA: bool>(
    input: &Input<'_, F>,
    class: i32,
    tile: usize,
    [a, slope, curvature, weight]: [Lanes<F>; 4],
) -> (Lanes<F>, Lanes<F>) {
    let (codes, x) = (&input.codes[tile], Lanes(input.x[tile]));
    let y = match input.is_dense() {
        true => Lanes(input.y[tile]),
        false => Lanes::splat(F::ONE).where_class(codes, class, Lanes::splat(F::ZERO)),
    };
    let (p, q, _) = sigmoid::<F, FMA>(x);
    let derivative = a.minus(slope.times(y)).plus(curvature.times(p));
    // p − y = p (1 − y) − (1 − p) y, without cancellation where both are near 1.
    let residual = p.times(y.map(|y| F::ONE - y)).minus(y.times(q));
    let value = p.times(q).times(derivative).plus(weight.times(residual));
    (x, if input.left_out { value.where_counted(codes, F::ZERO) } else { value })
}

pub(super) struct Differentiate<'a, T>(pub(super) Backward<'a, T>);

impl<T: Element> Kernel for Differentiate<'_, T> {
    type Output = Result<(), DiceError>;

    #[inline(always)]
    fn run<const FMA: bool>(self) -> Self::Output {
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
                let of = &pass.coefficients;
                let [a, slope, curvature, weight] = [of.a[map], of.b[map], of.c[map], of.cross_entropy[map]]
                    .map(|value| Lanes::splat(lane(value)));
                let direct = pass.input.map(|input| &input[target.shape().map(b, class, &voxels)]);
                let out = &mut pass.maps[class][here.clone()];
                // Over its own input, x has to be copied out first.
                let input = match direct {
                    Some(row) => Input::new(row, target, (b, class), &voxels, &codes, (&mut x, &mut y)),
                    None => Input::copied(out, target, (b, class), &voxels, &codes, (&mut x, &mut y)),
                };
                let mut invalid = Lanes::splat(T::Lane::ZERO);
                let coefficients = [a, slope, curvature, weight];
                let (whole, rest) = out.as_chunks_mut::<LANES>();
                let tiles = whole.len();
                for (tile, out) in whole.iter_mut().enumerate() {
                    let (x, value) = derivative::<_, FMA>(&input, class as i32, tile, coefficients);
                    invalid = x.times_plus::<FMA>(Lanes::splat(T::Lane::ZERO), invalid);
                    *out = value.0.map(T::narrow);
                }
                if !rest.is_empty() {
                    let (x, value) = derivative::<_, FMA>(&input, class as i32, tiles, coefficients);
                    invalid = x.times_plus::<FMA>(Lanes::splat(T::Lane::ZERO), invalid);
                    rest.iter_mut().zip(value.0).for_each(|(out, value)| *out = T::narrow(value));
                }
                if !(invalid.is_finite() && input.accepted) {
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
