//! Cutting a box of voxels out of a volume, and putting it back.

use crate::{Grid, LabelMap, Volume};

/// A box of voxels on a grid. It may reach beyond the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its first voxel along x, y and z, as an index of the grid.
    pub start: [isize; 3],
    /// Its number of voxels along x, y and z.
    pub shape: [usize; 3],
}

impl Window {
    /// The window of the given shape in the middle of a grid; where the difference is odd, half a voxel
    /// towards index 0.
    pub fn centred(grid_shape: [usize; 3], shape: [usize; 3]) -> Self {
        let start = |axis| (grid_shape[axis] as isize - shape[axis] as isize).div_euclid(2);
        Self { start: std::array::from_fn(start), shape }
    }

    /// The window of the given shape around voxel `centre`: [c − ⌊n/2⌋, c − ⌊n/2⌋ + n − 1].
    pub fn around(centre: [usize; 3], shape: [usize; 3]) -> Self {
        let start = |axis| centre[axis] as isize - (shape[axis] / 2) as isize;
        Self { start: std::array::from_fn(start), shape }
    }

    /// The grid of the window's voxels: each where it was in the world.
    pub fn grid(&self, grid: &Grid) -> Grid {
        let mut affine = grid.affine;
        for row in &mut affine[..3] {
            row[3] += (0..3).map(|axis| row[axis] * self.start[axis] as f64).sum::<f64>();
        }
        Grid { shape: self.shape, affine }
    }

    /// Cuts the window out of a volume; `fill` where it reaches beyond.
    pub fn cut<T: Copy>(&self, volume: &Volume<T>, fill: T) -> Volume<T> {
        Volume::new(self.grid(&volume.grid), self.cut_values(&volume.data, volume.grid.shape, fill))
    }

    /// As [`cut`](Self::cut), of values on a grid of a shape.
    pub(crate) fn cut_values<T: Copy>(&self, values: &[T], shape: [usize; 3], fill: T) -> Vec<T> {
        let mut cut = vec![fill; self.shape.iter().product()];
        self.rows(shape, |inside, outside, length| {
            cut[inside..inside + length].copy_from_slice(&values[outside..outside + length]);
        });
        cut
    }

    /// Puts what was cut back on the grid it came from; `fill` where the window did not reach. Undoes
    /// [`cut`](Self::cut) wherever both had voxels.
    ///
    /// # Panics
    /// If `cut` has another shape than the window, which is a bug of the caller.
    pub fn put_back<T: Copy>(&self, cut: &Volume<T>, grid: &Grid, fill: T) -> Volume<T> {
        assert_eq!(cut.grid.shape, self.shape, "this was not cut with this window");
        let mut data = vec![fill; grid.len()];
        self.rows(grid.shape, |inside, outside, length| {
            data[outside..outside + length].copy_from_slice(&cut.data[inside..inside + length]);
        });
        Volume::new(grid.clone(), data)
    }

    /// Calls `copy(index in the window, index in the grid, length)` for each row of voxels that both have.
    fn rows(&self, grid_shape: [usize; 3], mut copy: impl FnMut(usize, usize, usize)) {
        let first: [usize; 3] = self.start.map(|start| (-start).max(0) as usize);
        let end: [usize; 3] = std::array::from_fn(|axis| {
            (grid_shape[axis] as isize - self.start[axis]).clamp(0, self.shape[axis] as isize) as usize
        });
        if (0..3).any(|axis| first[axis] >= end[axis]) {
            return;
        }
        let on_grid = |axis: usize, i: usize| (i as isize + self.start[axis]) as usize;
        for z in first[2]..end[2] {
            for y in first[1]..end[1] {
                let inside = first[0] + self.shape[0] * (y + self.shape[1] * z);
                let outside =
                    on_grid(0, first[0]) + grid_shape[0] * (on_grid(1, y) + grid_shape[1] * on_grid(2, z));
                copy(inside, outside, end[0] - first[0]);
            }
        }
    }
}

/// The voxel at the centroid of the labelled voxels, rounded down along each axis: of one label, or of all
/// except background. `None` if there are none.
pub fn centroid(labels: &LabelMap, label: Option<u16>) -> Option<[usize; 3]> {
    let [nx, ny, _] = labels.grid.shape;
    let mut sum = [0; 3];
    let mut count = 0;
    for (i, found) in labels.data.iter().enumerate() {
        if label.map_or(*found != 0, |label| *found == label) {
            count += 1;
            for (sum, index) in sum.iter_mut().zip([i % nx, i / nx % ny, i / (nx * ny)]) {
                *sum += index;
            }
        }
    }
    (count > 0).then(|| sum.map(|sum| sum / count))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Voxel values that name their place.
    fn ramp(shape: [usize; 3]) -> Volume<u16> {
        let mut grid = Grid::axis_aligned(shape, [1.0; 3]);
        // Oblique, anisotropic, one axis mirrored.
        grid.affine =
            [[-1.2, 0.3, 0.1, 5.0], [0.4, 0.9, -0.2, -7.0], [0.0, 0.5, 3.1, 11.0], [0., 0., 0., 1.]];
        let data = (1..=grid.len() as u16).collect();
        Volume::new(grid, data)
    }

    fn world(grid: &Grid, index: [usize; 3]) -> [f64; 3] {
        std::array::from_fn(|row| {
            grid.affine[row][3] + (0..3).map(|axis| grid.affine[row][axis] * index[axis] as f64).sum::<f64>()
        })
    }

    #[test]
    fn every_kept_voxel_stays_where_it_was_in_the_world() {
        let volume = ramp([5, 4, 3]);
        for window in [Window::centred([5, 4, 3], [2, 7, 3]), Window { start: [-2, 3, 1], shape: [4, 5, 6] }]
        {
            let cut = window.cut(&volume, 0);
            let mut kept = 0;
            for z in 0..window.shape[2] {
                for y in 0..window.shape[1] {
                    for x in 0..window.shape[0] {
                        let value = cut.data[cut.index(x, y, z)];
                        if value > 0 {
                            let i = usize::from(value) - 1;
                            let there = world(&volume.grid, [i % 5, i / 5 % 4, i / 20]);
                            let here = world(&cut.grid, [x, y, z]);
                            assert!(there.iter().zip(here).all(|(a, b)| (a - b).abs() < 1e-12));
                            kept += 1;
                        }
                    }
                }
            }
            assert!(kept > 0);
        }
    }

    #[test]
    fn putting_back_undoes_cutting() {
        let volume = ramp([5, 4, 3]);
        let larger = Window::centred([5, 4, 3], [8, 9, 4]);
        assert_eq!(larger.put_back(&larger.cut(&volume, 0), &volume.grid, 0), volume);
        let smaller = Window::centred([5, 4, 3], [3, 2, 1]);
        let back = smaller.put_back(&smaller.cut(&volume, 0), &volume.grid, 0);
        assert_eq!(back.data.iter().filter(|v| **v > 0).count(), 6);
        assert!(back.data.iter().zip(&volume.data).all(|(b, v)| *b == 0 || b == v));
    }

    #[test]
    fn windows_beside_the_grid_are_all_fill() {
        let window = Window { start: [5, 0, 0], shape: [2, 2, 2] };
        assert_eq!(window.cut(&ramp([5, 4, 3]), 9).data, vec![9; 8]);
    }

    #[test]
    fn oracle_windows_follow_the_papers_code() {
        // Centre = int(mean index), window [c − n/2, c + n/2 − 1]: mean x (1 + 2 + 2)/3 → 1, start 1 − 2.
        let mut labels = ramp([5, 4, 3]).map(|_| 0);
        for (x, y, z) in [(1, 3, 0), (2, 3, 1), (2, 2, 2)] {
            let i = labels.index(x, y, z);
            labels.data[i] = 4;
        }
        let centre = centroid(&labels, Some(4)).unwrap();
        assert_eq!(centre, [1, 2, 1]);
        assert_eq!(Window::around(centre, [4, 4, 2]).start, [-1, 0, 0]);
        assert_eq!(centroid(&labels, None), Some(centre));
        assert_eq!(centroid(&labels, Some(1)), None);
    }
}
