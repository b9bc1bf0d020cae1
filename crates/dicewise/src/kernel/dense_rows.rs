//! The kernels of [`softmax_dense`](super::softmax_dense), in rows as those of [`softmax_rows`](super::softmax_rows).

use super::{
    Coefficients, Kernel, MapSums,
    block::Store,
    codes::{Codes, padded},
    instruction_set::Streaming,
    lanes::LANES,
    map_truth::Extremes,
    rows::{MOST_AT_ONCE, Row, RowMut, add_row, exponentiate, rows, tiles_at_once},
    streaming::{self, Derivative},
    tile::{Simd, Tile},
};
use crate::{Element, element::sealed::Lane};

/// A block's logits and y, `[C, length]` each, straight from the arrays where they can be.
pub(super) struct Block<'a> {
    pub(super) x: Vec<Row<'a>>,
    pub(super) y: Vec<Row<'a>>,
}

/// The sums of a block; none if a logit is out of range or y outside of [0, 1].
pub(super) struct Measure<'a> {
    pub(super) block: &'a Block<'a>,
    pub(super) codes: &'a Codes,
    pub(super) cross_entropy: bool,
    pub(super) background: bool,
    pub(super) room: RowMut<'a>,
}

/// What is added up of a class: Σ p, Σ y p, Σ y_0 p and Σ y, and the lowest and highest y.
#[derive(Clone, Copy)]
struct Totals<V> {
    prediction: V,
    overlap: V,
    background_overlap: V,
    target: V,
    extremes: Extremes<V>,
}

impl<V: Tile<f32>> Totals<V> {
    #[inline(always)]
    fn new() -> Self {
        let zero = V::splat(0.0);
        let extremes = Extremes::new();
        Self { prediction: zero, overlap: zero, background_overlap: zero, target: zero, extremes }
    }
}

impl Kernel for Measure<'_> {
    type Output = Option<Vec<MapSums>>;

    #[inline(always)]
    fn run<S: Simd>(self) -> Self::Output {
        let Self { block, codes, cross_entropy, background, room } = self;
        let (classes, codes, left_out) = (block.x.len(), codes.tiles(), codes.left_out);
        let mut seen = S::Singles::nothing_seen();
        let mut totals = vec![Totals::<S::Singles>::new(); classes];
        let mut loss = S::Singles::splat(0.0);
        let at_once = tiles_at_once(classes);
        for (start, codes) in (0..).step_by(at_once).zip(codes.chunks(at_once)) {
            let length = codes.len();
            let here = start..start + length;
            let (powers, [sum, log_sum, truth, product]) = rows(room, classes, length);
            for (c, (x, powers)) in block.x.iter().zip(powers.chunks_exact_mut(length)).enumerate() {
                exponentiate::<S::Singles>(c == 0, &x[here.clone()], powers, sum, &mut seen);
            }
            if cross_entropy {
                for (sum, log_sum) in sum.iter().zip(&mut *log_sum) {
                    S::Singles::load(sum).ln().store(log_sum);
                }
                truth.fill([0.0; LANES]);
                product.fill([0.0; LANES]);
            }
            for (sum, codes) in sum.iter_mut().zip(codes) {
                let inverse = S::Singles::splat(1.0).over(S::Singles::load(sum));
                if left_out { inverse.only(S::Singles::counts(codes)) } else { inverse }.store(sum);
            }
            for (c, (powers, totals)) in powers.chunks_exact(length).zip(&mut totals).enumerate() {
                let y = &block.y[c][here.clone()];
                let y_0 = background.then(|| &block.y[0][here.clone()]);
                add_up(powers, sum, y, y_0, totals);
                if cross_entropy {
                    add_products::<S::Singles>(&block.x[c][here.clone()], y, truth, product);
                }
            }
            if cross_entropy {
                // −Σ_c y_c ln p_c = ln(Σ eˣ) Σ y − Σ y x.
                for ((log_sum, truth), product) in log_sum.iter().zip(&*truth).zip(&*product) {
                    let whole = S::Singles::load(log_sum).times(S::Singles::load(truth));
                    loss = loss.plus(whole.minus(S::Singles::load(product)));
                }
            }
        }
        let valid = totals
            .iter()
            .all(|totals| totals.extremes.are_probabilities() && totals.target.lanes().is_finite());
        if !(valid && S::Singles::were_in_range(seen)) {
            return None;
        }
        let of = |totals: &Totals<S::Singles>| MapSums {
            prediction: totals.prediction.lanes().sum(),
            overlap: totals.overlap.lanes().sum(),
            background_overlap: totals.background_overlap.lanes().sum(),
            target: totals.target.lanes().sum(),
            ..MapSums::default()
        };
        let mut sums: Vec<_> = totals.iter().map(of).collect();
        sums[0].cross_entropy = loss.lanes().sum();
        Some(sums)
    }
}

/// Adds up p, y p, y_0 p and y of a class.
#[inline(always)]
fn add_up<V: Tile<f32>>(
    powers: Row<'_>,
    inverse: Row<'_>,
    y: Row<'_>,
    y_0: Option<Row<'_>>,
    totals: &mut Totals<V>,
) {
    let mut sums = *totals;
    for ((power, inverse), y) in powers.iter().zip(inverse).zip(y) {
        let (p, y) = (V::load(power).times(V::load(inverse)), V::load_ahead(y));
        sums.prediction = sums.prediction.plus(p);
        sums.overlap = p.times_plus(y, sums.overlap);
        sums.target = sums.target.plus(y);
        sums.extremes = sums.extremes.with(y);
    }
    if let Some(y_0) = y_0 {
        for ((power, inverse), y) in powers.iter().zip(inverse).zip(y_0) {
            let p = V::load(power).times(V::load(inverse));
            sums.background_overlap = p.times_plus(V::load(y), sums.background_overlap);
        }
    }
    *totals = sums;
}

/// Adds y to `truth` and x y to `product`.
#[inline(always)]
fn add_products<V: Tile<f32>>(x: Row<'_>, y: Row<'_>, truth: RowMut<'_>, product: RowMut<'_>) {
    for (((x, y), truth), product) in x.iter().zip(y).zip(truth).zip(product) {
        let y = V::load(y);
        V::load(truth).plus(y).store(truth);
        V::load(x).times_plus(y, V::load(product)).store(product);
    }
}

/// Writes the derivative of a block; false, with part of it written, if a logit is out of range.
pub(super) struct Differentiate<'a, 'b, T> {
    pub(super) block: Block<'a>,
    pub(super) codes: &'a Codes,
    pub(super) of: Coefficients<'a>,
    /// The sample's first map.
    pub(super) first: usize,
    pub(super) room: RowMut<'a>,
    pub(super) out: &'a mut [&'b mut [T]],
    pub(super) streaming: Option<&'a Streaming>,
}

impl<T: Element> Kernel for Differentiate<'_, '_, T> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self) -> bool {
        let Self { block, codes, of, first, room, out, streaming } = self;
        let (classes, codes) = (block.x.len(), codes.tiles());
        let weight = <f32 as Lane>::of(of.cross_entropy[first]);
        let mut seen = S::Singles::nothing_seen();
        let mut row = [T::Lane::ZERO; LANES * MOST_AT_ONCE];
        let at_once = tiles_at_once(classes);
        for (start, codes) in (0..).step_by(at_once).zip(codes.chunks(at_once)) {
            let length = codes.len();
            let here = start..start + length;
            let (powers, [sum, mean, truth, _]) = rows(room, classes, length);
            mean.fill([0.0; LANES]);
            truth.fill([0.0; LANES]);
            for (c, powers) in powers.chunks_exact_mut(length).enumerate() {
                let map = first + c;
                exponentiate::<S::Singles>(c == 0, &block.x[c][here.clone()], powers, sum, &mut seen);
                let (a, slope) = (Lane::of(of.a[map]), Lane::of(of.b[map]));
                add_slopes::<S::Singles>(powers, &block.y[of.row[map]][here.clone()], a, slope, mean);
                if weight != 0.0 {
                    add_row::<S::Singles>(&block.y[c][here.clone()], truth);
                }
            }
            for (((sum, mean), truth), codes) in sum.iter_mut().zip(&mut *mean).zip(&*truth).zip(codes) {
                let inverse = S::Singles::splat(1.0).over(S::Singles::load(sum));
                let inverse = inverse.only(S::Singles::counts(codes));
                let whole = S::Singles::splat(weight).times(S::Singles::load(truth));
                inverse.store(sum);
                whole.minus(S::Singles::load(mean).times(inverse)).times(inverse).store(mean);
            }
            for (c, powers) in powers.chunks_exact(length).enumerate() {
                let map = first + c;
                let of = Slopes {
                    powers,
                    inverse: sum,
                    offset: mean,
                    y: &block.y[c][here.clone()],
                    y_of_slope: &block.y[of.row[map]][here.clone()],
                    a: Lane::of(of.a[map]),
                    slope: Lane::of(of.b[map]),
                    weight,
                };
                let end = (here.end * LANES).min(out[c].len());
                let out = &mut out[c][here.start * LANES..end];
                write::<T, S>(of, &mut row, out, streaming);
            }
        }
        S::Singles::were_in_range(seen)
    }
}

/// As [`streaming::write_block`], for lanes that are `f32`.
#[inline(always)]
fn write<T: Element, S: Simd>(
    of: impl Derivative<f32>,
    row: &mut [T::Lane],
    out: &mut [T],
    streaming: Option<&Streaming>,
) {
    let length = padded(out.len());
    match T::lanes_mut(out).and_then(Lane::as_f32_mut) {
        Some(out) if out.len() == length => streaming::write::<_, S::Singles>(of, out, streaming),
        _ => {
            let row = &mut row[..length];
            if let Some(row) = Lane::as_f32_mut(row) {
                streaming::write::<_, S::Singles>(of, row, None);
            }
            Store { row, codes: &[], left_out: false, map: out }.run::<S>();
        }
    }
}

/// Adds eˣ (a − slope·y).
#[inline(always)]
fn add_slopes<V: Tile<f32>>(powers: Row<'_>, y: Row<'_>, a: f32, slope: f32, mean: RowMut<'_>) {
    let (a, minus_slope) = (V::splat(a), V::splat(-slope));
    for ((power, y), mean) in powers.iter().zip(y).zip(mean) {
        let slope = V::load_ahead(y).times_plus(minus_slope, a);
        slope.times_plus(V::load(power), V::load(mean)).store(mean);
    }
}

/// The derivative of a class, p (a − slope·y − Σ p ∂L/∂p + w Σ y) − w y, and what it is made of; w y is last, so that
/// the difference of near equals stays exact.
#[derive(Clone, Copy)]
struct Slopes<'a> {
    powers: Row<'a>,
    /// 1 / Σ eˣ.
    inverse: Row<'a>,
    /// (w Σ y − Σ p ∂L/∂p) / Σ eˣ.
    offset: Row<'a>,
    /// Of the class.
    y: Row<'a>,
    /// By which ∂L/∂p goes: of the class, or of the background.
    y_of_slope: Row<'a>,
    a: f32,
    slope: f32,
    weight: f32,
}

impl Derivative<f32> for Slopes<'_> {
    #[inline(always)]
    fn write<V: Tile<f32>>(self, start: usize, out: &mut [f32], streaming: Option<&Streaming>) {
        let [powers, inverse, offset, y, y_of_slope] =
            [self.powers, self.inverse, self.offset, self.y, self.y_of_slope]
                .map(|row| row.as_flattened()[start..].as_chunks::<LANES>().0);
        let (a, minus_slope) = (V::splat(self.a), V::splat(-self.slope));
        let minus = V::splat(-self.weight);
        for (tile, out) in out.as_chunks_mut().0.iter_mut().enumerate() {
            let slope = V::load(&y_of_slope[tile]).times_plus(minus_slope, a);
            let factor = slope.times_plus(V::load(&inverse[tile]), V::load(&offset[tile]));
            let own = minus.times(V::load(&y[tile]));
            V::load(&powers[tile]).times_plus(factor, own).write(out, streaming);
        }
    }
}
