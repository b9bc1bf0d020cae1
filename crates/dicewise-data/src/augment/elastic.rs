//! Random smooth deformation.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::patch::Patch;
use super::region::Region;
use super::warp::warp;
use crate::preprocess::gaussian;

/// A smooth displacement of every voxel of a patch.
///
/// As in the paper's BRATS runs, each component is noise on a coarse grid of 30³ points, padded with 5 zeros on
/// each side, blurred by a Gaussian of σ = 6 points, stretched over the patch and brought to a chosen standard
/// deviation. Only the points are kept; what lies between them is computed where it is needed.
#[derive(Clone, Debug, PartialEq)]
pub struct Elastic {
    axes: [Stretch; 3],
    /// Displacement in voxels along x, y and z at 40³ points, x fastest.
    points: [Vec<f32>; 3],
}

const POINTS: usize = 30;
const PADDING: usize = 5;
/// Points along an axis, with the padding.
const SIDE: usize = POINTS + 2 * PADDING;
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
        let axes = shape.map(Stretch::new);
        let mut noise = noise.into_iter();
        let points = displacement.map(|deviation| {
            let mut points = blurred(&noise.next().expect("three"));
            let variance = variance(&points, &axes);
            let scale = if variance > 0.0 { deviation / variance.sqrt() } else { 0.0 };
            points.iter_mut().for_each(|d| *d = (f64::from(*d) * scale) as f32);
            points
        });
        Self { axes, points }
    }

    /// Displacement in voxels along one axis, one value a voxel.
    pub fn displacement(&self, axis: usize) -> Vec<f32> {
        let [nx, ny, nz] = self.shape();
        let mut field = vec![0.0; nx * ny * nz];
        for (row, values) in field.chunks_exact_mut(nx).enumerate() {
            self.row(axis, row % ny, row / ny, 0, values);
        }
        field
    }

    /// Voxel i of the result is what was at i − d(i).
    ///
    /// # Panics
    /// If the patch has another shape than was drawn for, which is a bug of the caller.
    pub fn apply(&self, patch: &mut Patch) {
        self.apply_to(patch, Region::whole(patch.shape));
    }

    pub(super) fn apply_to(&self, patch: &mut Patch, region: Region) {
        assert_eq!(patch.shape, self.shape(), "a deformation fits patches of the shape it was drawn for");
        let first = region.first[0];
        let mut along = vec![0.0; region.end[0] - first];
        warp(patch, region, |y, z, places| {
            for (axis, places) in places.iter_mut().enumerate() {
                self.row(axis, y, z, first, &mut along);
                for (i, (place, d)) in places.iter_mut().zip(&along).enumerate() {
                    *place = [first + i, y, z][axis] as f64 - f64::from(*d);
                }
            }
        });
    }

    /// The voxels from which those of a region come.
    pub(super) fn reads(&self, region: Region) -> Region {
        // A move may have brought in nothing but what lies outside.
        if (0..3).any(|axis| region.first[axis] == region.end[axis]) {
            return region;
        }
        let mut least = region.first.map(|i| i as f64);
        let mut most = region.end.map(|i| i as f64);
        // Interpolated values lie between those of the points about the region.
        let around = Region {
            first: std::array::from_fn(|axis| self.axes[axis].low[region.first[axis]]),
            end: std::array::from_fn(|axis| (self.axes[axis].low[region.end[axis] - 1] + 2).min(SIDE)),
        };
        for (axis, points) in self.points.iter().enumerate() {
            let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
            for (y, z) in around.rows() {
                let start = SIDE * (y + SIDE * z);
                for &d in &points[start + around.first[0]..start + around.end[0]] {
                    (low, high) = (low.min(d), high.max(d));
                }
            }
            least[axis] -= f64::from(high);
            most[axis] -= f64::from(low);
        }
        Region::around(least, most, self.shape())
    }

    fn shape(&self) -> [usize; 3] {
        std::array::from_fn(|axis| self.axes[axis].low.len())
    }

    /// Displacement along `axis` of the voxels from `first` on of a row along x.
    fn row(&self, axis: usize, y: usize, z: usize, first: usize, values: &mut [f32]) {
        let points = &self.points[axis];
        let ((y0, y1, b), (z0, z1, c)) = (self.axes[1].at(y), self.axes[2].at(z));
        let coarse = |y: usize, z: usize| &points[SIDE * (y + SIDE * z)..][..SIDE];
        let [p, q, r, s] = [coarse(y0, z0), coarse(y1, z0), coarse(y0, z1), coarse(y1, z1)];
        let weights = [(1.0 - b) * (1.0 - c), b * (1.0 - c), (1.0 - b) * c, b * c];
        let line: [f32; SIDE] = std::array::from_fn(|i| {
            weights[0] * p[i] + weights[1] * q[i] + weights[2] * r[i] + weights[3] * s[i]
        });
        for (i, value) in values.iter_mut().enumerate() {
            let (low, high, share) = self.axes[0].at(first + i);
            *value = line[low] + share * (line[high] - line[low]);
        }
    }
}

/// Where the voxels along one axis lie among the points, with the first and the last on the outermost points, as
/// scipy's `zoom` has it.
#[derive(Clone, Debug, PartialEq)]
struct Stretch {
    /// The point before each voxel, or on it.
    low: Vec<usize>,
    /// How far it is to the next.
    share: Vec<f32>,
}

impl Stretch {
    fn new(voxels: usize) -> Self {
        let step = if voxels > 1 { (SIDE - 1) as f64 / (voxels - 1) as f64 } else { 0.0 };
        let places: Vec<f64> = (0..voxels).map(|i| (i as f64 * step).min((SIDE - 1) as f64)).collect();
        Self {
            low: places.iter().map(|at| *at as usize).collect(),
            share: places.iter().map(|at| at.fract() as f32).collect(),
        }
    }

    /// The points around a voxel, and the share of the second.
    fn at(&self, voxel: usize) -> (usize, usize, f32) {
        let low = self.low[voxel];
        (low, (low + 1).min(SIDE - 1), self.share[voxel])
    }

    /// Σᵢ wᵢₖ/n for each point k and Σᵢ wᵢₖwᵢₗ/n for l = k and l = k + 1, where wᵢₖ is the share of point k in voxel i.
    fn moments(&self) -> [[f64; SIDE]; 3] {
        let mut moments = [[0.0; SIDE]; 3];
        let n = self.low.len() as f64;
        for voxel in 0..self.low.len() {
            let (low, high, share) = self.at(voxel);
            let (b, a) = (f64::from(share), 1.0 - f64::from(share));
            moments[0][low] += a / n;
            moments[0][high] += b / n;
            moments[1][low] += a * a / n;
            moments[1][high] += b * b / n;
            moments[2][low] += a * b / n;
        }
        moments
    }
}

/// Noise between its zeros, blurred along each axis.
fn blurred(noise: &[f32]) -> Vec<f32> {
    assert_eq!(noise.len(), POINTS.pow(3), "30³ values of noise");
    let kernel = gaussian(SMOOTHNESS);
    let weight = |distance| kernel.get(kernel.len() / 2 + distance).map_or(0.0, |weight| *weight as f32);
    // Of each value in each point.
    let weights: [[f32; SIDE]; POINTS] =
        std::array::from_fn(|j| std::array::from_fn(|i| weight(i.abs_diff(j + PADDING))));
    // From [z, y, x] to [y, x, Z], to [x, Z, Y], to [Z, Y, X].
    let mut values = noise.to_vec();
    for _ in 0..3 {
        let lines = values.len() / POINTS;
        let line = |i| {
            let mut points = [0.0; SIDE];
            for (value, weights) in values[i..].iter().step_by(lines).zip(&weights) {
                points.iter_mut().zip(weights).for_each(|(point, weight)| *point += weight * value);
            }
            points
        };
        values = (0..lines).flat_map(line).collect();
    }
    values
}

/// The variance over all voxels of what is interpolated between points, without the voxels:
/// with the shares W = Wz ⊗ Wy ⊗ Wx, Σᵢ(Wp)ᵢ²/n = pᵀ(WᵀW/n)p, and WᵀW has three diagonals along each axis.
fn variance(points: &[f32], axes: &[Stretch; 3]) -> f64 {
    let points: Vec<f64> = points.iter().copied().map(f64::from).collect();
    let (mut sums, mut squares) = (points.clone(), points.clone());
    for (axis, stretch) in axes.iter().enumerate() {
        let [first, same, next] = stretch.moments();
        let stride = SIDE.pow(axis as u32);
        let before = squares.clone();
        for (i, square) in squares.iter_mut().enumerate() {
            let k = i / stride % SIDE;
            sums[i] *= first[k];
            *square *= same[k];
            if k > 0 {
                *square += next[k - 1] * before[i - stride];
            }
            if k + 1 < SIDE {
                *square += next[k] * before[i + stride];
            }
        }
    }
    let mean: f64 = sums.iter().sum();
    squares.iter().zip(&points).map(|(a, b)| a * b).sum::<f64>() - mean * mean
}
