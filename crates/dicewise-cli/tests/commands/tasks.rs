use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::kills;
use crate::program::{Outcome, dicewise, dicewise_with};
use crate::run::{EXPERIMENT, Experiment};
use crate::running::{Running, assert_same_results, rows};

fn status(out: &Path) -> Outcome {
    dicewise(["status".as_ref(), out.as_os_str(), "--json".as_ref()]).exits_with(0)
}

/// The states of all trainings.
fn states(out: &Path) -> Vec<String> {
    let trainings = status(out).json()["trainings"].as_array().unwrap().clone();
    trainings.iter().map(|training| training["state"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn trainings_one_by_one_and_then_their_tables_are_what_one_run_gives() {
    let experiment = Experiment::new(EXPERIMENT);
    let (whole, parts) = (experiment.out("whole"), experiment.out("parts"));
    experiment.run(&whole, &[]).exits_with(0);
    // Two at a time, in no order.
    for pair in [["3", "0"], ["1", "2"]] {
        let tasks = pair.map(|task| Running::experiment(&experiment.file, &parts, 1, &["--task", task]));
        for task in tasks {
            let (code, said) = task.end();
            assert_eq!(code, Some(0), "{said}");
        }
    }
    assert!(!parts.join("cases.csv").exists());
    // Done already: nothing happens.
    let checkpoint = parts.join("full-I-b2-seed3/fold_0/checkpoint_final.safetensors");
    let before = fs::metadata(&checkpoint).unwrap().modified().unwrap();
    experiment.run(&parts, &["--task", "0"]).exits_with(0);
    assert_eq!(fs::metadata(&checkpoint).unwrap().modified().unwrap(), before);
    experiment.run(&parts, &["--resume"]).exits_with(0);
    assert_same_results(&parts, &whole, "four tasks and their tables");
    assert!(parts.join("report/index.html").is_file());
    experiment.run(&parts, &["--task", "4"]).is_refused_with(&["--task 4", "4 trainings", "below 4"]);
}

#[cfg(unix)]
#[test]
fn a_task_that_a_scheduler_signals_twice_saves_itself_and_goes_on() {
    let text = kills::EXPERIMENT.replace("iterations = 450", "iterations = 2000");
    let experiment = Experiment::new(&text);
    let out = experiment.out("results");
    let cell = out.join("full-I_eps-b3-seed3/fold_0");
    let task = ["--task", "0"];
    let mut running = Running::experiment(&experiment.file, &out, 1, &task);
    running.wait_until("fifty iterations", || rows(&cell.join("metrics.csv")) >= 50);
    assert_eq!(states(&out), ["running", "waiting"]);
    let training = &status(&out).json()["trainings"][0];
    assert!(training["who"].as_str().unwrap().contains("process "), "{training}");
    assert!(training["since"].as_str().unwrap().ends_with('Z'), "{training}");
    assert!(training["iteration"].as_u64() >= Some(50) && training["iterations"] == 2000, "{training}");
    // The folder is shared by tasks; a run of all of them would write into theirs.
    experiment.run(&out, &["--resume"]).is_refused_with(&["another process", "dicewise status"]);
    experiment.run(&out, &task).is_refused_with(&["fold_0", "another process", "process "]);
    running.signal("TERM");
    running.signal("TERM");
    let (code, said) = running.end();
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("interrupted; saved"), "{said}");
    assert!(cell.join("checkpoint_latest.safetensors").is_file());
    assert_eq!(states(&out), ["interrupted", "waiting"]);

    let mut running = Running::experiment(&experiment.file, &out, 1, &task);
    let before = rows(&cell.join("metrics.csv"));
    running.wait_until("fifty more", || rows(&cell.join("metrics.csv")) >= before + 50);
    running.kill();
    assert_eq!(states(&out), ["interrupted", "waiting"]);
    let text = dicewise(["status".as_ref(), out.as_os_str()]).exits_with(0).stdout;
    assert!(text.contains("1 interrupted, 1 waiting, of 2 trainings") && text.contains("process "), "{text}");
}

#[test]
fn the_state_of_every_training_can_be_seen() {
    let experiment = Experiment::new(&EXPERIMENT.replace("learning_rate = 1e-2", "learning_rate = 1e30"));
    let out = experiment.out("results");
    dicewise(["status".as_ref(), out.as_os_str()]).is_refused_with(&["grid.json", "run"]);
    experiment.run(&out, &["--task", "1"]).exits_with(2);
    assert_eq!(states(&out), ["waiting", "failed", "waiting", "waiting"]);
    let failed = &status(&out).json()["trainings"][1];
    assert!(failed["outcome"].as_str().unwrap().contains("iteration"), "{failed}");

    let experiment = Experiment::new(EXPERIMENT);
    let out = experiment.out("results");
    experiment.run(&out, &["--jobs", "2"]).exits_with(0);
    assert_eq!(states(&out), ["done"; 4]);
    let json = status(&out).json();
    assert_eq!(json["counts"], serde_json::json!({ "done": 4 }));
    let done = &json["trainings"][3];
    assert_eq!((&done["task"], &done["iteration"]), (&Value::from(3), &Value::from(6)));
    assert!(done["outcome"].as_str().unwrap().contains("tumour"), "{done}");
    assert!(done["who"].is_null() && done["since"].is_null(), "{done}");
}

#[test]
fn the_scripts_of_a_job_array_can_be_read_before_it_is_submitted() {
    let experiment = Experiment::new(EXPERIMENT);
    let out = experiment.out("with space");
    let flags = ["--slurm", "--dry-run", "--partition", "gpu", "--gres", "gpu:1", "--time", "24:00:00"];
    let more = ["--array-limit", "20", "--cpus", "8", "--mem", "16G", "--account", "lab", "--seed", "0,1"];
    let said = experiment.run(&out, &[&flags[..], &more].concat()).exits_with(0).stdout;
    for line in [
        // 2 cells × 2 seeds × 2 folds
        "#SBATCH --array=0-7%20",
        "#SBATCH --partition=gpu",
        "#SBATCH --gres=gpu:1",
        "#SBATCH --time=24:00:00",
        "#SBATCH --cpus-per-task=8",
        "#SBATCH --mem=16G",
        "#SBATCH --account=lab",
        "#SBATCH --requeue",
        "#SBATCH --signal=B:TERM@120",
    ] {
        assert!(said.lines().any(|l| l == line), "{line} is not in\n{said}");
    }
    assert!(said.contains("with space'") && said.contains("--seed 0,1"), "{said}");
    // A table needs no accelerator.
    assert_eq!(said.matches("--gres").count(), 1, "{said}");
    assert!(!out.exists());
    if cfg!(unix) {
        for script in said.split("==> ").skip(1) {
            let (_, script) = script.split_once("<==\n").unwrap();
            let checked = Command::new("bash").args(["-n", "-c", script]).output().unwrap();
            assert!(checked.status.success(), "{}\n{script}", String::from_utf8_lossy(&checked.stderr));
        }
    }
    experiment.run(&out, &["--slurm", "--partition", "a b"]).is_refused_with(&["--partition", "a b"]);
    experiment.run(&out, &["--partition", "gpu"]).is_refused_with(&["--slurm"]);
    experiment.run(&out, &["--slurm", "--jobs", "2"]).is_refused_with(&["--jobs"]);
}

#[test]
fn without_slurm_nothing_is_submitted_and_the_reason_is_said() {
    let experiment = Experiment::new(EXPERIMENT);
    let out = experiment.out("results");
    let arguments = ["run".as_ref(), experiment.file.as_os_str(), "--out".as_ref(), out.as_os_str()];
    let arguments = arguments.into_iter().chain(["--slurm".as_ref()]);
    dicewise_with("PATH", "", arguments).is_refused_with(&["train.sh", "there is no sbatch here"]);
    experiment.run(&out, &["--resume"]).exits_with(0);
    experiment.run(&out, &["--slurm", "--resume"]).is_refused_with(&["all 4 trainings are done", "--resume"]);
}
