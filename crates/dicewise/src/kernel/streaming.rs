//! Writing the gradient of a block, past the caches if the whole of it is too large for them.

use super::{
    Kernel,
    block::Store,
    codes::padded,
    instruction_set::{Streaming, prefetch},
    lanes::LANES,
    tile::{Simd, Tile},
};
use crate::{Element, element::sealed::Lane};

/// Gradients of this many bytes are written past the caches.
pub(super) const LARGE: usize = 1 << 23;

/// How many voxels of each map come before a cache line starts, if that is the same for all maps; or else 0.
///
/// From there on, blocks are whole cache lines, and none is written by two.
pub(super) fn head<T>(maps: &[T], voxels: usize) -> usize {
    let head = maps.as_ptr().align_offset(64);
    let is_same = (voxels * size_of::<T>()).is_multiple_of(64);
    if is_same && head < voxels { head } else { 0 }
}

/// The gradient of one map's block, which can be computed from any voxel on.
pub(super) trait Derivative<F: Lane>: Copy {
    /// Writes whole tiles, of the voxels from `start` on.
    fn write<V: Tile<F>>(self, start: usize, out: &mut [F], streaming: Option<&Streaming>);
}

/// Writes a block of whole tiles; past the caches, if at all, whole cache lines of it.
#[inline(always)]
pub(super) fn write<F: Lane, V: Tile<F>>(
    of: impl Derivative<F>,
    out: &mut [F],
    streaming: Option<&Streaming>,
) {
    let Some(streaming) = streaming else {
        return of.write::<V>(0, out, None);
    };
    let end = out.len();
    let head = out.as_ptr().align_offset(64) % LANES;
    let tail = (LANES - head) % LANES;
    if head > 0 {
        // Not a voxel more: lines in the caches and stores past them hinder each other.
        let [mut first, mut last] = [[F::ZERO; LANES]; 2];
        of.write::<V>(0, &mut first, None);
        of.write::<V>(end - LANES, &mut last, None);
        out[..head].copy_from_slice(&first[..head]);
        out[end - tail..].copy_from_slice(&last[LANES - tail..]);
        // The line that this block's successor in the map shares with the one after.
        prefetch(out.as_ptr().wrapping_add(2 * end - 1));
    }
    of.write::<V>(head, &mut out[head..end - tail], Some(streaming));
}

/// As [`write`], into a block of any type and length, by way of a row if it is not lanes or not whole tiles.
#[inline(always)]
pub(super) fn write_block<T: Element, S: Simd>(
    of: impl Derivative<T::Lane>,
    row: &mut [T::Lane],
    out: &mut [T],
    streaming: Option<&Streaming>,
) {
    let length = padded(out.len());
    match T::lanes_mut(out) {
        Some(out) if out.len() == length => write::<_, <T::Lane as Lane>::Tile<S>>(of, out, streaming),
        _ => {
            let row = &mut row[..length];
            write::<_, <T::Lane as Lane>::Tile<S>>(of, row, None);
            Store { row, codes: &[], left_out: false, map: out }.run::<S>();
        }
    }
}
