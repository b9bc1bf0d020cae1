//! The derivative of softmax over label maps, class after class, with what belongs to a voxel in rows beside: loops over
//! rows are short, whatever the number of classes, and follow one map at a time.
//!
//! A block with a logit beyond ±44 is refused here, and left to [`softmax_tile`](super::softmax_tile).

use super::{
    Kernel,
    instruction_set::Streaming,
    lanes::LANES,
    rows::{Codes, Row, RowMut, add_group, exponentiate, rows, tiles_at_once},
    streaming::{self, Derivative},
    tile::{Bits, Simd, Singles, Tile},
};

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

/// The classes that are merged and have a voxel.
#[inline(always)]
fn merged_here(merged: &[bool], present: u32) -> impl Iterator<Item = i32> {
    (0..).zip(merged).filter(move |&(c, &merged)| merged && has(present, c as usize)).map(|(c, _)| c)
}

/// Replaces the values of `out` by those of `row` where voxels are of the class.
#[inline(always)]
fn replace<V: Tile<f32>>(row: Row<'_>, codes: Codes<'_>, class: i32, out: RowMut<'_>) {
    for ((value, codes), out) in row.iter().zip(codes).zip(out) {
        V::select(V::is_class(codes, class), V::load(value), V::load(out)).store(out);
    }
}

/// Writes the derivative of rows of logits; false, with part of it written, if one of them is out of range.
pub(super) struct Differentiate<'a> {
    /// One for each class; empty to take them from `out`.
    pub(super) x: &'a [Row<'a>],
    pub(super) codes: Codes<'a>,
    /// ∂L/∂p of each class where y = 0, and where y = 1.
    pub(super) outside: &'a [f32],
    pub(super) inside: &'a [f32],
    /// The class whose voxels have y = 1, for each class: its own, or 0.
    pub(super) row: &'a [usize],
    /// The factor of the cross-entropy.
    pub(super) weight: f32,
    /// As in [`Measure`].
    pub(super) merged: &'a [bool],
    pub(super) room: RowMut<'a>,
    pub(super) out: &'a mut [RowMut<'a>],
    /// For `out` past the caches.
    pub(super) streaming: Option<&'a Streaming>,
}

impl Kernel for Differentiate<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self) -> bool {
        let Self { x, codes, outside, inside, row, weight, merged, room, out, streaming } = self;
        let classes = out.len();
        let mut seen = S::Singles::nothing_seen();
        let at_once = tiles_at_once(classes);
        for (start, codes) in (0..).step_by(at_once).zip(codes.chunks(at_once)) {
            let length = codes.len();
            let here = start..start + length;
            let (powers, [sum, mean, group, share]) = rows(room, classes, length);
            for (c, powers) in powers.chunks_exact_mut(length).enumerate() {
                let x = x.get(c).map_or(&out[c][here.clone()], |x| &x[here.clone()]);
                exponentiate::<S::Singles>(c == 0, x, powers, sum, &mut seen);
            }
            let present = present::<<S::Singles as Singles>::Bits>(codes);
            let slopes = Slopes { outside, inside, row, present };
            slopes.add_up::<S::Singles>(powers, codes, mean);
            for ((sum, mean), codes) in sum.iter_mut().zip(&mut *mean).zip(codes) {
                let inverse = S::Singles::splat(1.0).over(S::Singles::load(sum));
                let inverse = inverse.only(S::Singles::counts(codes));
                let offset = S::Singles::splat(weight).minus(S::Singles::load(mean).times(inverse));
                inverse.store(sum);
                offset.times(inverse).store(mean);
            }
            if !merged.is_empty() {
                add_group::<S::Singles>(powers, merged, group);
                for (group, share) in group.iter_mut().zip(&mut *share) {
                    S::Singles::splat(weight).over(S::Singles::load(group)).store(group);
                    S::Singles::splat(0.0).store(share);
                }
                for class in merged_here(merged, present) {
                    replace::<S::Singles>(group, codes, class, share);
                }
                for (share, offset) in share.iter_mut().zip(&*mean) {
                    S::Singles::load(offset).minus(S::Singles::load(share)).store(share);
                }
            }
            for (c, powers) in powers.chunks_exact(length).enumerate() {
                let is_merged = merged.get(c) == Some(&true);
                let of = Written {
                    powers,
                    codes: has(present, row[c]).then_some(codes),
                    class: row[c] as i32,
                    inverse: sum,
                    offset: if is_merged { share } else { mean },
                    outside: outside[c],
                    inside: inside[c],
                    weight: if is_merged { 0.0 } else { weight },
                };
                streaming::write::<_, S::Singles>(of, out[c][here.clone()].as_flattened_mut(), streaming);
            }
        }
        S::Singles::were_in_range(seen)
    }
}

/// ∂L/∂p of all classes.
struct Slopes<'a> {
    outside: &'a [f32],
    inside: &'a [f32],
    row: &'a [usize],
    present: u32,
}

/// ∂L/∂p of a class.
#[derive(Clone, Copy)]
struct Slope<V> {
    outside: V,
    inside: V,
    class: i32,
}

impl<V: Tile<f32>> Slope<V> {
    /// Of a tile; without codes, of one without a voxel of the class.
    #[inline(always)]
    fn of(&self, codes: Option<&[i32; LANES]>) -> V {
        match codes {
            Some(codes) => V::select(V::is_class(codes, self.class), self.inside, self.outside),
            None => self.outside,
        }
    }
}

impl Slopes<'_> {
    /// Σ eˣ ∂L/∂p over classes, several at a time so that the sums need not go to memory and back for each.
    #[inline(always)]
    fn add_up<V: Tile<f32>>(&self, powers: Row<'_>, codes: Codes<'_>, mean: RowMut<'_>) {
        let classes = self.row.len();
        for (powers, c) in powers.chunks(4 * codes.len()).zip((0..classes).step_by(4)) {
            let slopes = [c, c + 1, c + 2, c + 3].map(|c| {
                let c = c.min(classes - 1);
                let (outside, inside) = (V::splat(self.outside[c]), V::splat(self.inside[c]));
                Slope { outside, inside, class: self.row[c] as i32 }
            });
            let here = c..(c + 4).min(classes);
            let (first, some) = (c == 0, self.row[here].iter().any(|&class| has(self.present, class)));
            if some {
                add_some::<V, true>(first, &slopes, powers, codes, mean);
            } else {
                add_some::<V, false>(first, &slopes, powers, codes, mean);
            }
        }
    }
}

/// Adds eˣ ∂L/∂p of up to four classes to `mean`, or replaces it if they are the first.
#[inline(always)]
fn add_some<V: Tile<f32>, const LABELLED: bool>(
    first: bool,
    slopes: &[Slope<V>; 4],
    powers: Row<'_>,
    codes: Codes<'_>,
    mean: RowMut<'_>,
) {
    let length = codes.len();
    let mut powers = powers.chunks_exact(length);
    if powers.len() == 4 {
        let mut next = || powers.next().unwrap_or_default();
        let rows = next().iter().zip(next()).zip(next()).zip(next()).zip(codes).zip(mean);
        for (((((a, b), c), d), codes), mean) in rows {
            let codes = LABELLED.then_some(codes);
            let mut sum = slopes[0].of(codes).times(V::load(a));
            if !first {
                sum = sum.plus(V::load(mean));
            }
            sum = slopes[1].of(codes).times_plus(V::load(b), sum);
            sum = slopes[2].of(codes).times_plus(V::load(c), sum);
            slopes[3].of(codes).times_plus(V::load(d), sum).store(mean);
        }
        return;
    }
    for (k, (slope, powers)) in slopes.iter().zip(powers).enumerate() {
        for ((power, codes), mean) in powers.iter().zip(codes).zip(&mut *mean) {
            let product = slope.of(LABELLED.then_some(codes)).times(V::load(power));
            if first && k == 0 { product } else { product.plus(V::load(mean)) }.store(mean);
        }
    }
}

/// The derivative of a class, p (∂L/∂p − Σ p ∂L/∂p + w) − w y, and what it is made of; w y is last, so that the
/// difference of near equals stays exact. Of a merged class y is not 1 but its share of the group, p / Σ p.
#[derive(Clone, Copy)]
struct Written<'a> {
    powers: Row<'a>,
    /// None if no voxel has the class.
    codes: Option<Codes<'a>>,
    class: i32,
    /// 1 / Σ eˣ.
    inverse: Row<'a>,
    /// (w − Σ p ∂L/∂p) / Σ eˣ; of a merged class, less its w / Σ eˣ of the group where voxels are of the group.
    offset: Row<'a>,
    outside: f32,
    inside: f32,
    weight: f32,
}

impl<'a> Derivative<f32> for Written<'a> {
    #[inline(always)]
    fn write<V: Tile<f32>>(self, start: usize, out: &mut [f32], streaming: Option<&Streaming>) {
        let (outside, inside, minus) =
            (V::splat(self.outside), V::splat(self.inside), V::splat(-self.weight));
        let from = |row: Row<'a>| row.as_flattened()[start..].as_chunks::<LANES>().0.iter();
        let rows = from(self.powers).zip(from(self.inverse)).zip(from(self.offset));
        let rows = rows.zip(out.as_chunks_mut().0);
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
