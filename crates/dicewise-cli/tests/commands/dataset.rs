use std::fs;
use std::path::{Path, PathBuf};

use dicewise_data::{Grid, Volume, nifti};
use tempfile::TempDir;

/// Voxels of 0.1 × 1 × 10 mm: 0.001 ml.
pub(crate) const SPACING: [f64; 3] = [0.1, 1.0, 10.0];
pub(crate) const SHAPE: [usize; 3] = [4, 5, 6];

pub(crate) fn grid() -> Grid {
    Grid::axis_aligned(SHAPE, SPACING)
}

/// Label ids from voxel 0 on, `(id, voxels)` after one another, then background.
pub(crate) fn write_labels(path: &Path, runs: &[(u16, usize)]) {
    write_labels_on(path, grid(), runs);
}

pub(crate) fn write_labels_on(path: &Path, grid: Grid, runs: &[(u16, usize)]) {
    let ids = runs.iter().flat_map(|&(id, voxels)| std::iter::repeat_n(id, voxels));
    let voxels = grid.len();
    let data = ids.chain(std::iter::repeat(0)).take(voxels).collect();
    nifti::write(path, &Volume::<u16>::new(grid, data)).unwrap();
}

/// An nnU-Net dataset with the labels big (1) and small (2).
pub(crate) struct Dataset(pub(crate) TempDir);

impl Dataset {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let json = r#"{"channel_names": {"0": "MR"}, "labels": {"background": 0, "big": 1, "small": 2},
            "file_ending": ".nii.gz"}"#;
        fs::write(dir.path().join("dataset.json"), json).unwrap();
        for folder in ["imagesTr", "labelsTr"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn image(&self, case: &str) -> PathBuf {
        self.path().join(format!("imagesTr/{case}_0000.nii.gz"))
    }

    pub(crate) fn label(&self, case: &str) -> PathBuf {
        self.path().join(format!("labelsTr/{case}.nii.gz"))
    }

    /// Adds a case whose image differs from the others'.
    pub(crate) fn case(self, case: &str, runs: &[(u16, usize)]) -> Self {
        let first = case.bytes().map(f32::from).sum::<f32>();
        let image = (0..grid().len()).map(|voxel| first + voxel as f32).collect();
        nifti::write(self.image(case), &Volume::new(grid(), image)).unwrap();
        write_labels(&self.label(case), runs);
        self
    }

    pub(crate) fn presence(self, text: &str) -> Self {
        fs::write(self.path().join("presence.csv"), text).unwrap();
        self
    }
}

/// Every file below a folder with its bytes, but for locks.
pub(crate) fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().is_some_and(|name| name == ".dicewise.lock") {
            continue;
        }
        if path.is_dir() {
            files.extend(contents(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            files.push((path, bytes));
        }
    }
    files.sort();
    files
}
