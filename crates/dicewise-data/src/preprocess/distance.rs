//! Distances to the surface of a structure.

use crate::Grid;

/// Where a structure, or everything, is missing: far away from everything.
const NOWHERE_MM: f32 = 100.0;

/// The distance of every voxel centre to the surface of a set of voxels, in mm: negative inside, positive outside.
///
/// The surface is the set of the points half-way between neighbouring voxel centres (along x, y or z) of which one is
/// inside and the other is not: where the isosurface ½ of the set's indicator meets the lines between voxels. It has no
/// part at the border of the volume. Without any surface all distances are ±100 mm.
///
/// # Panics
/// If there is not one value a voxel, which is a bug of the caller.
pub fn signed_distances_mm(inside: &[bool], grid: &Grid) -> Vec<f32> {
    assert_eq!(inside.len(), grid.len(), "one value a voxel");
    let mut nearest = vec![f64::INFINITY; inside.len()];
    for axis in 0..3 {
        let squared = squared_distances_to_crossings(inside, grid, axis);
        nearest.iter_mut().zip(squared).for_each(|(nearest, found)| *nearest = nearest.min(found));
    }
    let signed = |(&squared, &inside): (&f64, &bool)| {
        let distance = if squared.is_finite() { squared.sqrt() as f32 } else { NOWHERE_MM };
        if inside { -distance } else { distance }
    };
    nearest.iter().zip(inside).map(signed).collect()
}

/// Squared distances to the crossings between neighbours along one axis: one dimension after the other, each by the lower
/// envelope of parabolas (Felzenszwalb and Huttenlocher, Theory of Computing 2012).
fn squared_distances_to_crossings(inside: &[bool], grid: &Grid, axis: usize) -> Vec<f64> {
    let (shape, spacing) = (grid.shape, grid.spacing_mm());
    let step: usize = shape[..axis].iter().product();
    let crosses = |i: usize| (i / step) % shape[axis] + 1 < shape[axis] && inside[i] != inside[i + step];
    let mut squared: Vec<f64> =
        (0..inside.len()).map(|i| if crosses(i) { 0.0 } else { f64::INFINITY }).collect();
    for along in 0..3 {
        // The crossing of voxels i and i + 1 lies at i + ½.
        let offset = if along == axis { 0.5 } else { 0.0 };
        let (n, stride) = (shape[along], shape[..along].iter().product::<usize>());
        let mut line = vec![0.0; n];
        let mut envelope = Envelope::default();
        for start in (0..squared.len()).filter(|i| (i / stride).is_multiple_of(n)) {
            (0..n).for_each(|i| line[i] = squared[start + i * stride]);
            envelope.build(&line, offset, spacing[along]);
            envelope.evaluate(n, spacing[along], |i, value| squared[start + i * stride] = value);
        }
    }
    squared
}

/// The lower envelope of parabolas.
#[derive(Default)]
struct Envelope {
    /// Apex of each parabola, in mm, and its height.
    parabolas: Vec<(f64, f64)>,
    /// From where on each is the lowest.
    from: Vec<f64>,
}

impl Envelope {
    fn build(&mut self, heights: &[f64], offset: f64, spacing: f64) {
        self.parabolas.clear();
        self.from.clear();
        for (i, &height) in heights.iter().enumerate().filter(|(_, height)| height.is_finite()) {
            let apex = (i as f64 + offset) * spacing;
            let start = loop {
                let Some(&(other, below)) = self.parabolas.last() else { break f64::NEG_INFINITY };
                let meet = ((height + apex * apex) - (below + other * other)) / (2.0 * (apex - other));
                if self.from.last().is_some_and(|&from| meet > from) {
                    break meet;
                }
                self.parabolas.pop();
                self.from.pop();
            };
            self.parabolas.push((apex, height));
            self.from.push(start);
        }
    }

    /// Calls `write` with each of `n` points and the envelope there; infinite where there is no parabola.
    fn evaluate(&self, n: usize, spacing: f64, mut write: impl FnMut(usize, f64)) {
        let mut lowest = 0;
        for i in 0..n {
            let place = i as f64 * spacing;
            while self.from.get(lowest + 1).is_some_and(|&from| from < place) {
                lowest += 1;
            }
            let value = self.parabolas.get(lowest).map(|&(apex, height)| height + (place - apex).powi(2));
            write(i, value.unwrap_or(f64::INFINITY));
        }
    }
}
