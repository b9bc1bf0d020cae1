//! Rows of one value a voxel, and eˣ of logits in them: what kernels that go class after class share.
//!
//! Without the usual subtraction of a voxel's maximum no class waits for the others. It is not needed for logits within
//! ±44.

use super::{lanes::LANES, tile::Tile};

/// A row of voxels in tiles.
pub(super) type Row<'a> = &'a [[f32; LANES]];
pub(super) type RowMut<'a> = &'a mut [[f32; LANES]];
pub(super) type Codes<'a> = &'a [[i32; LANES]];

pub(super) const MOST_AT_ONCE: usize = 128;

/// Tiles of a row that are taken at once: eˣ of all classes should stay in a near cache, in rows that are worth a loop.
pub(super) fn tiles_at_once(classes: usize) -> usize {
    (256 / classes).clamp(32, MOST_AT_ONCE)
}

/// What the kernels need for a number of classes, in tiles.
pub(super) fn room(classes: usize) -> usize {
    (classes + 4) * tiles_at_once(classes)
}

/// `room` in rows of a length: one of eˣ for each class, and four more.
#[inline(always)]
pub(super) fn rows(room: RowMut<'_>, classes: usize, length: usize) -> (RowMut<'_>, [RowMut<'_>; 4]) {
    let (powers, rest) = room.split_at_mut(classes * length);
    let (first, rest) = rest.split_at_mut(length);
    let (second, rest) = rest.split_at_mut(length);
    let (third, rest) = rest.split_at_mut(length);
    (powers, [first, second, third, &mut rest[..length]])
}

/// eˣ of a class, which is added to `sum`, or replaces it if it is the first.
#[inline(always)]
pub(super) fn exponentiate<V: Tile<f32>>(
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

/// Adds a row to another.
#[inline(always)]
pub(super) fn add_row<V: Tile<f32>>(row: Row<'_>, sum: RowMut<'_>) {
    for (value, sum) in row.iter().zip(sum) {
        V::load(sum).plus(V::load(value)).store(sum);
    }
}

/// Adds eˣ of the classes that are merged into one group.
#[inline(always)]
pub(super) fn add_group<V: Tile<f32>>(powers: Row<'_>, merged: &[bool], group: RowMut<'_>) {
    let length = group.len();
    group.fill([0.0; LANES]);
    for (powers, _) in powers.chunks_exact(length).zip(merged).filter(|(_, merged)| **merged) {
        add_row::<V>(powers, group);
    }
}
