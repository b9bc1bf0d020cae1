use super::*;

/// a = (7i² + 5j + 3k²i + jk) mod 11 on 5 × 4 × 6 voxels: the image of all the fixtures below.
fn example() -> Image {
    let mut image = Volume::new(Grid::axis_aligned([5, 4, 6], [1.0, 2.0, 1.0]), vec![0.0; 120]);
    for k in 0..6 {
        for j in 0..4 {
            for i in 0..5 {
                let at = image.index(i, j, k);
                image.data[at] = ((7 * i * i + 5 * j + 3 * k * k * i + j * k) % 11) as f32;
            }
        }
    }
    image
}

fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (i, (a, e)) in found.iter().zip(expected).enumerate() {
        assert!((a - e).abs() < 1e-5, "voxel {i}: {a} instead of {e}");
    }
}

/// Old voxels a new one, along x, y, z.
const FACTOR: [f64; 3] = [2.0, 1.0, 1.5];

#[test]
fn anti_aliasing_agrees_with_scipy() {
    // scipy 1.17.1: g = ndimage.gaussian_filter(a, [sqrt((f*f - 1)/12) for f in (2, 1, 1.5)], mode="nearest")
    let mut image = example();
    anti_alias(&mut image, FACTOR);
    let along_x: Vec<f32> = (0..5).map(|i| image.data[image.index(i, 1, 2)]).collect();
    let along_z: Vec<f32> = (0..6).map(|k| image.data[image.index(3, 2, k)]).collect();
    assert_close(&along_x, &[6.685029, 4.36, 4.327736, 6.132916, 2.623358]);
    assert_close(&along_z, &[6.14654, 6.122884, 3.367302, 6.286713, 5.286977, 0.361405]);
}

#[test]
fn corner_alignment_agrees_with_scipys_zoom() {
    // scipy 1.17.1: ndimage.zoom(g, [1/f for f in (2, 1, 1.5)], order=1, mode="nearest"), then z, y, x order
    let mut image = example();
    anti_alias(&mut image, FACTOR);
    let grid = grid_with_spacing(&image.grid, [2.0, 2.0, 1.5], Alignment::Corners);
    assert_eq!(grid.shape, [2, 4, 4]);
    let expected = [
        0.749314, 2.645258, 4.583573, 6.479517, 9.502608, 1.661451, 3.602645, 5.498589, 0.919754, 4.645118,
        6.419847, 4.445167, 2.116217, 6.976539, 8.69383, 6.71915, 0.077284, 2.516494, 8.398234, 7.098509,
        5.734447, 4.487759, 3.127162, 1.830596, 0.528474, 4.700356, 9.355997, 3.69226, 8.347925, 2.684187,
        7.342707, 2.840447,
    ];
    assert_close(&resample(&image, &grid, f32::NAN).unwrap().data, &expected);
}

#[test]
fn oblique_grids_agree_with_scipys_affine_transform() {
    // scipy 1.17.1: M = inv(A) @ T; ndimage.affine_transform(a, M[:3, :3], M[:3, 3], output_shape=(4, 3, 3),
    // order=1, mode="nearest"), −1 more than half a voxel outside; A and T the affines below
    let mut image = example();
    image.grid.affine =
        [[-1.2, 0.3, 0.1, 5.0], [0.4, 0.9, -0.2, -7.0], [0.0, 0.5, 3.1, 11.0], [0., 0., 0., 1.]];
    let affine = [[1.2, -0.9, 0.0, 2.88], [0.9, 1.2, 0.0, -4.76], [0.0, 0.0, 2.5, 13.04], [0., 0., 0., 1.]];
    let expected = [
        3.688, 5.284252, -1.0, -1.0, 4.267223, -1.0, -1.0, -1.0, 6.46911, -1.0, -1.0, -1.0, 3.586255,
        7.153788, -1.0, -1.0, 4.999338, -1.0, -1.0, -1.0, 9.610471, -1.0, -1.0, -1.0, 1.810149, 7.091447,
        -1.0, -1.0, 7.02543, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0,
    ];
    assert_close(&resample(&image, &Grid { shape: [4, 3, 3], affine }, -1.0).unwrap().data, &expected);
}

#[test]
fn the_spacing_is_exact_and_the_centre_stays_when_centres_are_aligned() {
    let mut grid = Grid::axis_aligned([7, 10, 155], [1.0; 3]);
    // Rotated about z by a 3-4-5 triangle, anisotropic.
    grid.affine = [[0.8, -1.2, 0.0, -30.0], [0.6, 1.6, 0.0, 12.0], [0.0, 0.0, 3.0, 5.0], [0., 0., 0., 1.]];
    let new = grid_with_spacing(&grid, [2.0, 1.25, 2.0], Alignment::Centre);
    // 7·1/2 = 3.5 → 4 (ties to even), 10·2/1.25 = 16, 155·3/2 = 232.5 → 232.
    assert_eq!(new.shape, [4, 16, 232]);
    assert!(new.spacing_mm().iter().zip([2.0, 1.25, 2.0]).all(|(a, b)| (a - b).abs() < 1e-12));
    let centre = |grid: &Grid| -> [f64; 3] {
        std::array::from_fn(|row| {
            let half = |axis: usize| 0.5 * (grid.shape[axis] - 1) as f64;
            grid.affine[row][3] + (0..3).map(|axis| grid.affine[row][axis] * half(axis)).sum::<f64>()
        })
    };
    assert!(centre(&grid).iter().zip(centre(&new)).all(|(a, b)| (a - b).abs() < 1e-9));
}

#[test]
fn linear_images_are_resampled_exactly() {
    // An image that is a linear function of the place in the world has the same function's values on any
    // grid, up to the border.
    let mut grid = Grid::axis_aligned([9, 7, 5], [1.0; 3]);
    grid.affine = [[0.8, -1.2, 0.0, -3.0], [0.6, 1.6, 0.0, 2.0], [0.0, 0.0, 3.0, 5.0], [0., 0., 0., 1.]];
    let plane = |grid: &Grid| {
        let [nx, ny, _] = grid.shape;
        let value = |i: usize| {
            let index = [i % nx, i / nx % ny, i / (nx * ny)];
            let world: [f64; 3] = std::array::from_fn(|row| {
                grid.affine[row][3] + (0..3).map(|a| grid.affine[row][a] * index[a] as f64).sum::<f64>()
            });
            (2.0 * world[0] - 0.5 * world[1] + 0.25 * world[2]) as f32
        };
        Volume::new(grid.clone(), (0..grid.len()).map(value).collect())
    };
    for alignment in [Alignment::Centre, Alignment::Corners] {
        let new = grid_with_spacing(&grid, [1.3, 1.1, 1.7], alignment);
        let found = resample(&plane(&grid), &new, f32::NAN).unwrap();
        let expected = plane(&new);
        let [nx, ny, nz] = new.shape;
        for z in 1..nz - 1 {
            for y in 1..ny - 1 {
                for x in 1..nx - 1 {
                    let i = found.index(x, y, z);
                    assert!((found.data[i] - expected.data[i]).abs() < 1e-4, "({x}, {y}, {z})");
                }
            }
        }
    }
}

#[test]
fn the_same_grid_gives_the_same_bits() {
    let mut image = example();
    image.grid.affine =
        [[-1.2, 0.3, 0.1, 5.0], [0.4, 0.9, -0.2, -7.0], [0.0, 0.5, 3.1, 11.0], [0., 0., 0., 1.]];
    assert_eq!(resample(&image, &image.grid, 0.0).unwrap(), image);
}

#[test]
fn labels_are_never_averaged() {
    let labels = Volume::new(Grid::axis_aligned([4, 1, 1], [1.0; 3]), vec![1, 1, 3, 3]);
    let grid = grid_with_spacing(&labels.grid, [0.5, 1.0, 1.0], Alignment::Centre);
    // New voxel centres at −.25, .25, … 3.25: between 1.25 and 1.75 the label changes, without a 2.
    for rule in [LabelRule::Nearest, LabelRule::Linear] {
        assert_eq!(resample_labels(&labels, &grid, rule).unwrap().data, [1, 1, 1, 1, 3, 3, 3, 3]);
    }
}

#[test]
fn the_linear_rule_lets_labels_share_a_voxel_by_weight() {
    // At x = ½, y = ½ of a 2 × 2 square the four weigh ¼ each: label 2 has two of them, no other more than one.
    let labels = Volume::new(Grid::axis_aligned([2, 2, 1], [1.0; 3]), vec![1, 2, 2, 5]);
    let mut grid = Grid::axis_aligned([1, 1, 1], [1.0; 3]);
    grid.affine[0][3] = 0.5;
    grid.affine[1][3] = 0.5;
    assert_eq!(resample_labels(&labels, &grid, LabelRule::Linear).unwrap().data, [2]);
    // A tie of two goes to the smaller label.
    let tie = Volume::new(labels.grid.clone(), vec![4, 3, 4, 3]);
    assert_eq!(resample_labels(&tie, &grid, LabelRule::Linear).unwrap().data, [3]);
}

#[test]
fn a_singular_affine_is_refused() {
    let mut image = example();
    image.grid.affine[1] = image.grid.affine[0];
    let grid = Grid::axis_aligned([2, 2, 2], [1.0; 3]);
    assert!(matches!(resample(&image, &grid, 0.0), Err(PreprocessError::SingularAffine { .. })));
}
