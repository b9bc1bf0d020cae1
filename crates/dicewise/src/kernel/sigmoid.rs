//! p = 1 / (1 + e⁻ˣ), each map on its own, with binary cross-entropy.

use super::{
    Backward, CrossEntropyOf, Forward, Kernel, MapSums,
    block::{Codes, Truth, add_map, find_bad_value, fold, load_dense, load_logits, padded},
};
use crate::{DiceError, Element, element::sealed::Lane, target::Kind};

/// Voxels of a block.
const BLOCK: usize = 1024;

/// p and 1 − p, both without cancellation, and ln(1 + e⁻|ˣ|).
#[inline(always)]
fn sigmoid<F: Lane, const FMA: bool>(x: F) -> (F, F, F) {
    let z = (-x.abs()).exp::<FMA>();
    let one_plus = F::ONE + z;
    let inverse = F::ONE / one_plus;
    let small = z * inverse;
    let (p, q) = if x >= F::ZERO { (inverse, small) } else { (small, inverse) };
    (p, q, one_plus)
}

/// max(x, 0) − x·y + ln(1 + e⁻|ˣ|) = −y ln p − (1 − y) ln (1 − p).
#[inline(always)]
fn binary_cross_entropy<F: Lane, const FMA: bool>(x: F, y: F) -> F {
    let z = (-x.abs()).exp::<FMA>();
    let one_plus = F::ONE + z;
    // What the rounding of 1 + z has lost, to first order.
    let lost = (z - (one_plus - F::ONE)) / one_plus;
    let positive = if x > F::ZERO { x } else { F::ZERO };
    positive - x * y + (one_plus.ln::<FMA>() + lost)
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
        let [mut x, mut y, mut loss] = [[T::Lane::ZERO; BLOCK]; 3];
        for voxels in chunk.blocks(BLOCK) {
            let codes = codes.read(target, chunk.b, &voxels)?;
            let length = padded(voxels.len());
            let (x, y, loss) = (&mut x[..length], &mut y[..length], &mut loss[..length]);
            let counted = f64::from(codes.iter().map(|&code| i32::from(code >= 0)).sum::<i32>());
            for (c, sums) in sums.iter_mut().enumerate() {
                let row = &input[shape.map(chunk.b, c, &voxels)];
                let mut accepted = load_logits(row, codes, x);
                match target.kind() {
                    Kind::Labels(_) => {
                        for (y, &code) in y.iter_mut().zip(codes) {
                            *y = if code == c as i32 { T::Lane::ONE } else { T::Lane::ZERO };
                        }
                    }
                    Kind::Dense(maps) => {
                        accepted &= load_dense(maps, target, (chunk.b, c), &voxels, codes, y);
                    }
                }
                if !accepted {
                    return Err(find_bad_value(|j| row[j], target, false, (chunk.b, c), &voxels, codes));
                }
                if cross_entropy {
                    for (((loss, &x), &y), &code) in loss.iter_mut().zip(&*x).zip(&*y).zip(codes) {
                        let value = binary_cross_entropy::<_, FMA>(x, y);
                        *loss = if code >= 0 { value } else { T::Lane::ZERO };
                    }
                    sums.cross_entropy += fold(loss, |_, loss| loss);
                    sums.voxels += counted;
                }
                for (x, &code) in x.iter_mut().zip(codes) {
                    let p = sigmoid::<_, FMA>(*x).0;
                    *x = if code >= 0 { p } else { T::Lane::ZERO };
                }
                add_map(x, Truth::Dense(&*y), Truth::Dense(&*y), &wanted, sums);
            }
        }
        Ok(sums)
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
        let lane = <T::Lane as Lane>::of;
        let mut codes = Codes::new();
        let [mut x, mut y] = [[T::Lane::ZERO; BLOCK]; 2];
        for voxels in pass.chunk.blocks(BLOCK) {
            let codes = codes.read(target, b, &voxels)?;
            let here = pass.chunk.within(&voxels);
            let length = padded(voxels.len());
            let (x, y) = (&mut x[..length], &mut y[..length]);
            for class in 0..classes {
                let map = b * classes + class;
                let of = &pass.coefficients;
                let (a, slope, curvature) = (lane(of.a[map]), lane(of.b[map]), lane(of.c[map]));
                let weight = lane(of.cross_entropy[map]);
                if !load_logits(pass.input(class, &voxels), codes, x) {
                    let row = pass.input(class, &voxels);
                    return Err(find_bad_value(|j| row[j], target, false, (b, class), &voxels, codes));
                }
                match target.kind() {
                    Kind::Labels(_) => {
                        for (y, &code) in y.iter_mut().zip(codes) {
                            *y = if code == class as i32 { T::Lane::ONE } else { T::Lane::ZERO };
                        }
                    }
                    Kind::Dense(maps) => {
                        load_dense(maps, target, (b, class), &voxels, codes, y);
                    }
                }
                let out = &mut pass.maps[class][here.clone()];
                for (((out, &x), &y), &code) in out.iter_mut().zip(&*x).zip(&*y).zip(codes) {
                    let (p, q, _) = sigmoid::<_, FMA>(x);
                    let derivative = a - slope * y + curvature * p;
                    // p − y without cancellation where both are near 1.
                    let residual = (T::Lane::ONE - y) * p - y * q;
                    let value = p * q * derivative + weight * residual;
                    *out = if code >= 0 { T::narrow(value) } else { T::ZERO };
                }
            }
        }
        Ok(())
    }
}
