//! What can be done to a case before a network sees it.

use serde::{Deserialize, Serialize};

use super::{
    Alignment, LabelRule, Prepared, PreprocessError, Window, ZScoreOver, anti_alias, centroid,
    clip_to_quantiles, grid_about_centre, grid_with_spacing, resample, resample_between_centres,
    resample_by_distance, resample_labels, z_score,
};
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
    /// The centroid of the voxels that are not 0 in the case as it came ([`Prepared::image_centre`]): the head, where
    /// what is around it was cut away. It does not look at the truth.
    Image,
}

/// One step of a [`Preprocessing`](super::Preprocessing).
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
        /// Labels that enclose another, `[outer, inner]`, see [`resample_by_distance`].
        #[serde(default)]
        enclosing: Vec<[u16; 2]>,
    },
    /// Brings all volumes straight to `shape` voxels of a spacing about the centre of the volume, by linear
    /// interpolation without a blur. What lies beyond the outermost voxel centres is not part of the image: NaN, which
    /// `clip` leaves out, and 0 from `z-score` on. ACDC in the paper.
    ResampleWindow {
        /// The spacing to reach, in mm along x, y, z.
        spacing: [f64; 3],
        /// The shape in voxels.
        shape: [usize; 3],
        /// How labels follow.
        labels: LabelRule,
        /// Labels that enclose another, `[outer, inner]`, see [`resample_by_distance`].
        #[serde(default)]
        enclosing: Vec<[u16; 2]>,
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

/// [`Step::Resample`] of an image.
pub(super) fn change_spacing(
    mut image: Image,
    spacing: [f64; 3],
    alignment: Alignment,
) -> Result<Image, PreprocessError> {
    let old = image.grid.spacing_mm();
    anti_alias(&mut image, std::array::from_fn(|axis| spacing[axis] / old[axis]));
    resample(&image, &grid_with_spacing(&image.grid, spacing, alignment), 0.0)
}

impl Step {
    pub(super) fn validate(&self) -> Result<(), PreprocessError> {
        let wrong = |step, field, value: String, expected| {
            Err(PreprocessError::Parameter { step, field, value, expected })
        };
        match self {
            Self::Resample { spacing, .. } | Self::ResampleWindow { spacing, .. }
                if spacing.iter().any(|s| !s.is_finite() || *s <= 0.0) =>
            {
                wrong("resample", "spacing", format!("{spacing:?}"), "give three lengths in mm above 0")
            }
            Self::Clip { quantiles: [low, high] } if !(0.0 <= *low && low < high && *high <= 1.0) => wrong(
                "clip",
                "quantiles",
                format!("[{low}, {high}]"),
                "give a lower and a higher number in [0, 1]",
            ),
            Self::Fit { shape, .. } | Self::ResampleWindow { shape, .. }
                if shape.iter().any(|n| !(1..=4096).contains(n)) =>
            {
                wrong("fit", "shape", format!("{shape:?}"), "give three numbers of voxels from 1 to 4096")
            }
            _ => Ok(()),
        }
    }

    pub(super) fn apply(&self, case: &mut Prepared) -> Result<(), PreprocessError> {
        match self {
            Self::Resample { spacing, alignment, labels: rule, enclosing } => {
                let old = case.working_grid().clone();
                for channel in &mut case.channels {
                    // The channels share a shape; where their headers differ by rounding, the first one counts.
                    let image = Image { grid: old.clone(), data: std::mem::take(&mut channel.data) };
                    *channel = change_spacing(image, *spacing, *alignment)?;
                }
                if let Some(labels) = &mut case.labels {
                    labels.grid = old;
                    *labels = follow(labels, &case.channels[0].grid, *rule, enclosing)?;
                }
            }
            Self::ResampleWindow { spacing, shape, labels: rule, enclosing } => {
                let old = case.working_grid().clone();
                let grid = grid_about_centre(&old, *spacing, *shape);
                for channel in &mut case.channels {
                    channel.grid = old.clone();
                    *channel = resample_between_centres(channel, &grid)?;
                }
                if let Some(labels) = &mut case.labels {
                    labels.grid = old;
                    *labels = follow(labels, &grid, *rule, enclosing)?;
                }
            }
            Self::Clip { quantiles: [low, high] } => {
                case.channels.iter_mut().for_each(|channel| clip_to_quantiles(channel, *low, *high));
            }
            Self::ZScore { over } => {
                case.padding_becomes_zero();
                case.channels.iter_mut().for_each(|channel| z_score(channel, *over));
            }
            Self::Fit { shape, about } => {
                let window = window(case, *shape, *about)?;
                for channel in &mut case.channels {
                    *channel = window.cut(channel, 0.0);
                }
                case.labels = case.labels.as_ref().map(|labels| window.cut(labels, 0));
            }
        }
        Ok(())
    }
}

/// Labels on another grid.
fn follow(
    labels: &LabelMap,
    grid: &Grid,
    rule: LabelRule,
    enclosing: &[[u16; 2]],
) -> Result<LabelMap, PreprocessError> {
    match rule {
        LabelRule::SignedDistance => resample_by_distance(labels, grid, enclosing),
        LabelRule::Nearest | LabelRule::Linear => resample_labels(labels, grid, rule),
    }
}

/// The window of [`Step::Fit`].
fn window(case: &Prepared, shape: [usize; 3], about: About) -> Result<Window, PreprocessError> {
    let label = match about {
        About::Volume => return Ok(Window::centred(case.working_grid().shape, shape)),
        About::Image => return Ok(Window::around(case.image_centre()?, shape)),
        About::Labels => None,
        About::Label(label) => Some(label),
    };
    let labels = case.labels.as_ref().ok_or(PreprocessError::NeedsLabels)?;
    let centre = centroid(labels, label).ok_or(PreprocessError::NothingToCentreOn { label })?;
    Ok(Window::around(centre, shape))
}
