//! Moving a patch's content to places between voxels.

use super::patch::{Patch, Target};
use super::region::Region;

/// The voxels around a place, and how much each counts.
struct Place {
    /// Indices of the four rows along x, at the lower voxel: y and z lower or upper.
    rows: [usize; 4],
    /// From the lower to the upper voxel along x.
    step: usize,
    /// In the order of the rows, the lower and the upper voxel.
    weights: [f32; 8],
    nearest: usize,
}

impl Place {
    /// `None` outside: where one of the voxels to interpolate between is missing.
    fn new(at: [f64; 3], shape: [usize; 3]) -> Option<Self> {
        let mut low = [0; 3];
        let mut high = [0; 3];
        let mut share = [0.0; 3];
        for axis in 0..3 {
            let last = shape[axis] - 1;
            // Most of what is outside, and what is no number.
            if !(-1.0..=shape[axis] as f64).contains(&at[axis]) {
                return None;
            }
            // Rounding in the matrix must not push the outermost voxels out.
            let index = rounded(at[axis] * 1e5) / 1e5;
            if !(0.0..=last as f64).contains(&index) {
                return None;
            }
            low[axis] = index as u32 as usize;
            high[axis] = (low[axis] + 1).min(last);
            share[axis] = (index - low[axis] as f64) as f32;
        }
        let row = |y: usize, z: usize| low[0] + shape[0] * (y + shape[1] * z);
        let rows = [row(low[1], low[2]), row(high[1], low[2]), row(low[1], high[2]), row(high[1], high[2])];
        let weights = std::array::from_fn(|corner| {
            let weight = |axis: usize| if corner >> axis & 1 == 1 { share[axis] } else { 1.0 - share[axis] };
            weight(0) * weight(1) * weight(2)
        });
        let step = high[0] - low[0];
        let second = |axis: usize| usize::from(share[axis] > 0.5);
        let nearest = rows[second(1) + 2 * second(2)] + step * second(0);
        Some(Self { rows, step, weights, nearest })
    }

    fn interpolate(&self, values: &[f32]) -> f32 {
        // In the order of the corners, x fastest.
        let mut sum = -0.0;
        for (row, weights) in self.rows.iter().zip(self.weights.as_chunks::<2>().0) {
            sum += weights[0] * values[*row];
            sum += weights[1] * values[row + self.step];
        }
        sum
    }
}

/// x rounded to whole numbers, halves away from zero, for what fits an `i64`: as [`f64::round`], which is a call where
/// the processor that is compiled for has no instruction for it.
fn rounded(x: f64) -> f64 {
    let whole = x as i64 as f64;
    // Exact, as both have the same sign and are close.
    let rest = x - whole;
    if rest >= 0.5 {
        whole + 1.0
    } else if rest <= -0.5 {
        whole - 1.0
    } else {
        whole
    }
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
    // Row by row: the places of a whole volume would take 80 bytes a voxel.
    let mut places = Vec::with_capacity(nx);
    let mut at = [(); 3].map(|()| vec![0.0; region.end[0] - region.first[0]]);
    for (y, z) in region.rows() {
        let start = nx * (y + ny * z);
        let voxels = start + region.first[0]..start + region.end[0];
        source(y, z, &mut at);
        places.clear();
        let [x, y, z] = &at;
        places.extend(x.iter().zip(y).zip(z).map(|((x, y), z)| Place::new([*x, *y, *z], shape)));
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
            _ => unreachable!("a blank has the same kind of target"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_rounded_away_from_zero() {
        let near_half = 0.499_999_999_999_999_94;
        for x in [0.0, 0.5, -0.5, 1.5, 2.5, -2.5, near_half, -near_half, 1e5 + 0.5, -1e9 - 0.25, 4e15 + 0.5] {
            assert_eq!(rounded(x), x.round(), "{x}");
        }
        for i in 0..100_000 {
            let x = f64::from(i) * 191.3 - 4e5;
            assert_eq!(rounded(x), x.round(), "{x}");
        }
    }
}
