use crate::program::dicewise;
use crate::run::{EXPERIMENT, Experiment};

#[test]
fn the_processor_is_listed_with_threads_and_instructions() {
    let said = dicewise(["devices"]).exits_with(0);
    let row = said.row(&["cpu"]).join(" ");
    assert!(row.contains("threads"), "{row}");
    let sets = ["avx512", "avx2", "portable"];
    assert!(sets.iter().any(|set| row.contains(set)), "{row}");
}

#[test]
fn what_the_program_was_not_built_for_is_refused_before_anything_is_written() {
    let experiment = Experiment::new(EXPERIMENT);
    let out = experiment.out("results");
    for device in ["gpu:0", "cuda:3"] {
        experiment.run(&out, &["--device", device]).is_refused_with(&[device, "accepted: cpu"]);
    }
    assert!(!out.exists(), "something was written");
}
