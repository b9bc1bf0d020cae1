//! Random smooth deformation.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::patch::Patch;
use super::region::Region;
use super::warp::warp;
use crate::preprocess::{Alignment, grid_with_spacing, resample};
use crate::{Grid, Image, Volume};

/// A smooth displacement of every voxel of a patch.
///
/// As in the paper's BRATS runs, each component is noise on a coarse grid of 30³ points, padded with 5 zeros on
/// each side, blurred by a Gaussian of σ = 6 points, stretched over the patch and brought to a chosen standard
/// deviation.
#[derive(Clone, Debug, PartialEq)]
pub struct Elastic {
    shape: [usize; 3],
    /// Displacement in voxels along x, y and z, one value a voxel.
    displacement: [Vec<f32>; 3],
}

const POINTS: usize = 30;
const PADDING: usize = 5;
const SMOOTHNESS: f64 = 6.0;

impl Elastic {
    /// Draws a deformation for patches of a shape; `displacement` is its standard deviation in voxels along x, y
    /// and z.
    pub fn draw(rng: &mut impl Rng, shape: [usize; 3], displacement: [f64; 3]) -> Self {
        let noise = std::array::from_fn(|_| (0..POINTS.pow(3)).map(|_| StandardNormal.sample(rng)).collect());
        Self::from_noise(noise, shape, displacement)
    }

    /// The deformation that comes of given noise: for each component 30³ values, x fastest.
    ///
    /// # Panics
    /// If there are not 30³ values.
    pub fn from_noise(noise: [Vec<f32>; 3], shape: [usize; 3], displacement: [f64; 3]) -> Self {
        let mut noise = noise.into_iter();
        let displacement =
            displacement.map(|deviation| component(&noise.next().expect("three"), shape, deviation));
        Self { shape, displacement }
    }

    /// Displacement in voxels along one axis, one value a voxel.
    pub fn displacement(&self, axis: usize) -> &[f32] {
        &self.displacement[axis]
    }

    /// Voxel i of the result is what was at i − d(i).
    ///
    /// # Panics
    /// If the patch has another shape than was drawn for, which is a bug of the caller.
    pub fn apply(&self, patch: &mut Patch) {
        self.apply_to(patch, Region::whole(patch.shape));
    }

    pub(super) fn apply_to(&self, patch: &mut Patch, region: Region) {
        assert_eq!(patch.shape, self.shape, "a deformation fits patches of the shape it was drawn for");
        warp(patch, region, |i, voxel| {
            std::array::from_fn(|axis| voxel[axis] as f64 - f64::from(self.displacement[axis][i]))
        });
    }

    /// The voxels from which those of a region come.
    pub(super) fn reads(&self, region: Region) -> Region {
        let [nx, ny, _] = self.shape;
        let mut least = region.first.map(|i| i as f64);
        let mut most = region.end.map(|i| i as f64);
        for (axis, displacement) in self.displacement.iter().enumerate() {
            let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
            for (y, z) in region.rows() {
                let start = nx * (y + ny * z);
                for &d in &displacement[start + region.first[0]..start + region.end[0]] {
                    (low, high) = (low.min(d), high.max(d));
                }
            }
            least[axis] -= f64::from(high);
            most[axis] -= f64::from(low);
        }
        Region::around(least, most, self.shape)
    }
}

fn component(points: &[f32], shape: [usize; 3], deviation: f64) -> Vec<f32> {
    assert_eq!(points.len(), POINTS.pow(3), "30³ values of noise");
    let n = POINTS + 2 * PADDING;
    let mut noise = vec![0.0; n * n * n];
    for (row, values) in points.chunks(POINTS).enumerate() {
        let (y, z) = (row % POINTS, row / POINTS);
        let start = PADDING + n * (y + PADDING + n * (z + PADDING));
        noise[start..start + POINTS].copy_from_slice(values);
    }
    (0..3).for_each(|axis| crate::preprocess::blur(&mut noise, [n; 3], axis, SMOOTHNESS));
    let mut field = stretch(Volume::new(Grid::axis_aligned([n; 3], [1.0; 3]), noise), shape).data;
    let count = field.len() as f64;
    let mean = field.iter().copied().map(f64::from).sum::<f64>() / count;
    let variance = field.iter().map(|d| (f64::from(*d) - mean).powi(2)).sum::<f64>() / count;
    let scale = if variance > 0.0 { deviation / variance.sqrt() } else { 0.0 };
    field.iter_mut().for_each(|d| *d = (f64::from(*d) * scale) as f32);
    field
}

/// Linear interpolation between the first and the last points, as scipy's `zoom` does.
fn stretch(field: Image, shape: [usize; 3]) -> Image {
    let spacing = shape.map(|n| field.grid.shape[0] as f64 / n as f64);
    let grid = grid_with_spacing(&field.grid, spacing, Alignment::Corners);
    resample(&field, &grid, 0.0).expect("an axis-aligned affine has an inverse")
}
