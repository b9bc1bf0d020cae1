use std::fs;
use std::path::Path;

use crate::dataset::{Dataset, contents};
use crate::program::{Outcome, dicewise, dicewise_with};

fn check(folder: &Path) -> Outcome {
    dicewise(["check".as_ref(), folder.as_os_str()])
}

/// Sizes 10, 20, 30 of voxels of 0.001 ml: mean 20, standard deviation √((100 + 0 + 100)/2) = 10.
#[test]
fn a_sound_dataset_exits_with_0_and_shows_sizes() {
    let dataset = Dataset::new()
        .case("a", &[(1, 10), (2, 1)])
        .case("b", &[(1, 20), (2, 1)])
        .case("c", &[(1, 30), (2, 1)]);
    let before = contents(dataset.path());
    let outcome = check(dataset.path()).exits_with(0);
    assert!(outcome.stdout.contains("nnunet layout: 3 cases"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("No defects"), "{}", outcome.stdout);
    assert_eq!(outcome.row(&["a"])[1..], ["4×5×6", "0.1×1×10", "10", "0.010", "ml", "1", "0.001", "ml"]);
    let big = outcome.row(&["big", "1"]).join(" ");
    assert_eq!(big, "big 1 3 0 0 20 ± 10 (10 to 30) 0.020 ± 0.010 (0.010 to 0.030)");
    assert!(outcome.stdout.contains("No label is missing or empty"), "{}", outcome.stdout);
    assert_eq!(outcome.stderr, "");
    assert_eq!(contents(dataset.path()), before);
}

#[test]
fn a_missing_label_is_told_from_an_empty_one() {
    let dataset = Dataset::new()
        .case("a", &[(1, 10), (2, 4)])
        .case("b", &[(1, 10)])
        .case("c", &[(1, 11)])
        .presence("case,big,small\nb,annotated,missing\n");
    let outcome = check(dataset.path()).exits_with(0);
    assert_eq!(outcome.row(&["b"]).last().unwrap(), "missing");
    assert_eq!(outcome.row(&["c"]).last().unwrap(), "empty");
    // Of a with 4 and c with 0 voxels; b is not known.
    assert_eq!(outcome.row(&["small", "2"])[..6], ["small", "2", "2", "1", "1", "2"]);
    // A third of the cases each; the one drawn has 4 voxels.
    let bar = ["#".repeat(13), "-".repeat(13), ".".repeat(14)].concat();
    assert_eq!(outcome.row(&["small", &bar])[2..], ["4", "8", "4"]);
    assert!(outcome.stdout.contains("Leaf with declared presence on BI"), "{}", outcome.stdout);
}

#[test]
fn the_advice_follows_from_what_is_declared() {
    let cases = || Dataset::new().case("a", &[(1, 10), (2, 4)]).case("b", &[(1, 10)]);
    let empty = check(cases().path()).exits_with(0).stdout;
    assert!(empty.contains("1 label map is empty and none is declared missing"), "{empty}");
    assert!(empty.contains("declare them missing in presence.csv"), "{empty}");
    let declared = cases().presence("case,big,small\nb,annotated,missing\n");
    let missing = check(declared.path()).exits_with(0).stdout;
    assert!(missing.contains("1 label map is declared missing and none is empty"), "{missing}");
    assert!(missing.contains("train with I and a tiny ε, or with leaf"), "{missing}");
}

#[test]
fn defects_exit_with_1_and_name_file_and_remedy() {
    let dataset =
        Dataset::new().case("cut", &[(1, 10)]).case("lost", &[(1, 10)]).case("odd", &[(1, 9), (7, 3)]);
    let dataset = dataset.case("sound", &[(1, 10), (2, 2)]);
    let whole = fs::read(dataset.label("cut")).unwrap();
    fs::write(dataset.label("cut"), &whole[..whole.len() / 2]).unwrap();
    fs::remove_file(dataset.image("lost")).unwrap();
    let outcome = check(dataset.path()).exits_with(1);
    let defects = outcome.stdout.split("Cases:").next().unwrap();
    for words in [
        "4 cases, 3 of them unusable",
        "3 defects",
        &format!("case cut: {}", dataset.label("cut").display()),
        "copy or download the file again",
        &format!("case lost: {}: no such file", dataset.image("lost").display()),
        "put the file there, or take the case out of the dataset",
        "holds label 7 (3 voxels, the first at [1, 2, 0]); declared: [0, 1, 2]",
        "declare the label in dataset.json, or correct the label map",
    ] {
        assert!(defects.contains(words), "{words:?} is not in\n{defects}");
    }
    assert_eq!(outcome.row(&["sound"])[3], "10");
}

#[test]
fn json_has_the_same_findings() {
    let dataset = Dataset::new()
        .case("a", &[(1, 10), (2, 2)])
        .case("b", &[(1, 20)])
        .presence("case,big,small\nb,annotated,missing\n");
    fs::remove_file(dataset.image("b")).unwrap();
    let args = ["check", "--json", dataset.path().to_str().unwrap()];
    let json = dicewise(args).exits_with(1).json();
    assert_eq!(json["layout"], "nnunet");
    assert_eq!(json["case_count"], 2);
    assert_eq!(json["cases"].as_array().unwrap().len(), 1);
    assert_eq!(json["cases"][0]["labels"][1]["voxels"], 10);
    assert_eq!(json["defects"][0]["kind"], "unusable");
    assert_eq!(json["defects"][0]["severity"], "error");
    assert!(json["defects"][0]["message"].as_str().unwrap().contains("b_0000.nii.gz"));
    assert_eq!(json["labels"][1]["name"], "big");
    assert_eq!(json["labels"][1]["mean_voxels"], 10.0);
    assert!(json["labels"][1]["voxels"]["standard_deviation"].is_null());
}

/// ACDC has its phases as groups; the right ventricle is drawn at end-diastole only.
#[test]
fn a_label_that_a_whole_group_lacks_is_pointed_out() {
    let dir = tempfile::tempdir().unwrap();
    for patient in ["patient001", "patient002"] {
        let folder = dir.path().join(patient);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("Info.cfg"), "ED: 1\nES: 7\n").unwrap();
        for (frame, runs) in [("01", vec![(1, 5), (2, 5), (3, 5)]), ("07", vec![(2, 6), (3, 4)])] {
            let stem = format!("{patient}_frame{frame}");
            let image = (0_u8..120).map(|voxel| f32::from(voxel) + stem.bytes().map(f32::from).sum::<f32>());
            let image = dicewise_data::Volume::new(crate::dataset::grid(), image.collect());
            dicewise_data::nifti::write(folder.join(format!("{stem}.nii.gz")), &image).unwrap();
            crate::dataset::write_labels(&folder.join(format!("{stem}_gt.nii.gz")), &runs);
        }
    }
    let outcome = check(dir.path());
    assert!(outcome.stdout.contains("acdc layout: 4 cases (2 ED, 2 ES)"), "{}", outcome.stdout);
    let question = "Label right ventricle is empty in all 2 cases of group ES and not in the others";
    assert!(outcome.stdout.contains(question), "{}", outcome.stdout);
    assert_eq!(outcome.stdout.matches("is empty in all").count(), 1, "{}", outcome.stdout);
}

#[test]
fn what_is_no_dataset_exits_with_2() {
    let empty = tempfile::tempdir().unwrap();
    check(&empty.path().join("nowhere")).is_refused_with(&["nowhere: no such folder", "help:"]);
    check(empty.path()).is_refused_with(&["no known layout", "dataset.json", "--layout"]);
    let path = empty.path().to_str().unwrap();
    dicewise(["check", path, "--layout", "acdc"]).is_refused_with(&["no cases found", "help:"]);
    let dataset = Dataset::new().case("a", &[(1, 10), (2, 2)]);
    fs::write(dataset.path().join("dataset.json"), "{\"channel_names\": {\"0\": \"MR\"},\n \"labels\": 3}")
        .unwrap();
    check(dataset.path()).is_refused_with(&[
        "dataset.json",
        "line 2",
        "help: correct the file at that place",
    ]);
}

#[test]
fn a_presence_file_with_another_word_exits_with_2_and_its_line() {
    let dataset =
        Dataset::new().case("a", &[(1, 10), (2, 2)]).presence("case,big,small\na,annotated,absent\n");
    check(dataset.path()).is_refused_with(&[
        "presence.csv:2",
        "label small of case a is \"absent\"",
        "accepted: annotated, missing",
    ]);
}

/// Site B numbers its cases for itself and never drew the small structure.
#[test]
fn a_label_that_a_site_lacks_looks_missing_and_the_declaration_is_spelled_out() {
    let sites = || {
        let cases = [("A_001", 4), ("A_002", 3), ("B_003", 0), ("B_004", 0)];
        cases
            .into_iter()
            .zip(10..)
            .fold(Dataset::new(), |dataset, ((case, small), big)| dataset.case(case, &[(1, big), (2, small)]))
    };
    let dataset = sites();
    let outcome = check(dataset.path()).exits_with(0);
    for words in [
        "Label small is empty in all 2 cases of site B (by name) and not in the others: was it drawn there?",
        "If these labels were not drawn, declare them missing in presence.csv",
        "  case,big,small\n  B_003,annotated,missing\n  B_004,annotated,missing\n",
        "Recommended: --partition BI --epsilon 1e-7 --missing leaf --batch-size 2",
        "declare first what was not drawn",
    ] {
        assert!(outcome.stdout.contains(words), "{words:?} is not in\n{}", outcome.stdout);
    }
    let json = dicewise(["check", "--json", dataset.path().to_str().unwrap()]).exits_with(0).json();
    assert_eq!(json["looks_missing"][0]["label"], "small");
    assert_eq!(json["looks_missing"][0]["site"], "B");
    assert_eq!(json["looks_missing"][0]["cases"], serde_json::json!(["B_003", "B_004"]));
    assert_eq!(json["recommendation"]["missing"], "leaf");

    // Following the advice settles it.
    let lines = json["presence_csv"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
    let declared = sites().presence(&lines.collect::<Vec<_>>().join("\n"));
    let outcome = check(declared.path()).exits_with(0);
    assert!(!outcome.stdout.contains("was it drawn there"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("--missing leaf"), "{}", outcome.stdout);
}

#[test]
fn the_recommendation_says_why() {
    let none = check(Dataset::new().case("a", &[(1, 10), (2, 4)]).case("b", &[(1, 9), (2, 3)]).path());
    assert!(none.stdout.contains("--missing as-empty"), "{}", none.stdout);
    assert!(none.stdout.contains("because nothing is missing"), "{}", none.stdout);
    let empty = check(Dataset::new().case("a", &[(1, 10), (2, 4)]).case("b", &[(1, 9)]).path());
    assert!(empty.stdout.contains("so the empty maps are true"), "{}", empty.stdout);
    let nothing = check(Dataset::new().case("a", &[]).case("b", &[]).path());
    assert!(!nothing.stdout.contains("Recommended"), "{}", nothing.stdout);
}

#[test]
fn the_voxel_budget_is_a_flag_and_a_variable() {
    let dataset = Dataset::new().case("a", &[(1, 10), (2, 2)]);
    let path = dataset.path().to_str().unwrap();
    let small = dicewise(["check", path, "--max-voxels", "119"]).exits_with(1);
    for words in ["120 voxels are more than the budget of 119", "raise --max-voxels or DICEWISE_MAX_VOXELS"] {
        assert!(small.stdout.contains(words), "{words:?} is not in\n{}", small.stdout);
    }
    dicewise(["--max-voxels", "120", "check", path]).exits_with(0);
    dicewise_with("DICEWISE_MAX_VOXELS", "119", ["check", path]).exits_with(1);
    dicewise_with("DICEWISE_MAX_VOXELS", "many", ["check", path]).is_refused_with(&["many", "--max-voxels"]);
}

/// Two of four cases have the label. Of the six pairs one has none of it; of the three cases that a case without it may be paired
/// with, two have it.
#[test]
fn the_chances_of_a_batch_are_told_where_a_label_is_not_in_every_case() {
    let dataset = Dataset::new()
        .case("a", &[(1, 10), (2, 4)])
        .case("b", &[(1, 11), (2, 5)])
        .case("c", &[(1, 12)])
        .case("d", &[(1, 13)]);
    let outcome = check(dataset.path()).exits_with(0);
    assert!(outcome.stdout.contains("Batches drawn at random"), "{}", outcome.stdout);
    let expected = "small 2 of 4 50% / 0% 17% / 67% 0% / 100%";
    assert_eq!(outcome.row(&["small", "2", "of", "4"]).join(" "), expected);
    let full = Dataset::new().case("a", &[(1, 10), (2, 4)]).case("b", &[(1, 11), (2, 5)]);
    assert!(!check(full.path()).exits_with(0).stdout.contains("Batches drawn at random"));
}
