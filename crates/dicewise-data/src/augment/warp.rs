//! Moving a patch's content to places between voxels.

use super::patch::{Patch, Target};

/// The voxels around a place, and how much each counts.
struct Place {
    corners: [(usize, f32); 8],
    nearest: usize,
}

impl Place {
    /// `None` outside: where one of the voxels to interpolate between is missing.
    fn new(at: [f64; 3], shape: [usize; 3]) -> Option<Self> {
        let mut low = [0; 3];
        let mut high = [0; 3];
        let mut share = [0.0; 3];
        for axis in 0..3 {
            // Rounding in the matrix must not push the outermost voxels out.
            let index = (at[axis] * 1e5).round() / 1e5;
            if !(0.0..=(shape[axis] - 1) as f64).contains(&index) {
                return None;
            }
            low[axis] = index as usize;
            high[axis] = (low[axis] + 1).min(shape[axis] - 1);
            share[axis] = (index - low[axis] as f64) as f32;
        }
        let index = |pick: [usize; 3]| pick[0] + shape[0] * (pick[1] + shape[1] * pick[2]);
        let corners = std::array::from_fn(|corner| {
            let second = |axis: usize| corner >> axis & 1 == 1;
            let weight = |axis: usize| if second(axis) { share[axis] } else { 1.0 - share[axis] };
            let pick = std::array::from_fn(|axis| if second(axis) { high[axis] } else { low[axis] });
            (index(pick), weight(0) * weight(1) * weight(2))
        });
        let nearest = index(std::array::from_fn(|a| if share[a] > 0.5 { high[a] } else { low[a] }));
        Some(Self { corners, nearest })
    }

    fn interpolate(&self, values: &[f32]) -> f32 {
        self.corners.iter().map(|(i, weight)| weight * values[*i]).sum()
    }
}

/// Fills voxel i of the patch with what was at `source(i, [x, y, z])`, in voxels: channels and soft targets by
/// trilinear interpolation, labels from the nearest voxel. Outside the outermost voxel centres, channels are 0.
pub(super) fn warp(patch: &mut Patch, source: impl Fn(usize, [f64; 3]) -> [f64; 3]) {
    let shape = patch.shape;
    let [nx, ny, nz] = shape;
    let old = patch.clone();
    // Row by row: the places of a whole volume would take 140 bytes a voxel.
    let mut places = Vec::with_capacity(nx);
    for row in 0..ny * nz {
        let (y, z) = ((row % ny) as f64, (row / ny) as f64);
        let voxels = row * nx..(row + 1) * nx;
        places.clear();
        places.extend((0..nx).map(|x| Place::new(source(voxels.start + x, [x as f64, y, z]), shape)));
        let blend = |new: &mut [f32], old: &[f32], outside: f32| {
            for (value, place) in new[voxels.clone()].iter_mut().zip(&places) {
                *value = place.as_ref().map_or(outside, |place| place.interpolate(old));
            }
        };
        for (new, old) in patch.channels.iter_mut().zip(&old.channels) {
            blend(new, old, 0.0);
        }
        match (&mut patch.target, &old.target) {
            (Target::Labels(new), Target::Labels(old)) => {
                for (label, place) in new[voxels].iter_mut().zip(&places) {
                    *label = place.as_ref().map_or(0, |place| old[place.nearest]);
                }
            }
            (Target::Soft { maps, outside }, Target::Soft { maps: old, .. }) => {
                for ((new, old), outside) in maps.iter_mut().zip(old).zip(outside) {
                    blend(new, old, *outside);
                }
            }
            _ => unreachable!("a clone has the same kind of target"),
        }
    }
}
