//! p = 1 / (1 + e⁻ˣ), each map on its own, with binary cross-entropy.
//!
//! Powers of a whole block come before what is made of them: exponential, division and sums in one loop are a chain for
//! most of which the processor waits.

use super::{
    Backward, CrossEntropyOf, Forward, Kernel, MapSums,
    block::{find_bad_value, tiles},
    codes::Codes,
    instruction_set::Streaming,
    lanes::LANES,
    map_truth::{Extremes, MapTruth},
    streaming::{self, Derivative},
    tile::{Simd, Tile},
};
use crate::{DiceError, Element, element::sealed::Lane};

/// Voxels of a block: four rows of it fit into a first-level cache.
const BLOCK: usize = 1024;

/// Values of one map's block.
type Row<F> = [[F; LANES]; BLOCK / LANES];

type TileOf<T, S> = <<T as Element>::Lane as Lane>::Tile<S>;

/// Tiles whose 1 + e⁻|ˣ| ≤ 2 are multiplied before one logarithm: Σ ln s = ln Π s.
const FACTORS: usize = 32;

/// e⁻ˣ, or e⁻|ˣ| with the sign of x where `SIGNED`; false if an x is beyond ±44 or not a number.
#[inline(always)]
fn near_powers<F: Lane, V: Tile<F>, const SIGNED: bool>(x: &[[F; LANES]], powers: &mut Row<F>) -> bool {
    let mut seen = V::nothing_seen();
    for (x, power) in x.iter().zip(powers) {
        let x = V::load_ahead(x);
        match SIGNED {
            true => x.minus_abs().power(&mut seen).with_sign_of(x).store(power),
            false => x.inverse_power(&mut seen).store(power),
        }
    }
    V::were_in_range(seen)
}

/// e⁻|ˣ|, with the sign of x; false if an x is not finite.
#[inline(always)]
fn far_powers<F: Lane, V: Tile<F>>(x: &[[F; LANES]], powers: &mut Row<F>) -> bool {
    let zero = V::splat(F::ZERO);
    let mut invalid = zero;
    for (x, power) in x.iter().zip(powers) {
        let x = V::load(x);
        // NaN if x is not finite.
        invalid = x.times_plus(zero, invalid);
        x.minus_abs().exp().with_sign_of(x).store(power);
    }
    invalid.lanes().is_finite()
}

/// p and 1 − p, both without cancellation.
#[inline(always)]
fn probabilities<F: Lane, V: Tile<F>, const SIGNED: bool>(power: V) -> (V, V) {
    let one = V::splat(F::ONE);
    if !SIGNED {
        let p = one.over(one.plus(power));
        return (p, power.times(p));
    }
    let positive = power.is_not_negative();
    let power = V::splat(F::ZERO).minus(power.minus_abs());
    let large = one.over(one.plus(power));
    let small = power.times(large);
    (V::select(positive, large, small), V::select(positive, small, large))
}

/// Adds Σ y p, Σ p and Σ y of a map over a block; false if y is outside of [0, 1].
#[inline(always)]
fn add_map<F: Lane, V: Tile<F>, const SIGNED: bool, const DENSE: bool>(
    powers: &[[F; LANES]],
    truth: MapTruth<'_, F>,
    sums: &mut MapSums,
) -> bool {
    let [mut overlap, mut target, mut prediction] = [V::splat(F::ZERO); 3];
    let mut extremes = Extremes::<V>::new();
    for (tile, power) in powers.iter().enumerate() {
        let (mut p, _) = probabilities::<F, V, SIGNED>(V::load(power));
        if truth.left_out {
            p = p.only(truth.counts::<V>(tile));
        }
        prediction = prediction.plus(p);
        if DENSE {
            let y = truth.dense::<V>(tile);
            extremes = extremes.with(y);
            target = target.plus(y);
            overlap = p.times_plus(y, overlap);
        } else {
            overlap = overlap.plus(p.only(truth.is_class::<V>(tile)));
        }
    }
    sums.overlap += overlap.lanes().sum();
    sums.prediction += prediction.lanes().sum();
    sums.target += if DENSE { target.lanes().sum() } else { truth.count() };
    // NaN passes by the extremes, and shows in the sum.
    !DENSE || extremes.are_probabilities() && target.lanes().is_finite()
}

/// Adds Σ p² and Σ y², from signed powers.
#[inline(always)]
fn add_squares<F: Lane, V: Tile<F>>(powers: &[[F; LANES]], truth: MapTruth<'_, F>, sums: &mut MapSums) {
    let [mut target, mut prediction] = [V::splat(F::ZERO); 2];
    for (tile, power) in powers.iter().enumerate() {
        let (mut p, _) = probabilities::<F, V, true>(V::load(power));
        if truth.left_out {
            p = p.only(truth.counts::<V>(tile));
        }
        let y = truth.y::<V>(tile);
        prediction = p.times_plus(p, prediction);
        target = y.times_plus(y, target);
    }
    sums.prediction_square += prediction.lanes().sum();
    sums.target_square += target.lanes().sum();
}

/// Adds −Σ y ln p + (1 − y) ln (1 − p) = Σ max(x, 0) − x·y + ln(1 + e⁻|ˣ|), from signed powers.
#[inline(always)]
fn add_cross_entropy<F: Lane, V: Tile<F>>(
    x: &[[F; LANES]],
    powers: &[[F; LANES]],
    truth: MapTruth<'_, F>,
    sums: &mut MapSums,
) {
    let zero = V::splat(F::ZERO);
    let mut loss = zero;
    for (k, powers) in powers.chunks(FACTORS).enumerate() {
        // Π (1 + e⁻|ˣ|) − 1, which 1 + e⁻|ˣ| would round away where all of them are small.
        let mut product = zero;
        for (tile, power) in (k * FACTORS..).zip(powers) {
            let (x, mut power) = (V::load(&x[tile]), zero.minus(V::load(power).minus_abs()));
            if truth.left_out {
                // x is 0 there, and y.
                power = power.only(truth.counts::<V>(tile));
            }
            product = product.times_plus(power, product.plus(power));
            loss = loss.plus(x.max(zero).minus(x.times(truth.y::<V>(tile))));
        }
        loss = loss.plus(ln_one_plus(product));
    }
    sums.cross_entropy += loss.lanes().sum();
}

/// ln(1 + x) for x ≥ 0, to the precision of x.
#[inline(always)]
fn ln_one_plus<F: Lane, V: Tile<F>>(x: V) -> V {
    let one = V::splat(F::ONE);
    let sum = one.plus(x);
    // What rounding has taken from the sum.
    let rest = x.minus(sum.minus(one));
    sum.ln().plus(rest.over(sum))
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
        let (mut x, mut y) = ([T::Lane::ZERO; BLOCK], [T::Lane::ZERO; BLOCK]);
        let mut powers = [[T::Lane::ZERO; LANES]; BLOCK / LANES];
        for voxels in chunk.blocks(BLOCK) {
            codes.read(target, chunk.b, &voxels)?;
            let counted = codes.counted();
            for (c, sums) in sums.iter_mut().enumerate() {
                let row = &input[shape.map(chunk.b, c, &voxels)];
                let (x, finite) = tiles(row, &codes, &mut x);
                let (truth, valid) = MapTruth::new(target, (chunk.b, c), &voxels, &codes, &mut y);
                let mut accepted = finite && valid;
                let mut signed = cross_entropy || wanted.squares;
                let near = match signed {
                    true => near_powers::<_, TileOf<T, S>, true>(x, &mut powers),
                    false => near_powers::<_, TileOf<T, S>, false>(x, &mut powers),
                };
                if !near {
                    signed = true;
                    accepted &= far_powers::<_, TileOf<T, S>>(x, &mut powers);
                }
                let powers = &powers[..x.len()];
                accepted &= match (signed, truth.is_dense()) {
                    (false, true) => add_map::<_, TileOf<T, S>, false, true>(powers, truth, sums),
                    (false, false) => add_map::<_, TileOf<T, S>, false, false>(powers, truth, sums),
                    (true, true) => add_map::<_, TileOf<T, S>, true, true>(powers, truth, sums),
                    (true, false) => add_map::<_, TileOf<T, S>, true, false>(powers, truth, sums),
                };
                if wanted.squares {
                    add_squares::<_, TileOf<T, S>>(powers, truth, sums);
                }
                if cross_entropy {
                    add_cross_entropy::<_, TileOf<T, S>>(x, powers, truth, sums);
                    sums.voxels += counted;
                }
                if !accepted {
                    find_bad_value(|j| row[j].to_f64(), target, false, (chunk.b, c), &voxels, codes.get())
                        .map_or(Ok(()), Err)?;
                }
            }
        }
        Ok(sums)
    }
}

/// ∂L/∂x = p (1 − p) ∂L/∂p + w (p − y), and what it is made of.
#[derive(Clone, Copy)]
struct Slopes<'a, F, const SIGNED: bool> {
    powers: &'a Row<F>,
    truth: MapTruth<'a, F>,
    /// ∂L/∂p = a − slope·y + curvature·p.
    a: F,
    slope: F,
    curvature: F,
    /// w, of the cross-entropy.
    weight: F,
}

impl<F: Lane, const SIGNED: bool> Derivative<F> for Slopes<'_, F, SIGNED> {
    #[inline(always)]
    fn write<V: Tile<F>>(self, start: usize, out: &mut [F], streaming: Option<&Streaming>) {
        let truth = self.truth.from(start);
        let (a, slope, one) = (V::splat(self.a), V::splat(self.slope), V::splat(F::ONE));
        let (curvature, weight) = (V::splat(self.curvature), V::splat(self.weight));
        let powers = self.powers.as_flattened()[start..].as_chunks().0;
        for (tile, (power, out)) in powers.iter().zip(out.as_chunks_mut().0).enumerate() {
            let (p, q) = probabilities::<F, V, SIGNED>(V::load(power));
            let y = truth.y::<V>(tile);
            let mut derivative = a.minus(slope.times(y));
            if self.curvature != F::ZERO {
                derivative = curvature.times_plus(p, derivative);
            }
            let mut value = p.times(q).times(derivative);
            if self.weight != F::ZERO {
                // p − y = p (1 − y) − (1 − p) y, without cancellation where both are near 1.
                let residual = p.times(one.minus(y)).minus(y.times(q));
                value = weight.times_plus(residual, value);
            }
            if truth.left_out {
                value = value.only(truth.counts::<V>(tile));
            }
            value.write(out, streaming);
        }
    }
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
        let (mut x, mut y) = ([T::Lane::ZERO; BLOCK], [T::Lane::ZERO; BLOCK]);
        let mut powers = [[T::Lane::ZERO; LANES]; BLOCK / LANES];
        let mut row = [[T::Lane::ZERO; LANES]; BLOCK / LANES];
        for voxels in pass.chunk.blocks(BLOCK) {
            codes.read(target, b, &voxels)?;
            for class in 0..classes {
                let input = pass.input(class, &voxels);
                let (x, finite) = tiles(input, &codes, &mut x);
                let (truth, valid) = MapTruth::new(target, (b, class), &voxels, &codes, &mut y);
                let near = near_powers::<_, TileOf<T, S>, false>(x, &mut powers);
                let accepted = near || far_powers::<_, TileOf<T, S>>(x, &mut powers);
                if !(accepted && finite && valid) {
                    find_bad_value(|j| input[j].to_f64(), target, false, (b, class), &voxels, codes.get())
                        .map_or(Ok(()), Err)?;
                }
                let (of, map) = (&pass.coefficients, b * classes + class);
                let [a, slope, curvature, weight] =
                    [of.a[map], of.b[map], of.c[map], of.cross_entropy[map]].map(lane);
                let powers = &powers;
                // The input may be what is written over now: it is in the powers.
                let out = &mut pass.maps[class][pass.chunk.within(&voxels)];
                let streaming = pass.streaming.as_ref();
                if near {
                    let of = Slopes::<_, false> { powers, truth, a, slope, curvature, weight };
                    streaming::write_block::<T, S>(of, row.as_flattened_mut(), out, streaming);
                } else {
                    let of = Slopes::<_, true> { powers, truth, a, slope, curvature, weight };
                    streaming::write_block::<T, S>(of, row.as_flattened_mut(), out, streaming);
                }
            }
        }
        Ok(())
    }
}
