//! Channels whose voxels are mirrored, though their headers say that they are not.

use crate::volume::{Grid, Image};

/// Intensities are sorted into so many bins, two standard deviations to either side of the mean.
const BINS: usize = 24;
/// So many voxels at most are looked at.
const MOST_VOXELS: usize = 1 << 18;
/// The mirrored channel has to tell this much more about the other one, in relation and in nats: symmetric anatomy
/// tells nearly as much either way, and so does noise.
const FACTOR: f64 = 1.1;
const MARGIN_NATS: f64 = 0.01;

/// The channels that fit the first one better when they are mirrored left to right.
///
/// Modalities of one head differ in their intensities and not in where things are, so that each tells something about
/// the other: their mutual information I(A; B) = Σ p(a, b) ln(p(a, b) / (p(a) p(b))). It is largest where they lie over
/// each other.
pub(super) fn channels(channels: &[Image]) -> Vec<usize> {
    let Some((first, others)) = channels.split_first() else { return Vec::new() };
    if others.is_empty() {
        return Vec::new();
    }
    let axis = left_right_axis(&first.grid);
    let reference = Binned::of(first);
    let is_mirrored = |other: &Image| {
        let other = Binned::of(other);
        let as_is = mutual_information(&reference, &other, &first.grid, None);
        let mirrored = mutual_information(&reference, &other, &first.grid, Some(axis));
        mirrored > FACTOR * as_is + MARGIN_NATS
    };
    (1..).zip(others).filter(|(_, other)| is_mirrored(other)).map(|(channel, _)| channel).collect()
}

/// The axis of the grid that runs closest to the world's x, from left to right.
fn left_right_axis(grid: &Grid) -> usize {
    let along_x = |axis: &usize| (grid.affine[0][*axis] / grid.spacing_mm()[*axis]).abs();
    (0..3).max_by(|a, b| along_x(a).total_cmp(&along_x(b))).unwrap_or(0)
}

struct Binned(Vec<u8>);

impl Binned {
    fn of(image: &Image) -> Self {
        let finite = || image.data.iter().map(|&voxel| f64::from(voxel)).filter(|voxel| voxel.is_finite());
        let count = finite().count().max(1) as f64;
        let mean = finite().sum::<f64>() / count;
        let variance = finite().map(|voxel| (voxel - mean).powi(2)).sum::<f64>() / count;
        let (low, width) = (mean - 2.0 * variance.sqrt(), 4.0 * variance.sqrt() / BINS as f64);
        // `as` saturates, and turns the NaN of a constant channel into bin 0.
        let bin = |voxel: &f32| ((f64::from(*voxel) - low) / width).clamp(0.0, BINS as f64 - 1.0) as u8;
        Self(image.data.iter().map(bin).collect())
    }
}

/// In nats, the second image mirrored along an axis or as it is.
fn mutual_information(a: &Binned, b: &Binned, grid: &Grid, mirror: Option<usize>) -> f64 {
    let [nx, ny, nz] = grid.shape;
    let step = grid.len().div_ceil(MOST_VOXELS);
    let mut joint = vec![0_u32; BINS * BINS];
    let mut count = 0_u32;
    for index in (0..grid.len()).step_by(step) {
        let mut at = [index % nx, index / nx % ny, index / (nx * ny)];
        if let Some(axis) = mirror {
            at[axis] = [nx, ny, nz][axis] - 1 - at[axis];
        }
        let other = at[0] + nx * (at[1] + ny * at[2]);
        joint[usize::from(a.0[index]) * BINS + usize::from(b.0[other])] += 1;
        count += 1;
    }
    let p = |n: u32| f64::from(n) / f64::from(count);
    let of_a: Vec<f64> = joint.chunks(BINS).map(|row| row.iter().map(|&n| p(n)).sum()).collect();
    let of_b: Vec<f64> = (0..BINS).map(|k| joint.iter().skip(k).step_by(BINS).map(|&n| p(n)).sum()).collect();
    let terms = joint.iter().enumerate().filter(|(_, n)| **n > 0);
    terms.map(|(k, &n)| p(n) * (p(n) / (of_a[k / BINS] * of_b[k % BINS])).ln()).sum()
}
