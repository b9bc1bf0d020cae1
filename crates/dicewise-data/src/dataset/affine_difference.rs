//! In what two places of a volume differ.

use std::fmt;

use crate::volume::Grid;

/// Lengths that differ by less than this share of themselves are the same.
const TOLERANCE: f64 = 1e-3;

/// The first thing in which two affines differ, in the order in which it has to be put right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AffineDifference {
    /// Voxels of another size.
    Spacing,
    /// One is a mirror image of the other along a voxel axis that runs from left to right.
    LeftRight,
    /// One is a mirror image of the other along another axis.
    Mirrored,
    /// Axes of another direction.
    Direction,
    /// The first voxel somewhere else.
    Origin,
}

impl AffineDifference {
    pub(super) fn between(a: &Grid, b: &Grid) -> Self {
        let [size_a, size_b] = [a.spacing_mm(), b.spacing_mm()];
        if size_a.iter().zip(size_b).any(|(a, b)| (a - b).abs() > TOLERANCE * b) {
            return Self::Spacing;
        }
        // Cosines between corresponding axes.
        let cosine =
            |k: usize| (0..3).map(|r| a.affine[r][k] * b.affine[r][k]).sum::<f64>() / (size_a[k] * size_b[k]);
        let cosines = [cosine(0), cosine(1), cosine(2)];
        if cosines.iter().any(|c| c.abs() < 1.0 - TOLERANCE) {
            return Self::Direction;
        }
        let left_right = |k: usize| (0..3).all(|r| b.affine[r][k].abs() <= b.affine[0][k].abs());
        match (0..3).filter(|&k| cosines[k] < 0.0).collect::<Vec<_>>()[..] {
            [] => Self::Origin,
            [k] if left_right(k) => Self::LeftRight,
            [_] | [_, _, _] => Self::Mirrored,
            // Two mirrored axes are half a turn.
            _ => Self::Direction,
        }
    }
}

impl fmt::Display for AffineDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spacing => "another spacing",
            Self::LeftRight => "mirrored left to right",
            Self::Mirrored => "mirrored",
            Self::Direction => "axes of another direction",
            Self::Origin => "another origin",
        })
    }
}
