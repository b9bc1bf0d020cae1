//! Random variation of training cases.
//!
//! Each kind draws its randomness first and acts deterministically then: `Flip::draw(&mut rng, 0, 0.5)` and
//! `flip.apply(&mut patch)`. An [`Augmentation`] is a list of kinds, drawn and applied in order from the random
//! numbers of (run seed, case, epoch): what a case looks like in an epoch depends on nothing else, so a training
//! that was interrupted sees what it would have seen.

mod absent;
mod affine;
mod cue;
mod drawn;
mod elastic;
mod intensity;
mod patch;
mod place;
mod region;
mod warp;

use serde::{Deserialize, Serialize};

pub use absent::hide;
pub use affine::{Affine, Spread};
pub use cue::Cue;
pub(crate) use cue::add_pattern;
pub use elastic::Elastic;
pub use intensity::{IntensityChange, Noise};
pub use patch::{Patch, Target};
pub use place::{Crop, Flip, Shift};

use self::drawn::Drawn;
use self::region::Region;
use crate::seed::{Purpose, stream};

/// One kind of variation. Triples are in x, y, z.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AugmentStep {
    /// [`Affine`]. What is not given does not vary.
    Affine {
        /// Voxels along x, y, z.
        #[serde(default)]
        translation: Spread,
        /// Radians about x, y, z.
        #[serde(default)]
        rotation: Spread,
        /// Change of the factors along x, y, z: 0.05 is 5 %.
        #[serde(default)]
        scale: Spread,
    },
    /// [`Elastic`].
    Elastic {
        /// Standard deviation of the displacement in voxels along x, y, z.
        displacement: [f64; 3],
    },
    /// [`Flip`].
    Flip {
        /// The axis to mirror.
        axis: Axis,
        /// How often.
        probability: f64,
    },
    /// [`Shift`].
    Shift {
        /// The most voxels along x, y, z.
        voxels: [usize; 3],
    },
    /// [`Crop`] about the middle.
    CentreCrop {
        /// Shape of the crop in voxels.
        shape: [usize; 3],
        /// The most voxels by which it may be off.
        #[serde(default)]
        jitter: [usize; 3],
    },
    /// [`Crop`] about [`Patch::anchor`]. Where that is the centroid of the truth, an *oracle crop*.
    AnchorCrop {
        /// Shape of the crop in voxels.
        shape: [usize; 3],
        /// The most voxels by which it may be off.
        #[serde(default)]
        jitter: [usize; 3],
    },
    /// [`Crop`] anywhere.
    RandomCrop {
        /// Shape of the crop in voxels.
        shape: [usize; 3],
    },
    /// [`IntensityChange`].
    Intensity {
        /// Standard deviation of what is added.
        shift: f64,
        /// Standard deviation of the factor.
        scale: f64,
    },
    /// [`Noise`].
    Noise {
        /// Standard deviation.
        deviation: f64,
    },
}

/// An axis of a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// The fastest axis.
    X,
    /// The one between.
    Y,
    /// The slowest axis.
    Z,
}

/// A step of an augmentation is out of range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("augmentation step {position} (`{step}`): `{field}` is {value}; {expected}")]
#[non_exhaustive]
pub struct AugmentError {
    /// Its place in the list, counted from 1.
    pub position: usize,
    /// The step.
    pub step: &'static str,
    /// Its parameter.
    pub field: &'static str,
    /// What was given.
    pub value: String,
    /// What is accepted.
    pub expected: &'static str,
}

/// Variations in the order in which they are applied.
///
/// ```
/// use dicewise_data::augment::Augmentation;
///
/// // The paper's BRATS.
/// let brats: Augmentation = serde_json::from_str(r#"[
///     { "step": "affine", "translation": { "normal": [6, 6, 4] }, "rotation": { "normal": [0, 0, 0.2617] } },
///     { "step": "elastic", "displacement": [1, 1, 1] },
///     { "step": "anchor-crop", "shape": [80, 80, 48] },
///     { "step": "flip", "axis": "x", "probability": 0.5 },
///     { "step": "intensity", "shift": 0.05, "scale": 0.05 }
/// ]"#)?;
/// brats.validate()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Augmentation {
    /// The steps, first to last.
    pub steps: Vec<AugmentStep>,
}

impl Augmentation {
    /// Checks every parameter.
    ///
    /// # Errors
    /// [`AugmentError`] for the first that is out of range.
    pub fn validate(&self) -> Result<(), AugmentError> {
        self.steps.iter().enumerate().try_for_each(|(i, step)| step.validate(i + 1))
    }

    /// Varies a patch as case `case` of the run `seed` is varied in an epoch.
    pub fn apply(&self, patch: &mut Patch, seed: u64, case: u64, epoch: u64) {
        let mut rng = stream(Purpose::Augmentation, seed, case, epoch);
        let mut shapes = vec![patch.shape];
        let mut steps = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let from = shapes[steps.len()];
            let drawn = Drawn::draw(step, from, patch.anchor, &mut rng);
            shapes.push(drawn.shape(from));
            steps.push(drawn);
        }
        // From the last step to the first: what each must get right.
        let mut regions = vec![Region::whole(shapes[steps.len()])];
        for (step, from) in steps.iter().zip(&shapes).skip(1).rev() {
            regions.push(step.reads(regions[regions.len() - 1], *from));
        }
        for (step, region) in steps.iter().zip(regions.into_iter().rev()) {
            step.apply(patch, region);
        }
    }

    /// The shape of a patch of shape `from` after all steps.
    pub fn shape(&self, from: [usize; 3]) -> [usize; 3] {
        self.steps.iter().fold(from, |shape, step| match step {
            AugmentStep::CentreCrop { shape, .. }
            | AugmentStep::AnchorCrop { shape, .. }
            | AugmentStep::RandomCrop { shape } => *shape,
            _ => shape,
        })
    }
}

impl AugmentStep {
    fn validate(&self, position: usize) -> Result<(), AugmentError> {
        let wrong = |step, field, value: String, expected| {
            Err(AugmentError { position, step, field, value, expected })
        };
        let length = |v: f64| v.is_finite() && v >= 0.0;
        const MOST: usize = 4096;
        const WIDTH: &str = "give numbers of 0 or more";
        match self {
            Self::Affine { translation, rotation, scale } => {
                for (field, spread) in
                    [("translation", translation), ("rotation", rotation), ("scale", scale)]
                {
                    if !spread.widths().into_iter().all(length) {
                        return wrong("affine", field, format!("{:?}", spread.widths()), WIDTH);
                    }
                }
                if scale.widths().into_iter().any(|w| w >= 0.9) {
                    let expected = "give the change of the factors, below 0.9; 0.05 is 5 %";
                    return wrong("affine", "scale", format!("{:?}", scale.widths()), expected);
                }
            }
            Self::Elastic { displacement } if !displacement.iter().copied().all(length) => {
                return wrong("elastic", "displacement", format!("{displacement:?}"), WIDTH);
            }
            Self::Flip { probability, .. } if !(0.0..=1.0).contains(probability) => {
                return wrong("flip", "probability", probability.to_string(), "give a number in [0, 1]");
            }
            Self::CentreCrop { shape, .. } | Self::AnchorCrop { shape, .. } | Self::RandomCrop { shape }
                if shape.iter().any(|n| !(1..=MOST).contains(n)) =>
            {
                return wrong(
                    "crop",
                    "shape",
                    format!("{shape:?}"),
                    "give three numbers of voxels from 1 to 4096",
                );
            }
            Self::Shift { voxels: moves }
            | Self::CentreCrop { jitter: moves, .. }
            | Self::AnchorCrop { jitter: moves, .. }
                if moves.iter().any(|n| *n > MOST) =>
            {
                return wrong(
                    "shift or crop",
                    "voxels or jitter",
                    format!("{moves:?}"),
                    "give numbers of voxels up to 4096",
                );
            }
            Self::Intensity { shift, scale } if !(length(*shift) && length(*scale)) => {
                return wrong("intensity", "shift, scale", format!("{shift}, {scale}"), WIDTH);
            }
            Self::Noise { deviation } if !length(*deviation) => {
                return wrong("noise", "deviation", deviation.to_string(), WIDTH);
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
