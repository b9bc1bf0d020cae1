//! The steps of an augmentation with their random numbers drawn.

use rand::Rng;

use super::region::Region;
use super::{Affine, AugmentStep, Crop, Elastic, Flip, IntensityChange, Noise, Patch, Shift};

/// What one step does to a patch.
pub(super) enum Drawn {
    Affine(Affine),
    Elastic(Elastic),
    Flip(Flip),
    Shift(Shift),
    Crop(Crop),
    Intensity(IntensityChange),
    Noise(Noise),
}

impl Drawn {
    /// Draws for a patch of a shape, with the voxel that crops lie about.
    pub(super) fn draw(
        step: &AugmentStep,
        from: [usize; 3],
        anchor: Option<[usize; 3]>,
        rng: &mut impl Rng,
    ) -> Self {
        match step {
            AugmentStep::Affine { translation, rotation, scale } => {
                Self::Affine(Affine::draw(rng, *translation, *rotation, *scale))
            }
            AugmentStep::Elastic { displacement } => Self::Elastic(Elastic::draw(rng, from, *displacement)),
            AugmentStep::Flip { axis, probability } => {
                Self::Flip(Flip::draw(rng, *axis as usize, *probability))
            }
            AugmentStep::Shift { voxels } => Self::Shift(Shift::draw(rng, *voxels)),
            AugmentStep::CentreCrop { shape, jitter } => {
                Self::Crop(Crop::draw_near_centre(rng, from, *shape, *jitter))
            }
            AugmentStep::AnchorCrop { shape, jitter } => {
                let voxel = anchor.unwrap_or(from.map(|n| n / 2));
                Self::Crop(Crop::draw_near(rng, voxel, *shape, *jitter))
            }
            AugmentStep::RandomCrop { shape } => Self::Crop(Crop::draw_anywhere(rng, from, *shape)),
            AugmentStep::Intensity { shift, scale } => {
                Self::Intensity(IntensityChange::draw(rng, *shift, *scale))
            }
            AugmentStep::Noise { deviation } => Self::Noise(Noise::draw(rng, *deviation)),
        }
    }

    /// The shape of the result.
    pub(super) fn shape(&self, from: [usize; 3]) -> [usize; 3] {
        match self {
            Self::Crop(crop) => crop.window.shape,
            _ => from,
        }
    }

    /// What must be right in a patch of shape `from` for `region` to be right afterwards.
    pub(super) fn reads(&self, region: Region, from: [usize; 3]) -> Region {
        match self {
            Self::Affine(affine) => affine.reads(region, from),
            Self::Elastic(elastic) => elastic.reads(region),
            Self::Crop(crop) => {
                let moved = |at: usize, axis: usize| {
                    (at as isize + crop.window.start[axis]).clamp(0, from[axis] as isize) as usize
                };
                Region {
                    first: std::array::from_fn(|axis| moved(region.first[axis], axis)),
                    end: std::array::from_fn(|axis| moved(region.end[axis], axis)),
                }
            }
            // They are quick.
            Self::Flip(_) | Self::Shift(_) => Region::whole(from),
            Self::Intensity(_) | Self::Noise(_) => region,
        }
    }

    /// Acts on a patch, of which `region` must be right afterwards.
    pub(super) fn apply(&self, patch: &mut Patch, region: Region) {
        match self {
            Self::Affine(affine) => affine.apply_to(patch, region),
            Self::Elastic(elastic) => elastic.apply_to(patch, region),
            Self::Flip(flip) => flip.apply(patch),
            Self::Shift(shift) => shift.apply(patch),
            Self::Crop(crop) => crop.apply(patch),
            Self::Intensity(change) => change.apply(patch),
            Self::Noise(noise) => noise.apply(patch),
        }
    }
}
