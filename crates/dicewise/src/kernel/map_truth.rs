//! The ground truth of one map's block, and the range of values.

use std::ops::Range;

use super::{
    block::{HIGHEST, LOWEST, load_dense},
    codes::{Codes, count_of},
    lanes::LANES,
    tile::Tile,
};
use crate::{Target, element::sealed::Lane, target::Kind};

/// y of one map's block in tiles.
#[derive(Clone, Copy)]
pub(super) struct MapTruth<'a, F> {
    class: i32,
    codes: &'a [[i32; LANES]],
    pub(super) left_out: bool,
    /// Empty for label maps.
    dense: &'a [[F; LANES]],
}

impl<'a, F: Lane> MapTruth<'a, F> {
    /// y straight from the array where its type and the block allow; false if a copy has met a y outside of [0, 1].
    #[inline(always)]
    pub(super) fn new(
        target: &Target<'a>,
        (b, c): (usize, usize),
        voxels: &Range<usize>,
        codes: &'a Codes,
        room: &'a mut [F],
    ) -> (Self, bool) {
        let mut accepted = true;
        let dense = match target.kind() {
            Kind::Labels(_) => &[],
            Kind::Dense(maps) => match F::of_maps(maps) {
                Some(y) if !codes.left_out => y[target.shape().map(b, c, voxels)].as_chunks().0,
                _ => {
                    let room = &mut room[..codes.get().len()];
                    accepted = load_dense(maps, target, (b, c), voxels, codes.get(), room);
                    room.as_chunks().0
                }
            },
        };
        (Self { class: c as i32, codes: codes.tiles(), left_out: codes.left_out, dense }, accepted)
    }

    pub(super) fn is_dense(&self) -> bool {
        !self.dense.is_empty()
    }

    /// y of a tile of dense targets.
    #[inline(always)]
    pub(super) fn dense<V: Tile<F>>(&self, tile: usize) -> V {
        V::load_ahead(&self.dense[tile])
    }

    /// y of a tile.
    #[inline(always)]
    pub(super) fn y<V: Tile<F>>(&self, tile: usize) -> V {
        if self.is_dense() { self.dense::<V>(tile) } else { V::splat(F::ONE).only(self.is_class::<V>(tile)) }
    }

    /// Where the voxels of a tile count.
    #[inline(always)]
    pub(super) fn counts<V: Tile<F>>(&self, tile: usize) -> V::Mask {
        V::counts(&self.codes[tile])
    }

    /// Where a tile of labels is of the class.
    #[inline(always)]
    pub(super) fn is_class<V: Tile<F>>(&self, tile: usize) -> V::Mask {
        V::is_class(&self.codes[tile], self.class)
    }

    /// The voxels of the class.
    #[inline(always)]
    pub(super) fn count(&self) -> f64 {
        count_of(self.class, self.codes.as_flattened())
    }

    /// The rows from a voxel on.
    #[inline(always)]
    pub(super) fn from(&self, start: usize) -> Self {
        let codes = self.codes.as_flattened()[start..].as_chunks().0;
        let dense = self.dense.as_flattened().get(start..).unwrap_or_default().as_chunks().0;
        Self { codes, dense, ..*self }
    }
}

/// The lowest and the highest of many values; NaN goes unnoticed.
#[derive(Clone, Copy)]
pub(super) struct Extremes<V>(V, V);

impl<V> Extremes<V> {
    #[inline(always)]
    pub(super) fn new<F: Lane>() -> Self
    where
        V: Tile<F>,
    {
        Self(V::splat(F::ZERO), V::splat(F::ZERO))
    }

    #[inline(always)]
    pub(super) fn with<F: Lane>(self, values: V) -> Self
    where
        V: Tile<F>,
    {
        Self(self.0.min(values), self.1.max(values))
    }

    /// Whether both lie in [0, 1], up to rounding.
    #[inline(always)]
    pub(super) fn are_probabilities<F: Lane>(self) -> bool
    where
        V: Tile<F>,
    {
        let (lowest, highest) = (self.0.lanes(), self.1.lanes());
        let (low, high) = (F::of(LOWEST), F::of(HIGHEST));
        lowest.0.iter().all(|&y| y >= low) && highest.0.iter().all(|&y| y <= high)
    }
}
