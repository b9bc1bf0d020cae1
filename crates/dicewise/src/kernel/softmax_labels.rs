//! The usual case of softmax: label maps, no merged classes, a derivative that is affine in y.
//!
//! Blocks of moderate logits are nearly all: a few classes are kept in registers ([`softmax_few`](super::softmax_few)), more are
//! taken class after class ([`softmax_rows`](super::softmax_rows)). What these leave, and `f64`, is done sixteen voxels after
//! the other ([`softmax_tile`](super::softmax_tile)).

use super::{
    Backward, Forward, InstructionSet, MapSums,
    block::{Gather, Load, LoadTiles, Store, find_bad_value},
    codes::Codes,
    lanes::LANES,
    softmax_few::{self, Derivative, is_few},
    softmax_rows::{Differentiate, Measure, Prepare, ROWS},
    softmax_tile::{DifferentiateTiles, MeasureTiles},
};
use crate::{DiceError, Element, element::sealed::Lane};

/// Gradients of this many elements are written past the caches.
const LARGE: usize = 1 << 22;

/// Voxels of a block: long runs of each map for the prefetcher, yet few enough for a second-level cache.
fn block_length(classes: usize) -> usize {
    match classes {
        _ if is_few(classes) => 2048,
        0..=16 => 2048,
        17..=64 => 1024,
        _ => 512,
    }
}

/// The values themselves, if they are `f32`.
fn singles<T: Element>(map: &[T]) -> Option<&[f32]> {
    T::lanes(map).and_then(Lane::as_f32)
}

/// Memory that one chunk after the other uses: fresh pages cost as much as a kernel.
pub(super) struct Scratch<F> {
    codes: Codes,
    /// Logits as lanes, where they are not read as they are.
    copy: Vec<F>,
    /// What [`softmax_rows`](super::softmax_rows) works with.
    rows: Vec<f32>,
    /// One row of the result.
    result: Vec<F>,
}

impl<F: Lane> Scratch<F> {
    pub(super) fn new() -> Self {
        Self { codes: Codes::new(), copy: Vec::new(), rows: Vec::new(), result: Vec::new() }
    }
}

/// `length` values, whatever they are, from the start of a cache line: vectors across two cost more.
fn room<F: Lane>(values: &mut Vec<F>, length: usize) -> &mut [F] {
    values.resize(values.len().max(length + LANES), F::ZERO);
    let start = values.as_ptr().align_offset(64).min(LANES);
    &mut values[start..start + length]
}

pub(super) fn measure<T: Element>(
    set: InstructionSet,
    pass: &Forward<'_, T>,
    scratch: &mut Scratch<T::Lane>,
) -> Result<Vec<MapSums>, DiceError> {
    let &Forward { wanted, input, target, chunk } = pass;
    let shape = target.shape();
    let (b, classes) = (chunk.b, shape.classes());
    let cross_entropy = wanted.cross_entropy.groups(b, classes).is_some();
    let mut sums = vec![MapSums::default(); classes];
    let mut predictions = vec![[T::Lane::ZERO; LANES]; classes];
    let Scratch { codes, copy, rows, .. } = scratch;
    for voxels in chunk.blocks(block_length(classes)) {
        codes.read_with(set, target, b, &voxels)?;
        set.run(codes.count(&mut sums, cross_entropy));
        let (list, left_out) = (codes.get(), codes.left_out);
        let length = list.len();
        let (copy, rows) = (room(copy, classes * length), room(rows, (classes + ROWS) * length));
        let map = |c: usize| &input[shape.map(b, c, &voxels)];
        let direct = !left_out && singles(map(0)).is_some();
        // The softmax of one class is 1, to the last bit.
        let single = classes > 1 && (direct || load_singles(set, map, list, left_out, copy));
        let done = single && {
            let map =
                |c: usize| if direct { singles(map(c)).unwrap_or_default() } else { row(copy, c, length) };
            match is_few(classes) {
                true => softmax_few::measure(set, map, codes.tiles(), cross_entropy, &mut sums),
                false => set.run(Measure { map, codes: list, cross_entropy, room: rows, sums: &mut sums }),
            }
        };
        if done {
            continue;
        }
        let finite = set.run(LoadTiles { map, classes, codes: list, left_out, block: &mut *copy });
        if !finite {
            (0..classes).try_for_each(|c| {
                find_bad_value(|j| map(c)[j].to_f64(), target, false, (b, c), &voxels, list)
                    .map_or(Ok(()), Err)
            })?;
        }
        let (codes, predictions) = (codes.tiles(), &mut predictions[..]);
        set.run(MeasureTiles { block: copy, codes, cross_entropy, predictions, sums: &mut sums });
    }
    Ok(sums)
}

/// How a block was differentiated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Few,
    Rows,
    Tiles,
}

impl How {
    /// This way if it worked, the one that always does if not.
    fn when(self, worked: bool) -> Self {
        if worked { self } else { Self::Tiles }
    }
}

/// Copies logits into rows, left-out voxels as 0; false if lanes are not `f32` or a logit is not finite.
fn load_singles<'a, T: Element>(
    set: InstructionSet,
    map: impl Fn(usize) -> &'a [T],
    codes: &[i32],
    left_out: bool,
    rows: &mut [T::Lane],
) -> bool {
    T::Lane::as_f32(rows).is_some() && set.run(Load { map, codes, left_out, rows })
}

/// Row c of `[C, length]`.
fn row<F: Lane>(rows: &[F], c: usize, length: usize) -> &[f32] {
    &F::as_f32(rows).unwrap_or_default()[c * length..(c + 1) * length]
}

pub(super) fn differentiate<T: Element>(
    set: InstructionSet,
    mut pass: Backward<'_, T>,
    scratch: &mut Scratch<T::Lane>,
) -> Result<(), DiceError> {
    let (target, of) = (pass.target, pass.coefficients);
    let shape = target.shape();
    let (b, classes) = (pass.chunk.b, shape.classes());
    let maps = b * classes..(b + 1) * classes;
    let (a, slope) = (&of.a[maps.clone()], &of.b[maps.clone()]);
    let outside: Vec<T::Lane> = a.iter().map(|&a| Lane::of(a)).collect();
    let inside: Vec<T::Lane> = a.iter().zip(slope).map(|(a, slope)| Lane::of(a - slope)).collect();
    let weight = of.cross_entropy[maps.start];
    let Scratch { codes, copy, rows, result } = scratch;
    let streaming = (shape.elements() >= LARGE).then(|| set.streaming());
    for voxels in pass.chunk.blocks(block_length(classes)) {
        codes.read_with(set, target, b, &voxels)?;
        let here = pass.chunk.within(&voxels);
        let (list, left_out) = (codes.get(), codes.left_out);
        let length = list.len();
        let (copy, rows) = (room(copy, classes * length), room(rows, (classes + ROWS) * length));
        let result = room(result, if is_few(classes) { classes * length } else { length });
        let map = |c: usize| pass.input(c, &voxels);
        let direct = !left_out && singles(map(0)).is_some();
        let single = classes > 1 && (direct || load_singles(set, map, list, left_out, copy));
        let how = match (T::Lane::as_f32(&outside), T::Lane::as_f32(&inside)) {
            (Some(outside), Some(inside)) if single => {
                let map = |c: usize| {
                    if direct { singles(map(c)).unwrap_or_default() } else { row(copy, c, length) }
                };
                let (weight, codes) = (weight as f32, codes.tiles());
                if is_few(classes) {
                    let of = Derivative { outside, inside, weight };
                    let out = T::Lane::as_f32_mut(result).unwrap_or_default();
                    How::Few.when(softmax_few::differentiate(set, map, codes, of, out))
                } else {
                    let room = &mut *rows;
                    How::Rows.when(set.run(Prepare { map, codes: list, outside, inside, weight, room }))
                }
            }
            _ => How::Tiles,
        };
        if how == How::Tiles {
            let finite = set.run(LoadTiles { map, classes, codes: list, left_out, block: &mut *copy });
            if !finite {
                (0..classes).try_for_each(|c| {
                    let map = map(c);
                    find_bad_value(|j| map[j].to_f64(), target, false, (b, c), &voxels, list)
                        .map_or(Ok(()), Err)
                })?;
            }
            let (codes, weight) = (codes.tiles(), Lane::of(weight));
            let (outside, inside) = (&outside[..], &inside[..]);
            set.run(DifferentiateTiles { block: &mut *copy, codes, outside, inside, weight });
        }
        for (class, map) in pass.maps.iter_mut().enumerate() {
            let map = &mut map[here.clone()];
            let place = if how == How::Few { class } else { 0 };
            let result = &mut result[place * length..(place + 1) * length];
            match (how, T::Lane::as_f32_mut(result)) {
                (How::Few, _) => {}
                (How::Rows, Some(out)) => {
                    let [outside, inside] = [outside[class], inside[class]].map(|value| value.wide() as f32);
                    let (room, codes, weight) = (&*rows, list, weight as f32);
                    set.run(Differentiate { room, codes, classes, class, outside, inside, weight, out });
                }
                _ => set.run(Gather { block: &*copy, classes, c: class, row: &mut *result }),
            }
            let lanes = T::lanes_mut(map).and_then(Lane::as_f32_mut);
            match (lanes, T::Lane::as_f32(result), &streaming) {
                (Some(out), Some(row), Some(streaming)) if !left_out => streaming.copy(row, out),
                _ => set.run(Store { row: &*result, codes: list, left_out, map }),
            }
        }
    }
    Ok(())
}
