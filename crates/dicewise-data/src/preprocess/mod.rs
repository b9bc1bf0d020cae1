//! From the volumes of a case to what a network is trained on, and its probabilities back on the case's grid.
//!
//! A [`Preprocessing`] is a list of [`Step`]s, in the order in which they are done. Each is deterministic, and
//! each keeps the affine true: a voxel of the working grid lies where it says in the world. So the way back
//! ([`Prepared::restore_probabilities`]) needs the two grids only.

mod error;
mod normalise;
mod resample;
mod sampler;
mod step;
mod window;

use serde::{Deserialize, Serialize};

pub use error::PreprocessError;
pub use normalise::{ZScoreOver, clip_to_quantiles, quantile, z_score};
pub(crate) use resample::blur;
pub use resample::{Alignment, LabelRule, anti_alias, grid_with_spacing, resample, resample_labels};
pub use step::{About, Step};
pub use window::{Window, centroid};

use step::change_spacing;

use crate::{Grid, Image, LabelMap};

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
        let mut prepared = Prepared { channels: channels.to_vec(), labels: labels.cloned(), original };
        for step in &self.steps {
            step.apply(&mut prepared)?;
        }
        Ok(prepared)
    }

    /// Each of `ids` as a map in [0, 1] on the working grid of the prepared case: indicators resampled as images
    /// are (blurred, linear), and left soft. The paper's BRATS targets; it trains on them as they are.
    ///
    /// # Errors
    /// [`PreprocessError::ShapeMismatch`] if the label map is not of the prepared case.
    pub fn soft_labels(
        &self,
        labels: &LabelMap,
        ids: &[u16],
        prepared: &Prepared,
    ) -> Result<Vec<Image>, PreprocessError> {
        let (shape, expected) = (labels.grid.shape, prepared.original.shape);
        if shape != expected {
            return Err(PreprocessError::ShapeMismatch { channel: prepared.channels.len(), shape, expected });
        }
        let soften = |id: &u16| {
            let mut map = labels.map(|label| f32::from(u8::from(label == id)));
            map.grid = prepared.original.clone();
            for step in &self.steps {
                if let Step::Resample { spacing, alignment, .. } = step {
                    map = change_spacing(map, *spacing, *alignment)?;
                }
            }
            // What is left are crops: moves by whole voxels, which interpolate nothing.
            resample(&map, prepared.working_grid(), 0.0)
        };
        ids.iter().map(soften).collect()
    }
}

impl Prepared {
    /// The grid of the channels and the label map.
    pub fn working_grid(&self) -> &Grid {
        &self.channels[0].grid
    }

    /// Whether each voxel of the working grid lies within the case's volume (half a voxel beyond its outermost
    /// voxel centres included). What does not is padding: to be masked in the loss where the label there is
    /// unknown, as in the paper's ACDC runs.
    ///
    /// # Errors
    /// [`PreprocessError::SingularAffine`].
    pub fn coverage(&self) -> Result<Vec<bool>, PreprocessError> {
        let everywhere = Image::new(self.original.clone(), vec![1.0; self.original.len()]);
        let covered = resample(&everywhere, self.working_grid(), 0.0)?;
        Ok(covered.data.into_iter().map(|inside| inside > 0.0).collect())
    }

    /// Probabilities on the working grid, one volume a class, on the grid the case came on: by linear
    /// interpolation, and where the network saw nothing 0.
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
    ) -> Result<Vec<Image>, PreprocessError> {
        let working = self.working_grid();
        probabilities
            .iter()
            .enumerate()
            .map(|(class, volume)| {
                if volume.grid.shape != working.shape {
                    let (shape, expected) = (volume.grid.shape, working.shape);
                    return Err(PreprocessError::NotOnWorkingGrid { class, shape, expected });
                }
                resample(volume, &self.original, if background == Some(class) { 1.0 } else { 0.0 })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
