//! Softmax with dense targets, a derivative that is affine in y and no merged classes: class after class, as
//! [`softmax_rows`](super::softmax_rows) does it for label maps. What this leaves is done in the general way
//! ([`softmax`](super::softmax)).

use super::{
    Backward, Forward, InstructionSet, Kernel, MapSums,
    block::{Load, Store, load_dense},
    codes::Codes,
    dense_rows::{Block, Differentiate, Measure},
    lanes::LANES,
    rows::{self, Row},
    softmax,
    softmax_labels::{Scratch, block_length, merged, room, singles},
    tile::Simd,
};
use crate::{DenseMaps, DiceError, Element, Target, element::sealed::Lane, shape::Chunk, target::Kind};

impl<T: Element> Forward<'_, T> {
    /// Whether this module can do it.
    pub(super) fn is_dense(&self) -> bool {
        let groups = self.wanted.cross_entropy.groups(self.chunk.b, self.target.shape().classes());
        is_taken::<T>(self.target) && !self.wanted.squares && merged(groups).is_empty()
    }
}

impl<T: Element> Backward<'_, T> {
    /// Whether this module can do it.
    pub(super) fn is_dense(&self) -> bool {
        let (of, classes) = (&self.coefficients, self.target.shape().classes());
        let maps = self.chunk.b * classes..(self.chunk.b + 1) * classes;
        is_taken::<T>(self.target)
            && of.c[maps].iter().all(|&c| c == 0.0)
            && merged(of.cross_entropy_of.groups(self.chunk.b, classes)).is_empty()
    }
}

/// Several classes of what is computed with in `f32`, and no y that it would round.
fn is_taken<T: Element>(target: &Target<'_>) -> bool {
    matches!(target.kind(), Kind::Dense(_))
        && target.shape().classes() > 1
        && T::Lane::as_f32(&[]).is_some()
        && T::Lane::is_exact(target)
}

/// Memory for what cannot be read as it is.
struct Copies<'a, F> {
    x: &'a mut [F],
    y: &'a mut [F],
}

/// Loads a block: from `input`, `[B, C, I]`, as it is if that can be, or else from a `map` for each class;
/// none if a logit is not finite or a y outside of [0, 1].
fn load<'a, 'b, T: Element + 'b>(
    set: InstructionSet,
    target: &Target<'a>,
    chunk: &Chunk,
    input: Option<&'a [T]>,
    map: impl Fn(usize) -> &'b [T],
    codes: &Codes,
    copies: Copies<'a, T::Lane>,
) -> Option<Block<'a>> {
    let (Kind::Dense(maps), shape) = (target.kind(), target.shape()) else { return None };
    let (classes, list, left_out) = (shape.classes(), codes.get(), codes.left_out);
    let x: Vec<Row<'a>> = match input.and_then(singles) {
        Some(x) if !left_out => {
            (0..classes).map(|c| x[shape.map(chunk.b, c, &chunk.voxels)].as_chunks().0).collect()
        }
        _ => {
            let finite = set.run(Load { map, codes: list, left_out, rows: &mut *copies.x });
            if finite { in_rows(copies.x, list.len()) } else { return None }
        }
    };
    let y = match maps {
        DenseMaps::F32(y) if !left_out => {
            (0..classes).map(|c| y[shape.map(chunk.b, c, &chunk.voxels)].as_chunks().0).collect()
        }
        _ => {
            let valid = set.run(LoadMaps { maps, target, chunk, codes: list, rows: &mut *copies.y });
            if valid { in_rows(copies.y, list.len()) } else { return None }
        }
    };
    Some(Block { x, y })
}

fn in_rows<F: Lane>(rows: &[F], length: usize) -> Vec<Row<'_>> {
    F::as_f32(rows).unwrap_or_default().chunks_exact(length).map(|row| row.as_chunks().0).collect()
}

/// y of all classes into rows, 0 where left out; false if one that counts is outside of [0, 1].
struct LoadMaps<'a, 'b, F> {
    maps: DenseMaps<'a>,
    target: &'b Target<'a>,
    chunk: &'b Chunk,
    codes: &'b [i32],
    rows: &'b mut [F],
}

impl<F: Lane> Kernel for LoadMaps<'_, '_, F> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self) -> bool {
        let Self { maps, target, chunk, codes, rows } = self;
        let mut accepted = true;
        for (c, row) in rows.chunks_exact_mut(codes.len()).enumerate() {
            accepted &= load_dense(maps, target, (chunk.b, c), &chunk.voxels, codes, row);
        }
        accepted
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
    let cross_entropy = wanted.cross_entropy.groups(b, classes).is_some();
    let mut sums = vec![MapSums::default(); classes];
    let Scratch { codes, copy, truth, rows: memory, .. } = scratch;
    let memory = room(memory, rows::room(classes) * LANES).as_chunks_mut().0;
    for voxels in chunk.blocks(block_length(classes)) {
        codes.read_with(set, target, b, &voxels)?;
        let length = classes * codes.get().len();
        let copies = Copies { x: room(copy, length), y: room(truth, length) };
        let chunk = Chunk { b, voxels };
        let map = |c: usize| &input[shape.map(b, c, &chunk.voxels)];
        let block = load(set, target, &chunk, Some(input), map, codes, copies);
        let part = block.and_then(|block| {
            let (background, room) = (wanted.background, &mut *memory);
            set.run(Measure { block: &block, codes, cross_entropy, background, room })
        });
        let part = match part {
            Some(mut part) => {
                part[0].voxels = if cross_entropy { codes.counted() } else { 0.0 };
                part
            }
            None => set.run(softmax::Measure(Forward { wanted, input, target, chunk: &chunk }))?,
        };
        sums.iter_mut().zip(&part).for_each(|(sum, part)| sum.add(part));
    }
    Ok(sums)
}

pub(super) fn differentiate<T: Element>(
    set: InstructionSet,
    mut pass: Backward<'_, T>,
    scratch: &mut Scratch<T::Lane>,
) -> Result<(), DiceError> {
    let (target, of) = (pass.target, pass.coefficients);
    let (b, classes) = (pass.chunk.b, target.shape().classes());
    let maps = b * classes..(b + 1) * classes;
    let Scratch { codes, copy, truth, rows: memory, .. } = scratch;
    let memory = room(memory, rows::room(classes) * LANES).as_chunks_mut().0;
    for voxels in pass.chunk.blocks(block_length(classes)) {
        codes.read_with(set, target, b, &voxels)?;
        let here = pass.chunk.within(&voxels);
        let length = classes * codes.get().len();
        let copies = Copies { x: room(copy, length), y: room(truth, length) };
        let chunk = Chunk { b, voxels };
        let map = |c: usize| pass.input(c, &chunk.voxels);
        let block = load(set, target, &chunk, pass.input, map, codes, copies);
        let is_copied = pass.input.is_none() && block.is_some();
        let mut out: Vec<_> = pass.maps.iter_mut().map(|map| &mut map[here.clone()]).collect();
        let done = block.is_some_and(|block| {
            let (room, out, streaming) = (&mut *memory, &mut out[..], pass.streaming.as_ref());
            set.run(Differentiate { block, codes, of, first: maps.start, room, out, streaming })
        });
        if !done {
            if is_copied {
                // Some of the input may be overwritten.
                let codes = codes.get();
                for (row, map) in room(copy, length).chunks_exact(codes.len()).zip(&mut out) {
                    set.run(Store { row, codes, left_out: false, map });
                }
            }
            let maps = out;
            let block =
                Backward { coefficients: of, input: pass.input, target, chunk, maps, streaming: None };
            set.run(softmax::Differentiate(block))?;
        }
    }
    Ok(())
}
