//! Probabilities as given: sums and derivatives in `f64`.

use super::{
    Backward, Forward, Kernel, MapSums,
    block::{Truth, add_map, find_bad_value, fold, load_dense, load_probabilities, tiles},
    codes::{Codes, count_of, padded},
    instruction_set::Streaming,
    lanes::LANES,
    map_truth::{Extremes, MapTruth},
    streaming::{self, Derivative},
    tile::{Simd, Tile},
};
use crate::{DiceError, Element, Target, element::sealed::Lane, shape::Chunk, target::Kind};

/// Voxels of a block.
const BLOCK: usize = 1024;

/// The sums of a map over a block in `f64`; false if p or y is outside of [0, 1].
#[inline(always)]
fn add_plain<F: Lane, V: Tile<F>, const DENSE: bool>(
    p: &[[F; LANES]],
    truth: MapTruth<'_, F>,
    sums: &mut MapSums,
) -> bool {
    let [mut overlap, mut target, mut prediction] = [V::wide_zeros(); 3];
    let [mut extremes, mut extremes_of_y] = [Extremes::<V>::new(); 2];
    for (tile, p) in p.iter().enumerate() {
        let p = V::load_ahead(p);
        extremes = extremes.with(p);
        prediction = p.add_to(prediction);
        if DENSE {
            let y = truth.dense::<V>(tile);
            extremes_of_y = extremes_of_y.with(y);
            target = y.add_to(target);
            overlap = p.add_product_to(y, overlap);
        } else {
            overlap = p.only(truth.is_class::<V>(tile)).add_to(overlap);
        }
    }
    let [overlap, target, prediction] = [overlap, target, prediction].map(V::wide_sum);
    sums.overlap += overlap;
    sums.prediction += prediction;
    sums.target += if DENSE { target } else { truth.count() };
    // NaN passes by the extremes, and shows in the sums.
    extremes.are_probabilities()
        && extremes_of_y.are_probabilities()
        && prediction.is_finite()
        && target.is_finite()
}

pub(super) struct Measure<'a, T>(pub(super) Forward<'a, T>);

impl<T: Element> Kernel for Measure<'_, T> {
    type Output = Result<Vec<MapSums>, DiceError>;

    #[inline(always)]
    fn run<S: Simd>(self) -> Self::Output {
        let Forward { wanted, input, target, chunk } = self.0;
        let shape = target.shape();
        let plain = !wanted.squares && !wanted.background;
        let mut sums = vec![MapSums::default(); shape.classes()];
        let mut codes = Codes::new();
        let (mut x, mut y) = ([T::Lane::ZERO; BLOCK], [T::Lane::ZERO; BLOCK]);
        let (mut p, mut y_wide, mut y0) = ([0.0; BLOCK], [0.0; BLOCK], [0.0; BLOCK]);
        for voxels in chunk.blocks(BLOCK) {
            codes.read(target, chunk.b, &voxels)?;
            let length = padded(voxels.len());
            if let Kind::Dense(maps) = target.kind()
                && wanted.background
            {
                load_dense(maps, target, (chunk.b, 0), &voxels, codes.get(), &mut y0[..length]);
            }
            for (c, sums) in sums.iter_mut().enumerate() {
                let (map, class) = ((chunk.b, c), c as i32);
                let row = &input[shape.map(chunk.b, c, &voxels)];
                let accepted = if plain && T::Lane::is_exact(target) {
                    let (x, finite) = tiles(row, &codes, &mut x);
                    let (truth, valid) = MapTruth::new(target, map, &voxels, &codes, &mut y);
                    let accepted = match truth.is_dense() {
                        true => add_plain::<_, <T::Lane as Lane>::Tile<S>, true>(x, truth, sums),
                        false => add_plain::<_, <T::Lane as Lane>::Tile<S>, false>(x, truth, sums),
                    };
                    accepted && finite && valid
                } else {
                    let (p, codes) = (&mut p[..length], codes.get());
                    let mut accepted = load_probabilities(row, codes, p);
                    let (truth, background) = match target.kind() {
                        Kind::Labels(_) => (Truth::Class(class, codes), Truth::Class(0, codes)),
                        Kind::Dense(maps) => {
                            let y = &mut y_wide[..length];
                            accepted &= load_dense(maps, target, map, &voxels, codes, y);
                            (Truth::Dense(&*y), Truth::Dense(&y0[..length]))
                        }
                    };
                    if accepted {
                        add_map(p, truth, background, &wanted, sums);
                    }
                    accepted
                };
                if !accepted {
                    find_bad_value(|j| row[j].to_f64(), target, true, map, &voxels, codes.get())
                        .map_or(Ok(()), Err)?;
                }
            }
        }
        Ok(sums)
    }
}

/// Σ_i y of each map over one chunk.
pub(super) struct MeasureTarget<'a> {
    pub(super) target: &'a Target<'a>,
    pub(super) chunk: &'a Chunk,
}

impl Kernel for MeasureTarget<'_> {
    type Output = Result<Vec<f64>, DiceError>;

    #[inline(always)]
    fn run<S: Simd>(self) -> Self::Output {
        let (target, b) = (self.target, self.chunk.b);
        let mut sizes = vec![0.0; target.shape().classes()];
        let mut codes = Codes::new();
        let mut y = [0.0; BLOCK];
        for voxels in self.chunk.blocks(BLOCK) {
            let codes = codes.read(target, b, &voxels)?;
            match target.kind() {
                // One class after the other fills registers; one voxel after the other waits for its count's last change.
                Kind::Labels(_) if sizes.len() <= 16 => {
                    for (size, class) in sizes.iter_mut().zip(0..) {
                        *size += count_of(class, codes);
                    }
                }
                Kind::Labels(_) => {
                    codes.iter().filter(|&&code| code >= 0).for_each(|&code| sizes[code as usize] += 1.0);
                }
                Kind::Dense(maps) => {
                    let y = &mut y[..padded(voxels.len())];
                    for (c, size) in sizes.iter_mut().enumerate() {
                        if !load_dense(maps, target, (b, c), &voxels, codes, y) {
                            let counted = |_| 0.0;
                            find_bad_value(counted, target, true, (b, c), &voxels, codes)
                                .map_or(Ok(()), Err)?;
                        }
                        *size += fold(y, |_, y| y);
                    }
                }
            }
        }
        Ok(sizes)
    }
}

/// ∂L/∂p = a − slope·y + curvature·p, and what it is made of.
#[derive(Clone, Copy)]
struct Slopes<'a, F> {
    truth: MapTruth<'a, F>,
    /// Used where there is a curvature.
    p: &'a [[F; LANES]],
    a: f64,
    slope: f64,
    curvature: f64,
}

impl<F: Lane> Derivative<F> for Slopes<'_, F> {
    #[inline(always)]
    fn write<V: Tile<F>>(self, start: usize, out: &mut [F], streaming: Option<&Streaming>) {
        let Self { a, slope, curvature, .. } = self;
        let truth = self.truth.from(start);
        let (outside, inside) = (V::splat(F::of(a)), V::splat(F::of(a - slope)));
        // Of −slope and a what the type of the lanes leaves, so that a result is off by no more than two roundings.
        let minus_slope = V::splat(F::of(-slope));
        let rest_of_slope = V::splat(F::of(-slope - F::of(-slope).wide()));
        let rest_of_a = V::splat(F::of(a - F::of(a).wide()));
        let cannot_overflow = a.abs().max(slope.abs()) < f64::from(f32::MAX) / 2.0;
        let p: &[[F; LANES]] = self.p.as_flattened()[start..].as_chunks().0;
        for (tile, out) in out.as_chunks_mut().0.iter_mut().enumerate() {
            let mut value = if curvature == 0.0 && !truth.is_dense() {
                V::select(truth.is_class::<V>(tile), inside, outside)
            } else if curvature == 0.0 && cannot_overflow {
                let y = truth.dense::<V>(tile);
                minus_slope.times_plus(y, outside).plus(rest_of_slope.times_plus(y, rest_of_a))
            } else {
                let mut values = truth.y::<V>(tile).lanes().0.map(|y| a - slope * y.wide());
                if curvature != 0.0 {
                    values.iter_mut().zip(&p[tile]).for_each(|(value, p)| *value += curvature * p.wide());
                }
                V::load(&values.map(F::of))
            };
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
        let mut codes = Codes::new();
        let (mut p, mut y) = ([T::Lane::ZERO; BLOCK], [T::Lane::ZERO; BLOCK]);
        let mut row = [T::Lane::ZERO; BLOCK];
        for voxels in pass.chunk.blocks(BLOCK) {
            codes.read(target, b, &voxels)?;
            for class in 0..classes {
                let (of, map) = (&pass.coefficients, b * classes + class);
                // The sums have found what is outside of [0, 1].
                let (truth, _) = MapTruth::new(target, (b, of.row[map]), &voxels, &codes, &mut y);
                let p = &mut p[..codes.get().len()];
                let input = pass.input(class, &voxels);
                let accepted = of.c[map] == 0.0 || load_probabilities(input, codes.get(), p);
                if !accepted {
                    find_bad_value(|j| input[j].to_f64(), target, true, (b, class), &voxels, codes.get())
                        .map_or(Ok(()), Err)?;
                }
                let (a, slope, curvature) = (of.a[map], of.b[map], of.c[map]);
                let of = Slopes { truth, p: p.as_chunks().0, a, slope, curvature };
                let out = &mut pass.maps[class][pass.chunk.within(&voxels)];
                streaming::write_block::<T, S>(of, &mut row, out, pass.streaming.as_ref());
            }
        }
        Ok(())
    }
}
