//! Moving a patch's content to places between voxels.

use super::patch::{Patch, Target};
use super::region::Region;

/// How far it is to the next voxel along x, y and z: nowhere along an axis of one voxel.
struct Steps([usize; 3]);

impl Steps {
    fn of(shape: [usize; 3]) -> Self {
        let stride = [1, shape[0], shape[0] * shape[1]];
        Self(std::array::from_fn(|axis| if shape[axis] > 1 { stride[axis] } else { 0 }))
    }
}

/// The eight voxels around a place inside a patch, and how much each counts.
struct Place {
    /// The lowest along each axis.
    first: usize,
    /// How far it is from there, in voxels along each axis.
    share: [f32; 3],
    /// Of the corners, x fastest.
    weights: [f32; 8],
}

impl Place {
    /// Of coordinates between 0 and the last voxel.
    fn new(at: [f64; 3], shape: [usize; 3], Steps(steps): &Steps) -> Self {
        let mut first = 0;
        let share = std::array::from_fn(|axis| {
            // The last voxel is the far side of the one before.
            let low = (at[axis] as u32 as usize).min(shape[axis].saturating_sub(2));
            first += low * steps[axis];
            (at[axis] - low as f64) as f32
        });
        let [x, y, z] = share.map(|share: f32| [1.0 - share, share]);
        let weights = std::array::from_fn(|corner| x[corner & 1] * y[corner >> 1 & 1] * z[corner >> 2]);
        Self { first, share, weights }
    }

    fn interpolate(&self, values: &[f32], Steps([x, y, z]): &Steps) -> f32 {
        let rows = [0, *y, *z, y + z].map(|row| &values[self.first + row..=self.first + row + x]);
        // In the order of the corners.
        let mut sum = -0.0;
        for (row, weights) in rows.into_iter().zip(self.weights.as_chunks::<2>().0) {
            sum += weights[0] * row[0];
            sum += weights[1] * row[row.len() - 1];
        }
        sum
    }

    fn nearest(&self, Steps(steps): &Steps) -> usize {
        let further = |axis: usize| if self.share[axis] > 0.5 { steps[axis] } else { 0 };
        self.first + further(0) + further(1) + further(2)
    }
}

/// A coordinate to five decimals, so that rounding in the matrix does not push the outermost voxels out.
fn rounded(at: f64) -> f64 {
    // What is added leaves no place for decimals: as `f64::round`, but halves go to even numbers, and in less than the call
    // that it is where the processor that is compiled for has no instruction for it.
    const WHOLE: f64 = 1.5 * (1_u64 << 52) as f64;
    (at * 1e5 + WHOLE - WHOLE) / 1e5
}

/// Fills each voxel of a region of the patch with what was somewhere else: channels and soft targets by trilinear
/// interpolation, labels from the nearest voxel. `source(y, z, places)` tells where, along x, y and z in voxels, for each
/// voxel of the region's row along x. Outside the outermost voxel centres, channels are 0. Outside the region there is
/// nothing of meaning afterwards.
pub(super) fn warp(
    patch: &mut Patch,
    region: Region,
    mut source: impl FnMut(usize, usize, &mut [Vec<f64>; 3]),
) {
    let shape = patch.shape;
    let [nx, ny, _] = shape;
    let old = patch.replace_by_blank();
    let steps = Steps::of(shape);
    // Row by row: the places of a whole volume would take 48 bytes a voxel.
    let mut places = Vec::with_capacity(nx);
    let mut at = [(); 3].map(|()| vec![0.0; region.end[0] - region.first[0]]);
    for (y, z) in region.rows() {
        let start = nx * (y + ny * z);
        let voxels = start + region.first[0]..start + region.end[0];
        source(y, z, &mut at);
        at.iter_mut().flatten().for_each(|at| *at = rounded(*at));
        places.clear();
        places.extend((0..at[0].len()).map(|i| {
            let at = [at[0][i], at[1][i], at[2][i]];
            // What is no number is outside.
            let inside = (0..3).all(|axis| (0.0..=(shape[axis] - 1) as f64).contains(&at[axis]));
            inside.then(|| Place::new(at, shape, &steps))
        }));
        let blend = |new: &mut [f32], old: &[f32], outside: f32| {
            for (value, place) in new[voxels.clone()].iter_mut().zip(&places) {
                *value = place.as_ref().map_or(outside, |place| place.interpolate(old, &steps));
            }
        };
        for (new, old) in patch.channels.iter_mut().zip(&old.channels) {
            blend(new, old, 0.0);
        }
        match (&mut patch.target, &old.target) {
            (Target::Labels(new), Target::Labels(old)) => {
                for (label, place) in new[voxels].iter_mut().zip(&places) {
                    *label = place.as_ref().map_or(0, |place| old[place.nearest(&steps)]);
                }
            }
            (Target::Soft { maps, outside }, Target::Soft { maps: old, .. }) => {
                for ((new, old), outside) in maps.iter_mut().zip(old).zip(outside) {
                    blend(new, old, *outside);
                }
            }
            _ => unreachable!("a blank has the same kind of target"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_rounded_to_five_decimals() {
        for i in -4000..400_000 {
            let x = f64::from(i) * 0.0103 + 1e-7;
            assert_eq!(rounded(x), (x * 1e5).round() / 1e5, "{x}");
        }
        assert!(rounded(f64::NAN).is_nan() && rounded(f64::INFINITY).is_infinite());
        assert_eq!(rounded(-1e-7), 0.0);
    }
}
