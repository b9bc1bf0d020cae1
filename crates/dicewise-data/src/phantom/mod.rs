//! Phantoms: data sets drawn from a seed, so that every experiment runs without a download.
//!
//! Each phantom has two groups of cases that look different, because the paper's effect needs it: a network
//! trained with a loss that learns empty label maps learns *which* group has them empty. [`PhantomKind::Tumour`]
//! stands for BRATS (grades HGG and LGG), [`PhantomKind::Heart`] for ACDC (phases ED and ES).
//!
//! Only +, −, ×, ÷ and √ of IEEE numbers are used, and no function of the platform's mathematics library: a
//! case is the same to the last bit on every machine.

mod draw;
mod heart;
mod tumour;

use crate::seed::{Purpose, stream};
use crate::{Grid, Image, LabelMap};

/// What a phantom looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PhantomKind {
    /// Heads with one tumour each, high-grade (HGG: dark core, bright rim, mass effect) or low-grade (LGG: no core,
    /// less uptake of contrast agent). Images of low grades carry a herringbone artefact. Channels FLAIR and T1ce;
    /// label `tumour`.
    Tumour,
    /// Short-axis stacks of a beating heart, from dilated to hypertrophic, in a layer of bright fat; each subject at
    /// end-diastole (ED) and end-systole (ES: smaller cavities, thicker wall, a faint herringbone artefact). Channel cine; labels `LV`, `myocardium` and `RV`.
    Heart,
}

impl PhantomKind {
    /// Names of the two groups of cases.
    pub fn groups(self) -> [&'static str; 2] {
        match self {
            Self::Tumour => ["HGG", "LGG"],
            Self::Heart => ["ED", "ES"],
        }
    }

    /// Names of the channels.
    pub fn channel_names(self) -> &'static [&'static str] {
        match self {
            Self::Tumour => &["FLAIR", "T1ce"],
            Self::Heart => &["cine"],
        }
    }

    /// Names of the labels, background (0) first.
    pub fn label_names(self) -> &'static [&'static str] {
        match self {
            Self::Tumour => &["background", "tumour"],
            Self::Heart => &["background", "LV", "myocardium", "RV"],
        }
    }

    /// The shape that [`Phantom::new`] starts with, in voxels along x, y, z.
    pub fn default_shape(self) -> [usize; 3] {
        match self {
            Self::Tumour => [24, 24, 24],
            Self::Heart => [32, 32, 16],
        }
    }

    /// The spacing that [`Phantom::new`] starts with, in mm. Large voxels, so that the structures of the small
    /// default shapes have the volumes of the real ones: tumours of about 100 ml, a myocardium of about 120 ml.
    pub fn default_spacing_mm(self) -> [f64; 3] {
        match self {
            Self::Tumour => [5.0; 3],
            Self::Heart => [4.0, 4.0, 6.25],
        }
    }
}

/// A phantom cannot be drawn as asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PhantomError {
    /// The structures would be smaller than a voxel.
    #[error(
        "phantom `shape` is {shape:?} voxels; every axis needs at least {} and at most {}",
        MIN_AXIS,
        MAX_AXIS
    )]
    Shape {
        /// The shape asked for.
        shape: [usize; 3],
    },
    /// A spacing must be a length.
    #[error("phantom `spacing` is {spacing_mm:?} mm; every axis needs a finite number above 0")]
    Spacing {
        /// The spacing asked for.
        spacing_mm: [f64; 3],
    },
    /// A heart is drawn in both phases.
    #[error("heart phantom asks for {} ED and {} ES cases; every subject has one of each, so they must agree", .counts[0], .counts[1])]
    UnpairedPhases {
        /// Cases asked for in each group.
        counts: [usize; 2],
    },
    /// A heart without its structures is none.
    #[error("a heart phantom has no controls; only the tumour phantom can be drawn without its structure")]
    NoControls,
}

/// Name of the group of cases that have none of the structures.
pub const CONTROL: &str = "control";

const MIN_AXIS: usize = 8;
const MAX_AXIS: usize = 1024;

/// One drawn case.
#[derive(Clone, Debug, PartialEq)]
pub struct PhantomCase {
    /// Name of the case, unique in its phantom: `tumour_HGG_003`, `heart_003_ES`.
    pub id: String,
    /// Name of the subject. The two phases of a heart share it, so they belong in the same fold.
    pub subject: String,
    /// Name of the group.
    pub group: &'static str,
    /// One image for each of [`PhantomKind::channel_names`].
    pub channels: Vec<Image>,
    /// Label ids index [`PhantomKind::label_names`].
    pub labels: LabelMap,
}

/// A data set drawn from a seed.
///
/// ```
/// use dicewise_data::phantom::{Phantom, PhantomKind};
///
/// let phantom = Phantom::new(PhantomKind::Tumour, [3, 1], 0)?;
/// let case = phantom.case(3);
/// assert_eq!((case.id.as_str(), case.group), ("tumour_LGG_000", "LGG"));
/// # Ok::<(), dicewise_data::phantom::PhantomError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Phantom {
    kind: PhantomKind,
    counts: [usize; 2],
    /// Cases of a third group, which have none of the structures.
    controls: usize,
    seed: u64,
    grid: Grid,
}

impl Phantom {
    /// A phantom of `counts` cases in each of the two groups, of the default shape and spacing.
    ///
    /// # Errors
    /// [`PhantomError::UnpairedPhases`] when a heart's counts differ.
    pub fn new(kind: PhantomKind, counts: [usize; 2], seed: u64) -> Result<Self, PhantomError> {
        if kind == PhantomKind::Heart && counts[0] != counts[1] {
            return Err(PhantomError::UnpairedPhases { counts });
        }
        let grid = centred_grid(kind.default_shape(), kind.default_spacing_mm());
        Ok(Self { kind, counts, controls: 0, seed, grid })
    }

    /// The same phantom seen with another shape (voxels) and spacing (mm), both in x, y, z. What is drawn
    /// always fills the field of view.
    ///
    /// # Errors
    /// [`PhantomError::Shape`] and [`PhantomError::Spacing`].
    pub fn with_grid(mut self, shape: [usize; 3], spacing_mm: [f64; 3]) -> Result<Self, PhantomError> {
        if shape.iter().any(|n| !(MIN_AXIS..=MAX_AXIS).contains(n)) {
            return Err(PhantomError::Shape { shape });
        }
        if spacing_mm.iter().any(|s| !s.is_finite() || *s <= 0.0) {
            return Err(PhantomError::Spacing { spacing_mm });
        }
        self.grid = centred_grid(shape, spacing_mm);
        Ok(self)
    }

    /// The same phantom with cases of a third group after the others, [`CONTROL`]: heads without a tumour but with an old
    /// infarct, which looks like one at first sight. Their label map is empty because there is nothing to label.
    ///
    /// # Errors
    /// [`PhantomError::NoControls`] for hearts, which all have their ventricles.
    pub fn with_controls(mut self, controls: usize) -> Result<Self, PhantomError> {
        if self.kind == PhantomKind::Heart && controls > 0 {
            return Err(PhantomError::NoControls);
        }
        self.controls = controls;
        Ok(self)
    }

    /// What it looks like.
    pub fn kind(&self) -> PhantomKind {
        self.kind
    }

    /// Cases in each of the two groups.
    pub fn counts(&self) -> [usize; 2] {
        self.counts
    }

    /// The grid of every case.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Number of cases.
    pub fn len(&self) -> usize {
        self.counts.iter().sum::<usize>() + self.controls
    }

    /// Whether there are no cases.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Draws case `index`: those of the first group, then those of the second, then controls. A case depends on the seed, its
    /// group and its place in the group only, so a phantom with more cases has the same ones and others.
    ///
    /// # Panics
    /// If `index >= len()`, which is a bug of the caller.
    pub fn case(&self, index: usize) -> PhantomCase {
        assert!(index < self.len(), "case {index} of a phantom with {} cases", self.len());
        let [first, second] = self.counts;
        let (group, number) = match index {
            _ if index < first => (0, index),
            _ if index < first + second => (1, index - first),
            _ => (2, index - first - second),
        };
        let [one, other] = self.kind.groups();
        let name = [one, other, CONTROL][group];
        let rng = |step: u64| stream(Purpose::Phantom, self.seed, number as u64, step);
        match self.kind {
            PhantomKind::Tumour => {
                let id = format!("tumour_{name}_{number:03}");
                let grade = [tumour::Grade::High, tumour::Grade::Low, tumour::Grade::Infarct][group];
                // Steps 2 to 4 are the hearts'.
                let step = [0, 1, 5][group];
                let (channels, labels) = tumour::draw(grade, &self.grid, &mut rng(step));
                PhantomCase { subject: id.clone(), id, group: name, channels, labels }
            }
            PhantomKind::Heart => {
                let subject = format!("heart_{number:03}");
                let anatomy = heart::Anatomy::draw(&mut rng(2));
                let phase = [heart::Phase::EndDiastole, heart::Phase::EndSystole][group];
                let (image, labels) = heart::draw(&anatomy, phase, &self.grid, &mut rng(3 + group as u64));
                PhantomCase {
                    id: format!("{subject}_{name}"),
                    subject,
                    group: name,
                    channels: vec![image],
                    labels,
                }
            }
        }
    }
}

/// A grid along the world's axes with its centre at the world's origin.
fn centred_grid(shape: [usize; 3], spacing_mm: [f64; 3]) -> Grid {
    let mut grid = Grid::axis_aligned(shape, spacing_mm);
    for axis in 0..3 {
        grid.affine[axis][3] = -0.5 * spacing_mm[axis] * (shape[axis] - 1) as f64;
    }
    grid
}

#[cfg(test)]
mod tests;
