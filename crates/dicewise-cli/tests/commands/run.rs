use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::program::{Outcome, dicewise};

/// Two cells of a few iterations on a small phantom.
pub(crate) const EXPERIMENT: &str = r#"
name = "small"
seeds = [3]
data = { phantom = "tumour", phantom_cases = { HGG = 6, LGG = 6 }, phantom_shape = [8, 8, 8] }
target = { activation = "sigmoid", labels = { tumour = [1] } }
split = { folds = 3, run = [0, 2] }
partial = { label = "tumour", group = "LGG" }
augmentation = { flip_x = 0.5, intensity_shift = 0.05 }
network = { base = 2, levels = 2 }
training = { iterations = 6, learning_rate = 1e-2 }
cells = [
  { labelling = "full", settings = ["I"], batch_sizes = [2] },
  { labelling = "partial", settings = ["BI"], batch_sizes = [2] },
]
"#;

pub(crate) struct Experiment {
    folder: TempDir,
    pub(crate) file: PathBuf,
}

impl Experiment {
    pub(crate) fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("small.toml");
        fs::write(&file, text).unwrap();
        Self { folder, file }
    }

    pub(crate) fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn run(&self, out: &Path, more: &[&str]) -> Outcome {
        let start = ["run".as_ref(), self.file.as_os_str(), "--out".as_ref(), out.as_os_str()];
        dicewise(start.into_iter().chain(more.iter().map(|flag| (*flag).as_ref())))
    }
}

fn first_line(file: &Path) -> String {
    fs::read_to_string(file).unwrap().lines().next().unwrap().to_owned()
}

#[test]
fn a_run_writes_the_tables_that_other_tools_read() {
    let experiment = Experiment::new(EXPERIMENT);
    let out = experiment.out("results");
    let said = experiment.run(&out, &[]).exits_with(0);
    assert!(said.stdout.contains("DSC HGG") && said.stdout.contains("partial"), "{}", said.stdout);
    assert_eq!(
        first_line(&out.join("cases.csv")),
        "labelling,setting,batch_size,seed,fold,case,subject,group,label,dsc,volume_difference_ml,\
         predicted_volume_ml,target_volume_ml"
    );
    assert_eq!(
        first_line(&out.join("table1.csv")),
        "labelling,setting,batch_size,group,label,n,dsc_mean,volume_difference_ml_mean,p_value_vs_full"
    );
    assert_eq!(first_line(&out.join("roc.csv")), "labelling,setting,batch_size,label,positive_group,auc");
    // 2 cells × 2 of 3 folds × 4 held-out cases, and the header.
    assert_eq!(fs::read_to_string(out.join("cases.csv")).unwrap().lines().count(), 1 + 2 * 2 * 4);
    for file in
        ["table1.md", "overlay.png", "dsc_tumour.png", "run.json", "report/index.html", "report/viewer.html"]
    {
        assert!(out.join(file).is_file(), "{file} is missing");
    }
    let cell = out.join("partial-BI-b2-seed3").join("fold_2");
    for file in ["config.toml", "checkpoint_final.safetensors", "metrics.csv", "cases.csv", "progress.png"] {
        assert!(cell.join(file).is_file(), "{file} of a cell is missing");
    }
    assert_eq!(fs::read_to_string(cell.join("metrics.csv")).unwrap().lines().count(), 1 + 6);
    assert_eq!(fs::read_dir(cell.join("validation")).unwrap().count(), 4);
}

#[test]
fn a_report_is_written_again_from_the_results() {
    let experiment = Experiment::new(EXPERIMENT);
    let out = experiment.out("results");
    experiment.run(&out, &[]).exits_with(0);
    let page = out.join("report").join("index.html");
    let first = fs::read(&page).unwrap();
    fs::remove_dir_all(out.join("report")).unwrap();
    let said = dicewise(["report".as_ref(), out.as_os_str()]).exits_with(0);
    assert!(said.stdout.contains("index.html"), "{}", said.stdout);
    assert!(fs::read(&page).unwrap() == first, "the page changed");
    fs::remove_file(out.join("run.json")).unwrap();
    dicewise(["report".as_ref(), out.as_os_str()]).is_refused_with(&["run.json"]);
}

#[test]
fn every_iteration_says_what_maps_were_taught() {
    let experiment = Experiment::new(EXPERIMENT);
    let out = experiment.out("results");
    experiment.run(&out, &[]).exits_with(0);
    let rows = |cell: &str| -> Vec<Vec<String>> {
        let text = fs::read_to_string(out.join(cell).join("fold_0").join("metrics.csv")).unwrap();
        assert!(
            text.starts_with(
                "iteration,learning_rate,loss,validation_loss,loss_empty,loss_present,push_empty,push_present"
            ),
            "{text}"
        );
        text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
    };
    // With full labels every map has its tumour: nothing is said about empty ones.
    let full = rows("full-I-b2-seed3");
    let positive = |field: &String| field.parse::<f64>().is_ok_and(|number| number > 0.0);
    for (empty, present) in [(4, 5), (6, 7)] {
        assert!(full.iter().all(|row| row[empty].is_empty() && positive(&row[present])), "{full:?}");
    }
    // One class and Φ = I: the loss is the mean over the maps.
    let loss = |row: &Vec<String>, column: usize| row[column].parse::<f64>().unwrap();
    assert!(full.iter().all(|row| (loss(row, 2) - loss(row, 5)).abs() < 1e-12), "{full:?}");
    let partial = rows("partial-BI-b2-seed3");
    assert!(partial.iter().any(|row| positive(&row[4]) && positive(&row[6])), "{partial:?}");
}

#[test]
fn the_same_seed_gives_the_same_scores_whatever_the_number_of_jobs() {
    let experiment = Experiment::new(EXPERIMENT);
    let scores = |name: &str, more: &[&str]| {
        let out = experiment.out(name);
        experiment.run(&out, more).exits_with(0);
        fs::read(out.join("cases.csv")).unwrap()
    };
    let first = scores("first", &[]);
    assert_eq!(scores("second", &["--jobs", "2"]), first);
    assert_ne!(scores("third", &["--seed", "4"]), first);
}

#[test]
fn a_run_goes_on_where_it_was_stopped() {
    let experiment = Experiment::new(EXPERIMENT);
    let out = experiment.out("results");
    experiment.run(&out, &[]).exits_with(0);
    let whole = fs::read(out.join("cases.csv")).unwrap();
    // As if the program had been killed between two cells.
    fs::remove_dir_all(out.join("partial-BI-b2-seed3").join("fold_2")).unwrap();
    let kept = out.join("full-I-b2-seed3").join("fold_0").join("checkpoint_final.safetensors");
    let before = fs::metadata(&kept).unwrap().modified().unwrap();
    experiment.run(&out, &["--resume"]).exits_with(0);
    assert_eq!(fs::read(out.join("cases.csv")).unwrap(), whole);
    assert_eq!(fs::metadata(&kept).unwrap().modified().unwrap(), before, "a finished cell was trained again");
}

#[test]
fn results_are_not_written_over() {
    let experiment = Experiment::new(EXPERIMENT);
    let out = experiment.out("results");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("cases.csv"), "mine").unwrap();
    experiment.run(&out, &[]).is_refused_with(&["results", "--resume", "--out"]);
    assert_eq!(fs::read_to_string(out.join("cases.csv")).unwrap(), "mine");
}

#[test]
fn a_changed_experiment_does_not_go_on_with_old_results() {
    let mut experiment = Experiment::new(EXPERIMENT);
    let out = experiment.out("results");
    experiment.run(&out, &[]).exits_with(0);
    experiment.file = experiment.out("changed.toml");
    fs::write(&experiment.file, EXPERIMENT.replace("1e-2", "2e-2")).unwrap();
    experiment
        .run(&out, &["--resume"])
        .is_refused_with(&["config.toml", "training.learning_rate: 0.02, was 0.01"]);
}

#[test]
fn a_dry_run_shows_the_grid_and_trains_nothing() {
    let experiment = Experiment::new(EXPERIMENT);
    let out = experiment.out("results");
    let said = experiment.run(&out, &["--dry-run"]).exits_with(0);
    assert!(said.stdout.contains("4 trainings"), "{}", said.stdout);
    assert!(!out.exists());
}

#[test]
fn mistakes_are_shown_where_they_stand_and_nothing_is_written() {
    let cases: [(&str, &str, &[&str]); 5] = [
        (r#"["BI"]"#, r#"["BJ"]"#, &["small.toml:", "BJ", "I_eps"]),
        ("[0, 2]", "[0, 3]", &["small.toml:", "folds"]),
        (r#"group = "LGG""#, r#"group = "LGK""#, &["small.toml:", "LGK", "HGG"]),
        ("seeds = [3]", "sedes = [3]", &["small.toml:3", "seeds"]),
        (
            "cells = [",
            "setting = [{ name = \"S\", partition = \"CI\", epsilon = [1.0] }]\ncells = [",
            &["small.toml:", "ε for each class", "CI"],
        ),
    ];
    for (right, wrong, words) in cases {
        let experiment = Experiment::new(&EXPERIMENT.replace(right, wrong));
        let out = experiment.out("results");
        experiment.run(&out, &[]).is_refused_with(words);
        assert!(!out.exists(), "{wrong}: something was written");
    }
    dicewise(["run", "no-such-file.toml"]).is_refused_with(&["no-such-file.toml"]);
}

#[test]
fn data_that_cannot_be_used_are_refused_before_training() {
    let experiment = Experiment::new(&EXPERIMENT.replace(
        r#"phantom = "tumour", phantom_cases = { HGG = 6, LGG = 6 }, phantom_shape = [8, 8, 8]"#,
        r#"path = "nowhere", layout = "auto""#,
    ));
    let out = experiment.out("results");
    experiment.run(&out, &[]).is_refused_with(&["nowhere"]);
    assert!(!cfg!(unix) || !out.exists(), "an empty folder, or a lock, is left");
    let experiment = Experiment::new(&EXPERIMENT.replace("[8, 8, 8]", "[9, 8, 8]"));
    experiment.run(&experiment.out("results"), &[]).is_refused_with(&["9"]);
    let experiment = Experiment::new(EXPERIMENT);
    experiment.run(&experiment.out("results"), &["--device", "cuda:7"]).is_refused_with(&["cuda:7", "cpu"]);
}
