//! The usual case of softmax: label maps, a derivative that is affine in y.
//!
//! Blocks of moderate logits are nearly all, and are taken class after class ([`softmax_sums`](super::softmax_sums),
//! [`softmax_rows`](super::softmax_rows)). What these leave, and `f64`, is done sixteen voxels after the other
//! ([`softmax_tile`](super::softmax_tile)), or in the general way ([`softmax`](super::softmax)) where missing labels are
//! merged into the background.

use super::{
    Backward, Forward, InstructionSet, MapSums,
    block::{Gather, Load, LoadTiles, Store, find_bad_value},
    codes::Codes,
    lanes::LANES,
    rows, softmax,
    softmax_rows::Differentiate,
    softmax_sums::{Measure, Totals},
    softmax_tile::{DifferentiateTiles, MeasureTiles},
};
use crate::{DiceError, Element, element::sealed::Lane, shape::Chunk, target::Kind};

/// Voxels of a block: long runs of each map for the prefetcher, yet few enough for a second-level cache.
pub(super) fn block_length(classes: usize) -> usize {
    match classes {
        0..=16 => 2048,
        17..=64 => 1024,
        _ => 512,
    }
}

/// The values themselves, if they are `f32`.
pub(super) fn singles<T: Element>(map: &[T]) -> Option<&[f32]> {
    T::lanes(map).and_then(Lane::as_f32)
}

/// Memory that one chunk after the other uses: fresh pages cost as much as a kernel.
pub(super) struct Scratch<F> {
    pub(super) codes: Codes,
    /// Logits as lanes, where they are not read as they are.
    pub(super) copy: Vec<F>,
    /// Dense targets, the same.
    pub(super) truth: Vec<F>,
    /// What [`rows`](super::rows) cuts into rows.
    pub(super) rows: Vec<f32>,
    /// One row of the result.
    row: Vec<F>,
}

impl<F: Lane> Scratch<F> {
    pub(super) fn new() -> Self {
        Self { codes: Codes::new(), copy: Vec::new(), truth: Vec::new(), rows: Vec::new(), row: Vec::new() }
    }
}

/// `length` values, whatever they are, from the start of a cache line: vectors across two cost more.
pub(super) fn room<F: Lane>(values: &mut Vec<F>, length: usize) -> &mut [F] {
    values.resize(values.len().max(length + LANES), F::ZERO);
    let start = values.as_ptr().align_offset(64).min(LANES);
    &mut values[start..start + length]
}

impl<T> Forward<'_, T> {
    /// Whether this module can do it.
    pub(super) fn is_of_labels(&self) -> bool {
        matches!(self.target.kind(), Kind::Labels(_)) && !self.wanted.squares
    }
}

impl<T> Backward<'_, T> {
    /// Whether this module can do it.
    pub(super) fn is_of_labels(&self) -> bool {
        let classes = self.target.shape().classes();
        let maps = self.chunk.b * classes..(self.chunk.b + 1) * classes;
        matches!(self.target.kind(), Kind::Labels(_)) && self.coefficients.c[maps].iter().all(|&c| c == 0.0)
    }
}

/// For each class whether it is merged with others; empty if none is.
pub(super) fn merged(groups: Option<&[usize]>) -> Vec<bool> {
    let groups = groups.unwrap_or_default();
    match groups.iter().skip(1).any(|&group| group == 0) {
        true => groups.iter().map(|&group| group == 0).collect(),
        false => Vec::new(),
    }
}

pub(super) fn measure<T: Element>(
    set: InstructionSet,
    pass: &Forward<'_, T>,
    scratch: &mut Scratch<T::Lane>,
) -> Result<Vec<MapSums>, DiceError> {
    let &Forward { wanted, input, target, chunk } = pass;
    let shape = target.shape();
    let (b, classes) = (chunk.b, shape.classes());
    let groups = wanted.cross_entropy.groups(b, classes);
    let (cross_entropy, background, merged) = (groups.is_some(), wanted.background, merged(groups));
    let is_plain = !background && merged.is_empty();
    let mut sums = vec![MapSums::default(); classes];
    let mut predictions = vec![[T::Lane::ZERO; LANES]; classes];
    let mut totals = vec![Totals::default(); classes];
    let Scratch { codes, copy, rows: memory, .. } = scratch;
    let rows = room(memory, rows::room(classes) * LANES).as_chunks_mut().0;
    for voxels in chunk.blocks(block_length(classes)) {
        codes.read_with(set, target, b, &voxels)?;
        let counted = if codes.left_out { codes.counted() } else { voxels.len() as f64 };
        let (list, left_out) = (codes.get(), codes.left_out);
        let length = list.len();
        let copy = room(copy, classes * length);
        let map = |c: usize| &input[shape.map(b, c, &voxels)];
        let direct = !left_out && singles(map(0)).is_some();
        // The softmax of one class is 1, to the last bit.
        let single = classes > 1 && (direct || load_singles(set, map, list, left_out, copy));
        let done = single && {
            let row = |c| if direct { singles(map(c)).unwrap_or_default() } else { row(copy, c, length) };
            let x: Vec<_> = (0..classes).map(|c| row(c).as_chunks().0).collect();
            let (codes, room, totals, sums) = (codes.tiles(), &mut *rows, &mut totals[..], &mut sums[..]);
            let (x, merged) = (&x, &merged);
            set.run(Measure { x, codes, left_out, cross_entropy, background, merged, room, totals, sums })
        };
        if !(done || is_plain) {
            let chunk = &Chunk { b, voxels };
            let part = set.run(softmax::Measure(Forward { wanted, input, target, chunk }))?;
            sums.iter_mut().zip(&part).for_each(|(sum, part)| sum.add(part));
            continue;
        }
        if cross_entropy {
            sums[0].voxels += counted;
        }
        if done {
            continue;
        }
        set.run(codes.count(&mut sums));
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
    let row_of_y = &of.row[maps];
    let merged = merged(of.cross_entropy_of.groups(b, classes));
    let is_plain = merged.is_empty() && row_of_y.iter().enumerate().all(|(c, &row)| c == row);
    let Scratch { codes, copy, rows: memory, row, .. } = scratch;
    let rows = room(memory, rows::room(classes) * LANES).as_chunks_mut().0;
    for voxels in pass.chunk.blocks(block_length(classes)) {
        codes.read_with(set, target, b, &voxels)?;
        let here = pass.chunk.within(&voxels);
        let (list, left_out) = (codes.get(), codes.left_out);
        let length = list.len();
        let copy = room(copy, classes * length);
        let slopes = T::Lane::as_f32(&outside).zip(T::Lane::as_f32(&inside)).filter(|_| classes > 1);
        let direct = if left_out { None } else { pass.input.and_then(singles) };
        if let (Some((outside, inside)), Some(input)) = (slopes, direct) {
            let x: Vec<_> = (0..classes).map(|c| input[shape.map(b, c, &voxels)].as_chunks().0).collect();
            let lanes = |map| T::lanes_mut(map).and_then(Lane::as_f32_mut).unwrap_or_default();
            let mut maps: Vec<_> = pass.maps.iter_mut().map(|map| lanes(&mut map[here.clone()])).collect();
            let mut out: Vec<_> = maps.iter_mut().map(|map| map.as_chunks_mut().0).collect();
            let (codes, weight, room) = (codes.tiles(), weight as f32, &mut *rows);
            let (x, out, streaming) = (&x, &mut out, pass.streaming.as_ref());
            let (row, merged) = (row_of_y, &merged);
            if set.run(Differentiate { x, codes, outside, inside, row, weight, merged, room, out, streaming })
            {
                continue;
            }
        }
        let map = |c: usize| pass.input(c, &voxels);
        let in_rows = match slopes {
            Some((outside, inside)) if direct.is_none() && load_singles(set, map, list, left_out, copy) => {
                let rows_of = T::Lane::as_f32_mut(copy).unwrap_or_default().chunks_exact_mut(length);
                let mut out: Vec<_> = rows_of.map(|row| row.as_chunks_mut().0).collect();
                let (codes, weight, room, out) = (codes.tiles(), weight as f32, &mut *rows, &mut out);
                let (row, merged, streaming) = (row_of_y, &merged[..], None);
                set.run(Differentiate {
                    x: &[],
                    codes,
                    outside,
                    inside,
                    row,
                    weight,
                    merged,
                    room,
                    out,
                    streaming,
                })
            }
            _ => false,
        };
        if !(in_rows || is_plain) {
            let chunk = Chunk { b, voxels };
            let maps = pass.maps.iter_mut().map(|map| &mut map[here.clone()]).collect();
            let (coefficients, input) = (pass.coefficients, pass.input);
            let block = Backward { coefficients, input, target, chunk, maps, streaming: None };
            set.run(softmax::Differentiate(block))?;
            continue;
        }
        if !in_rows {
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
            if in_rows {
                let row = &copy[class * length..(class + 1) * length];
                set.run(Store { row, codes: list, left_out, map });
            } else {
                let row = room(row, length);
                set.run(Gather { block: &*copy, classes, c: class, row: &mut *row });
                set.run(Store { row, codes: list, left_out, map });
            }
        }
    }
    Ok(())
}
