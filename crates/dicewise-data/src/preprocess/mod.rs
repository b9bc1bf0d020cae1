//! From the volumes of a case to what a network is trained on, and its probabilities back on the case's grid.
//!
//! A [`Preprocessing`] is a list of [`Step`]s, in the order in which they are done. Each is deterministic, and
//! each keeps the affine true: a voxel of the working grid lies where it says in the world. So the way back
//! ([`Prepared::restore_probabilities`]) needs the two grids only.

mod error;
mod normalise;
mod resample;
mod window;

use serde::{Deserialize, Serialize};

pub use error::PreprocessError;
pub use normalise::{ZScoreOver, clip_to_quantiles, quantile, z_score};
pub(crate) use resample::blur;
pub use resample::{Alignment, LabelRule, anti_alias, grid_with_spacing, resample, resample_labels};
pub use window::{Window, centroid};

use crate::{Grid, Image, LabelMap};

/// What a window is placed about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum About {
    /// The centre of the volume.
    Volume,
    /// The centroid of all labels of the case's label map. With the true labels at test time too this is the
    /// paper's *oracle crop* of BRATS: its DSC is that of a network told where the tumour is.
    Labels,
    /// The centroid of one label.
    Label(u16),
}

/// One step of a [`Preprocessing`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Step {
    /// Brings all volumes to a spacing, in mm along x, y, z. Images by linear interpolation, after blurring
    /// ([`anti_alias`]) where voxels grow.
    Resample {
        /// The spacing to reach.
        spacing: [f64; 3],
        /// Which points stay.
        alignment: Alignment,
        /// How labels follow.
        labels: LabelRule,
    },
    /// Clips each channel to two of its quantiles. ACDC in the paper: [1/101, 100/101].
    Clip {
        /// Lower and upper quantile, in [0, 1].
        quantiles: [f64; 2],
    },
    /// Brings each channel to mean 0 and standard deviation 1.
    ZScore {
        /// The voxels that count.
        over: ZScoreOver,
    },
    /// Crops or pads (with 0) to a shape in voxels along x, y, z.
    Fit {
        /// The shape.
        shape: [usize; 3],
        /// What stays in the middle.
        about: About,
    },
}

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
}

impl Step {
    fn validate(&self) -> Result<(), PreprocessError> {
        let wrong = |step, field, value: String, expected| {
            Err(PreprocessError::Parameter { step, field, value, expected })
        };
        match self {
            Self::Resample { spacing, .. } if spacing.iter().any(|s| !s.is_finite() || *s <= 0.0) => {
                wrong("resample", "spacing", format!("{spacing:?}"), "give three lengths in mm above 0")
            }
            Self::Clip { quantiles: [low, high] } if !(0.0 <= *low && low < high && *high <= 1.0) => wrong(
                "clip",
                "quantiles",
                format!("[{low}, {high}]"),
                "give a lower and a higher number in [0, 1]",
            ),
            Self::Fit { shape, .. } if shape.iter().any(|n| !(1..=4096).contains(n)) => {
                wrong("fit", "shape", format!("{shape:?}"), "give three numbers of voxels from 1 to 4096")
            }
            _ => Ok(()),
        }
    }

    fn apply(&self, case: &mut Prepared) -> Result<(), PreprocessError> {
        match self {
            Self::Resample { spacing, alignment, labels: rule } => {
                let old = case.working_grid().clone();
                let grid = grid_with_spacing(&old, *spacing, *alignment);
                let mm = old.spacing_mm();
                let factor = std::array::from_fn(|axis| spacing[axis] / mm[axis]);
                for channel in &mut case.channels {
                    anti_alias(channel, factor);
                    // The channels share a shape; where their headers differ by rounding, the first one counts.
                    channel.grid = old.clone();
                    *channel = resample(channel, &grid, 0.0)?;
                }
                if let Some(labels) = &mut case.labels {
                    labels.grid = old;
                    *labels = resample_labels(labels, &grid, *rule)?;
                }
            }
            Self::Clip { quantiles: [low, high] } => {
                case.channels.iter_mut().for_each(|channel| clip_to_quantiles(channel, *low, *high));
            }
            Self::ZScore { over } => case.channels.iter_mut().for_each(|channel| z_score(channel, *over)),
            Self::Fit { shape, about } => {
                let window = case.window(*shape, *about)?;
                for channel in &mut case.channels {
                    *channel = window.cut(channel, 0.0);
                }
                case.labels = case.labels.as_ref().map(|labels| window.cut(labels, 0));
            }
        }
        Ok(())
    }
}

impl Prepared {
    /// The grid of the channels and the label map.
    pub fn working_grid(&self) -> &Grid {
        &self.channels[0].grid
    }

    fn window(&self, shape: [usize; 3], about: About) -> Result<Window, PreprocessError> {
        let label = match about {
            About::Volume => return Ok(Window::centred(self.working_grid().shape, shape)),
            About::Labels => None,
            About::Label(label) => Some(label),
        };
        let labels = self.labels.as_ref().ok_or(PreprocessError::NeedsLabels)?;
        let centre = centroid(labels, label).ok_or(PreprocessError::NothingToCentreOn { label })?;
        Ok(Window::around(centre, shape))
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
