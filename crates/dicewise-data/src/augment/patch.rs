//! What augmentation acts on: the voxels of some channels and their target.

use crate::preprocess::Window;
use crate::{Image, LabelMap};

/// Channels and target of one case on one grid of voxels, on their way to a network.
///
/// Each volume is x fastest, seen as a C-contiguous array `[Z, Y, X]`; one after the other, the channels are a
/// sample of a network's `[B, C, Z, Y, X]` input.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    /// Number of voxels along x, y and z.
    pub shape: [usize; 3],
    /// The channels, each of `x·y·z` values.
    pub channels: Vec<Vec<f32>>,
    /// The target on the same voxels.
    pub target: Target,
    /// The voxel that [`Crop::draw_near`](super::Crop::draw_near) crops around; the middle where there is none. Nothing
    /// moves it.
    pub anchor: Option<[usize; 3]>,
}

/// The target of a [`Patch`].
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// One label id a voxel. Moves by nearest voxel; 0 comes in from outside.
    Labels(Vec<u16>),
    /// One map in [0, 1] for each class. Moves by linear interpolation.
    Soft {
        /// The maps.
        maps: Vec<Vec<f32>>,
        /// What each map is outside the patch: 1 for a background class, 0 for the others.
        outside: Vec<f32>,
    },
}

impl Patch {
    /// The voxels of a prepared case.
    ///
    /// # Panics
    /// If the shapes differ, which is a bug of the caller.
    pub fn new(channels: &[Image], labels: &LabelMap) -> Self {
        let shape = labels.grid.shape;
        assert!(channels.iter().all(|c| c.grid.shape == shape), "channels and labels share a working grid");
        Self {
            shape,
            channels: channels.iter().map(|c| c.data.clone()).collect(),
            target: Target::Labels(labels.data.clone()),
            anchor: None,
        }
    }

    /// The voxel at the centroid of the target, that is of the voxels where some foreground class is above 0, rounded
    /// down along each axis; `None` if there are none. In a soft target, background is the class that lies outside.
    pub fn target_centroid(&self) -> Option<[usize; 3]> {
        let [nx, ny, _] = self.shape;
        let (mut count, mut sum) = (0, [0; 3]);
        for i in 0..self.voxels() {
            let present = match &self.target {
                Target::Labels(labels) => labels[i] != 0,
                Target::Soft { maps, outside } => {
                    maps.iter().zip(outside).any(|(map, outside)| *outside == 0.0 && map[i] > 0.0)
                }
            };
            if present {
                count += 1;
                for (sum, index) in sum.iter_mut().zip([i % nx, i / nx % ny, i / (nx * ny)]) {
                    *sum += index;
                }
            }
        }
        (count > 0).then(|| sum.map(|sum| sum / count))
    }

    /// Turns a label map into one soft map for each of `labels`, so that what moves it afterwards interpolates
    /// (the paper's ACDC runs). Label 0 is background, which is what lies outside the patch. Soft targets stay.
    pub fn soften(&mut self, labels: &[u16]) {
        if let Target::Labels(map) = &self.target {
            let indicator = |label: &u16| map.iter().map(|l| f32::from(u8::from(l == label))).collect();
            let outside = labels.iter().map(|label| f32::from(u8::from(*label == 0))).collect();
            self.target = Target::Soft { maps: labels.iter().map(indicator).collect(), outside };
        }
    }

    /// Number of voxels.
    pub fn voxels(&self) -> usize {
        self.shape.iter().product()
    }

    /// Takes the voxels; what stays has the same shape and kind of target, and zeros.
    pub(super) fn replace_by_blank(&mut self) -> Self {
        let n = self.voxels();
        let blank = |maps: &[Vec<f32>]| maps.iter().map(|_| vec![0.0; n]).collect();
        let target = match &self.target {
            Target::Labels(_) => Target::Labels(vec![0; n]),
            Target::Soft { maps, outside } => Target::Soft { maps: blank(maps), outside: outside.clone() },
        };
        let blank = Self { channels: blank(&self.channels), target, ..*self };
        std::mem::replace(self, blank)
    }

    /// Rearranges the voxels of every volume: voxel [x, y, z] of the result is the one that `source` names.
    pub(super) fn gather(&mut self, source: impl Fn([usize; 3]) -> usize) {
        let [nx, ny, nz] = self.shape;
        let mut from = Vec::with_capacity(nx * ny * nz);
        for z in 0..nz {
            for y in 0..ny {
                from.extend((0..nx).map(|x| source([x, y, z])));
            }
        }
        fn pick<T: Copy>(values: &mut Vec<T>, from: &[usize]) {
            *values = from.iter().map(|i| values[*i]).collect();
        }
        self.channels.iter_mut().for_each(|channel| pick(channel, &from));
        match &mut self.target {
            Target::Labels(labels) => pick(labels, &from),
            Target::Soft { maps, .. } => maps.iter_mut().for_each(|map| pick(map, &from)),
        }
    }

    /// Cuts a window out of every volume; channels are 0 where it reaches beyond.
    pub fn cut(&mut self, window: Window) {
        let shape = self.shape;
        self.channels.iter_mut().for_each(|channel| *channel = window.cut_values(channel, shape, 0.0));
        match &mut self.target {
            Target::Labels(labels) => *labels = window.cut_values(labels, shape, 0),
            Target::Soft { maps, outside } => {
                for (map, outside) in maps.iter_mut().zip(outside) {
                    *map = window.cut_values(map, shape, *outside);
                }
            }
        }
        self.shape = window.shape;
    }
}
