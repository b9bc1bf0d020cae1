//! Folds, hold-out splits, presence.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use dicewise_data::dataset::{CaseFiles, Dataset, Label, Layout};
use dicewise_data::folds::{Dealing, FoldError, HoldOut, hold_out, k_folds, k_folds_dealt};
use dicewise_data::presence::{Presence, PresenceError};
use proptest::prelude::*;

fn files(subject: &str, group: &str) -> CaseFiles {
    let (id, group) = (format!("{subject}_{group}"), Some(group.to_owned()));
    CaseFiles { id, subject: subject.into(), group, images: vec![], label: None }
}

/// 210 high-grade and 75 low-grade subjects, as in BraTS 2018.
fn brats() -> Vec<CaseFiles> {
    let grade = |i| if i < 210 { "HGG" } else { "LGG" };
    (0..285).map(|i| files(&format!("S{i:03}"), grade(i))).collect()
}

#[test]
fn folds_have_their_share_of_each_group() {
    let cases = brats();
    let folds = k_folds(&cases, 5, 7).unwrap();
    for split in &folds {
        assert_eq!(split.train.len() + split.test.len(), 285);
        // 210 / 5 and 75 / 5.
        let low = split.test.iter().filter(|&&i| cases[i].group.as_deref() == Some("LGG")).count();
        assert_eq!((split.test.len(), low), (57, 15));
    }
    let tested: BTreeSet<usize> = folds.iter().flat_map(|split| split.test.clone()).collect();
    assert_eq!(tested.len(), 285, "every case is tested once");
    assert_ne!(folds, k_folds(&cases, 5, 8).unwrap(), "the seed matters");
}

#[test]
fn folds_do_not_depend_on_the_order_of_the_cases() {
    let cases = brats();
    let reversed: Vec<_> = cases.iter().rev().cloned().collect();
    let names = |cases: &[CaseFiles]| -> Vec<BTreeSet<String>> {
        let folds = k_folds(cases, 5, 7).unwrap();
        folds.iter().map(|f| f.test.iter().map(|&i| cases[i].id.clone()).collect()).collect()
    };
    assert_eq!(names(&cases), names(&reversed));
}

#[test]
fn folds_stay_the_same_from_version_to_version() {
    // ChaCha8, its seeding, Fisher–Yates and the dealing written out in Python, independently of this code: a
    // change would make published splits irreproducible.
    let cases: Vec<_> = (0..10).map(|i| files(&format!("S{i}"), "G")).collect();
    let test: Vec<_> = k_folds(&cases, 3, 42).unwrap().into_iter().map(|split| split.test).collect();
    assert_eq!(test, [vec![0, 1, 6, 7], vec![3, 5, 8], vec![2, 4, 9]]);
}

#[test]
fn too_many_folds_are_refused() {
    let cases = [files("A", "ED"), files("A", "ES"), files("B", "ED")];
    assert_eq!(k_folds(&cases, 3, 0), Err(FoldError::EmptyFold { folds: 3, subjects: 2 }));
    assert_eq!(k_folds(&cases, 1, 0), Err(FoldError::TooFewFolds { folds: 1 }));
    assert_eq!(k_folds::<CaseFiles>(&[], 2, 0), Err(FoldError::EmptyFold { folds: 2, subjects: 0 }));
}

proptest! {
    #[test]
    fn subjects_are_never_parted(
        owners in prop::collection::vec((0..30_u8, 0..3_u8), 1..80), folds in 2..6_usize, seed: u64,
    ) {
        let cases: Vec<_> = owners.iter().enumerate().map(|(i, (subject, group))| CaseFiles {
            id: i.to_string(), ..files(&format!("S{subject}"), &format!("G{group}"))
        }).collect();
        if let Ok(splits) = k_folds(&cases, folds, seed) {
            for split in splits {
                let subjects = |side: &[usize]| -> BTreeSet<String> {
                    side.iter().map(|&i| cases[i].subject.clone()).collect()
                };
                prop_assert!(!split.train.is_empty() && !split.test.is_empty());
                prop_assert!(subjects(&split.train).is_disjoint(&subjects(&split.test)));
            }
        }
    }
}

fn counts(entries: &[(&str, usize)]) -> BTreeMap<String, usize> {
    entries.iter().map(|&(group, count)| (group.to_owned(), count)).collect()
}

#[test]
fn hold_out_draws_exactly_what_is_asked_for() {
    let cases: Vec<_> =
        (0..200).map(|i| files(&format!("S{i:03}"), if i % 3 == 0 { "G0" } else { "G1" })).collect();
    let wanted =
        HoldOut { train: counts(&[("G1", 48), ("G0", 16)]), test: counts(&[("G1", 20), ("G0", 20)]) };
    let split = hold_out(&cases, &wanted, 1).unwrap();
    let count = |side: &[usize], group: &str| {
        side.iter().filter(|&&i| cases[i].group.as_deref() == Some(group)).count()
    };
    assert_eq!((count(&split.train, "G1"), count(&split.train, "G0"), split.train.len()), (48, 16, 64));
    assert_eq!((count(&split.test, "G1"), count(&split.test, "G0"), split.test.len()), (20, 20, 40));
    assert!(split.train.iter().all(|i| !split.test.contains(i)));
    // More training data do not change what is tested on.
    let more = HoldOut { train: counts(&[("G1", 60), ("G0", 30)]), ..wanted };
    assert_eq!(hold_out(&cases, &more, 1).unwrap().test, split.test);
}

#[test]
fn hold_out_keeps_both_phases_of_a_subject_on_one_side() {
    let cases: Vec<_> =
        (0..40).flat_map(|i| [files(&format!("P{i:02}"), "ED"), files(&format!("P{i:02}"), "ES")]).collect();
    let wanted =
        HoldOut { train: counts(&[("ED", 20), ("ES", 20)]), test: counts(&[("ED", 20), ("ES", 20)]) };
    let split = hold_out(&cases, &wanted, 3).unwrap();
    for pair in split.train.chunks(2) {
        assert_eq!((pair[0] % 2, pair[0] + 1), (0, pair[1]));
    }
    let odd = HoldOut { test: counts(&[("ED", 20), ("ES", 19)]), ..wanted };
    let error = hold_out(&cases, &odd, 3).unwrap_err();
    assert_eq!(error, FoldError::NotEnough { side: "test", group: "ED".into(), wanted: 20, found: 19 });
}

#[test]
fn hold_out_that_cannot_be_filled_names_the_group() {
    let cases = brats();
    let wanted = HoldOut { train: counts(&[("HGG", 10)]), test: counts(&[("LGG", 76)]) };
    let error = hold_out(&cases, &wanted, 0).unwrap_err();
    assert_eq!(error, FoldError::NotEnough { side: "test", group: "LGG".into(), wanted: 76, found: 75 });
    let nothing = HoldOut { train: BTreeMap::new(), test: counts(&[("LGG", 1)]) };
    assert_eq!(hold_out(&cases, &nothing, 0), Err(FoldError::EmptySide { side: "train" }));
}

fn labels() -> Vec<Label> {
    ["background", "RV", "myo", "LV"]
        .into_iter()
        .zip(0..)
        .map(|(n, value)| Label { name: n.into(), value })
        .collect()
}

fn acdc(root: &std::path::Path) -> Dataset {
    let cases = vec![files("A", "ED"), files("A", "ES")];
    Dataset {
        root: root.into(),
        layout: Layout::Acdc,
        channel_names: vec!["MR".into()],
        labels: labels(),
        cases,
    }
}

#[test]
fn presence_comes_back_as_written_in_any_order_of_columns() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = acdc(dir.path());
    assert_eq!(Presence::of_dataset(&dataset).unwrap().of_case("A_ED"), [true; 4], "undeclared is annotated");
    let path = dir.path().join("presence.csv");
    fs::write(&path, "case,LV, myo,RV\nA_ES, annotated,missing,annotated\n").unwrap();
    let presence = Presence::of_dataset(&dataset).unwrap();
    assert_eq!(presence.of_case("A_ES"), [true, true, false, true]);
    assert_eq!(presence.of_case("A_ED"), [true; 4]);
    presence.write(&path).unwrap();
    let written = fs::read_to_string(&path).unwrap();
    assert_eq!(written, "case,RV,myo,LV\nA_ES,annotated,missing,annotated\n");
    assert_eq!(Presence::of_dataset(&dataset).unwrap(), presence);
}

#[test]
fn presence_errors_say_which_line() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = acdc(dir.path());
    let path = dir.path().join("presence.csv");
    let head = "case,RV,myo,LV\nA_ED,annotated,annotated,annotated\n";
    for (text, message) in [
        (format!("{head}B,annotated,missing,missing\n"), "presence.csv:3: the dataset has no case B"),
        (format!("{head}A_ES,annotated,yes,missing\n"), r#"presence.csv:3: label myo of case A_ES is "yes""#),
        (format!("{head}A_ED,annotated,missing,missing\n"), "presence.csv:3: case A_ED has a line already"),
        (format!("{head}A_ES,annotated\n"), "line: 3"),
        (String::new(), r#"presence.csv:1: the first column is """#),
        ("name,RV,myo,LV\n".into(), r#"the first column is "name"; expected: case,RV,myo,LV"#),
        ("case,RV,myo\n".into(), r#"label "LV" has no column"#),
        ("case,RV,myo,myo,LV\n".into(), r#"label "myo" has two columns"#),
        ("case,background,RV,myo,LV\n".into(), r#"no foreground label "background""#),
    ] {
        fs::write(&path, text).unwrap();
        let error: PresenceError = Presence::of_dataset(&dataset).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn numpys_shuffle_gives_the_papers_brats_folds() {
    // numpy 2.4.6: np.random.seed(0); l = list(range(285)); np.random.shuffle(l)
    //   l[:6] = [55, 181, 92, 207, 188, 45], l[57:61] = [20, 46, 257, 214], l[-3:] = [117, 47, 172]
    // Names such that sorting by name alone would mix the groups; given in reverse.
    let name = |i: usize| match i {
        ..210 => files(&format!("S{:03}", 2 * i + 1), "HGG"),
        _ => files(&format!("S{:03}", 2 * (i - 210)), "LGG"),
    };
    let cases: Vec<CaseFiles> = (0..285).rev().map(name).collect();
    let folds = k_folds_dealt(&cases, 5, Dealing::NumpyShuffle, 0).unwrap();
    let fold_of = |i: usize| folds.iter().position(|split| split.test.contains(&(284 - i))).unwrap();
    assert!([55, 181, 92, 207, 188, 45].into_iter().all(|i| fold_of(i) == 0));
    assert!([20, 46, 257, 214].into_iter().all(|i| fold_of(i) == 1));
    assert!([117, 47, 172].into_iter().all(|i| fold_of(i) == 4));
    assert!(folds.iter().all(|split| split.test.len() == 57 && split.train.len() == 228));
}

#[test]
fn subjects_in_turn_keep_both_phases_in_fold_i_minus_1_modulo_5() {
    let patient = |i: usize| ["ED", "ES"].map(|phase| files(&format!("patient{i:03}"), phase));
    let cases: Vec<CaseFiles> = (1..=100).flat_map(patient).collect();
    for (fold, split) in k_folds_dealt(&cases, 5, Dealing::InTurn, 3).unwrap().iter().enumerate() {
        let expected: Vec<usize> = (0..200).filter(|case| case / 2 % 5 == fold).collect();
        assert_eq!(split.test, expected);
    }
    let error = k_folds_dealt(&cases[..4], 5, Dealing::InTurn, 0);
    assert_eq!(error, Err(FoldError::EmptyFold { folds: 5, subjects: 2 }));
}
