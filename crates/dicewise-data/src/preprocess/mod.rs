//! From the volumes of a case to what a network is trained on, and its probabilities back on the case's grid.
//!
//! A [`Preprocessing`] is a list of [`Step`]s, in the order in which they are done. Each is deterministic, and
//! each keeps the affine true: a voxel of the working grid lies where it says in the world. So the way back
//! ([`Prepared::restore_probabilities`]) needs the two grids only.

mod distance;
mod error;
mod normalise;
mod resample;
mod sampler;
mod step;
mod window;

use serde::{Deserialize, Serialize};

pub use distance::signed_distances_mm;
pub use error::PreprocessError;
pub use normalise::{ZScoreOver, clip_to_quantiles, quantile, z_score};
pub(crate) use resample::gaussian;
pub use resample::{
    Alignment, LabelRule, anti_alias, grid_about_centre, grid_with_spacing, resample,
    resample_between_centres, resample_by_distance, resample_labels,
};
pub use step::{About, Step};
pub use window::{Window, centroid};

use sampler::{Sampler, invert};
use step::change_spacing;

use crate::{Grid, Image, LabelMap, Volume};

/// Steps from the volumes of a case to a network's input.
///
/// ```
/// use dicewise_data::preprocess::Preprocessing;
///
/// // The paper's BRATS: 2 mm, z-score of what is brain, 80 × 80 × 48 voxels around the tumour.
/// let brats: Preprocessing = serde_json::from_str(r#"[
///     { "step": "resample", "spacing": [2, 2, 2], "alignment": "corners", "labels": "linear" },
///     { "step": "z-score", "over": "nonzero" },
///     { "step": "fit", "shape": [80, 80, 48], "about": "labels" }
/// ]"#)?;
/// assert_eq!(brats.steps.len(), 3);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Preprocessing {
    /// The steps, first to last.
    pub steps: Vec<Step>,
}

/// A case as a network sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The channels, all on the working grid.
    pub channels: Vec<Image>,
    /// The label map on the working grid, if the case has one.
    pub labels: Option<LabelMap>,
    /// The grid the case came on.
    pub original: Grid,
    /// Centroid, in the world's mm, of the voxels that are not 0 in some channel of the case as it came; `None` where all
    /// are 0.
    pub content_mm: Option<[f64; 3]>,
}

/// How probabilities come back to the grid of their case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Restoring {
    /// By linear interpolation.
    Linear,
    /// From the nearest voxel. The paper's BRATS runs.
    Nearest,
    /// By linear interpolation between voxels that lie between the outermost voxel centres of the case; up to the end of
    /// the working grid, the outermost of them are repeated. The paper's ACDC runs, where the outermost slices of a
    /// case lie beyond those of the working grid.
    Replicate,
}

impl Preprocessing {
    /// Checks the parameters of every step, so that a mistake is found before any file is read.
    ///
    /// # Errors
    /// [`PreprocessError::Parameter`].
    pub fn validate(&self) -> Result<(), PreprocessError> {
        self.steps.iter().try_for_each(Step::validate)
    }

    /// Prepares a case. Give the full label map, and empty or remove labels of the result: a crop around the
    /// labels must not depend on what a partial labelling hides.
    ///
    /// # Errors
    /// [`PreprocessError`]: a parameter is out of range, shapes differ, or there is nothing to crop around.
    pub fn prepare(
        &self,
        channels: &[Image],
        labels: Option<&LabelMap>,
    ) -> Result<Prepared, PreprocessError> {
        self.validate()?;
        let original = channels.first().ok_or(PreprocessError::NoChannels)?.grid.clone();
        let shapes = channels.iter().map(|c| c.grid.shape).chain(labels.map(|l| l.grid.shape));
        for (channel, shape) in shapes.enumerate() {
            if shape != original.shape {
                return Err(PreprocessError::ShapeMismatch { channel, shape, expected: original.shape });
            }
        }
        let content_mm = content_mm(channels);
        let mut prepared =
            Prepared { channels: channels.to_vec(), labels: labels.cloned(), original, content_mm };
        for step in &self.steps {
            step.apply(&mut prepared)?;
        }
        prepared.padding_becomes_zero();
        Ok(prepared)
    }

    /// Each class, given by its label ids, as a map in [0, 1] on the working grid of the prepared case: indicators
    /// resampled as images are (blurred, linear), and left soft. The paper's BRATS targets; it trains on them as they
    /// are. Where labels are resampled by signed distances, which decide, the maps are 0 and 1.
    ///
    /// # Errors
    /// [`PreprocessError::ShapeMismatch`] if the label map is not of the prepared case.
    pub fn soft_labels(
        &self,
        labels: &LabelMap,
        classes: &[&[u16]],
        prepared: &Prepared,
    ) -> Result<Vec<Image>, PreprocessError> {
        let (shape, expected) = (labels.grid.shape, prepared.original.shape);
        if shape != expected {
            return Err(PreprocessError::ShapeMismatch { channel: prepared.channels.len(), shape, expected });
        }
        let indicator =
            |map: &LabelMap, ids: &[u16]| map.map(|label| f32::from(u8::from(ids.contains(label))));
        let decided = self.steps.iter().any(|step| {
            let (Step::Resample { labels, .. } | Step::ResampleWindow { labels, .. }) = step else {
                return false;
            };
            *labels == LabelRule::SignedDistance
        });
        if let (true, Some(decided)) = (decided, &prepared.labels) {
            return Ok(classes.iter().map(|ids| indicator(decided, ids)).collect());
        }
        let soften = |ids: &&[u16]| {
            let mut map = indicator(labels, ids);
            map.grid = prepared.original.clone();
            for step in &self.steps {
                if let Step::Resample { spacing, alignment, .. } = step {
                    map = change_spacing(map, *spacing, *alignment)?;
                }
            }
            if self.steps.iter().any(|step| matches!(step, Step::ResampleWindow { .. })) {
                map = resample_between_centres(&map, prepared.working_grid())?;
                map.data.iter_mut().filter(|y| y.is_nan()).for_each(|y| *y = 0.0);
            }
            // What is left are crops: moves by whole voxels, which interpolate nothing.
            resample(&map, prepared.working_grid(), 0.0)
        };
        classes.iter().map(soften).collect()
    }
}

impl Prepared {
    /// The grid of the channels and the label map.
    pub fn working_grid(&self) -> &Grid {
        &self.channels[0].grid
    }

    /// The voxel of the working grid at [`content_mm`](Self::content_mm), rounded down along each axis and at most at
    /// the border; the middle where there is none.
    ///
    /// # Errors
    /// [`PreprocessError::SingularAffine`].
    pub fn image_centre(&self) -> Result<[usize; 3], PreprocessError> {
        let grid = self.working_grid();
        let Some(place) = self.content_mm else { return Ok(grid.shape.map(|n| n / 2)) };
        let singular = || PreprocessError::SingularAffine { affine: Box::new(grid.affine) };
        let inverse = invert(&grid.affine).ok_or_else(singular)?;
        Ok(std::array::from_fn(|axis| {
            let index = inverse[axis][3] + (0..3).map(|k| inverse[axis][k] * place[k]).sum::<f64>();
            // Rounding must not move a centroid that lies on a voxel to the one before.
            (index + 1e-6).clamp(0.0, (grid.shape[axis] - 1) as f64) as usize
        }))
    }

    /// What lies outside of the image is NaN until here.
    fn padding_becomes_zero(&mut self) {
        let values = self.channels.iter_mut().flat_map(|channel| &mut channel.data);
        values.filter(|x| x.is_nan()).for_each(|x| *x = 0.0);
    }

    /// Whether each voxel of the working grid lies within the case's volume (half a voxel beyond its outermost
    /// voxel centres included). What does not is padding.
    ///
    /// # Errors
    /// [`PreprocessError::SingularAffine`].
    pub fn coverage(&self) -> Result<Vec<bool>, PreprocessError> {
        let everywhere = Image::new(self.original.clone(), vec![1.0; self.original.len()]);
        let covered = resample(&everywhere, self.working_grid(), 0.0)?;
        Ok(covered.data.into_iter().map(|inside| inside > 0.0).collect())
    }

    /// Probabilities on the working grid, one volume a class, on the grid the case came on; where the network saw
    /// nothing 0.
    ///
    /// With `background: Some(0)`, that class gets 1 instead where the network saw nothing (softmax, where the
    /// classes must add up to 1).
    ///
    /// # Errors
    /// [`PreprocessError::NotOnWorkingGrid`], [`PreprocessError::SingularAffine`].
    pub fn restore_probabilities(
        &self,
        probabilities: &[Image],
        background: Option<usize>,
        restoring: Restoring,
    ) -> Result<Vec<Image>, PreprocessError> {
        let working = self.working_grid();
        let mut sampler = Sampler::new(working, &self.original)?;
        if restoring == Restoring::Replicate {
            sampler = sampler.repeating_what_is_covered();
        }
        probabilities
            .iter()
            .enumerate()
            .map(|(class, volume)| {
                if volume.grid.shape != working.shape {
                    let (shape, expected) = (volume.grid.shape, working.shape);
                    return Err(PreprocessError::NotOnWorkingGrid { class, shape, expected });
                }
                let outside = if background == Some(class) { 1.0 } else { 0.0 };
                let data = sampler.map(|place| match (place, restoring) {
                    (None, _) => outside,
                    (Some(corners), Restoring::Nearest) => corners.nearest(&volume.data),
                    (Some(corners), _) => corners.interpolate(&volume.data),
                });
                Ok(Volume::new(self.original.clone(), data))
            })
            .collect()
    }
}

/// See [`Prepared::content_mm`].
fn content_mm(channels: &[Image]) -> Option<[f64; 3]> {
    let grid = &channels[0].grid;
    let [nx, ny, _] = grid.shape;
    let (mut count, mut sum) = (0.0, [0.0; 3]);
    for i in 0..grid.len() {
        if channels.iter().any(|channel| channel.data[i] != 0.0) {
            count += 1.0;
            for (sum, index) in sum.iter_mut().zip([i % nx, i / nx % ny, i / (nx * ny)]) {
                *sum += index as f64;
            }
        }
    }
    let centre = sum.map(|sum| sum / count);
    let world = |row: &[f64; 4]| row[3] + (0..3).map(|axis| row[axis] * centre[axis]).sum::<f64>();
    (count > 0.0).then(|| std::array::from_fn(|row| world(&grid.affine[row])))
}

#[cfg(test)]
mod tests;
