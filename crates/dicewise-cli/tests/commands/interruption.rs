use std::path::{Path, PathBuf};

use crate::kills::EXPERIMENT;
use crate::run::Experiment;
use crate::running::{Running, assert_same_results, rows};

/// One cell, which takes long enough to be interrupted.
fn experiment() -> Experiment {
    Experiment::new(
        &EXPERIMENT
            .replace("iterations = 450", "iterations = 2000")
            .replace("  { labelling = \"partial\", settings = [\"BI\"], batch_sizes = [3] },\n", ""),
    )
}

fn cell(out: &Path) -> PathBuf {
    out.join("full-I_eps-b3-seed3/fold_0")
}

#[test]
fn ctrl_c_and_sigterm_save_and_exit_with_130_and_nothing_is_lost() {
    let experiment = experiment();
    let (whole, interrupted) = (experiment.out("whole"), experiment.out("interrupted"));
    experiment.run(&whole, &[]).exits_with(0);
    let metrics = cell(&interrupted).join("metrics.csv");
    for (signal, more) in [("INT", &[][..]), ("TERM", &["--resume"]), ("HUP", &["--resume"])] {
        let before = rows(&metrics);
        let mut running = Running::experiment(&experiment.file, &interrupted, 1, more);
        running.wait_until("fifty iterations", || rows(&metrics) >= before + 50);
        running.signal(signal);
        let (code, said) = running.end();
        assert_eq!(code, Some(130), "SIG{signal}: {said}");
        assert!(said.contains("once more to stop at once") && said.contains("--resume"), "{said}");
        assert!(cell(&interrupted).join("checkpoint_latest.safetensors").is_file(), "SIG{signal}");
        assert!(rows(&metrics) >= before + 50, "SIG{signal}");
    }
    experiment.run(&interrupted, &["--resume"]).exits_with(0);
    assert_same_results(&interrupted, &whole, "after three signals");
}

/// An iteration of this network takes much longer than two signals.
#[test]
fn a_second_ctrl_c_stops_at_once() {
    let experiment = Experiment::new(
        &EXPERIMENT
            .replace("phantom_shape = [8, 8, 8]", "phantom_shape = [48, 48, 48]")
            .replace("base = 2, levels = 2", "base = 24, levels = 3"),
    );
    let out = experiment.out("results");
    let mut running = Running::experiment(&experiment.file, &out, 1, &[]);
    let metrics = cell(&out).join("metrics.csv");
    running.wait_until("the first iteration", || rows(&metrics) > 0);
    let done = rows(&metrics);
    running.signal("INT");
    running.wait_for_line("once more to stop at once");
    running.signal("INT");
    let (code, said) = running.end();
    assert_eq!(code, Some(130), "{said}");
    assert!(!said.contains("--resume"), "it took its time: {said}");
    assert!(!cell(&out).join("checkpoint_latest.safetensors").exists());
    assert!(rows(&metrics) >= done);
}
