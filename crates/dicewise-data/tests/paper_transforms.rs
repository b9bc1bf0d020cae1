//! The paper's transforms against scipy, numpy and SimpleITK: numbers of fixtures/make_paper_transforms.py, which says
//! their versions.

use std::collections::HashMap;

use dicewise_data::augment::{Elastic, Patch, Target};
use dicewise_data::preprocess::{
    About, Prepared, Preprocessing, Restoring, Step, centroid, signed_distances_mm,
};
use dicewise_data::{Grid, Image, LabelMap, Volume};

fn expected() -> HashMap<&'static str, Vec<f32>> {
    let lines = include_str!("fixtures/paper_transforms.txt").lines();
    lines
        .map(|line| {
            let (name, numbers) = line.split_once(' ').unwrap();
            (name, numbers.split(' ').map(|number| number.parse().unwrap()).collect())
        })
        .collect()
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance * e.abs().max(1.0), "voxel {i}: {f} instead of {e}");
    }
}

fn each(shape: [usize; 3]) -> impl Iterator<Item = [i64; 3]> {
    let [nx, ny, nz] = shape;
    (0..nx * ny * nz).map(move |n| [n % nx, n / nx % ny, n / (nx * ny)].map(|i| i as i64))
}

/// a = (7i² + 5j + 3k²i + jk) mod 11.
fn pattern(shape: [usize; 3]) -> Vec<f32> {
    each(shape).map(|[i, j, k]| ((7 * i * i + 5 * j + 3 * k * k * i + j * k) % 11) as f32).collect()
}

fn steps(json: &str) -> Preprocessing {
    serde_json::from_str(json).unwrap()
}

const BRATS: &str = r#"[{ "step": "resample", "spacing": [2, 2, 2], "alignment": "corners", "labels": "linear" },
                       { "step": "z-score", "over": "nonzero" }]"#;

fn brats() -> (Image, LabelMap) {
    let shape = [16, 12, 10];
    let grid = Grid::axis_aligned(shape, [1.0; 3]);
    let head = each(shape).map(|[i, j, k]| (i - 9).pow(2) + 2 * (j - 6).pow(2) + 2 * (k - 4).pow(2) < 60);
    let image = pattern(shape).iter().zip(head).map(|(a, head)| if head { a + 1.0 } else { 0.0 }).collect();
    let label = |[i, j, k]: [i64; 3]| {
        let squared = |x: i64| (i - x).pow(2) + (j - 5).pow(2) + (k - 4).pow(2);
        match (squared(11), squared(10)) {
            (..2, _) => 4,
            (_, ..6) => 1,
            (_, ..12) => 2,
            _ => 0,
        }
    };
    (Volume::new(grid.clone(), image), Volume::new(grid, each(shape).map(label).collect()))
}

fn brats_prepared() -> Prepared {
    let (image, labels) = brats();
    steps(BRATS).prepare(&[image], Some(&labels)).unwrap()
}

#[test]
fn brats_images_and_soft_labels_agree_with_scipy() {
    let (expected, prepared) = (expected(), brats_prepared());
    assert_eq!(prepared.working_grid().shape, [8, 6, 5]);
    assert_close(&prepared.channels[0].data, &expected["brats_image"], 1e-3);
    let soft = steps(BRATS).soft_labels(&brats().1, &[&[1, 2, 4]], &prepared).unwrap();
    assert_close(&soft[0].data, &expected["brats_soft"], 1e-3);
}

#[test]
fn brats_crops_lie_about_tumour_or_head_as_numpy_says() {
    let (expected, prepared) = (expected(), brats_prepared());
    let soft = steps(BRATS).soft_labels(&brats().1, &[&[1, 2, 4]], &prepared).unwrap().swap_remove(0);
    let patch = Patch {
        shape: soft.grid.shape,
        channels: Vec::new(),
        target: Target::Soft { maps: vec![soft.data], outside: vec![0.0] },
        anchor: None,
    };
    let centres: Vec<usize> = expected["brats_centres"].iter().map(|&c| c as usize).collect();
    assert_eq!(patch.target_centroid().unwrap().as_slice(), &centres[..3]);
    assert_eq!(prepared.image_centre().unwrap().as_slice(), &centres[3..]);
}

#[test]
fn brats_predictions_come_back_as_simpleitks_nearest_voxels() {
    let (expected, (image, labels)) = (expected(), brats());
    let mut about = steps(BRATS);
    let soft_centre = expected["brats_centres"][..3].iter().map(|&c| c as usize);
    // The crop that the paper's code makes is about the soft label, whose centroid need not be that of the hard one.
    let prepared = about.prepare(std::slice::from_ref(&image), Some(&labels)).unwrap();
    let mut marked = prepared.labels.clone().unwrap().map(|_| 0u16);
    let centre: Vec<usize> = soft_centre.collect();
    let index = marked.index(centre[0], centre[1], centre[2]);
    marked.data[index] = 1;
    assert_eq!(centroid(&marked, None).unwrap().as_slice(), centre);
    about.steps = vec![Step::Fit { shape: [4, 4, 2], about: About::Labels }];
    let mut cropped = about.prepare(&prepared.channels, Some(&marked)).unwrap();
    cropped.original = image.grid;
    let numbered = Volume::new(cropped.working_grid().clone(), (1..=32).map(|n| n as f32).collect());
    let back = cropped.restore_probabilities(&[numbered], None, Restoring::Nearest).unwrap();
    assert_close(&back[0].data, &expected["brats_back"], 0.0);
}

const ACDC_SHAPE: [usize; 3] = [20, 18, 5];
const ACDC_SPACING: [f64; 3] = [1.8, 1.6, 10.0];
const ACDC: &str = r#"[
    { "step": "resample-window", "spacing": [3.05, 2.95, 3.1], "shape": [12, 10, 16], "labels": "signed-distance",
      "enclosing": [[2, 3]] },
    { "step": "clip", "quantiles": [0.009900990099, 0.990099009901] },
    { "step": "z-score", "over": "volume" }]"#;

fn acdc() -> (Image, LabelMap) {
    let grid = Grid::axis_aligned(ACDC_SHAPE, ACDC_SPACING);
    let label = |index: [i64; 3]| {
        let [x, y, z]: [f64; 3] =
            std::array::from_fn(|a| (index[a] as f64 - (ACDC_SHAPE[a] as f64 - 1.0) / 2.0) * ACDC_SPACING[a]);
        let squared = |x0: f64, y0: f64| (x - x0).powi(2) + (y - y0).powi(2) + z * z / 4.0;
        match (squared(-2.0, 1.0) < 30.0, squared(-2.0, 0.0) < 70.0, squared(7.0, 0.0) < 50.0) {
            (true, _, _) => 3,
            // At the base, the left ventricle opens.
            (_, true, _) => {
                if z > 15.0 {
                    0
                } else {
                    2
                }
            }
            (_, _, true) => 1,
            _ => 0,
        }
    };
    (Volume::new(grid.clone(), pattern(ACDC_SHAPE)), Volume::new(grid, each(ACDC_SHAPE).map(label).collect()))
}

#[test]
fn acdc_images_agree_with_scipy() {
    let prepared = steps(ACDC).prepare(&[acdc().0], None).unwrap();
    assert_close(&prepared.channels[0].data, &expected()["acdc_image"], 5e-4);
}

#[test]
fn signed_distances_agree_with_a_search_over_all_surface_points() {
    let (_, labels) = acdc();
    let inside: Vec<bool> = labels.data.iter().map(|&label| label == 3).collect();
    assert_close(&signed_distances_mm(&inside, &labels.grid), &expected()["acdc_distance"], 1e-3);
    // Without a surface everything is far away.
    assert_eq!(signed_distances_mm(&[false; 8], &Grid::axis_aligned([2; 3], [1.0; 3])), [100.0; 8]);
    assert_eq!(signed_distances_mm(&[true; 8], &Grid::axis_aligned([2; 3], [1.0; 3])), [-100.0; 8]);
}

#[test]
fn acdc_labels_agree_with_interpolated_distances() {
    let (image, labels) = acdc();
    let prepared = steps(ACDC).prepare(&[image], Some(&labels)).unwrap();
    // The channels of the script: background, right ventricle, myocardium, left ventricle.
    let found: Vec<f32> = prepared.labels.unwrap().data.iter().map(|&label| f32::from(label)).collect();
    let expected = &expected()["acdc_labels"];
    assert!((1..4).all(|label| expected.iter().filter(|&&l| l == label as f32).count() > 20));
    assert_close(&found, expected, 0.0);
}

#[test]
fn acdc_probabilities_come_back_with_the_border_repeated() {
    let (image, _) = acdc();
    let prepared = steps(ACDC).prepare(&[image], None).unwrap();
    // Class 2 of the script.
    let p = pattern([12, 10, 16]).iter().map(|a| (a * 5.0 + 4.0) % 7.0 + 1.0).collect();
    let p = Volume::new(prepared.working_grid().clone(), p);
    let back = prepared.restore_probabilities(&[p], None, Restoring::Replicate).unwrap();
    assert_close(&back[0].data, &expected()["acdc_back"], 1e-3);
}

#[test]
fn elastic_deformations_agree_with_scipy() {
    let (expected, shape) = (expected(), [12, 10, 8]);
    let noise = [0, 1, 2].map(|component| {
        let value = |[i, j, k]: [i64; 3]| {
            ((7 * i + 13 * j + 29 * k + 3 * i * j * k + 5 * component * i) % 17) as f32 / 8.0 - 1.0
        };
        each([30; 3]).map(value).collect()
    });
    let elastic = Elastic::from_noise(noise, shape, [1.0; 3]);
    assert_close(&elastic.displacement(0)[..480], &expected["elastic_field"], 1e-3);
    let mut patch =
        Patch { shape, channels: vec![pattern(shape)], target: Target::Labels(vec![0; 960]), anchor: None };
    elastic.apply(&mut patch);
    // Neighbouring voxels differ by up to 10.
    assert_close(&patch.channels[0][..480], &expected["elastic_image"], 5e-3);
}
