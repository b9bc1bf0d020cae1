use std::fs;
use std::path::PathBuf;

use dicewise_report::read_cases;

use crate::program::dicewise;

/// A dataset below DICEWISE_DATA; None with a message where there is none.
fn data(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("DICEWISE_DATA").map(|root| PathBuf::from(root).join(name));
    let found = folder.filter(|folder| folder.is_dir());
    if found.is_none() {
        eprintln!("skipped: set DICEWISE_DATA to a folder that holds {name}/");
    }
    found
}

/// Voxels of the first case were counted with Python's gzip and struct.
#[test]
fn hippocampus_is_sound() {
    let Some(folder) = data("hippocampus") else { return };
    let outcome = dicewise(["check".as_ref(), folder.as_os_str()]).exits_with(0);
    assert!(outcome.stdout.contains("msd layout"), "{}", outcome.stdout);
    let row = outcome.row(&["hippocampus_001"]);
    assert_eq!((&*row[1], &*row[3], &*row[6]), ("35×51×35", "1324", "1624"));
}

/// The end-systolic truth as a prediction of the end-diastolic image, against numbers from Python's gzip and struct.
#[test]
fn a_heart_at_end_systole_is_scored_against_end_diastole() {
    let Some(folder) = data("acdc/training") else { return };
    let predictions = tempfile::tempdir().unwrap();
    let truth = |frame: &str| folder.join(format!("patient001/patient001_frame{frame}_gt.nii.gz"));
    for (case, frame) in [("01", "12"), ("12", "12")] {
        fs::copy(truth(frame), predictions.path().join(format!("patient001_frame{case}.nii.gz"))).unwrap();
    }
    let labels = "--labels=rv=1,myocardium=2,lv=3,heart=1+2+3";
    let folders = [predictions.path(), folder.as_path()].map(|path| path.to_str().unwrap());
    dicewise(["evaluate", folders[0], folders[1], "--layout", "acdc", labels]).exits_with(0);
    let scores = read_cases(&predictions.path().join("cases.csv")).unwrap();
    let score = |case: &str, label: &str| {
        scores.iter().find(|score| score.case == case && score.label == label).unwrap().clone()
    };
    for (label, dsc, ed, es) in [
        ("rv", 0.5792697868169566, 5723, 2439),
        ("myocardium", 0.6151651039543417, 6728, 7990),
        ("lv", 0.8556570625439213, 12104, 9241),
        ("heart", 0.8759751271905031, 24555, 19670),
    ] {
        let swapped = score("patient001_frame01", label);
        assert!((swapped.dsc.unwrap() - dsc).abs() < 1e-12, "{label}: {:?}", swapped.dsc);
        // Voxels of 1.5625 × 1.5625 × 10 mm.
        let ml = f64::from(es - ed) * 1.5625 * 1.5625 * 10.0 / 1000.0;
        assert!(
            (swapped.volume_difference_ml - ml).abs() < 1e-6,
            "{label}: {}",
            swapped.volume_difference_ml
        );
        assert_eq!((&*swapped.subject, &*swapped.group), ("patient001", "ED"));
        assert_eq!(score("patient001_frame12", label).dsc, Some(1.0));
    }
}
