//! Random translation, rotation and scale.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::patch::Patch;
use super::region::Region;
use super::warp::warp;

/// How a parameter varies along (or about) x, y and z, around the value that changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Spread {
    /// Normal, with these standard deviations.
    Normal([f64; 3]),
    /// Uniform, up to these distances to both sides.
    Uniform([f64; 3]),
}

impl Default for Spread {
    fn default() -> Self {
        Self::Uniform([0.0; 3])
    }
}

impl Spread {
    fn draw(&self, rng: &mut impl Rng) -> [f64; 3] {
        match self {
            Self::Normal(sigma) => sigma.map(|sigma| {
                let z: f64 = StandardNormal.sample(rng);
                sigma * z
            }),
            Self::Uniform(half) => half.map(|half| half * rng.random_range(-1.0..=1.0)),
        }
    }

    pub(super) fn widths(&self) -> [f64; 3] {
        match self {
            Self::Normal(widths) | Self::Uniform(widths) => *widths,
        }
    }
}

/// Translation, rotation and scale about the middle of a patch, in voxels.
///
/// ```text
/// F = C⁻¹ · T · S · R · C,   R = Rx · Ry · Rz
/// ```
/// where C moves voxel shape/2 to the origin and F maps a voxel to where its content goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Translation in voxels along x, y, z.
    pub translation: [f64; 3],
    /// Angles in radians about x, y, z.
    pub rotation: [f64; 3],
    /// Factors along x, y, z; above 1 enlarges.
    pub scale: [f64; 3],
}

impl Affine {
    /// Leaves everything where it is.
    pub const IDENTITY: Self = Self { translation: [0.0; 3], rotation: [0.0; 3], scale: [1.0; 3] };

    /// Draws the three kinds of parameters. Scales stay above 0.1, however wide their spread.
    pub fn draw(rng: &mut impl Rng, translation: Spread, rotation: Spread, scale: Spread) -> Self {
        Self {
            translation: translation.draw(rng),
            rotation: rotation.draw(rng),
            scale: scale.draw(rng).map(|change| (1.0 + change).max(0.1)),
        }
    }

    /// Moves the content of a patch. What comes in from outside is 0, or background.
    pub fn apply(&self, patch: &mut Patch) {
        self.apply_to(patch, Region::whole(patch.shape));
    }

    pub(super) fn apply_to(&self, patch: &mut Patch, region: Region) {
        let source = self.source(patch.shape);
        warp(patch, region, |y, z, places| {
            for i in 0..region.end[0] - region.first[0] {
                let at = source([region.first[0] + i, y, z]);
                places.iter_mut().zip(at).for_each(|(places, at)| places[i] = at);
            }
        });
    }

    /// The voxels from which those of a region come.
    pub(super) fn reads(&self, region: Region, shape: [usize; 3]) -> Region {
        let source = self.source(shape);
        let (mut least, mut most) = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
        for corner in 0..8 {
            let at = source(std::array::from_fn(|axis| match corner >> axis & 1 {
                0 => region.first[axis],
                _ => region.end[axis],
            }));
            for axis in 0..3 {
                least[axis] = least[axis].min(at[axis]);
                most[axis] = most[axis].max(at[axis]);
            }
        }
        Region::around(least, most, shape)
    }

    /// Where the content of a voxel comes from.
    fn source(&self, shape: [usize; 3]) -> impl Fn([usize; 3]) -> [f64; 3] {
        let centre = shape.map(|n| n as f64 / 2.0);
        let rotation = self.rotation_matrix();
        // F⁻¹ = C⁻¹ · R⁻¹ · S⁻¹ · T⁻¹ · C, and the inverse of a rotation is its transpose. What depends on one axis alone is
        // computed once for each of its voxels, and one beyond.
        let unscaled: [Vec<f64>; 3] = std::array::from_fn(|axis| {
            let along = |i: usize| (i as f64 - centre[axis] - self.translation[axis]) / self.scale[axis];
            (0..=shape[axis]).map(along).collect()
        });
        move |voxel| {
            let unscaled: [f64; 3] = std::array::from_fn(|axis| unscaled[axis][voxel[axis]]);
            std::array::from_fn(|column| {
                centre[column] + (0..3).map(|row| rotation[row][column] * unscaled[row]).sum::<f64>()
            })
        }
    }

    fn rotation_matrix(&self) -> [[f64; 3]; 3] {
        let [(sx, cx), (sy, cy), (sz, cz)] = self.rotation.map(f64::sin_cos);
        [
            [cy * cz, -cy * sz, sy],
            [sx * sy * cz + cx * sz, -sx * sy * sz + cx * cz, -sx * cy],
            [-cx * sy * cz + sx * sz, cx * sy * sz + sx * cz, cx * cy],
        ]
    }
}
