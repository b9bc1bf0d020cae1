//! Volumes on other grids.

use serde::{Deserialize, Serialize};

use super::PreprocessError;
use super::distance::signed_distances_mm;
use super::sampler::Sampler;
use crate::{Grid, Image, LabelMap, Volume};

/// Which points of the old and the new grid coincide when the spacing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Alignment {
    /// The centres of the volumes; the spacing is exactly the one asked for.
    Centre,
    /// The centres of the first and of the last voxels (scipy's `zoom`), which changes the spacing a little:
    /// (n − 1)/(n' − 1) old voxels. The paper's BRATS preprocessing; its code then writes the spacing asked
    /// for in the affine, here the affine says where the voxels are.
    Corners,
}

/// How label maps are resampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelRule {
    /// The label of the nearest voxel.
    Nearest,
    /// Each label's indicator by linear interpolation, then the label with the largest; at a tie the smaller.
    Linear,
    /// The signed distance to each label's surface by linear interpolation, then the label that is deepest inside, see
    /// [`resample_by_distance`].
    #[serde(rename = "signed-distance")]
    SignedDistance,
}

/// The grid with another spacing that covers the same field of view: round(n·old/new) voxels, at least one.
pub fn grid_with_spacing(grid: &Grid, spacing_mm: [f64; 3], alignment: Alignment) -> Grid {
    let old = grid.spacing_mm();
    let shape: [usize; 3] = std::array::from_fn(|axis| {
        let n = grid.shape[axis] as f64 * old[axis] / spacing_mm[axis];
        // Python's round(), as scipy does: 77.5 → 78, 76.5 → 76.
        (n.round_ties_even() as usize).max(1)
    });
    let mut affine = grid.affine;
    for axis in 0..3 {
        let (n, m) = (grid.shape[axis] as f64, shape[axis] as f64);
        let (step, first) = match alignment {
            Alignment::Centre => {
                let step = spacing_mm[axis] / old[axis];
                (step, 0.5 * (n - 1.0) - step * 0.5 * (m - 1.0))
            }
            Alignment::Corners if shape[axis] == 1 => (n, 0.0),
            Alignment::Corners => ((n - 1.0) / (m - 1.0), 0.0),
        };
        for (new, old) in affine.iter_mut().zip(&grid.affine) {
            new[3] += old[axis] * first;
            new[axis] *= step;
        }
    }
    Grid { shape, affine }
}

/// The grid of `shape` voxels of a spacing, with the axes of `grid`, about the centre of `grid`.
pub fn grid_about_centre(grid: &Grid, spacing_mm: [f64; 3], shape: [usize; 3]) -> Grid {
    let old = grid.spacing_mm();
    let mut affine = grid.affine;
    for axis in 0..3 {
        let step = spacing_mm[axis] / old[axis];
        let first = 0.5 * (grid.shape[axis] as f64 - 1.0) - step * 0.5 * (shape[axis] as f64 - 1.0);
        for (new, old) in affine.iter_mut().zip(&grid.affine) {
            new[3] += old[axis] * first;
            new[axis] *= step;
        }
    }
    Grid { shape, affine }
}

/// Blurs an image as much as voxels `factor` times as large would: along each axis with factor f > 1 by a
/// Gaussian of
///
/// ```text
/// σ = √((f² − 1)/12)  old voxels,
/// ```
/// the standard deviation of a box of width f less that of a box of width 1. Cut off at 4σ; beyond the volume
/// its border is repeated (scipy's `gaussian_filter`, mode `nearest`).
pub fn anti_alias(image: &mut Image, factor: [f64; 3]) {
    for (axis, f) in factor.into_iter().enumerate() {
        if f > 1.0 {
            let sigma = ((f * f - 1.0) / 12.0).sqrt();
            blur(&mut image.data, image.grid.shape, axis, sigma);
        }
    }
}

/// The weights of a Gaussian at whole distances, cut off at 4σ as scipy does; the middle one is at distance 0.
pub(crate) fn gaussian(sigma: f64) -> Vec<f64> {
    let radius = (4.0 * sigma + 0.5) as usize;
    let mut kernel: Vec<f64> =
        (0..=2 * radius).map(|i| (-0.5 * ((i as f64 - radius as f64) / sigma).powi(2)).exp()).collect();
    let sum: f64 = kernel.iter().sum();
    kernel.iter_mut().for_each(|k| *k /= sum);
    kernel
}

/// Convolves with a Gaussian along one axis.
fn blur(data: &mut [f32], shape: [usize; 3], axis: usize, sigma: f64) {
    let kernel = gaussian(sigma);
    let radius = kernel.len() / 2;
    let n = shape[axis];
    let stride: usize = shape[..axis].iter().product();
    // A line with its border repeated, so that the products of one tap can be added to all voxels at once.
    let (mut line, mut sums) = (vec![0.0; n + 2 * radius], vec![0.0; n]);
    for start in (0..data.len()).filter(|i| (i / stride).is_multiple_of(n)) {
        for (i, value) in line.iter_mut().enumerate() {
            *value = f64::from(data[start + i.saturating_sub(radius).min(n - 1) * stride]);
        }
        sums.fill(-0.0);
        for (tap, weight) in kernel.iter().enumerate() {
            sums.iter_mut().zip(&line[tap..]).for_each(|(sum, value)| *sum += weight * value);
        }
        for (i, sum) in sums.iter().enumerate() {
            data[start + i * stride] = *sum as f32;
        }
    }
}

/// Values at the voxels of another grid by linear interpolation.
///
/// A place up to half a voxel outside the outermost voxel centres takes the border's value; beyond, `outside`.
///
/// # Errors
/// [`PreprocessError::SingularAffine`] if the image's affine cannot be inverted.
pub fn resample(image: &Image, grid: &Grid, outside: f32) -> Result<Image, PreprocessError> {
    let sampler = Sampler::new(&image.grid, grid)?;
    let data = sampler.map(|place| place.map_or(outside, |corners| corners.interpolate(&image.data)));
    Ok(Volume::new(grid.clone(), data))
}

/// As [`resample`], but what lies beyond the outermost voxel centres is NaN: MATLAB's linear interpolation.
///
/// # Errors
/// As [`resample`].
pub fn resample_between_centres(image: &Image, grid: &Grid) -> Result<Image, PreprocessError> {
    let sampler = Sampler::new(&image.grid, grid)?.between_centres();
    let data = sampler.map(|place| place.map_or(f32::NAN, |corners| corners.interpolate(&image.data)));
    Ok(Volume::new(grid.clone(), data))
}

/// Labels at the voxels of another grid; background outside, where [`resample`] gives `outside`.
///
/// # Errors
/// [`PreprocessError::SingularAffine`] if the label map's affine cannot be inverted.
pub fn resample_labels(labels: &LabelMap, grid: &Grid, rule: LabelRule) -> Result<LabelMap, PreprocessError> {
    if rule == LabelRule::SignedDistance {
        return resample_by_distance(labels, grid, &[]);
    }
    let sampler = Sampler::new(&labels.grid, grid)?;
    let data = sampler.map(|place| {
        place.map_or(0, |corners| match rule {
            LabelRule::Nearest => corners.nearest(&labels.data),
            _ => corners.most(&labels.data),
        })
    });
    Ok(Volume::new(grid.clone(), data))
}

/// Distances are clipped to this many millimetres before they are compared, as in the paper's ACDC runs.
const LARGEST_DISTANCE_MM: f32 = 10.0;

/// Labels of another grid by interpolated signed distances, as in the paper's ACDC runs.
///
/// ```text
/// label = argmax_c sigmoid(−5 d_c) = argmin_c d_c,   d_c clipped to ±10 mm
/// ```
///
/// where d_c is the [distance](signed_distances_mm) to the surface of label c, negative inside, and that of the
/// background is the one of all labels together with its sign reversed. Each is interpolated linearly; beyond the
/// outermost voxel centres there is background.
///
/// `enclosing` lists labels that enclose another one, `[outer, inner]`: the surface of outer is then that of inner and that
/// of both together, so that the wall between inner and what is not outer belongs to it as well. The paper's myocardium
/// encloses the left ventricle, which opens at the base.
///
/// # Errors
/// As [`resample_labels`].
pub fn resample_by_distance(
    labels: &LabelMap,
    grid: &Grid,
    enclosing: &[[u16; 2]],
) -> Result<LabelMap, PreprocessError> {
    let sampler = Sampler::new(&labels.grid, grid)?.between_centres();
    let mut values: Vec<u16> = labels.data.iter().copied().filter(|&label| label != 0).collect();
    values.sort_unstable();
    values.dedup();
    let distances_to = |inside: &dyn Fn(u16) -> bool| {
        let inside: Vec<bool> = labels.data.iter().map(|&label| inside(label)).collect();
        signed_distances_mm(&inside, &labels.grid)
    };
    let mut best = vec![0; grid.len()];
    let mut least: Vec<f32> = Vec::new();
    for label in std::iter::once(0).chain(values) {
        let mut distances = match enclosing.iter().find(|[outer, _]| *outer == label) {
            None if label == 0 => distances_to(&|l| l == 0),
            None => distances_to(&|l| l == label),
            Some(&[outer, inner]) => {
                let (lumen, wall) =
                    (distances_to(&|l| l == inner), distances_to(&|l| l == inner || l == outer));
                lumen.iter().zip(wall).map(|(a, b)| a.abs().min(b.abs())).collect()
            }
        };
        for (distance, &here) in distances.iter_mut().zip(&labels.data) {
            *distance = if here == label { -distance.abs() } else { distance.abs() };
        }
        let here = sampler.map(|place| {
            let distance = place.map_or(LARGEST_DISTANCE_MM, |corners| corners.interpolate(&distances));
            distance.clamp(-LARGEST_DISTANCE_MM, LARGEST_DISTANCE_MM)
        });
        if label == 0 {
            least = here;
            continue;
        }
        for ((best, least), here) in best.iter_mut().zip(&mut least).zip(here) {
            if here < *least {
                (*best, *least) = (label, here);
            }
        }
    }
    Ok(Volume::new(grid.clone(), best))
}

#[cfg(test)]
mod tests;
