//! The usual case of softmax: label maps, no merged classes, a derivative that is affine in y.
//!
//! The usual small numbers of classes ([`is_few`]) are read straight from the input, with everything in registers.
//! Others are copied first, because the maps of an array often lie at distances of which a cache cannot hold many
//! side by side.

use super::{
    Backward, Forward, InstructionSet, MapSums,
    block::{Gather, Load, LoadTiles, Store, find_bad_value},
    codes::Codes,
    lanes::LANES,
    softmax_tile::{DifferentiateFew, DifferentiateMany, MeasureFew, MeasureMany},
};
use crate::{DiceError, Element, element::sealed::Lane};

/// Gradients of this many elements are written past the caches.
const LARGE: usize = 1 << 22;

/// Voxels of a block: long runs of each map, since a prefetcher that follows many maps at once fetches in vain at the
/// end of each, yet as few as keep the block in a second-level cache.
fn block_length(classes: usize) -> usize {
    if classes <= 16 { 4096 } else { 1024 }
}

/// Numbers of classes with kernels of their own; every number would double the time it takes to compile the crate.
macro_rules! few_classes {
    ($with:ident! $arguments:tt) => {
        $with! { $arguments 1 2 3 4 5 6 8 14 16 }
    };
}

macro_rules! is_one_of {
    (($classes:expr) $($number:literal)*) => {
        matches!($classes, $($number)|*)
    };
}

fn is_few(classes: usize) -> bool {
    few_classes!(is_one_of!(classes))
}

macro_rules! call_with {
    (($classes:expr, $c:ident => $call:expr) $($number:literal)*) => {
        match $classes {
            $($number => {
                const $c: usize = $number;
                $call
            })*
            classes => unreachable!("{classes} classes are not few"),
        }
    };
}

/// Runs `$call` with the constant `$c` = `$classes`, which are few.
macro_rules! few {
    ($($arguments:tt)*) => {
        few_classes!(call_with!($($arguments)*))
    };
}

/// Row c of `[C, length]` in tiles.
fn row<F>(rows: &[F], c: usize, length: usize) -> &[[F; LANES]] {
    rows[c * length..(c + 1) * length].as_chunks().0
}

/// The values themselves, if they are `f32`.
fn singles<T: Element>(map: &[T]) -> Option<&[f32]> {
    T::lanes(map).and_then(Lane::as_f32)
}

/// Memory that one chunk after the other uses: fresh pages cost as much as a kernel.
pub(super) struct Scratch<F> {
    codes: Codes,
    copy: Vec<F>,
    result: Vec<F>,
}

impl<F: Lane> Scratch<F> {
    pub(super) fn new() -> Self {
        Self { codes: Codes::new(), copy: Vec::new(), result: Vec::new() }
    }
}

/// `length` values, whatever they are.
fn room<F: Lane>(values: &mut Vec<F>, length: usize) -> &mut [F] {
    values.resize(values.len().max(length), F::ZERO);
    &mut values[..length]
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
    let Scratch { codes, copy, .. } = scratch;
    let mut predictions = vec![[T::Lane::ZERO; LANES]; classes];
    for voxels in chunk.blocks(block_length(classes)) {
        codes.read_with(set, target, b, &voxels)?;
        set.run(codes.count(&mut sums, cross_entropy));
        let (tiles, length, sums) = (codes.tiles(), codes.get().len(), &mut sums[..]);
        let map = |c: usize| &input[shape.map(b, c, &voxels)];
        let finite = match singles(map(0)) {
            Some(_) if is_few(classes) && !codes.left_out => few!(classes, C => {
                let rows = std::array::from_fn(|c| singles(map(c)).unwrap_or_default().as_chunks().0);
                set.run(MeasureFew::<C> { rows, codes: tiles, cross_entropy, sums })
            }),
            _ => {
                let block = room(copy, classes * length);
                let (codes, left_out) = (codes.get(), codes.left_out);
                if T::Lane::as_f32(block).is_some() && is_few(classes) {
                    let finite = set.run(Load { map, codes, left_out, rows: &mut *block });
                    let block = T::Lane::as_f32(block).unwrap_or_default();
                    finite
                        && few!(classes, C => {
                            let rows = std::array::from_fn(|c| row(block, c, length));
                            set.run(MeasureFew::<C> { rows, codes: tiles, cross_entropy, sums })
                        })
                } else {
                    let finite = set.run(LoadTiles { map, classes, codes, left_out, block: &mut *block });
                    if finite {
                        let predictions = &mut predictions[..];
                        set.run(MeasureMany { block, codes: tiles, cross_entropy, predictions, sums });
                    }
                    finite
                }
            }
        };
        if !finite {
            (0..classes).try_for_each(|c| {
                find_bad_value(|j| map(c)[j].to_f64(), target, false, (b, c), &voxels, codes.get())
                    .map_or(Ok(()), Err)
            })?;
        }
    }
    Ok(sums)
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
    let (outside, inside) = (&outside[..], &inside[..]);
    let few = T::Lane::as_f32(outside).zip(T::Lane::as_f32(inside)).filter(|_| is_few(classes));
    let weight = of.cross_entropy[maps.start];
    let Scratch { codes, copy, result } = scratch;
    let streaming = (shape.elements() >= LARGE).then(|| set.streaming());
    for voxels in pass.chunk.blocks(block_length(classes)) {
        codes.read_with(set, target, b, &voxels)?;
        let here = pass.chunk.within(&voxels);
        let (tiles, length) = (codes.tiles(), codes.get().len());
        let copy = room(copy, classes * length);
        let result = room(result, classes * length);
        let (list, left_out) = (codes.get(), codes.left_out);
        let map = |c: usize| pass.input(c, &voxels);
        let finite = if let Some((outside, inside)) = few {
            // Straight from the input, unless it is written over, not f32, or voxels are left out.
            let direct = pass.input.filter(|input| !left_out && singles(input).is_some());
            let loaded = direct.is_some() || set.run(Load { map, codes: list, left_out, rows: &mut *copy });
            let copy = T::Lane::as_f32(copy).unwrap_or_default();
            let source = |c: usize| match direct.and_then(singles) {
                Some(input) => input[shape.map(b, c, &voxels)].as_chunks().0,
                None => row(copy, c, length),
            };
            let singles = T::Lane::as_f32_mut(&mut result[..classes * length]).unwrap_or_default();
            let mut results = singles.chunks_exact_mut(length);
            let weight = weight as f32;
            loaded
                && few!(classes, C => {
                    let rows = std::array::from_fn(source);
                    let out = std::array::from_fn(|_| results.next().unwrap_or_default().as_chunks_mut().0);
                    set.run(DifferentiateFew::<C> { rows, codes: tiles, outside, inside, weight, out })
                })
        } else {
            let block = &mut *copy;
            let finite = set.run(LoadTiles { map, classes, codes: list, left_out, block: &mut *block });
            if finite {
                let weight = Lane::of(weight);
                set.run(DifferentiateMany { block, codes: tiles, outside, inside, weight });
            }
            finite
        };
        if finite {
            let outputs = pass.maps.iter_mut().map(|map| &mut map[here.clone()]);
            for (c, map) in outputs.enumerate() {
                // Gathered one by one into the same row, which stays in the cache.
                let place = if few.is_some() { c } else { 0 };
                let row = &mut result[place * length..(place + 1) * length];
                if few.is_none() {
                    set.run(Gather { block: &*copy, classes, c, row });
                }
                let lanes = T::lanes_mut(map).and_then(Lane::as_f32_mut);
                match (lanes, T::Lane::as_f32(row), &streaming) {
                    (Some(out), Some(row), Some(streaming)) if !left_out => streaming.copy(row, out),
                    _ => set.run(Store { row, codes: list, left_out, map }),
                }
            }
        }
        if !finite {
            (0..classes).try_for_each(|c| {
                let map = pass.input(c, &voxels);
                find_bad_value(|j| map[j].to_f64(), target, false, (b, c), &voxels, codes.get())
                    .map_or(Ok(()), Err)
            })?;
        }
    }
    Ok(())
}
