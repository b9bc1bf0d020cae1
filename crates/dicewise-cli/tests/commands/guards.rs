use std::fs;
use std::path::Path;

use crate::dataset::{Dataset, contents};
use crate::kills;
use crate::program::{Outcome, dicewise};
use crate::run::{EXPERIMENT, Experiment};
use crate::running::{Running, assert_same_results, rows};

#[test]
fn a_second_process_on_the_same_folder_is_refused_and_the_first_goes_on() {
    // Long enough to be still at its first cell when the others have been refused.
    let experiment = Experiment::new(&kills::EXPERIMENT.replace("iterations = 450", "iterations = 20000"));
    let out = experiment.out("shared");
    let cell = out.join("full-I_eps-b3-seed3/fold_0");
    let done = || rows(&cell.join("metrics.csv"));
    let mut first = Running::experiment(&experiment.file, &out, 1, &[]);
    first.wait_until("an iteration", || done() > 0);
    experiment.run(&out, &["--resume"]).is_refused_with(&["shared", "another process", "process ", "--out"]);
    // The cell's folder is taken as well.
    train(two_cases().path(), &cell, &["--resume"]).is_refused_with(&["fold_0", "another process"]);
    let before = done();
    first.wait_until("further iterations", || done() > before + 10);
    first.kill();
}

#[test]
fn a_process_that_was_killed_leaves_the_folder_free() {
    let experiment = Experiment::new(EXPERIMENT);
    let out = experiment.out("results");
    let mut first = Running::experiment(&experiment.file, &out, 1, &[]);
    first.wait_until("the lock", || out.join(".dicewise.lock").exists());
    first.kill();
    experiment.run(&out, &["--resume"]).exits_with(0);
}

fn train(data: &Path, out: &Path, more: &[&str]) -> Outcome {
    let start = ["train".as_ref(), data.as_os_str(), "--out".as_ref(), out.as_os_str()];
    let fixed = "--setting I --batch-size 1 --base 2 --levels 1 --folds 2".split(' ');
    let length = if more.contains(&"--iterations") { "" } else { "--iterations 3" };
    let rest = fixed.chain(length.split_whitespace()).chain(more.iter().copied());
    dicewise(start.into_iter().chain(rest.map(AsRef::as_ref)))
}

fn two_cases() -> Dataset {
    let runs = [(1, 20), (2, 10)];
    ["a", "b", "c", "d"].iter().fold(Dataset::new(), |dataset, case| dataset.case(case, &runs))
}

#[test]
fn a_training_is_not_gone_on_with_under_another_configuration() {
    let dataset = two_cases();
    let out = dataset.path().join("model");
    train(dataset.path(), &out, &[]).exits_with(0);
    let before = contents(&out);
    train(dataset.path(), &out, &["--resume", "--learning-rate", "1e-4"])
        .is_refused_with(&["config.toml", "learning_rate: 0.0001, was 0.001"]);
    train(dataset.path(), &out, &["--resume", "--fold", "1"]).is_refused_with(&["config.toml", "fold"]);
    train(dataset.path(), &out, &[]).is_refused_with(&["model", "--resume"]);
    assert_eq!(without_locks(contents(&out)), without_locks(before));
}

fn without_locks(files: Vec<(std::path::PathBuf, Vec<u8>)>) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    files.into_iter().filter(|(path, _)| !path.ends_with(".dicewise.lock")).collect()
}

#[test]
fn a_fold_that_does_not_exist_is_refused() {
    let dataset = two_cases();
    let out = dataset.path().join("model");
    train(dataset.path(), &out, &["--fold", "2"]).is_refused_with(&["--fold 2", "2 folds"]);
    let experiment = Experiment::new(&EXPERIMENT.replace("run = [0, 2]", "run = [0, 5]"));
    experiment.run(&experiment.out("results"), &[]).is_refused_with(&["small.toml:", "5"]);
    // More folds than subjects: a fold would be empty.
    let experiment =
        Experiment::new(&EXPERIMENT.replace("folds = 3, run = [0, 2]", "folds = 13, run = [12]"));
    experiment.run(&experiment.out("results"), &[]).is_refused_with(&["13"]);
}

#[test]
fn the_results_of_a_fold_that_went_missing_are_made_again() {
    let experiment = Experiment::new(EXPERIMENT);
    let (whole, out) = (experiment.out("whole"), experiment.out("results"));
    for out in [&whole, &out] {
        experiment.run(out, &[]).exits_with(0);
    }
    fs::remove_dir_all(out.join("full-I-b2-seed3/fold_2")).unwrap();
    fs::remove_file(out.join("partial-BI-b2-seed3/fold_0/cases.csv")).unwrap();
    experiment.run(&out, &["--resume"]).exits_with(0);
    assert_same_results(&out, &whole, "with one fold deleted and one unscored");
}

/// One cell whose loss overflows, among cells that are well.
#[test]
fn a_training_whose_loss_is_not_finite_is_named_and_the_other_cells_finish() {
    let sound = Experiment::new(EXPERIMENT);
    let whole = sound.out("whole");
    sound.run(&whole, &[]).exits_with(0);
    let experiment = Experiment::new(&EXPERIMENT.replace(
        "cells = [",
        "setting = [{ name = \"overflow\", partition = \"BI\", \
             epsilon = { numerator = 1e308, denominator = 1e-300 } }]\n\
             cells = [\n  { labelling = \"partial\", settings = [\"overflow\"], batch_sizes = [2] },",
    ));
    for jobs in ["1", "2"] {
        let out = experiment.out(jobs);
        let said = experiment.run(&out, &["--jobs", jobs]);
        said.is_refused_with(&[
            "2 of 6 cells failed",
            "partial-overflow-b2-seed3/fold_0",
            "partial-overflow-b2-seed3/fold_2",
            "iteration",
            "--resume",
        ]);
        assert!(!out.join("table1.csv").exists(), "a table without some of its cells");
        for cell in ["full-I-b2-seed3/fold_0", "partial-BI-b2-seed3/fold_2"] {
            assert_same_results(&out.join(cell), &whole.join(cell), cell);
        }
        assert!(!out.join("partial-overflow-b2-seed3/fold_0/cases.csv").exists());
    }
}

#[test]
fn a_diverging_training_ends_with_its_iteration_and_what_to_do() {
    let dataset = two_cases();
    let out = dataset.path().join("model");
    let said = train(dataset.path(), &out, &["--learning-rate", "1e30", "--iterations", "20"]);
    said.is_refused_with(&["iteration"]);
    assert!(!out.join("cases.csv").exists() && !out.join("checkpoint_final.safetensors").exists());
    assert!(rows(&out.join("metrics.csv")) >= 1, "what was learnt about the failure is kept");
}

#[test]
fn an_output_folder_that_cannot_be_is_refused_before_training() {
    let experiment = Experiment::new(EXPERIMENT);
    let file = experiment.out("file");
    fs::write(&file, "mine").unwrap();
    for out in [file.clone(), file.join("below")] {
        experiment.run(&out, &[]).is_refused_with(&["file", "os error"]);
        experiment.run(&out, &["--resume"]).is_refused_with(&["file", "os error"]);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

/// A folder in the place of a file that is to be written.
#[test]
fn an_output_that_cannot_be_written_is_named_and_the_run_goes_on_once_it_can() {
    let experiment = Experiment::new(EXPERIMENT);
    let whole = experiment.out("whole");
    experiment.run(&whole, &[]).exits_with(0);
    let cell = "full-I-b2-seed3/fold_0";
    let of_cell =
        ["metrics.csv", "checkpoint_latest.safetensors", "checkpoint_final.safetensors", "cases.csv"];
    let of_run = ["cases.csv", "table1.csv", "table1.md", "roc.csv", "dsc_tumour.png", "overlay.png"];
    let prediction = results_of(&whole.join(cell).join("validation"));
    let names = of_cell.map(|name| format!("{cell}/{name}")).into_iter();
    let names = names.chain(of_run.map(String::from)).chain([format!("{cell}/validation/{prediction}")]);
    for (k, name) in names.enumerate() {
        let out = experiment.out(&format!("out{k}"));
        let obstacle = out.join(&name);
        fs::create_dir_all(obstacle.join("not empty")).unwrap();
        let file_name = obstacle.file_name().unwrap().to_str().unwrap();
        experiment.run(&out, &["--resume"]).is_refused_with(&[file_name]);
        assert!(!out.join("overlay.png").is_file(), "{name}: the run pretended to have finished");
        fs::remove_dir_all(&obstacle).unwrap();
        experiment.run(&out, &["--resume"]).exits_with(0);
        assert_same_results(&out, &whole, &name);
    }
}

fn results_of(folder: &Path) -> String {
    fs::read_dir(folder).unwrap().next().unwrap().unwrap().file_name().into_string().unwrap()
}

#[cfg(unix)]
#[test]
fn a_damaged_checkpoint_is_reported_and_the_one_before_taken() {
    let experiment = Experiment::new(&kills::EXPERIMENT.replace("iterations = 450", "iterations = 1000"));
    let (whole, out) = (experiment.out("whole"), experiment.out("results"));
    experiment.run(&whole, &[]).exits_with(0);
    let cell = out.join("full-I_eps-b3-seed3/fold_0");
    let mut running = Running::experiment(&experiment.file, &out, 1, &[]);
    running.wait_until("more than one checkpoint", || rows(&cell.join("metrics.csv")) > 250);
    running.signal("INT");
    let (code, said) = running.end();
    assert_eq!(code, Some(130), "{said}");
    let latest = cell.join("checkpoint_latest.safetensors");
    let mut bytes = fs::read(&latest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&latest, bytes).unwrap();

    let said = experiment.run(&out, &["--resume"]).exits_with(0);
    for words in ["damaged", "checksum", "checkpoint_latest.safetensors"] {
        assert!(said.stderr.contains(words), "{}", said.stderr);
    }
    // Saved every 200 iterations.
    let (_, iteration) = said.stderr.split_once("going on from iteration ").unwrap();
    let iteration: usize = iteration.lines().next().unwrap().trim().parse().unwrap();
    assert!(iteration > 0 && iteration.is_multiple_of(200), "{iteration}");
    assert_same_results(&out, &whole, "after a flipped bit");
}

/// Of both checkpoints: there is nothing to go on from, and nothing is started over in silence.
#[cfg(unix)]
#[test]
fn damage_to_both_checkpoints_is_an_error_that_names_both() {
    let experiment = Experiment::new(&kills::EXPERIMENT.replace("iterations = 450", "iterations = 20000"));
    let out = experiment.out("results");
    let cell = out.join("full-I_eps-b3-seed3/fold_0");
    let mut running = Running::experiment(&experiment.file, &out, 1, &[]);
    let names = ["checkpoint_latest.safetensors", "checkpoint_previous.safetensors"];
    running.wait_until("two checkpoints", || names.iter().all(|name| cell.join(name).is_file()));
    running.signal("INT");
    assert_eq!(running.end().0, Some(130));
    for name in names {
        fs::write(cell.join(name), "rubbish").unwrap();
    }
    let before = contents(&cell);
    experiment.run(&out, &["--resume"]).is_refused_with(&[
        "full-I_eps-b3-seed3/fold_0",
        "checkpoint_latest.safetensors",
        "checkpoint_previous.safetensors",
        "damaged",
        "start over",
    ]);
    // What `dicewise status` shows is all that is new.
    let reason = cell.join("failure.txt");
    assert!(fs::read_to_string(&reason).unwrap().contains("damaged"));
    fs::remove_file(reason).unwrap();
    assert!(without_locks(contents(&cell)) == without_locks(before), "something else was touched");
}

#[cfg(target_os = "linux")]
#[test]
fn a_standard_output_that_is_full_is_an_error_and_the_results_are_there() {
    use std::process::{Command, Stdio};
    let experiment = Experiment::new(EXPERIMENT);
    let out = experiment.out("results");
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("dicewise"));
    command.arg("run").arg(&experiment.file).arg("--out").arg(&out);
    let output = command.stdout(Stdio::from(fs::File::create("/dev/full").unwrap())).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("standard output") && said.contains("No space left"), "{said}");
    assert!(out.join("table1.csv").is_file() && out.join("overlay.png").is_file());
}

#[cfg(unix)]
#[test]
fn a_listener_that_leaves_does_not_end_a_training() {
    use std::process::{Command, Stdio};
    let experiment = Experiment::new(EXPERIMENT);
    let out = experiment.out("results");
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("dicewise"));
    command.arg("run").arg(&experiment.file).arg("--out").arg(&out);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(out.join("overlay.png").is_file());
}
