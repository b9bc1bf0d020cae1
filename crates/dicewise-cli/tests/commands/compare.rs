use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Outcome, dicewise};

const HEADER: &str = "labelling,setting,batch_size,seed,fold,case,subject,group,label,dsc,volume_difference_ml,\
                      predicted_volume_ml,target_volume_ml";

/// Folders with a `cases.csv` each.
struct Results(TempDir);

impl Results {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// `cells`: `labelling,setting,batch_size`, and the DSC of the cases a, b, c of group G. |ΔV| is 10 ml · (1 − DSC).
    fn folder(&self, name: &str, cells: &[(&str, [f64; 3])]) -> PathBuf {
        let folder = self.0.path().join(name);
        fs::create_dir(&folder).unwrap();
        let mut text = HEADER.to_owned();
        for (cell, scores) in cells {
            for (case, dsc) in ["a", "b", "c"].iter().zip(scores) {
                let (off, predicted) = (10.0 * dsc - 10.0, 10.0 * dsc);
                text += &format!("\n{cell},0,0,{case},{case},G,heart,{dsc},{off},{predicted},10");
            }
        }
        fs::write(folder.join("cases.csv"), text).unwrap();
        folder
    }
}

fn compare(folders: &[&Path], flags: &str) -> Outcome {
    let folders = folders.iter().map(|folder| folder.as_os_str().to_owned());
    dicewise(["compare".into()].into_iter().chain(folders).chain(flags.split_whitespace().map(Into::into)))
}

const FULL: (&str, [f64; 3]) = ("full,BI,2", [0.8, 0.8, 0.8]);
const PARTIAL: (&str, [f64; 3]) = ("partial,BI,2", [0.5, 0.6, 0.7]);

#[test]
fn two_cells_of_a_run_are_compared_subject_by_subject() {
    let results = Results::new();
    let run = results.folder("run", &[FULL, PARTIAL]);
    let said = compare(&[&run], "--cell partial-BI-b2 --with full-BI-b2").exits_with(0);
    // Means 0.6 and 0.8; resamples of the differences −0.3, −0.2, −0.1 lie between these.
    let row = said.row(&["heart", "G", "DSC"]);
    assert_eq!(row[3..10], ["3", "0.600", "0.800", "−0.200", "−0.300", "…", "−0.100"]);
    assert_eq!(row[10..12], ["<", "0.0001"]);
    // |ΔV| of 5, 4 and 3 ml against 2 ml.
    let row = said.row(&["heart", "G", "|ΔV|", "ml"]);
    assert_eq!(row[4..8], ["3", "4.000", "2.000", "2.000"]);
    // −0.2 over the standard deviation 0.1 of −0.3, −0.2, −0.1; and 2 over 1.
    assert!(said.stdout.contains("−2.00 (") && said.stdout.contains(" 2.00 ("), "{}", said.stdout);
    // Both sign-flip p-values are 2 of 8 patterns.
    assert!(said.stdout.contains("2 comparisons: without any difference, 0.1"), "{}", said.stdout);
    assert!(said.stdout.contains("Of 0 sign-flip p-values below 0.05, 0 stay"), "{}", said.stdout);
}

#[test]
fn json_has_the_numbers() {
    let results = Results::new();
    let run = results.folder("run", &[FULL, PARTIAL]);
    let rows = compare(&[&run], "--cell partial-BI-b2 --with full-BI-b2 --json").exits_with(0).json();
    let row = &rows[0];
    assert_eq!(row["left_cell"], "partial-BI-b2");
    assert_eq!((&row["score"], &row["subjects"]), (&Value::from("dsc"), &Value::from(3)));
    let number = |key: &str| row[key].as_f64().unwrap();
    assert!((number("mean_difference") + 0.2).abs() < 1e-12);
    assert!((number("cohens_dz") + 2.0).abs() < 1e-12);
    // 2 of 8 sign patterns are as extreme; none is more extreme.
    assert!((number("p_sign_flip") - 0.25).abs() < 0.01);
    assert_eq!(number("p_released_rank"), 0.0);
}

#[test]
fn cells_of_the_same_name_are_compared_across_folders() {
    let results = Results::new();
    let [first, second, only] = [
        results.folder("first", &[FULL, PARTIAL]),
        results.folder("second", &[FULL, ("partial,I,2", [0.7; 3])]),
        results.folder("only", &[("unknown,unknown,1", [0.9; 3])]),
    ];
    let said = compare(&[&first, &second], "").exits_with(0).stdout;
    assert!(said.contains("full-BI-b2 of") && !said.contains("partial"), "{said}");
    // Sides with one cell each: names do not matter.
    let said = compare(&[&first.join("cases.csv"), &only], "--cell full-BI-b2 --with unknown-unknown-b1");
    said.exits_with(0);
    compare(&[&only, &only], "").exits_with(0);
    compare(&[&first, &only], "").is_refused_with(&[
        "no cell of the same name",
        "--cell",
        "unknown-unknown-b1",
    ]);
}

#[test]
fn what_cannot_be_compared_is_refused_with_what_there_is() {
    let results = Results::new();
    let run = results.folder("run", &[FULL, PARTIAL]);
    compare(&[&run], "--cell partial-BI-b3 --with full-BI-b2")
        .is_refused_with(&["partial-BI-b3", "full-BI-b2, partial-BI-b2"]);
    compare(&[&run.join("nothing")], "--cell full-BI-b2 --with full-BI-b2")
        .is_refused_with(&["nothing", "cases.csv"]);
    compare(&[&run], "").is_refused_with(&["RIGHT"]);
    compare(&[&run], "--with full-BI-b2").is_refused_with(&["--cell"]);

    let foreign = results.folder("foreign", &[]);
    compare(&[&run, &foreign], "").is_refused_with(&["foreign", "no scores"]);
    let text = fs::read_to_string(run.join("cases.csv")).unwrap();
    fs::write(foreign.join("cases.csv"), text.replace("heart", "liver")).unwrap();
    compare(&[&run, &foreign], "").is_refused_with(&["full-BI-b2", "nothing can be compared"]);
    fs::write(foreign.join("cases.csv"), text.replacen("0.8,", "8,", 1)).unwrap();
    compare(&[&run, &foreign], "").is_refused_with(&["cases.csv:2", "dsc", "8"]);
}
