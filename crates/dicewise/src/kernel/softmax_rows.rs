//! Softmax of label maps class after class, with what belongs to a voxel in rows beside: loops over rows are short,
//! whatever the number of classes, and follow one map at a time.
//!
//! A block with a logit beyond ±44 is refused here, and left to [`softmax_tile`](super::softmax_tile).

use super::{
    Kernel, MapSums,
    instruction_set::Streaming,
    lanes::LANES,
    rows::{Codes, Row, RowMut, add_row, exponentiate, rows, tiles_at_once},
    streaming::{self, Derivative},
    tile::{Bits, Logarithms, Simd, Singles, Tile},
};

/// Adds eˣ of the classes that are merged into one group.
#[inline(always)]
fn add_group<V: Tile<f32>>(powers: Row<'_>, merged: &[bool], group: RowMut<'_>) {
    let length = group.len();
    group.fill([0.0; LANES]);
    for (powers, _) in powers.chunks_exact(length).zip(merged).filter(|(_, merged)| **merged) {
        add_row::<V>(powers, group);
    }
}

/// The classes that are merged and have a voxel.
#[inline(always)]
fn merged_here(merged: &[bool], present: u32) -> impl Iterator<Item = i32> {
    (0..).zip(merged).filter(move |&(c, &merged)| merged && has(present, c as usize)).map(|(c, _)| c)
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

/// Adds rows of logits to the sums; false, with nothing added, if one of them is out of range.
pub(super) struct Measure<'a> {
    /// One for each class.
    pub(super) x: &'a [Row<'a>],
    pub(super) codes: Codes<'a>,
    pub(super) left_out: bool,
    pub(super) cross_entropy: bool,
    /// Whether Σ y_0 p is added up, too.
    pub(super) background: bool,
    /// For each class whether it is one of those that the cross-entropy takes as one; empty if it merges none.
    pub(super) merged: &'a [bool],
    pub(super) room: RowMut<'a>,
    /// The totals of the block, one for each class; zeros on entry and return.
    pub(super) totals: &'a mut [Totals],
    pub(super) sums: &'a mut [MapSums],
}

/// Σ p, Σ y p, Σ y_0 p and Σ y of a class.
#[derive(Clone, Copy, Default)]
pub(super) struct Totals {
    prediction: [f32; LANES],
    overlap: [f32; LANES],
    background_overlap: [f32; LANES],
    target: [i32; LANES],
}

impl Kernel for Measure<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self) -> bool {
        let Self { x, codes, left_out, cross_entropy, background, merged, room, totals, sums } = self;
        let classes = x.len();
        let mut seen = S::Singles::nothing_seen();
        let mut logarithms = Logarithms::<S::Singles>::new();
        let at_once = tiles_at_once(classes);
        for (start, codes) in (0..).step_by(at_once).zip(codes.chunks(at_once)) {
            let length = codes.len();
            let (powers, [sum, label, group, _]) = rows(room, classes, length);
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
                if background && has(present, 0) {
                    add_background::<S::Singles>(powers, sum, codes, totals);
                }
            }
            if !merged.is_empty() {
                add_group::<S::Singles>(powers, merged, group);
                for class in merged_here(merged, present) {
                    replace::<S::Singles>(group, codes, class, label);
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
                sums.background_overlap += S::Singles::load(&totals.background_overlap).lanes().sum();
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

/// Adds up y_0 p of a class.
#[inline(always)]
fn add_background<V: Tile<f32>>(powers: Row<'_>, inverse: Row<'_>, codes: Codes<'_>, totals: &mut Totals) {
    let mut overlap = V::load(&totals.background_overlap);
    for ((power, inverse), codes) in powers.iter().zip(inverse).zip(codes) {
        overlap = V::load(power).only(V::is_class(codes, 0)).times_plus(V::load(inverse), overlap);
    }
    overlap.store(&mut totals.background_overlap);
}

/// Replaces the values of `out` by those of `row` where voxels are of the class.
#[inline(always)]
fn replace<V: Tile<f32>>(row: Row<'_>, codes: Codes<'_>, class: i32, out: RowMut<'_>) {
    for ((value, codes), out) in row.iter().zip(codes).zip(out) {
        V::select(V::is_class(codes, class), V::load(value), V::load(out)).store(out);
    }
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
            let present = present::<<S::Singles as Singles>::Bits>(codes);
            for (c, powers) in powers.chunks_exact_mut(length).enumerate() {
                let x = x.get(c).map_or(&out[c][here.clone()], |x| &x[here.clone()]);
                exponentiate::<S::Singles>(c == 0, x, powers, sum, &mut seen);
                let codes = has(present, row[c]).then_some(codes);
                let (first, class) = (c == 0, row[c] as i32);
                add_slopes::<S::Singles>(first, powers, codes, class, outside[c], inside[c], mean);
            }
            for ((sum, mean), codes) in sum.iter_mut().zip(&mut *mean).zip(codes) {
                let inverse = S::Singles::splat(1.0).over(S::Singles::load(sum));
                let inverse = inverse.only(S::Singles::counts(codes));
                let offset = S::Singles::splat(weight).minus(S::Singles::load(mean).times(inverse));
                inverse.store(sum);
                offset.times(inverse).store(mean);
            }
            if !merged.is_empty() {
                add_group::<S::Singles>(powers, merged, group);
                for group in &mut *group {
                    S::Singles::splat(weight).over(S::Singles::load(group)).store(group);
                }
                share.fill([0.0; LANES]);
                for class in merged_here(merged, present) {
                    replace::<S::Singles>(group, codes, class, share);
                }
            }
            for (c, powers) in powers.chunks_exact(length).enumerate() {
                let is_merged = merged.get(c) == Some(&true);
                let of = Written {
                    powers,
                    codes: has(present, row[c]).then_some(codes),
                    class: row[c] as i32,
                    inverse: sum,
                    offset: mean,
                    share: is_merged.then_some(share),
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

/// Adds eˣ ∂L/∂p of a class to `mean`, or replaces it if it is the first; no voxel has the class if there are no codes.
#[inline(always)]
fn add_slopes<V: Tile<f32>>(
    first: bool,
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
        None if first => {
            for (power, mean) in rows {
                outside.times(V::load(power)).store(mean);
            }
        }
        None => {
            for (power, mean) in rows {
                outside.times_plus(V::load(power), V::load(mean)).store(mean);
            }
        }
        Some(codes) if first => {
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
/// difference of near equals stays exact. Of a merged class y is not 1 but its share of the group, p / Σ p.
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
    /// Of a merged class, instead of w y: w / Σ eˣ of its group where voxels are of the group.
    share: Option<Row<'a>>,
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
        let codes = self.codes.map(|codes| codes.as_flattened()[start..].as_chunks().0);
        if let Some(share) = self.share {
            let share = share.as_flattened()[start..].as_chunks().0;
            for (tile, ((((power, inverse), offset), out), share)) in rows.zip(share).enumerate() {
                let slope = match codes {
                    Some(codes) => V::select(V::is_class(&codes[tile], self.class), inside, outside),
                    None => outside,
                };
                let offset = V::load(offset).minus(V::load(share));
                V::load(power).times(slope.times_plus(V::load(inverse), offset)).write(out, streaming);
            }
            return;
        }
        let Some(codes) = codes else {
            for (((power, inverse), offset), out) in rows {
                let factor = outside.times_plus(V::load(inverse), V::load(offset));
                V::load(power).times(factor).write(out, streaming);
            }
            return;
        };
        for ((((power, inverse), offset), out), codes) in rows.zip(codes) {
            let is_class = V::is_class(codes, self.class);
            let factor = V::select(is_class, inside, outside).times_plus(V::load(inverse), V::load(offset));
            V::load(power).times_plus(factor, minus.only(is_class)).write(out, streaming);
        }
    }
}
