use std::fs;

use dicewise_data::Grid;

use crate::dataset::{Dataset, SPACING, grid, write_labels_on};
use crate::predictions::Predictions;

#[test]
fn of_a_dataset_only_predicted_cases_are_scored_of_a_folder_all_have_to_be() {
    let dataset = Dataset::new().case("a", &[(1, 10), (2, 4)]).case("b", &[(1, 10), (2, 4)]);
    let predictions = Predictions::new().case("a", &[(1, 10), (2, 4)]);
    let outcome = predictions.evaluate(dataset.path(), "").exits_with(0);
    assert!(outcome.stdout.contains("1 of the dataset's 2 cases have predictions"), "{}", outcome.stdout);
    let labels = dataset.path().join("labelsTr");
    let (prediction, truth) = (predictions.file("b"), dataset.label("b"));
    let words = ["case b", prediction.to_str().unwrap(), truth.to_str().unwrap(), "is missing", "help:"];
    predictions.is_refused(&labels, "", &words);
}

#[test]
fn a_prediction_without_truth_is_refused() {
    let dataset = Dataset::new().case("a", &[(1, 10), (2, 4)]);
    let predictions = Predictions::new().case("a", &[(1, 9)]).case("x", &[(1, 9)]).case("y", &[(1, 9)]);
    let stray = predictions.file("x");
    let words = [stray.to_str().unwrap(), "no truth for it", "(and 1 more)", "CASE.nii.gz"];
    predictions.is_refused(dataset.path(), "", &words);
}

#[test]
fn every_case_that_cannot_be_scored_is_named() {
    let names = ["affine", "label", "shape", "sound", "torn"];
    let dataset = names.iter().fold(Dataset::new(), |dataset, case| dataset.case(case, &[(1, 10), (2, 4)]));
    let predictions = Predictions::new().case("sound", &[(1, 10)]).case("label", &[(1, 10), (9, 2)]);
    let mut moved = grid();
    // Half a voxel.
    moved.affine[0][3] = 0.05;
    write_labels_on(&predictions.file("affine"), moved, &[(1, 10)]);
    write_labels_on(&predictions.file("shape"), Grid::axis_aligned([4, 5, 7], SPACING), &[(1, 10)]);
    fs::write(predictions.file("torn"), [0x1f, 0x8b, 8, 0]).unwrap();
    let files = ["affine", "label", "shape", "torn"].map(|case| predictions.file(case));
    let mut words: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
    words.extend([
        "4 of 5 cases cannot be scored; nothing was written",
        "lies 0.050 mm away",
        "holds label 9 (2 voxels), which is not declared; declared: 0, 1, 2",
        "has shape [4, 5, 7]",
        "[4, 5, 6]",
        "bring the prediction back onto the image's grid",
    ]);
    predictions.is_refused(dataset.path(), "", &words);
}

#[test]
fn folders_and_labels_that_make_no_sense_are_refused() {
    let dataset = Dataset::new().case("a", &[(1, 10), (2, 4)]);
    let predictions = Predictions::new();
    predictions.is_refused(dataset.path(), "", &["no label maps in it"]);
    let predictions = predictions.case("a", &[(1, 10)]);
    predictions.is_refused(&dataset.path().join("nowhere"), "", &["nowhere: no such folder"]);
    predictions.is_refused(dataset.path(), "--labels third=3", &["third=3", "1 (big), 2 (small)"]);
    predictions.is_refused(dataset.path(), "--labels big=1,large=1", &["big and large are the same label"]);
    fs::copy(predictions.file("a"), predictions.0.path().join("a.nii")).unwrap();
    predictions.is_refused(dataset.path(), "", &["case a has two label maps", "remove one"]);
}

#[test]
fn the_results_of_a_run_are_not_written_over() {
    let dataset = Dataset::new().case("a", &[(1, 10), (2, 4)]);
    let predictions = Predictions::new().case("a", &[(1, 10)]);
    fs::write(predictions.0.path().join("table1.csv"), "hours of work").unwrap();
    predictions.is_refused(dataset.path(), "", &["table1.csv", "--out"]);
    let out = tempfile::tempdir().unwrap();
    let elsewhere = out.path().join("new/folder");
    predictions.evaluate(dataset.path(), &format!("--out {}", elsewhere.display())).exits_with(0);
    assert!(elsewhere.join("cases.csv").is_file() && elsewhere.join("summary.json").is_file());
}
