//! The part of a patch that later steps look at.

/// A box of voxels. What a crop leaves out need not be interpolated first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    /// The first voxel along x, y and z.
    pub(super) first: [usize; 3],
    /// The one after the last.
    pub(super) end: [usize; 3],
}

impl Region {
    pub(super) fn whole(shape: [usize; 3]) -> Self {
        Self { first: [0; 3], end: shape }
    }

    /// The voxels of a patch that interpolation reads at places from `least` to `most`, and one more on each side:
    /// coordinates are rounded before they are used.
    pub(super) fn around(least: [f64; 3], most: [f64; 3], shape: [usize; 3]) -> Self {
        let clamped = |at: f64, axis: usize| at.clamp(0.0, shape[axis] as f64) as usize;
        Self {
            first: std::array::from_fn(|axis| clamped(least[axis].floor() - 1.0, axis)),
            end: std::array::from_fn(|axis| clamped(most[axis].ceil() + 2.0, axis)),
        }
    }

    /// y and z of each row along x.
    pub(super) fn rows(self) -> impl Iterator<Item = (usize, usize)> {
        (self.first[2]..self.end[2]).flat_map(move |z| (self.first[1]..self.end[1]).map(move |y| (y, z)))
    }
}
