//! Softmax class after class, with what belongs to a voxel in rows beside: loops over rows are short, whatever the
//! number of classes, and follow one map at a time.
//!
//! Without the usual subtraction of a voxel's maximum no class waits for the others. It is not needed for logits
//! within ±44; a block with others is refused here, and left to [`softmax_tile`](super::softmax_tile).

use super::{
    Kernel, MapSums,
    instruction_set::Streaming,
    lanes::LANES,
    streaming::{self, Derivative},
    tile::{Bits, Logarithms, Simd, Singles, Tile},
};

/// A row of voxels in tiles.
type Row<'a> = &'a [[f32; LANES]];
type RowMut<'a> = &'a mut [[f32; LANES]];
type Codes<'a> = &'a [[i32; LANES]];

/// Tiles of a row that are taken at once: eˣ of all classes should stay in a near cache, in rows that are worth a loop.
fn tiles_at_once(classes: usize) -> usize {
    (256 / classes).clamp(32, 128)
}

/// What the kernels need for a number of classes, in tiles.
pub(super) fn room(classes: usize) -> usize {
    (classes + 2) * tiles_at_once(classes)
}

/// `room` in rows of a length: one of eˣ for each class, and two more.
#[inline(always)]
fn rows(room: RowMut<'_>, classes: usize, length: usize) -> (RowMut<'_>, RowMut<'_>, RowMut<'_>) {
    let (powers, rest) = room.split_at_mut(classes * length);
    let (first, second) = rest.split_at_mut(length);
    (powers, first, &mut second[..length])
}

/// Which classes, modulo 32, have a voxel, as bits: others need not look for them.
#[inline(always)]
fn present<B: Bits>(codes: Codes<'_>) -> u32 {
    let mut present = B::splat(0);
    for codes in codes {
        present = present.or(B::load(codes).as_bit());
    }
    present.array().into_iter().fold(0, |present, bits| present | bits)
}

#[inline(always)]
fn has(present: u32, class: usize) -> bool {
    present >> (class % 32) & 1 == 1
}

/// eˣ of a class, which is added to `sum`, or replaces it if it is the first.
#[inline(always)]
fn exponentiate<V: Tile<f32>>(
    first: bool,
    x: Row<'_>,
    powers: RowMut<'_>,
    sum: RowMut<'_>,
    seen: &mut V::Seen,
) {
    if first {
        for ((x, out), sum) in x.iter().zip(powers).zip(sum) {
            let power = V::load_ahead(x).power(seen);
            power.store(out);
            power.store(sum);
        }
    } else {
        for ((x, out), sum) in x.iter().zip(powers).zip(sum) {
            let power = V::load_ahead(x).power(seen);
            power.store(out);
            V::load(sum).plus(power).store(sum);
        }
    }
}

/// Adds rows of logits to the sums; false, with nothing added, if one of them is out of range.
pub(super) struct Measure<'a> {
    /// One for each class.
    pub(super) x: &'a [Row<'a>],
    pub(super) codes: Codes<'a>,
    pub(super) left_out: bool,
    pub(super) cross_entropy: bool,
    pub(super) room: RowMut<'a>,
    /// The totals of the block, one for each class; zeros on entry and return.
    pub(super) totals: &'a mut [Totals],
    pub(super) sums: &'a mut [MapSums],
}

/// Σ p, Σ y p and Σ y of a class.
#[derive(Clone, Copy, Default)]
pub(super) struct Totals {
    prediction: [f32; LANES],
    overlap: [f32; LANES],
    target: [i32; LANES],
}

impl Kernel for Measure<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self) -> bool {
        let Self { x, codes, left_out, cross_entropy, room, totals, sums } = self;
        let classes = x.len();
        let mut seen = S::Singles::nothing_seen();
        let mut logarithms = Logarithms::<S::Singles>::new();
        let at_once = tiles_at_once(classes);
        for (start, codes) in (0..).step_by(at_once).zip(codes.chunks(at_once)) {
            let length = codes.len();
            let (powers, sum, label) = rows(room, classes, length);
            let present = present::<<S::Singles as Singles>::Bits>(codes);
            for (c, (x, powers)) in x.iter().zip(powers.chunks_exact_mut(length)).enumerate() {
                exponentiate::<S::Singles>(c == 0, &x[start..start + length], powers, sum, &mut seen);
            }
            for ((sum, label), codes) in sum.iter_mut().zip(&mut *label).zip(codes) {
                let mut inverse = S::Singles::splat(1.0).over(S::Singles::load(sum));
                if left_out {
                    inverse = inverse.only(S::Singles::counts(codes));
                }
                inverse.store(sum);
                S::Singles::splat(0.0).store(label);
            }
            for (c, (powers, totals)) in powers.chunks_exact(length).zip(&mut *totals).enumerate() {
                if has(present, c) {
                    add_up_labelled::<S::Singles>(powers, sum, codes, c as i32, label, totals);
                } else {
                    add_up::<S::Singles>(powers, sum, totals);
                }
            }
            if cross_entropy {
                for ((power, inverse), codes) in label.iter().zip(&*sum).zip(codes) {
                    let p = S::Singles::load(power).times(S::Singles::load(inverse));
                    logarithms.add(p, if left_out { Some(S::Singles::counts(codes)) } else { None });
                }
            }
        }
        let in_range = S::Singles::were_in_range(seen);
        if in_range {
            for (sums, totals) in sums.iter_mut().zip(&*totals) {
                sums.prediction += S::Singles::load(&totals.prediction).lanes().sum();
                sums.overlap += S::Singles::load(&totals.overlap).lanes().sum();
                sums.target += f64::from(totals.target.iter().sum::<i32>());
            }
            if cross_entropy {
                sums[0].cross_entropy -= logarithms.sum();
            }
        }
        totals.fill(Totals::default());
        in_range
    }
}

/// Adds up p of a class that no voxel has.
#[inline(always)]
fn add_up<V: Tile<f32>>(powers: Row<'_>, inverse: Row<'_>, totals: &mut Totals) {
    let mut prediction = V::load(&totals.prediction);
    for (power, inverse) in powers.iter().zip(inverse) {
        prediction = V::load(power).times_plus(V::load(inverse), prediction);
    }
    prediction.store(&mut totals.prediction);
}

/// Adds up p, y p and y of a class, and eˣ to the row of the labels' eˣ where it is the label.
#[inline(always)]
fn add_up_labelled<V: Singles>(
    powers: Row<'_>,
    inverse: Row<'_>,
    codes: Codes<'_>,
    class: i32,
    label: RowMut<'_>,
    totals: &mut Totals,
) {
    let (mut prediction, mut overlap) = (V::load(&totals.prediction), V::load(&totals.overlap));
    let mut target = V::Bits::load(&totals.target);
    for (((power, inverse), codes), label) in powers.iter().zip(inverse).zip(codes).zip(label) {
        let (power, inverse) = (V::load(power), V::load(inverse));
        prediction = power.times_plus(inverse, prediction);
        let is_class = V::is_class(codes, class);
        let of_label = power.only(is_class);
        overlap = of_label.times_plus(inverse, overlap);
        target = V::count(is_class, target);
        V::load(label).plus(of_label).store(label);
    }
    prediction.store(&mut totals.prediction);
    overlap.store(&mut totals.overlap);
    totals.target = target.array().map(u32::cast_signed);
}

/// Writes the derivative of rows of logits; false, with part of it written, if one of them is out of range.
pub(super) struct Differentiate<'a> {
    /// One for each class; empty to take them from `out`.
    pub(super) x: &'a [Row<'a>],
    pub(super) codes: Codes<'a>,
    /// ∂L/∂p of each class where y = 0, and where y = 1.
    pub(super) outside: &'a [f32],
    pub(super) inside: &'a [f32],
    /// The factor of the cross-entropy.
    pub(super) weight: f32,
    pub(super) room: RowMut<'a>,
    pub(super) out: &'a mut [RowMut<'a>],
    /// For `out` past the caches.
    pub(super) streaming: Option<&'a Streaming>,
}

impl Kernel for Differentiate<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self) -> bool {
        let Self { x, codes, outside, inside, weight, room, out, streaming } = self;
        let classes = out.len();
        let mut seen = S::Singles::nothing_seen();
        let at_once = tiles_at_once(classes);
        for (start, codes) in (0..).step_by(at_once).zip(codes.chunks(at_once)) {
            let length = codes.len();
            let here = start..start + length;
            let (powers, sum, mean) = rows(room, classes, length);
            let present = present::<<S::Singles as Singles>::Bits>(codes);
            for (c, powers) in powers.chunks_exact_mut(length).enumerate() {
                let x = x.get(c).map_or(&out[c][here.clone()], |x| &x[here.clone()]);
                exponentiate::<S::Singles>(c == 0, x, powers, sum, &mut seen);
                let codes = has(present, c).then_some(codes);
                add_slopes::<S::Singles>(powers, codes, c as i32, outside[c], inside[c], mean);
            }
            for ((sum, mean), codes) in sum.iter_mut().zip(&mut *mean).zip(codes) {
                let inverse = S::Singles::splat(1.0).over(S::Singles::load(sum));
                let inverse = inverse.only(S::Singles::counts(codes));
                let offset = S::Singles::splat(weight).minus(S::Singles::load(mean).times(inverse));
                inverse.store(sum);
                offset.times(inverse).store(mean);
            }
            for (c, powers) in powers.chunks_exact(length).enumerate() {
                let of = Written {
                    powers,
                    codes: has(present, c).then_some(codes),
                    class: c as i32,
                    inverse: sum,
                    offset: mean,
                    outside: outside[c],
                    inside: inside[c],
                    weight,
                };
                streaming::write::<_, S::Singles>(of, out[c][here.clone()].as_flattened_mut(), streaming);
            }
        }
        S::Singles::were_in_range(seen)
    }
}

/// Adds eˣ ∂L/∂p of a class to `mean`, or replaces it if it is the first; no voxel has the class if there are no codes.
#[inline(always)]
fn add_slopes<V: Tile<f32>>(
    powers: Row<'_>,
    codes: Option<Codes<'_>>,
    class: i32,
    outside: f32,
    inside: f32,
    mean: RowMut<'_>,
) {
    let (outside, inside) = (V::splat(outside), V::splat(inside));
    let rows = powers.iter().zip(mean);
    match codes {
        None if class == 0 => {
            for (power, mean) in rows {
                outside.times(V::load(power)).store(mean);
            }
        }
        None => {
            for (power, mean) in rows {
                outside.times_plus(V::load(power), V::load(mean)).store(mean);
            }
        }
        Some(codes) if class == 0 => {
            for ((power, mean), codes) in rows.zip(codes) {
                let slope = V::select(V::is_class(codes, class), inside, outside);
                slope.times(V::load(power)).store(mean);
            }
        }
        Some(codes) => {
            for ((power, mean), codes) in rows.zip(codes) {
                let slope = V::select(V::is_class(codes, class), inside, outside);
                slope.times_plus(V::load(power), V::load(mean)).store(mean);
            }
        }
    }
}

/// The derivative of a class, p (∂L/∂p − Σ p ∂L/∂p + w) − w y, and what it is made of; w y is last, so that the
/// difference of near equals stays exact.
#[derive(Clone, Copy)]
struct Written<'a> {
    powers: Row<'a>,
    /// None if no voxel has the class.
    codes: Option<Codes<'a>>,
    class: i32,
    /// 1 / Σ eˣ.
    inverse: Row<'a>,
    /// (w − Σ p ∂L/∂p) / Σ eˣ.
    offset: Row<'a>,
    outside: f32,
    inside: f32,
    weight: f32,
}

impl Derivative<f32> for Written<'_> {
    #[inline(always)]
    fn write<V: Tile<f32>>(self, start: usize, out: &mut [f32], streaming: Option<&Streaming>) {
        let (outside, inside, minus) =
            (V::splat(self.outside), V::splat(self.inside), V::splat(-self.weight));
        let inverse = self.inverse.as_flattened()[start..].as_chunks().0;
        let offset = self.offset.as_flattened()[start..].as_chunks().0;
        let powers = self.powers.as_flattened()[start..].as_chunks().0;
        let rows = powers.iter().zip(inverse).zip(offset).zip(out.as_chunks_mut().0);
        let Some(codes) = self.codes else {
            for (((power, inverse), offset), out) in rows {
                let factor = outside.times_plus(V::load(inverse), V::load(offset));
                V::load(power).times(factor).write(out, streaming);
            }
            return;
        };
        for ((((power, inverse), offset), out), codes) in
            rows.zip(codes.as_flattened()[start..].as_chunks().0)
        {
            let is_class = V::is_class(codes, self.class);
            let factor = V::select(is_class, inside, outside).times_plus(V::load(inverse), V::load(offset));
            V::load(power).times_plus(factor, minus.only(is_class)).write(out, streaming);
        }
    }
}
