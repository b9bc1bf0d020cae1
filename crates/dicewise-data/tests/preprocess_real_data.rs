//! The paper's preprocessing on real scans. `DICEWISE_DATA` names a folder with `hippocampus/` (MSD Task04),
//! `acdc/training/` and `brats_demo/`; without it these tests say so and pass.

use std::path::PathBuf;

use dicewise_data::dataset::Dataset;
use dicewise_data::nifti::{read_image, read_labels};
use dicewise_data::preprocess::{Prepared, Preprocessing, Restoring};
use dicewise_data::{Image, LabelMap};

fn data(folder: &str) -> Option<PathBuf> {
    let Some(root) = std::env::var_os("DICEWISE_DATA") else {
        eprintln!("SKIPPED: set DICEWISE_DATA to the folder that holds {folder} to test on real scans");
        return None;
    };
    Some(PathBuf::from(root).join(folder))
}

fn steps(json: &str) -> Preprocessing {
    serde_json::from_str(json).unwrap()
}

/// The labels of a prepared case as a perfect network would give them, back on the original grid: the class with
/// the largest probability.
fn restored_labels(prepared: &Prepared, classes: u16) -> LabelMap {
    let labels = prepared.labels.as_ref().unwrap();
    let perfect: Vec<Image> =
        (0..classes).map(|class| labels.map(|l| f32::from(u8::from(*l == class)))).collect();
    let back = prepared.restore_probabilities(&perfect, Some(0), Restoring::Replicate).unwrap();
    let likeliest = |i: usize| {
        (0..classes)
            .rev()
            .max_by(|a, b| back[usize::from(*a)].data[i].total_cmp(&back[usize::from(*b)].data[i]))
    };
    let data = (0..back[0].data.len()).map(|i| likeliest(i).unwrap()).collect();
    LabelMap::new(back[0].grid.clone(), data)
}

fn dsc(a: &LabelMap, b: &LabelMap, label: u16) -> f64 {
    let count = |v: &LabelMap| v.data.iter().filter(|l| **l == label).count();
    let both = a.data.iter().zip(&b.data).filter(|(a, b)| **a == label && **b == label).count();
    2.0 * both as f64 / (count(a) + count(b)) as f64
}

#[test]
fn hippocampus_labels_come_back_voxel_by_voxel() {
    let Some(folder) = data("hippocampus") else { return };
    let dataset = Dataset::open(folder).unwrap();
    let steps = steps(
        r#"[{ "step": "z-score", "over": "volume" }, { "step": "fit", "shape": [40, 56, 40], "about": "volume" }]"#,
    );
    let mut whole = 0;
    for files in dataset.cases.iter().take(40) {
        let case = dataset.load_case(&files.id).unwrap();
        let labels = case.labels.unwrap();
        let prepared = steps.prepare(&case.channels, Some(&labels)).unwrap();
        let back = restored_labels(&prepared, 3);
        assert_eq!(back.grid, labels.grid);
        let fits = labels.grid.shape.iter().zip([40, 56, 40]).all(|(n, m)| *n <= m);
        whole += usize::from(fits);
        for (found, expected) in back.data.iter().zip(&labels.data) {
            assert!(found == expected || (!fits && *found == 0), "{}", files.id);
        }
    }
    assert!(whole > 20, "only {whole} of 40 cases fit in 40 × 56 × 40 voxels");
}

#[test]
fn acdc_labels_survive_the_papers_grid() {
    let Some(folder) = data("acdc/training") else { return };
    let dataset = Dataset::open(folder).unwrap();
    let steps = steps(
        r#"[{ "step": "resample", "spacing": [1.5625, 1.5625, 2.5], "alignment": "centre", "labels": "linear" },
            { "step": "fit", "shape": [192, 192, 48], "about": "volume" }]"#,
    );
    for files in dataset.cases.iter().take(3) {
        let case = dataset.load_case(&files.id).unwrap();
        let labels = case.labels.unwrap();
        let prepared = steps.prepare(&case.channels, Some(&labels)).unwrap();
        let back = restored_labels(&prepared, 4);
        for label in 1..4 {
            let dsc = dsc(&back, &labels, label);
            assert!(dsc > 0.95, "{} label {label}: {dsc}", files.id);
        }
    }
}

#[test]
fn brats_crops_follow_the_paper() {
    let Some(folder) = data("brats_demo") else { return };
    let steps = steps(
        r#"[{ "step": "resample", "spacing": [2, 2, 2], "alignment": "corners", "labels": "linear" },
            { "step": "z-score", "over": "nonzero" },
            { "step": "fit", "shape": [80, 80, 48], "about": "labels" }]"#,
    );
    for case in ["case_0", "case_1"] {
        let image = read_image(folder.join(case).join("FLAIR.nii.gz")).unwrap();
        let labels = read_labels(folder.join(case).join("GT_W.nii.gz")).unwrap();
        let prepared = steps.prepare(std::slice::from_ref(&image), Some(&labels)).unwrap();
        assert_eq!(prepared.working_grid().shape, [80, 80, 48]);
        // 239 old voxels between the outermost centres become 119, 154 become 77.
        let spacing = prepared.working_grid().spacing_mm();
        assert!((spacing[0] - 239.0 / 119.0).abs() < 1e-6 && (spacing[2] - 2.0).abs() < 1e-6, "{spacing:?}");
        // The soft label holds the tumour's volume, so long as the crop holds the tumour.
        let soft = &steps.soft_labels(&labels, &[&[1]], &prepared).unwrap()[0];
        let old = labels.data.iter().filter(|l| **l == 1).count() as f64 * labels.grid.voxel_volume_ml();
        let new = soft.data.iter().copied().map(f64::from).sum::<f64>() * soft.grid.voxel_volume_ml();
        assert!((new / old - 1.0).abs() < 0.02, "{case}: {old} ml became {new} ml");
    }
}
