//! Probabilities as given: sums and derivatives in `f64`.

use super::{
    Backward, Forward, Kernel, MapSums,
    block::{Input, Truth, add_map, find_bad_value, fold, load_dense, load_probabilities},
    codes::{Codes, padded},
    instruction_set::prefetch,
    tile::{Simd, Tile},
};
use crate::{DiceError, Element, Target, element::sealed::Lane, shape::Chunk, target::Kind};

/// Voxels of a block.
const BLOCK: usize = 1024;

/// Tiles ahead of the one at hand that are asked for.
const AHEAD: usize = 32;

/// The sums of a map over a block in `f64`; false if p or y is outside of [0, 1].
#[inline(always)]
fn add_plain<F: Lane, V: Tile<F>, const DENSE: bool>(
    input: &Input<'_, F>,
    class: i32,
    sums: &mut MapSums,
) -> bool {
    let zero = V::splat(F::ZERO);
    let [mut overlap, mut target, mut prediction] = [V::wide_zeros(); 3];
    let (mut range, mut range_y) = ((zero, zero), (zero, zero));
    let x = &input.x[..input.codes.len()];
    for (tile, (codes, p)) in input.codes.iter().zip(x).enumerate() {
        prefetch(std::ptr::from_ref(p).wrapping_add(AHEAD));
        let p = V::load(p);
        range = (range.0.min(p), range.1.max(p));
        prediction = p.add_to(prediction);
        if DENSE {
            let y = &input.y[tile];
            prefetch(std::ptr::from_ref(y).wrapping_add(AHEAD));
            let y = V::load(y);
            range_y = (range_y.0.min(y), range_y.1.max(y));
            target = y.add_to(target);
            overlap = p.add_product_to(y, overlap);
        } else {
            overlap = p.only(V::is_class(codes, class)).add_to(overlap);
        }
    }
    let (overlap, target, prediction) =
        (V::wide_lanes(overlap), V::wide_lanes(target), V::wide_lanes(prediction));
    sums.overlap += overlap.sum();
    sums.prediction += prediction.sum();
    sums.target += if DENSE { target.sum() } else { input.count(class) };
    // NaN passes by the range, and shows in the sum.
    Input::in_range(range) && Input::in_range(range_y) && prediction.is_finite() && target.is_finite()
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
        let [mut x, mut y] = [[T::Lane::ZERO; BLOCK]; 2];
        let [mut p, mut y_wide, mut y0] = [[0.0; BLOCK]; 3];
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
                    let input = Input::new(row, target, map, &voxels, &codes, (&mut x, &mut y));
                    let accepted = match input.is_dense() {
                        true => add_plain::<_, <T::Lane as Lane>::Tile<S>, true>(&input, class, sums),
                        false => add_plain::<_, <T::Lane as Lane>::Tile<S>, false>(&input, class, sums),
                    };
                    accepted && input.accepted
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

pub(super) struct Differentiate<'a, T>(pub(super) Backward<'a, T>);

impl<T: Element> Kernel for Differentiate<'_, T> {
    type Output = Result<(), DiceError>;

    #[inline(always)]
    fn run<S: Simd>(self) -> Self::Output {
        let mut pass = self.0;
        let target = pass.target;
        let (b, classes) = (pass.chunk.b, target.shape().classes());
        let mut codes = Codes::new();
        let [mut p, mut y] = [[0.0; BLOCK]; 2];
        for voxels in pass.chunk.blocks(BLOCK) {
            codes.read(target, b, &voxels)?;
            let (left_out, codes) = (codes.has_left_out(&voxels), codes.get());
            let here = pass.chunk.within(&voxels);
            let length = padded(voxels.len());
            for class in 0..classes {
                let map = b * classes + class;
                let (a, slope, row) =
                    (pass.coefficients.a[map], pass.coefficients.b[map], pass.coefficients.row[map]);
                let curvature = pass.coefficients.c[map];
                if curvature != 0.0 {
                    let x = pass.input(class, &voxels);
                    if !load_probabilities(x, codes, &mut p[..length]) {
                        find_bad_value(|j| x[j].to_f64(), target, true, (b, class), &voxels, codes)
                            .map_or(Ok(()), Err)?;
                    }
                }
                let out = &mut pass.maps[class][here.clone()];
                match target.kind() {
                    Kind::Labels(_) if curvature == 0.0 && !left_out => {
                        let (outside, inside) = (T::from_f64(a), T::from_f64(a - slope));
                        for (out, &code) in out.iter_mut().zip(codes) {
                            *out = if code == row as i32 { inside } else { outside };
                        }
                    }
                    Kind::Labels(_) if curvature == 0.0 => {
                        let (outside, inside) = (T::from_f64(a), T::from_f64(a - slope));
                        for (out, &code) in out.iter_mut().zip(codes) {
                            let value = if code == row as i32 { inside } else { outside };
                            *out = if code >= 0 { value } else { T::ZERO };
                        }
                    }
                    Kind::Labels(_) => {
                        for ((out, &code), p) in out.iter_mut().zip(codes).zip(&p) {
                            let value = if code == row as i32 { a - slope } else { a } + curvature * p;
                            *out = if code >= 0 { T::from_f64(value) } else { T::ZERO };
                        }
                    }
                    Kind::Dense(maps) => {
                        let here = target.shape().map(b, row, &voxels);
                        match T::Lane::of_maps(maps).map(|y| &y[here]) {
                            Some(y) if curvature == 0.0 && !left_out => {
                                for (out, y) in out.iter_mut().zip(y) {
                                    *out = T::from_f64(a - slope * y.wide());
                                }
                                continue;
                            }
                            _ => {}
                        }
                        load_dense(maps, target, (b, row), &voxels, codes, &mut y[..length]);
                        for (((out, &code), p), y) in out.iter_mut().zip(codes).zip(&p).zip(&y) {
                            let value = a - slope * y + curvature * p;
                            *out = if code >= 0 { T::from_f64(value) } else { T::ZERO };
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
