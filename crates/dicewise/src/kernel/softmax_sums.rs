//! The sums of softmax over label maps, in rows as their derivative ([`softmax_rows`](super::softmax_rows)).
//!
//! A block with a logit beyond ±44 is refused here, and left to [`softmax_tile`](super::softmax_tile).

use super::{
    Kernel, MapSums,
    lanes::LANES,
    rows::{Codes, Row, RowMut, add_group, exponentiate, rows, tiles_at_once},
    tile::{Logarithms, Simd, Tile},
};

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
#[repr(align(64))]
pub(super) struct Totals {
    prediction: [f32; LANES],
    overlap: [f32; LANES],
    background_overlap: [f32; LANES],
    target: u32,
}

/// Classes that are looked for in a tile one after the other; voxels of more are taken one by one.
const MOST_FOUND: usize = 4;

/// A tile of which the first two classes found have fewer voxels than this is taken voxel by voxel from the start.
const FEW: u32 = 8;

/// Where voxels have their labels' p, or their group's where classes are merged, and y p is added up.
struct OfLabels<'a> {
    powers: Row<'a>,
    group: Row<'a>,
    merged: &'a [bool],
    length: usize,
    totals: &'a mut [Totals],
}

impl OfLabels<'_> {
    /// Nearly all tiles of a segmentation have few classes, which are found rather than looked for among all.
    #[inline(always)]
    fn add<V: Tile<f32>>(
        &mut self,
        tile: usize,
        codes: &[i32; LANES],
        inverse: V,
        inverse_lanes: &[f32; LANES],
        out: &mut [f32; LANES],
    ) {
        let first = codes[0];
        let mask = V::is_class(codes, first);
        let Some(lane) = V::lane_without(mask) else {
            return self.add_class(tile, first, mask, inverse).store(out);
        };
        let mut class = codes[lane];
        let mut mask_of_class = V::is_class(codes, class);
        let mut done = V::either(mask, mask_of_class);
        if self.totals.len() > MOST_FOUND && V::count_of(done) < FEW {
            out.fill(0.0);
            return self.add_lanes(tile, codes, inverse_lanes, out, &[]);
        }
        let mut p = self.add_class(tile, first, mask, inverse);
        let mut found = [first; MOST_FOUND];
        for found in &mut found[1..] {
            p = p.plus(self.add_class(tile, class, mask_of_class, inverse));
            *found = class;
            let Some(lane) = V::lane_without(done) else {
                return p.store(out);
            };
            class = codes[lane];
            mask_of_class = V::is_class(codes, class);
            done = V::either(done, mask_of_class);
        }
        p.store(out);
        self.add_lanes(tile, codes, inverse_lanes, out, &found);
    }

    /// Adds voxels one by one, but for those of some classes. Not inlined: it would take registers from the loop for
    /// tiles of few classes, and without vectors it loses nothing by being compiled for every processor.
    #[inline(never)]
    fn add_lanes(
        &mut self,
        tile: usize,
        codes: &[i32; LANES],
        inverse: &[f32; LANES],
        out: &mut [f32; LANES],
        done: &[i32],
    ) {
        for (lane, &class) in codes.iter().enumerate() {
            if class >= 0 && !done.contains(&class) {
                out[lane] = self.add_lane(tile, class as usize, lane, inverse[lane]);
            }
        }
    }

    /// p of the voxels of a class in a tile, 0 elsewhere.
    #[inline(always)]
    fn add_class<V: Tile<f32>>(&mut self, tile: usize, class: i32, mask: V::Mask, inverse: V) -> V {
        let Ok(class) = usize::try_from(class) else {
            return V::splat(0.0);
        };
        let p = V::load(&self.powers[class * self.length + tile]).only(mask).times(inverse);
        let totals = &mut self.totals[class];
        V::load(&totals.overlap).plus(p).store(&mut totals.overlap);
        totals.target += V::count_of(mask);
        match self.merged.get(class) {
            Some(true) => V::load(&self.group[tile]).only(mask).times(inverse),
            _ => p,
        }
    }

    /// As [`add_class`](Self::add_class), for one voxel.
    #[inline(always)]
    fn add_lane(&mut self, tile: usize, class: usize, lane: usize, inverse: f32) -> f32 {
        let p = self.powers[class * self.length + tile][lane] * inverse;
        let totals = &mut self.totals[class];
        totals.overlap[lane] += p;
        totals.target += 1;
        match self.merged.get(class) {
            Some(true) => self.group[tile][lane] * inverse,
            _ => p,
        }
    }
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
            let (powers, [sum, labels, of_background, group]) = rows(room, classes, length);
            for (c, (x, powers)) in x.iter().zip(powers.chunks_exact_mut(length)).enumerate() {
                exponentiate::<S::Singles>(c == 0, &x[start..start + length], powers, sum, &mut seen);
            }
            if !merged.is_empty() {
                add_group::<S::Singles>(powers, merged, group);
            }
            let mut of_labels = OfLabels { powers, group, merged, length, totals };
            for (tile, ((sum, codes), labels)) in sum.iter_mut().zip(codes).zip(&mut *labels).enumerate() {
                let mut inverse = S::Singles::splat(1.0).over(S::Singles::load(sum));
                if left_out {
                    inverse = inverse.only(S::Singles::counts(codes));
                }
                inverse.store(sum);
                if background {
                    inverse.only(S::Singles::is_class(codes, 0)).store(&mut of_background[tile]);
                }
                of_labels.add::<S::Singles>(tile, codes, inverse, sum, labels);
            }
            if cross_entropy {
                logarithms.add_row(labels, left_out.then_some(codes));
            }
            add_up_all::<S::Singles>(powers, sum, totals, |totals| &mut totals.prediction);
            if background {
                add_up_all::<S::Singles>(powers, of_background, totals, |totals| {
                    &mut totals.background_overlap
                });
            }
        }
        let in_range = S::Singles::were_in_range(seen);
        if in_range {
            for (sums, totals) in sums.iter_mut().zip(&*totals) {
                sums.prediction += S::Singles::load(&totals.prediction).lanes().sum();
                sums.overlap += S::Singles::load(&totals.overlap).lanes().sum();
                sums.background_overlap += S::Singles::load(&totals.background_overlap).lanes().sum();
                sums.target += f64::from(totals.target);
            }
            if cross_entropy {
                sums[0].cross_entropy -= logarithms.sum();
            }
        }
        totals.fill(Totals::default());
        in_range
    }
}

/// Adds up the products of each class's row with another, to one of its totals.
#[inline(always)]
fn add_up_all<V: Tile<f32>>(
    powers: Row<'_>,
    factor: Row<'_>,
    totals: &mut [Totals],
    of: impl Fn(&mut Totals) -> &mut [f32; LANES],
) {
    let length = factor.len();
    let mut powers = powers.chunks_exact(length);
    let mut fours = totals.chunks_exact_mut(4);
    for totals in &mut fours {
        let mut next = || powers.next().unwrap_or_default();
        let rows = next().iter().zip(next()).zip(next()).zip(next()).zip(factor);
        let mut sums = [0, 1, 2, 3].map(|c| V::load(of(&mut totals[c])));
        for ((((a, b), c), d), factor) in rows {
            let factor = V::load(factor);
            sums[0] = V::load(a).times_plus(factor, sums[0]);
            sums[1] = V::load(b).times_plus(factor, sums[1]);
            sums[2] = V::load(c).times_plus(factor, sums[2]);
            sums[3] = V::load(d).times_plus(factor, sums[3]);
        }
        totals.iter_mut().zip(sums).for_each(|(totals, sum)| sum.store(of(totals)));
    }
    for (totals, row) in fours.into_remainder().iter_mut().zip(powers) {
        let mut sum = V::load(of(totals));
        for (power, factor) in row.iter().zip(factor) {
            sum = V::load(power).times_plus(V::load(factor), sum);
        }
        sum.store(of(totals));
    }
}
