//! Moves by whole voxels: mirroring, shifting, cropping.

use rand::Rng;

use super::patch::Patch;
use crate::preprocess::Window;

/// Mirroring along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flip {
    /// 0, 1 or 2 for x, y or z; `None` leaves the patch.
    pub axis: Option<usize>,
}

impl Flip {
    /// Mirrors along `axis` (0, 1, 2 for x, y, z) with a probability.
    pub fn draw(rng: &mut impl Rng, axis: usize, probability: f64) -> Self {
        Self { axis: (rng.random::<f64>() < probability).then_some(axis) }
    }

    /// Mirrors the patch.
    pub fn apply(&self, patch: &mut Patch) {
        let shape = patch.shape;
        let Some(axis) = self.axis else { return };
        patch.gather(|mut index| {
            index[axis] = shape[axis] - 1 - index[axis];
            index[0] + shape[0] * (index[1] + shape[1] * index[2])
        });
    }
}

/// A shift by whole voxels, which needs no interpolation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    /// Voxels along x, y and z by which the content moves.
    pub voxels: [isize; 3],
}

impl Shift {
    /// Draws a shift of up to `most` voxels to both sides, each as likely.
    pub fn draw(rng: &mut impl Rng, most: [usize; 3]) -> Self {
        Self { voxels: most.map(|most| rng.random_range(-(most as i64)..=most as i64) as isize) }
    }

    /// Shifts the patch. The border is repeated, in the channels and in the target alike: zeros would draw an
    /// edge that only shifted patches have.
    pub fn apply(&self, patch: &mut Patch) {
        let shape = patch.shape;
        patch.gather(|index| {
            let [x, y, z] = std::array::from_fn(|axis| {
                (index[axis] as isize - self.voxels[axis]).clamp(0, shape[axis] as isize - 1) as usize
            });
            x + shape[0] * (y + shape[1] * z)
        });
    }
}

/// A crop to a smaller (or larger) patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    /// The voxels that are kept.
    pub window: Window,
}

impl Crop {
    /// The middle of a patch of shape `from`.
    pub fn centre(from: [usize; 3], shape: [usize; 3]) -> Self {
        Self { window: Window::centred(from, shape) }
    }

    /// The middle, moved by up to `jitter` voxels to both sides: a shift that brings in the voxels that lie
    /// around, where there are some.
    pub fn draw_near_centre(
        rng: &mut impl Rng,
        from: [usize; 3],
        shape: [usize; 3],
        jitter: [usize; 3],
    ) -> Self {
        Self { window: Window::centred(from, shape) }.moved(rng, jitter)
    }

    /// Around a voxel, moved by up to `jitter` voxels to both sides.
    pub fn draw_near(rng: &mut impl Rng, voxel: [usize; 3], shape: [usize; 3], jitter: [usize; 3]) -> Self {
        Self { window: Window::around(voxel, shape) }.moved(rng, jitter)
    }

    fn moved(mut self, rng: &mut impl Rng, jitter: [usize; 3]) -> Self {
        for (start, most) in self.window.start.iter_mut().zip(Shift::draw(rng, jitter).voxels) {
            *start += most;
        }
        self
    }

    /// Anywhere inside a patch of shape `from`, each place as likely; in the middle along an axis that is too
    /// short.
    pub fn draw_anywhere(rng: &mut impl Rng, from: [usize; 3], shape: [usize; 3]) -> Self {
        let mut window = Window::centred(from, shape);
        for axis in 0..3 {
            if from[axis] > shape[axis] {
                window.start[axis] = rng.random_range(0..=(from[axis] - shape[axis]) as i64) as isize;
            }
        }
        Self { window }
    }

    /// Crops the patch; channels are 0 where the window reaches beyond, and the target is background.
    pub fn apply(&self, patch: &mut Patch) {
        patch.cut(self.window);
    }
}
