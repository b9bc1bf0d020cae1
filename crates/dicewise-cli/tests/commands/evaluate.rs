use std::fs;
use std::path::Path;

use dicewise_data::Grid;

use crate::dataset::{Dataset, SHAPE, SPACING, write_labels_on};
use crate::predictions::Predictions;

/// Of big, truth has voxels 0–9 and the prediction 0–29: DSC 2·10/(10 + 30) = ½, ΔV 20 voxels of 0.001 ml. Of small,
/// truth has 10–13 and the prediction 30–33: DSC 0.
#[test]
fn scores_are_those_of_the_definition() {
    let dataset = Dataset::new().case("a", &[(1, 10), (2, 4)]).case("b", &[(1, 8), (2, 2)]);
    let predictions = Predictions::new().case("a", &[(1, 30), (2, 4)]).case("b", &[(1, 8), (2, 2)]);
    let outcome = predictions.evaluate(dataset.path(), "").exits_with(0);
    let scores = predictions.scores();
    let found: Vec<_> = scores.iter().map(|score| (&*score.case, &*score.label, score.dsc)).collect();
    let perfect = Some(1.0);
    assert_eq!(
        found,
        [("a", "big", Some(0.5)), ("a", "small", Some(0.0)), ("b", "big", perfect), ("b", "small", perfect)]
    );
    let volumes = [scores[0].volume_difference_ml, scores[0].predicted_volume_ml, scores[0].target_volume_ml];
    for (volume, ml) in volumes.into_iter().zip([0.020, 0.030, 0.010]) {
        assert!((volume - ml).abs() < 1e-9, "{volume} ml instead of {ml} ml");
    }
    assert_eq!((&*scores[0].setting, &*scores[0].subject, &*scores[0].group), ("unknown", "a", "all"));
    // (½ + 1)/2 and (0.020 + 0)/2.
    assert_eq!(outcome.row(&["big", "all"])[2..], ["0.750", "2", "0", "0", "0.010", "0.019", "0.009"]);
}

#[test]
fn summary_json_has_the_fields_of_nnunet() {
    let dataset = Dataset::new().case("a", &[(1, 10), (2, 4)]);
    let predictions = Predictions::new().case("a", &[(1, 30), (2, 4)]);
    predictions.evaluate(dataset.path(), "").exits_with(0);
    let summary = predictions.summary();
    let metrics = &summary["metric_per_case"][0]["metrics"]["1"];
    for (name, value) in [("TP", 10), ("FP", 20), ("FN", 0), ("TN", 90), ("n_pred", 30), ("n_ref", 10)] {
        assert_eq!(metrics[name], value, "{name}");
    }
    assert_eq!(metrics["Dice"], 0.5);
    assert!((metrics["IoU"].as_f64().unwrap() - 1.0 / 3.0).abs() < 1e-12);
    assert_eq!(summary["mean"]["1"]["Dice"], 0.5);
    // Over big with ½ and small with 0.
    assert_eq!(summary["foreground_mean"]["Dice"], 0.25);
    assert_eq!(summary["labels"]["2"], "small");
    let file = summary["metric_per_case"][0]["reference_file"].as_str().unwrap();
    assert_eq!(Path::new(file), dataset.label("a"));
}

/// In a, small is in neither; in b it is predicted and not there; in c it is right.
#[test]
fn empty_truth_is_null_and_counted_unless_it_is_to_be_scored() {
    let dataset = Dataset::new().case("a", &[(1, 9)]).case("b", &[(1, 9)]).case("c", &[(1, 9), (2, 3)]);
    let same = [(1, 9), (2, 3)];
    let predictions = Predictions::new().case("a", &[(1, 9)]).case("b", &same).case("c", &same);
    let small = |predictions: &Predictions| -> Vec<Option<f64>> {
        predictions.scores().iter().filter(|score| score.label == "small").map(|score| score.dsc).collect()
    };
    predictions.evaluate(dataset.path(), "").exits_with(0);
    assert_eq!(small(&predictions), [None, None, Some(1.0)]);
    let summary = predictions.summary();
    assert!(summary["metric_per_case"][0]["metrics"]["2"]["Dice"].is_null());
    assert_eq!(summary["mean"]["2"]["Dice"], 1.0);
    let counts = &summary["mean"]["2"]["counts"];
    assert_eq!((&counts["Dice"], &counts["truth_empty"]), (&1.into(), &2.into()));
    assert_eq!(counts["truth_empty_and_predicted"], 1);

    let outcome = predictions.evaluate(dataset.path(), "--empty-truth score").exits_with(0);
    assert_eq!(small(&predictions), [Some(1.0), Some(0.0), Some(1.0)]);
    assert_eq!(outcome.row(&["small", "all"])[2..6], ["0.667", "3", "2", "0"]);
}

#[test]
fn a_label_without_any_defined_dsc_has_no_mean() {
    let dataset = Dataset::new().case("a", &[(1, 9)]);
    let predictions = Predictions::new().case("a", &[(1, 9)]);
    let outcome = predictions.evaluate(dataset.path(), "").exits_with(0);
    let summary = predictions.summary();
    assert!(summary["mean"]["2"]["Dice"].is_null());
    assert_eq!(summary["foreground_mean"]["Dice"], 1.0);
    assert_eq!(summary["foreground_mean"]["counts"]["Dice"], 1);
    assert_eq!(outcome.row(&["small", "all"])[2], "–");
    let text = fs::read_to_string(predictions.0.path().join("summary.json")).unwrap();
    assert!(!text.contains("NaN"), "{text}");
}

#[test]
fn a_truth_that_is_declared_missing_is_not_scored() {
    let dataset = Dataset::new()
        .case("a", &[(1, 10), (2, 4)])
        .case("b", &[(1, 10)])
        .presence("case,big,small\nb,annotated,missing\n");
    let predictions = Predictions::new().case("a", &[(1, 10), (2, 4)]).case("b", &[(1, 10), (2, 4)]);
    let outcome = predictions.evaluate(dataset.path(), "").exits_with(0);
    let rows: Vec<_> = predictions.scores().into_iter().map(|score| (score.case, score.label)).collect();
    assert!(rows.contains(&("b".into(), "big".into())) && !rows.contains(&("b".into(), "small".into())));
    assert!(predictions.summary()["metric_per_case"][1]["metrics"]["2"].is_null());
    assert_eq!(outcome.row(&["small", "all"])[2..6], ["1.000", "1", "0", "1"]);
}

/// Merged, voxels 0–13 are the truth and 0–13 the prediction, though the two labels are swapped.
#[test]
fn labels_merge_values() {
    let dataset = Dataset::new().case("a", &[(1, 10), (2, 4)]);
    let predictions = Predictions::new().case("a", &[(2, 10), (1, 4)]);
    predictions.evaluate(dataset.path(), "--labels whole=1+2,big=1").exits_with(0);
    let dsc: Vec<_> = predictions.scores().into_iter().map(|score| (score.label, score.dsc)).collect();
    assert_eq!(dsc, [("big".into(), Some(0.0)), ("whole".into(), Some(1.0))]);
    assert_eq!(predictions.summary()["mean"]["(1, 2)"]["Dice"], 1.0);
}

#[test]
fn labels_of_a_folder_come_from_the_dataset_around_it_or_from_the_command_line() {
    let dataset = Dataset::new().case("a", &[(1, 10), (2, 4)]);
    let predictions = Predictions::new().case("a", &[(1, 10), (2, 4)]);
    predictions.evaluate(&dataset.path().join("labelsTr"), "").exits_with(0);
    assert_eq!(predictions.scores().len(), 2);

    let truth = Predictions::new().case("a", &[(1, 10), (2, 4)]);
    predictions.is_refused(truth.0.path(), "", &["no dataset.json", "--labels NAME=VALUE"]);
    predictions.is_refused(truth.0.path(), "--labels big=1", &["holds label 2 (4 voxels)", "declared: 0, 1"]);
    predictions.evaluate(truth.0.path(), "--labels big=1,small=2").exits_with(0);
}

/// Affines are kept in single precision: a difference of that order is none.
#[test]
fn affines_may_differ_by_rounding() {
    let dataset = Dataset::new().case("a", &[(1, 10), (2, 4)]);
    let predictions = Predictions::new();
    let mut rounded = Grid::axis_aligned(SHAPE, SPACING);
    rounded.affine[1][3] = 1e-4;
    write_labels_on(&predictions.file("a"), rounded, &[(1, 10), (2, 4)]);
    predictions.evaluate(dataset.path(), "").exits_with(0);
}

/// The folder of a cell has its `config.toml`; predictions lie in it or one folder below.
#[test]
fn predictions_of_a_cell_carry_its_setting() {
    let experiment = "name = \"grades\"\nseeds = [3]\n\
        data = { phantom = \"tumour\", phantom_cases = { HGG = 4, LGG = 4 }, phantom_shape = [16, 16, 16] }\n\
        target = { activation = \"sigmoid\", labels = { tumour = [1] } }\nsplit = { folds = 2, run = [1] }\n\
        partial = { label = \"tumour\", group = \"LGG\" }\nnetwork = { base = 4, levels = 2 }\n\
        training = { iterations = 3, learning_rate = 5e-3 }\n\
        [[cells]]\nlabelling = \"partial\"\nsettings = [\"BI\"]\nbatch_sizes = [2]\n";
    let overrides = dicewise_experiment::Overrides::default();
    let experiment =
        dicewise_experiment::Experiment::parse("x.toml".as_ref(), experiment, &overrides, &|_| None).unwrap();
    let config = experiment.cell_config(&experiment.cells()[0]).to_toml().unwrap();

    let dataset = Dataset::new().case("a", &[(1, 10), (2, 4)]);
    let predictions = Predictions::new().case("a", &[(1, 10), (2, 4)]);
    fs::write(predictions.0.path().join("config.toml"), config).unwrap();
    predictions.evaluate(dataset.path(), "").exits_with(0);
    let score = predictions.scores().remove(0);
    assert_eq!((&*score.labelling, &*score.setting), ("partial", "BI"));
    assert_eq!((score.batch_size, score.seed, score.fold), (2, 3, 1));
}
