//! What `check` finds in a dataset with planted defects.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use dicewise_data::check::{CheckReport, Defect, Severity, check};
use dicewise_data::dataset::{CaseError, Dataset, Layout};
use dicewise_data::nifti::{self, NiftiError};
use dicewise_data::presence::Presence;
use dicewise_data::{Grid, Volume};
use tempfile::TempDir;

/// Voxels of 0.1 × 1 × 10 mm: 0.001 ml.
const SPACING: [f64; 3] = [0.1, 1.0, 10.0];
const SHAPE: [usize; 3] = [4, 5, 6];

struct Planted(TempDir);

impl Planted {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let json = r#"{"channel_names": {"0": "MR"}, "labels": {"background": 0, "big": 1, "small": 2},
            "file_ending": ".nii.gz"}"#;
        fs::write(dir.path().join("dataset.json"), json).unwrap();
        fs::create_dir(dir.path().join("imagesTr")).unwrap();
        fs::create_dir(dir.path().join("labelsTr")).unwrap();
        Self(dir)
    }

    fn image(&self, case: &str) -> std::path::PathBuf {
        self.0.path().join(format!("imagesTr/{case}_0000.nii.gz"))
    }

    /// Writes a case whose image differs from the others', with so many voxels of labels 1 and 2.
    fn case(&self, case: &str, big: usize, small: usize) -> &Self {
        let grid = Grid::axis_aligned(SHAPE, SPACING);
        let first = case.bytes().map(f32::from).sum::<f32>();
        let image = (0..grid.len()).map(|i| first + i as f32).collect();
        nifti::write(self.image(case), &Volume::new(grid.clone(), image)).unwrap();
        let id = |i| if i < big { 1 } else { 2 * u8::from(i < big + small) };
        let labels = Volume::new(grid.clone(), (0..grid.len()).map(id).collect());
        nifti::write(self.0.path().join(format!("labelsTr/{case}.nii.gz")), &labels).unwrap();
        self
    }

    fn check(&self) -> CheckReport {
        let dataset = Dataset::list(self.0.path(), Layout::NnUnet).unwrap();
        check(&dataset, &Presence::of_dataset(&dataset).unwrap(), |_| {})
    }
}

#[test]
fn sizes_are_counted_and_averaged_over_annotated_cases() {
    let planted = Planted::new();
    planted.case("a", 10, 2).case("b", 20, 0).case("c", 30, 0);
    fs::write(planted.0.path().join("presence.csv"), "case,big,small\nc,annotated,missing\n").unwrap();
    let report = planted.check();
    assert!(report.defects.is_empty(), "{:?}", report.defects);
    let sizes = report.cases[0].labels.as_ref().unwrap();
    // 120 voxels in all.
    assert_eq!(sizes.iter().map(|s| s.voxels).collect::<Vec<_>>(), [108, 10, 2]);
    assert!((sizes[1].ml - 0.010).abs() < 1e-9);
    let [_, big, small] = &report.labels[..] else { panic!("{:?}", report.labels) };
    assert_eq!((big.annotated, big.empty, big.mean_voxels), (3, 0, Some(20.0)));
    // Missing in c, empty in b: (2 + 0) / 2.
    assert_eq!((small.annotated, small.empty, small.mean_voxels), (2, 1, Some(1.0)));
    assert!((small.mean_ml.unwrap() - 0.001).abs() < 1e-9);
}

#[test]
fn every_case_is_reported_done_once() {
    let planted = Planted::new();
    for case in ["a", "b", "c", "d", "e"] {
        planted.case(case, 3, 3);
    }
    let dataset = Dataset::open(planted.0.path()).unwrap();
    let (calls, sum) = (AtomicUsize::new(0), AtomicUsize::new(0));
    check(&dataset, &Presence::all_annotated(&dataset.labels), |progress| {
        assert_eq!(progress.total, 5);
        calls.fetch_add(1, Ordering::Relaxed);
        sum.fetch_add(progress.done, Ordering::Relaxed);
    });
    // 1 + 2 + 3 + 4 + 5.
    assert_eq!((calls.into_inner(), sum.into_inner()), (5, 15));
}

/// The only defect of a dataset whose case `a` is spoilt.
fn spoilt(spoil: impl Fn(&Planted)) -> Defect {
    let planted = Planted::new();
    planted.case("a", 10, 2).case("b", 20, 1);
    spoil(&planted);
    let mut report = planted.check();
    assert_eq!(report.defects.len(), 1, "{:?}", report.defects);
    report.defects.remove(0)
}

fn constant(path: &Path, value: f32) {
    let grid = Grid::axis_aligned(SHAPE, SPACING);
    nifti::write(path, &Volume::new(grid.clone(), vec![value; grid.len()])).unwrap();
}

#[test]
fn planted_defects_are_found() {
    let missing = spoilt(|p| fs::remove_file(p.image("a")).unwrap());
    assert_eq!(missing.severity(), Severity::Error);
    assert!(matches!(
        missing,
        Defect::Unusable { error: CaseError::Nifti { source: NiftiError::MissingFile { .. }, .. }, .. }
    ));
    let cut = spoilt(|p| {
        let bytes = fs::read(p.image("a")).unwrap();
        fs::write(p.image("a"), &bytes[..bytes.len() - 4]).unwrap();
    });
    assert!(matches!(
        cut,
        Defect::Unusable { error: CaseError::Nifti { source: NiftiError::Truncated { .. }, .. }, .. }
    ));
    let undeclared = spoilt(|p| {
        let grid = Grid::axis_aligned(SHAPE, SPACING);
        let labels = Volume::new(grid.clone(), vec![257_u16; grid.len()]);
        nifti::write(p.0.path().join("labelsTr/a.nii.gz"), &labels).unwrap();
    });
    assert!(matches!(
        undeclared,
        Defect::Unusable { error: CaseError::UndeclaredLabel { value: 257, voxels: 120, .. }, .. }
    ));
    let flat = spoilt(|p| constant(&p.image("a"), 7.0));
    assert!(matches!(flat, Defect::ConstantImage { channel: 0, value: 7.0, .. }));
    let nan = spoilt(|p| {
        let mut image = nifti::read_image(p.image("a")).unwrap();
        image.data[5] = f32::NAN;
        image.data[6] = f32::INFINITY;
        nifti::write(p.image("a"), &image).unwrap();
    });
    assert_eq!(nan.severity(), Severity::Error);
    assert!(matches!(nan, Defect::NonFiniteVoxels { voxels: 2, first: [1, 1, 0], .. }), "{nan}");
    let background = spoilt(|p| {
        p.case("a", 0, 0);
    });
    assert_eq!(background.severity(), Severity::Warning);
    assert!(matches!(background, Defect::AllBackground { case } if case == "a"));
    let same = spoilt(|p| {
        fs::copy(p.image("a"), p.image("b")).unwrap();
    });
    assert!(matches!(same, Defect::DuplicateImages { cases } if cases == ["a", "b"]));
    let never = spoilt(|p| {
        p.case("a", 10, 0).case("b", 20, 0);
    });
    assert!(matches!(never, Defect::LabelNeverSeen { value: 2, .. }));
    let drawn = spoilt(|p| {
        fs::write(p.0.path().join("presence.csv"), "case,big,small\na,annotated,missing\n").unwrap();
    });
    assert!(matches!(drawn, Defect::MissingButDrawn { voxels: 2, .. }));
    let odd = spoilt(|p| {
        let path = p.image("a");
        let plain = path.with_extension("");
        let image = nifti::read_image(&path).unwrap();
        nifti::write(&plain, &image).unwrap();
        fs::rename(plain, path).unwrap();
    });
    assert!(matches!(odd, Defect::OddFile { .. }), "{odd}");
}

#[test]
fn every_unreadable_file_of_a_case_is_named() {
    let planted = Planted::new();
    planted.case("a", 10, 2).case("b", 20, 1);
    fs::write(planted.image("a"), "no image").unwrap();
    fs::remove_file(planted.0.path().join("labelsTr/a.nii.gz")).unwrap();
    let report = planted.check();
    let messages: Vec<_> = report.defects.iter().map(|d| d.to_string()).collect();
    let [image, label] = &messages[..] else { panic!("{messages:?}") };
    assert!(image.contains("a_0000.nii.gz: not a NIfTI file"), "{image}");
    assert!(label.contains("a.nii.gz: no such file"), "{label}");
}

#[test]
fn reports_serialize_with_their_messages() {
    let planted = Planted::new();
    planted.case("a", 10, 2);
    fs::remove_file(planted.image("a")).unwrap();
    let json = serde_json::to_value(planted.check()).unwrap();
    assert_eq!(json["layout"], "nn_unet");
    assert_eq!(json["labels"][1]["name"], "big");
    assert_eq!(json["defects"][0]["kind"], "unusable");
    assert!(json["defects"][0]["error"].as_str().unwrap().contains("a_0000.nii.gz: no such file"));
}

#[test]
fn real_hippocampus_has_no_errors() {
    let Some(root) = std::env::var_os("DICEWISE_DATA") else {
        eprintln!("skipped: DICEWISE_DATA is not set");
        return;
    };
    let dataset = Dataset::open(Path::new(&root).join("hippocampus")).unwrap();
    let report = check(&dataset, &Presence::all_annotated(&dataset.labels), |_| {});
    assert_eq!(report.cases.len(), 200);
    assert!(report.defects.iter().all(|d| d.severity() == Severity::Warning), "{:?}", report.defects);
}
