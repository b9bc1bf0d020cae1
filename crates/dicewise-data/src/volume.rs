//! A volume: voxels on a grid with a place in space.

/// A voxel grid and its place in the world (NIfTI's RAS+ millimetres).
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// Number of voxels along x, y and z.
    pub shape: [usize; 3],
    /// Voxel index `(i, j, k, 1)` to world millimetres, row major. The last row is `[0, 0, 0, 1]`.
    pub affine: [[f64; 4]; 4],
}

impl Grid {
    /// A grid with the given spacing in millimetres, axes along the world's, origin at voxel (0, 0, 0).
    pub fn axis_aligned(shape: [usize; 3], spacing_mm: [f64; 3]) -> Self {
        let [x, y, z] = spacing_mm;
        Self { shape, affine: [[x, 0., 0., 0.], [0., y, 0., 0.], [0., 0., z, 0.], [0., 0., 0., 1.]] }
    }

    /// Number of voxels.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the grid has no voxels.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Distance between neighbouring voxel centres along x, y and z, in millimetres:
    /// the lengths of the first three columns of the affine.
    pub fn spacing_mm(&self) -> [f64; 3] {
        std::array::from_fn(|axis| (0..3).map(|row| self.affine[row][axis].powi(2)).sum::<f64>().sqrt())
    }

    /// Volume of one voxel in millilitres: |det| of the affine's 3×3 part / 1000.
    pub fn voxel_volume_ml(&self) -> f64 {
        let a = &self.affine;
        let det = a[0][0] * (a[1][1] * a[2][2] - a[1][2] * a[2][1])
            - a[0][1] * (a[1][0] * a[2][2] - a[1][2] * a[2][0])
            + a[0][2] * (a[1][0] * a[2][1] - a[1][1] * a[2][0]);
        det.abs() / 1000.0
    }
}

/// Voxel values on a [`Grid`].
///
/// Voxel (x, y, z) is `data[x + nx·(y + ny·z)]`: x runs fastest, as in a NIfTI file. Seen as a
/// C-contiguous array its shape is `[z, y, x]`, which is also how a network's `[B, C, Z, Y, X]` input is laid out.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume<T> {
    /// Where the voxels are.
    pub grid: Grid,
    /// The values, x fastest; `data.len() == grid.len()`.
    pub data: Vec<T>,
}

impl<T> Volume<T> {
    /// A volume from its parts.
    ///
    /// # Panics
    /// If `data.len() != grid.len()`, which is a bug of the caller.
    pub fn new(grid: Grid, data: Vec<T>) -> Self {
        assert_eq!(data.len(), grid.len(), "a volume needs one value a voxel");
        Self { grid, data }
    }

    /// Index of voxel (x, y, z) in [`data`](Self::data).
    #[inline]
    pub fn index(&self, x: usize, y: usize, z: usize) -> usize {
        let [nx, ny, _] = self.grid.shape;
        x + nx * (y + ny * z)
    }

    /// The same voxels with another value each.
    pub fn map<U>(&self, f: impl FnMut(&T) -> U) -> Volume<U> {
        Volume { grid: self.grid.clone(), data: self.data.iter().map(f).collect() }
    }
}

/// Intensities of one channel.
pub type Image = Volume<f32>;

/// One label id a voxel; 0 is background.
pub type LabelMap = Volume<u16>;
