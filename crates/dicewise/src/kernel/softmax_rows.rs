//! Softmax class after class, with what belongs to a voxel in rows beside: loops over rows fill vector registers
//! whatever the number of classes, and follow one map at a time.
//!
//! Without the usual subtraction of a voxel's maximum no class waits for the others. It is not needed for logits
//! within ±44; a block with others is refused here, and left to [`softmax_tile`](super::softmax_tile).

use super::{
    Kernel, MapSums,
    lanes::{LANES, Lanes},
};
use crate::element::sealed::Lane;

/// Rows that the kernels need beside one for each class.
pub(super) const ROWS: usize = 2;

/// Classes side by side: their sums over voxels are read and written once.
const SIDE_BY_SIDE: usize = 2;

/// Tiles whose logarithms are taken at once, as that of a product of factors in [√½, √2].
const FACTORS: usize = 64;

const TWO_64: f32 = 18_446_744_073_709_551_616.0;

/// 1.5 · 2²³ + 64: added to x, it leaves 64 + x, rounded to an integer, in the lowest bits.
const ROUNDER: f32 = 12_582_976.0;
/// The bits of 1.5 · 2²³, to which an integer in 0..128 adds itself.
const ZERO: u32 = 0x4b40_0000;
/// What no number of several that are OR-ed reaches while all are in 0..128.
pub(super) const OUT_OF_RANGE: u32 = 128;

/// eˣ as [`Lane::exp`], and a number below [`OUT_OF_RANGE`] if x is in range.
#[inline(always)]
pub(super) fn exp<const FMA: bool>(x: f32) -> (f32, u32) {
    const UNIT: f32 = 1.0 / TWO_64;
    let shifted = x.times_plus::<FMA>(std::f32::consts::LOG2_E, ROUNDER);
    let n = shifted - ROUNDER;
    let r = match FMA {
        // As f32, ln 2 is wrong by a thirtieth of its last place only: no second part of it is needed, as long as
        // the product is not rounded.
        true => n.times_plus::<FMA>(-std::f32::consts::LN_2, x),
        false => x - n * (355.0 / 512.0) + n * 2.121_944_4e-4,
    };
    let q = (8.312_503e-3 * UNIT).times_plus::<FMA>(r, 4.189_033_5e-2 * UNIT);
    let q = q.times_plus::<FMA>(r, 1.666_711_5e-1 * UNIT);
    let q = q.times_plus::<FMA>(r, 4.999_923e-1 * UNIT);
    let q = q.times_plus::<FMA>(r, UNIT).times_plus::<FMA>(r, UNIT);
    // 2⁶⁴⁺ⁿ by adding to the exponent.
    let bits = shifted.to_bits();
    (f32::from_bits(q.to_bits().wrapping_add(bits << 23)), bits ^ ZERO)
}

/// The next rows of the iterator.
#[inline(always)]
fn next<'a, const N: usize>(rows: &mut impl Iterator<Item = &'a mut [f32]>) -> [&'a mut [f32]; N] {
    std::array::from_fn(|_| rows.next().unwrap_or_default())
}

/// ∂L/∂p of each class where y = 0, and where y = 1.
#[derive(Clone, Copy)]
struct Derivative<'a> {
    outside: &'a [f32],
    inside: &'a [f32],
}

/// eˣ of N classes, which it adds to `sum`; bits of [`exp`].
#[inline(always)]
fn exponentiate<const FMA: bool, const N: usize>(
    x: [&[f32]; N],
    exps: [&mut [f32]; N],
    sum: &mut [f32],
) -> u32 {
    let n = sum.len();
    let (x, exps) = (x.map(|x| &x[..n]), exps.map(|exps| &mut exps[..n]));
    let mut seen = 0;
    for i in 0..n {
        let mut of_classes = sum[i];
        for k in 0..N {
            let (power, bits) = exp::<FMA>(x[k][i]);
            seen |= bits;
            exps[k][i] = power;
            of_classes += power;
        }
        sum[i] = of_classes;
    }
    seen
}

/// As [`exponentiate`]; also adds Σ e^x ∂L/∂p to `mean`.
#[inline(always)]
fn exponentiate_and_weight<const FMA: bool, const N: usize>(
    x: [&[f32]; N],
    exps: [&mut [f32]; N],
    (sum, mean): (&mut [f32], &mut [f32]),
    codes: &[i32],
    c: usize,
    derivative: Derivative<'_>,
) -> u32 {
    let n = sum.len();
    let (x, exps) = (x.map(|x| &x[..n]), exps.map(|exps| &mut exps[..n]));
    let (mean, codes) = (&mut mean[..n], &codes[..n]);
    let outside: [f32; N] = std::array::from_fn(|k| derivative.outside[c + k]);
    let inside: [f32; N] = std::array::from_fn(|k| derivative.inside[c + k]);
    let mut seen = 0;
    for i in 0..n {
        let (mut of_classes, mut products) = (sum[i], mean[i]);
        for k in 0..N {
            let (power, bits) = exp::<FMA>(x[k][i]);
            seen |= bits;
            exps[k][i] = power;
            of_classes += power;
            let slope = if codes[i] == (c + k) as i32 { inside[k] } else { outside[k] };
            products = power.times_plus::<FMA>(slope, products);
        }
        (sum[i], mean[i]) = (of_classes, products);
    }
    seen
}

/// Adds rows of logits to the sums; false, with nothing added, if one of them is out of range.
pub(super) struct Measure<'a, M> {
    pub(super) map: M,
    pub(super) codes: &'a [i32],
    pub(super) cross_entropy: bool,
    /// `[C + ROWS, length]`.
    pub(super) room: &'a mut [f32],
    pub(super) sums: &'a mut [MapSums],
}

impl<'a, M: Fn(usize) -> &'a [f32]> Kernel for Measure<'_, M> {
    type Output = bool;

    #[inline(always)]
    fn run<const FMA: bool>(self) -> bool {
        let Self { map, codes, cross_entropy, room, sums } = self;
        let (length, classes) = (codes.len(), sums.len());
        let (exps, rows) = room.split_at_mut(classes * length);
        let [sum, label] = next(&mut rows.chunks_exact_mut(length));
        sum.fill(0.0);
        let mut seen = 0;
        let mut rows = exps.chunks_exact_mut(length);
        let mut c = 0;
        while c + SIDE_BY_SIDE <= classes {
            let x = std::array::from_fn(|k| map(c + k));
            seen |= exponentiate::<FMA, SIDE_BY_SIDE>(x, next(&mut rows), sum);
            c += SIDE_BY_SIDE;
        }
        for c in c..classes {
            seen |= exponentiate::<FMA, 1>([map(c)], next(&mut rows), sum);
        }
        if seen >= OUT_OF_RANGE {
            return false;
        }
        for (sum, &code) in sum.iter_mut().zip(codes) {
            let inverse = 1.0 / *sum;
            *sum = if code >= 0 { inverse } else { 0.0 };
        }
        label.fill(0.0);
        let row = |c: usize| &exps[c * length..(c + 1) * length];
        let mut c = 0;
        while c + SIDE_BY_SIDE <= classes {
            let exps: [_; SIDE_BY_SIDE] = std::array::from_fn(|k| row(c + k));
            add_up(exps, sum, codes, c, label, sums);
            c += SIDE_BY_SIDE;
        }
        for c in c..classes {
            add_up([row(c)], sum, codes, c, label, sums);
        }
        if cross_entropy {
            sums[0].cross_entropy += sum_of_logarithms::<FMA>(label, codes);
        }
        true
    }
}

/// Adds Σ p and Σ y p of N classes from `first` on, and p to the row of the labels' p where it is the label.
#[inline(always)]
fn add_up<const N: usize>(
    exps: [&[f32]; N],
    inverse: &[f32],
    codes: &[i32],
    first: usize,
    of_labels: &mut [f32],
    sums: &mut [MapSums],
) {
    // Spelled out operation after operation, or the compiler takes the tile apart into smaller vectors.
    let [mut predictions, mut overlaps] = [[[0.0_f32; LANES]; N]; 2];
    let inverse = inverse.as_chunks::<LANES>().0;
    let exps = exps.map(|exps| &exps.as_chunks::<LANES>().0[..inverse.len()]);
    let labels = codes.as_chunks::<LANES>().0.iter().zip(of_labels.as_chunks_mut::<LANES>().0);
    for (tile, (inverse, (codes, of_labels))) in inverse.iter().zip(labels).enumerate() {
        let mut p = [[0.0_f32; LANES]; N];
        for k in 0..N {
            for lane in 0..LANES {
                p[k][lane] = exps[k][tile][lane] * inverse[lane];
            }
        }
        for (predictions, p) in predictions.iter_mut().zip(&p) {
            for lane in 0..LANES {
                predictions[lane] += p[lane];
            }
        }
        for (k, p) in p.iter_mut().enumerate() {
            let class = (first + k) as i32;
            for lane in 0..LANES {
                p[lane] = if codes[lane] == class { p[lane] } else { 0.0 };
            }
        }
        for (overlaps, p) in overlaps.iter_mut().zip(&p) {
            for lane in 0..LANES {
                overlaps[lane] += p[lane];
            }
        }
        let mut of_label = *of_labels;
        for p in &p {
            for lane in 0..LANES {
                of_label[lane] += p[lane];
            }
        }
        *of_labels = of_label;
    }
    for ((sums, prediction), overlap) in sums[first..].iter_mut().zip(predictions).zip(overlaps) {
        sums.prediction += Lanes(prediction).sum();
        sums.overlap += Lanes(overlap).sum();
    }
}

/// p = 2ⁿ m as n and m, with m in [√½, √2) so that ln p does not cancel where p is near 1; 1 where p does not count.
#[inline(always)]
pub(super) fn split(p: f32, counts: bool) -> (i32, f32) {
    /// The bits of √½.
    const ROOT: u32 = 0x3f35_04f3;
    // The factor lifts the smallest p to where numbers are normal.
    let lifted = p * TWO_64;
    let bits = (if counts { lifted } else { TWO_64 }).to_bits().wrapping_sub(ROOT);
    ((bits as i32 >> 23) - 64, f32::from_bits((bits & 0x007f_ffff) + ROOT))
}

/// −Σ ln p over the voxels that count; overwrites p.
#[inline(always)]
fn sum_of_logarithms<const FMA: bool>(p: &mut [f32], codes: &[i32]) -> f64 {
    let mut exponents = 0;
    for (p, &code) in p.iter_mut().zip(codes) {
        let (exponent, mantissa) = split(*p, code >= 0);
        exponents += exponent;
        *p = mantissa;
    }
    let mut logarithms = Lanes::splat(0.0_f32);
    for m in p.as_chunks::<LANES>().0.chunks(FACTORS) {
        // Σ ln m = ln Π m.
        let mut product = [1.0_f32; LANES];
        for m in m {
            for lane in 0..LANES {
                product[lane] *= m[lane];
            }
        }
        logarithms = logarithms.plus(Lanes(product).map(Lane::ln::<FMA>));
    }
    -f64::from(exponents) * std::f64::consts::LN_2 - logarithms.sum()
}

/// Prepares the derivative of rows of logits; false if one of them is out of range.
pub(super) struct Prepare<'a, M> {
    pub(super) map: M,
    pub(super) codes: &'a [i32],
    pub(super) outside: &'a [f32],
    pub(super) inside: &'a [f32],
    /// The factor of the cross-entropy.
    pub(super) weight: f32,
    /// `[C + ROWS, length]`.
    pub(super) room: &'a mut [f32],
}

impl<'a, M: Fn(usize) -> &'a [f32]> Kernel for Prepare<'_, M> {
    type Output = bool;

    #[inline(always)]
    fn run<const FMA: bool>(self) -> bool {
        let Self { map, codes, outside, inside, weight, room } = self;
        let (length, classes) = (codes.len(), outside.len());
        let derivative = Derivative { outside, inside };
        let (exps, rows) = room.split_at_mut(classes * length);
        let [sum, mean] = next(&mut rows.chunks_exact_mut(length));
        sum.fill(0.0);
        mean.fill(0.0);
        let mut seen = 0;
        let mut rows = exps.chunks_exact_mut(length);
        let mut c = 0;
        while c + SIDE_BY_SIDE <= classes {
            let x: [_; SIDE_BY_SIDE] = std::array::from_fn(|k| map(c + k));
            let out = (&mut *sum, &mut *mean);
            seen |= exponentiate_and_weight::<FMA, _>(x, next(&mut rows), out, codes, c, derivative);
            c += SIDE_BY_SIDE;
        }
        for c in c..classes {
            let out = (&mut *sum, &mut *mean);
            seen |= exponentiate_and_weight::<FMA, 1>([map(c)], next(&mut rows), out, codes, c, derivative);
        }
        for ((sum, mean), &code) in sum.iter_mut().zip(mean).zip(codes) {
            let inverse = 1.0 / *sum;
            let inverse = if code >= 0 { inverse } else { 0.0 };
            *mean = (weight - *mean * inverse) * inverse;
            *sum = inverse;
        }
        seen < OUT_OF_RANGE
    }
}

/// Writes the derivative of a class that has been prepared for.
pub(super) struct Differentiate<'a> {
    pub(super) room: &'a [f32],
    pub(super) codes: &'a [i32],
    pub(super) classes: usize,
    pub(super) class: usize,
    pub(super) outside: f32,
    pub(super) inside: f32,
    pub(super) weight: f32,
    pub(super) out: &'a mut [f32],
}

impl Kernel for Differentiate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Self { room, codes, classes, class, outside, inside, weight, out } = self;
        let length = codes.len();
        let row = |k: usize| &room[k * length..(k + 1) * length];
        let rows = row(class).iter().zip(row(classes)).zip(row(classes + 1)).zip(codes);
        // p (∂L/∂p − Σ p ∂L/∂p + w) − w y, where `offset` is (w − Σ p ∂L/∂p) / Σ eˣ; w y is last, so that the
        // difference of near equals stays exact.
        for (out, (((power, &inverse), &offset), &code)) in out.iter_mut().zip(rows) {
            let (slope, weight) = if code == class as i32 { (inside, weight) } else { (outside, 0.0) };
            *out = power.times_plus::<FMA>(slope.times_plus::<FMA>(inverse, offset), -weight);
        }
    }
}
