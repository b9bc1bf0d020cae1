use std::fs;
use std::path::Path;

use dicewise_data::{Grid, Volume, nifti};

use crate::dataset::{Dataset, SHAPE};
use crate::program::dicewise;

/// Turned about z by the angle with cos 0.8 and sin 0.6, mirrored along y, voxels of 0.7 × 1.3 × 4 mm.
fn oblique(shape: [usize; 3], offset: f64) -> Grid {
    let mut grid = Grid::axis_aligned(shape, [1.0; 3]);
    let columns = [[0.8 * 0.7, 0.6 * 0.7, 0.0], [0.6 * 1.3, -0.8 * 1.3, 0.0], [0.0, 0.0, 4.0]];
    for (axis, column) in columns.iter().enumerate() {
        for (row, value) in column.iter().enumerate() {
            // As a NIfTI-1 file stores it.
            grid.affine[row][axis] = f64::from(*value as f32);
        }
    }
    grid.affine[0][3] = offset;
    grid
}

fn write_image(path: &Path, grid: Grid) {
    let data = (0..grid.len()).map(|voxel| (voxel % 13) as f32).collect();
    nifti::write(path, &Volume::new(grid, data)).unwrap();
}

/// From training to scores, on images that are neither upright nor of one size nor on the spacing trained on.
#[test]
fn predictions_lie_exactly_over_their_images_and_can_be_scored() {
    let mut dataset = Dataset::new();
    for case in ["a", "b", "c", "d"] {
        dataset = dataset.case(case, &[(1, 40), (2, 20)]);
    }
    let model = dataset.path().join("model");
    let flags = "--layout nnunet --setting I --batch-size 2 --iterations 2 --base 2 --levels 2 --folds 2 \
                 --spacing-mm 1,1,5 --patch 4,4,4";
    let start = ["train".as_ref(), dataset.path().as_os_str(), "--out".as_ref(), model.as_os_str()];
    dicewise(start.into_iter().chain(flags.split_whitespace().map(AsRef::as_ref))).exits_with(0);

    let [images, truth, out] = ["images", "truth", "out"].map(|name| dataset.path().join(name));
    fs::create_dir(&images).unwrap();
    fs::create_dir(&truth).unwrap();
    let shapes = [SHAPE, [7, 5, 3], [5, 9, 4]];
    let grids: Vec<Grid> = shapes.iter().zip(1u8..).map(|(s, i)| oblique(*s, f64::from(i) * 8.0)).collect();
    for (number, grid) in grids.iter().enumerate() {
        write_image(&images.join(format!("new{number}_0000.nii.gz")), grid.clone());
        let labels = (0..grid.len()).map(|voxel| (voxel % 3) as u16).collect();
        nifti::write(truth.join(format!("new{number}.nii.gz")), &Volume::<u16>::new(grid.clone(), labels))
            .unwrap();
    }
    dicewise(["predict".as_ref(), model.as_os_str(), images.as_os_str(), "--out".as_ref(), out.as_os_str()])
        .exits_with(0);
    for (number, grid) in grids.iter().enumerate() {
        let predicted = nifti::read_labels(out.join(format!("new{number}.nii.gz"))).unwrap();
        assert_eq!(predicted.grid, *grid, "prediction {number} lies elsewhere than its image");
        assert!(predicted.data.iter().all(|label| *label <= 2));
    }
    let labels = "--labels=big=1,small=2";
    dicewise(["evaluate".as_ref(), out.as_os_str(), truth.as_os_str(), labels.as_ref()]).exits_with(0);
    // Three cases of two labels, and the header.
    assert_eq!(fs::read_to_string(out.join("cases.csv")).unwrap().lines().count(), 1 + 3 * 2);
}
