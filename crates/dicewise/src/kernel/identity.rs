//! Probabilities as given: sums and derivatives in `f64`.

use super::{
    Backward, Forward, Kernel, MapSums,
    block::{Codes, Truth, add_map, find_bad_value, fold, load_dense, load_probabilities, padded},
};
use crate::{DiceError, Element, Target, shape::Chunk, target::Kind};

/// Voxels of a block.
const BLOCK: usize = 1024;

pub(super) struct Measure<'a, T>(pub(super) Forward<'a, T>);

impl<T: Element> Kernel for Measure<'_, T> {
    type Output = Result<Vec<MapSums>, DiceError>;

    #[inline(always)]
    fn run<const FMA: bool>(self) -> Self::Output {
        let Forward { wanted, input, target, chunk } = self.0;
        let shape = target.shape();
        let mut sums = vec![MapSums::default(); shape.classes()];
        let mut codes = Codes::new();
        let [mut p, mut y, mut y0] = [[0.0; BLOCK]; 3];
        for voxels in chunk.blocks(BLOCK) {
            let codes = codes.read(target, chunk.b, &voxels)?;
            let length = padded(voxels.len());
            let p = &mut p[..length];
            if let Kind::Dense(maps) = target.kind()
                && wanted.background
            {
                load_dense(maps, target, (chunk.b, 0), &voxels, codes, &mut y0[..length]);
            }
            for (c, sums) in sums.iter_mut().enumerate() {
                let x = &input[shape.map(chunk.b, c, &voxels)];
                let mut accepted = load_probabilities(x, codes, p);
                let (truth, background) = match target.kind() {
                    Kind::Labels(_) => (Truth::Class(c as i32, codes), Truth::Class(0, codes)),
                    Kind::Dense(maps) => {
                        let y = &mut y[..length];
                        accepted &= load_dense(maps, target, (chunk.b, c), &voxels, codes, y);
                        (Truth::Dense(&*y), Truth::Dense(&y0[..length]))
                    }
                };
                if !accepted {
                    return Err(find_bad_value(|j| x[j], target, true, (chunk.b, c), &voxels, codes));
                }
                add_map(p, truth, background, &wanted, sums);
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
    fn run<const FMA: bool>(self) -> Self::Output {
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
                            let counted = |_| 0.0_f32;
                            return Err(find_bad_value(counted, target, true, (b, c), &voxels, codes));
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
    fn run<const FMA: bool>(self) -> Self::Output {
        let mut pass = self.0;
        let target = pass.target;
        let (b, classes) = (pass.chunk.b, target.shape().classes());
        let mut codes = Codes::new();
        let [mut p, mut y] = [[0.0; BLOCK]; 2];
        for voxels in pass.chunk.blocks(BLOCK) {
            let codes = codes.read(target, b, &voxels)?;
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
                        return Err(find_bad_value(|j| x[j], target, true, (b, class), &voxels, codes));
                    }
                } else {
                    p[..length].fill(0.0);
                }
                let out = &mut pass.maps[class][here.clone()];
                match target.kind() {
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
