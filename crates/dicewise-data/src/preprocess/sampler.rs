//! Where the voxels of one grid lie among those of another.

use super::PreprocessError;
use crate::Grid;

/// The two old voxels around a place along one axis, and the share of the second.
#[derive(Clone, Copy, Debug)]
struct Between {
    low: usize,
    high: usize,
    share: f64,
}

/// What counts as inside along one axis, in voxels.
#[derive(Clone, Copy, Debug)]
struct Extent {
    /// Places that have a value …
    accepts: [f64; 2],
    /// … which is that of the nearest place in here, between the first and the last voxel to be used.
    voxels: [usize; 2],
}

impl Extent {
    /// Half a voxel more than the outermost voxel centres, where the border's value goes on.
    fn volume(n: usize) -> Self {
        Self { accepts: [-0.5, n as f64 - 0.5], voxels: [0, n - 1] }
    }

    /// Nothing beyond the outermost voxel centres.
    fn centres(n: usize) -> Self {
        Self { accepts: [0.0, n as f64 - 1.0], voxels: [0, n - 1] }
    }
}

impl Between {
    /// `None` outside.
    fn new(index: f64, extent: Extent) -> Option<Self> {
        // Rounding must not turn a copy into an interpolation, nor move the border.
        let snapped = if (index - index.round()).abs() < 1e-6 { index.round() } else { index };
        let ([least, most], [first, last]) = (extent.accepts, extent.voxels);
        if !(least - 1e-6..=most + 1e-6).contains(&snapped) {
            return None;
        }
        let index = snapped.clamp(first as f64, last as f64);
        let low = index.floor() as usize;
        Some(Self { low, high: (low + 1).min(last), share: index - low as f64 })
    }
}

/// The eight old voxels around a place.
pub(super) struct Corners {
    axes: [Between; 3],
    shape: [usize; 3],
}

impl Corners {
    fn each(&self) -> impl Iterator<Item = (usize, f64)> {
        let [x, y, z] = self.axes;
        let [nx, ny, _] = self.shape;
        (0..8).map(move |corner| {
            let pick = |axis: Between, bit: usize| {
                if corner >> bit & 1 == 0 { (axis.low, 1.0 - axis.share) } else { (axis.high, axis.share) }
            };
            let ((x, a), (y, b), (z, c)) = (pick(x, 0), pick(y, 1), pick(z, 2));
            (x + nx * (y + ny * z), a * b * c)
        })
    }

    pub(super) fn interpolate(&self, data: &[f32]) -> f32 {
        let [nx, ny, _] = self.shape;
        let [xs, ys, zs] = self.axes.map(|axis| [(axis.low, 1.0 - axis.share), (axis.high, axis.share)]);
        // In the order of `each`.
        let mut sum = -0.0;
        for (z, c) in zs {
            for (y, b) in ys {
                let row = nx * (y + ny * z);
                for (x, a) in xs {
                    let weight = a * b * c;
                    // A neighbour that does not count may be anything.
                    if weight > 0.0 {
                        sum += weight * f64::from(data[row + x]);
                    }
                }
            }
        }
        sum as f32
    }

    pub(super) fn nearest<T: Copy>(&self, data: &[T]) -> T {
        let at = |axis: Between| if axis.share > 0.5 { axis.high } else { axis.low };
        let [x, y, z] = self.axes.map(at);
        data[x + self.shape[0] * (y + self.shape[1] * z)]
    }

    /// The label with the largest weight; at a tie the smallest.
    pub(super) fn most(&self, data: &[u16]) -> u16 {
        let corners: [(u16, f64); 8] = {
            let mut each = self.each().map(|(i, w)| (data[i], w));
            std::array::from_fn(|_| each.next().unwrap_or_default())
        };
        let total = |label: u16| corners.iter().filter(|(l, _)| *l == label).map(|(_, w)| w).sum::<f64>();
        let mut best = (corners[0].0, total(corners[0].0));
        for (label, _) in &corners[1..] {
            let weight = total(*label);
            // Sums of the same weights in another order differ by rounding.
            let tie = (weight - best.1).abs() < 1e-9;
            if weight > best.1 && !tie || tie && *label < best.0 {
                best = (*label, weight);
            }
        }
        best.0
    }
}

/// Where the voxels of one grid lie among those of another.
pub(super) struct Sampler<'a> {
    from: &'a Grid,
    to: &'a Grid,
    /// Index of a voxel of `to` to index among the voxels of `from`: 3 × 4.
    index: [[f64; 4]; 3],
    /// Which places of `from` have a value.
    extents: [Extent; 3],
}

impl<'a> Sampler<'a> {
    pub(super) fn new(from: &'a Grid, to: &'a Grid) -> Result<Self, PreprocessError> {
        let inverse =
            invert(&from.affine).ok_or(PreprocessError::SingularAffine { affine: Box::new(from.affine) })?;
        let index = std::array::from_fn(|row| {
            std::array::from_fn(|column| {
                let rotated: f64 = (0..3).map(|k| inverse[row][k] * to.affine[k][column]).sum();
                if column == 3 { rotated + inverse[row][3] } else { rotated }
            })
        });
        Ok(Self { from, to, index, extents: from.shape.map(Extent::volume) })
    }

    /// Only places between the outermost voxel centres of `from` have a value.
    pub(super) fn between_centres(mut self) -> Self {
        self.extents = self.from.shape.map(Extent::centres);
        self
    }

    /// Only voxels of `from` that lie between the outermost voxel centres of `to` are used; their border is repeated
    /// up to the end of `from`. For grids with the same axes.
    pub(super) fn repeating_what_is_covered(mut self) -> Self {
        for axis in 0..3 {
            let ends = [0.0, (self.to.shape[axis] - 1) as f64];
            let [a, b] = ends.map(|i| self.index[axis][axis] * i + self.index[axis][3]);
            let last = (self.from.shape[axis] - 1) as f64;
            let first = (a.min(b) - 1e-6).ceil().clamp(0.0, last);
            let last = (a.max(b) + 1e-6).floor().clamp(first, last);
            self.extents[axis].voxels = [first as usize, last as usize];
        }
        self
    }

    /// One value for each voxel of `to`, from the voxels of `from` around it (`None` outside).
    pub(super) fn map<T: Clone>(&self, value: impl Fn(Option<Corners>) -> T) -> Vec<T> {
        let [nx, ny, nz] = self.to.shape;
        let shape = self.from.shape;
        let along = |axis: usize, i: usize| self.index[axis][axis] * i as f64 + self.index[axis][3];
        let aligned = (0..3).all(|row| {
            (0..3)
                .all(|axis| axis == row || self.index[row][axis].abs() * (self.to.shape[axis] as f64) < 1e-7)
        });
        let mut values = Vec::with_capacity(self.to.len());
        if aligned {
            let table = |axis: usize| -> Vec<Option<Between>> {
                (0..self.to.shape[axis]).map(|i| Between::new(along(axis, i), self.extents[axis])).collect()
            };
            let [xs, ys, zs] = [table(0), table(1), table(2)];
            for z in &zs {
                for y in &ys {
                    for x in &xs {
                        let axes = (|| Some([(*x)?, (*y)?, (*z)?]))();
                        values.push(value(axes.map(|axes| Corners { axes, shape })));
                    }
                }
            }
            return values;
        }
        for z in 0..nz {
            for y in 0..ny {
                for x in 0..nx {
                    let place = [x as f64, y as f64, z as f64, 1.0];
                    let at = |axis: usize| {
                        let index = self.index[axis].iter().zip(place).map(|(a, b)| a * b).sum();
                        Between::new(index, self.extents[axis])
                    };
                    let axes = (|| Some([at(0)?, at(1)?, at(2)?]))();
                    values.push(value(axes.map(|axes| Corners { axes, shape })));
                }
            }
        }
        values
    }
}

/// Inverse of an affine, as 3 × 4; `None` if it has none.
pub(super) fn invert(a: &[[f64; 4]; 4]) -> Option<[[f64; 4]; 3]> {
    let cofactor = |row: usize, column: usize| {
        let [r, s] = [(row + 1) % 3, (row + 2) % 3];
        let [c, d] = [(column + 1) % 3, (column + 2) % 3];
        a[r][c] * a[s][d] - a[r][d] * a[s][c]
    };
    let determinant: f64 = (0..3).map(|column| a[0][column] * cofactor(0, column)).sum();
    let scale: f64 =
        (0..3).map(|axis| (0..3).map(|row| a[row][axis] * a[row][axis]).sum::<f64>().sqrt()).product();
    if !determinant.is_finite() || determinant.abs() <= 1e-9 * scale || scale == 0.0 {
        return None;
    }
    Some(std::array::from_fn(|row| {
        let linear: [f64; 3] = std::array::from_fn(|column| cofactor(column, row) / determinant);
        [linear[0], linear[1], linear[2], -(0..3).map(|k| linear[k] * a[k][3]).sum::<f64>()]
    }))
}
