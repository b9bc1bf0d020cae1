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
fn what_the_program_was_not_built_for_is_refused_with_the_command_that_builds_it() {
    let experiment = Experiment::new(EXPERIMENT);
    let out = experiment.out("results");
    let listed = dicewise(["devices"]).exits_with(0).stdout;
    for (device, feature, built) in
        [("gpu:0", "wgpu", cfg!(feature = "wgpu")), ("cuda:3", "cuda", cfg!(feature = "cuda"))]
    {
        assert_eq!(listed.contains(&format!("without `--features {feature}`")), !built, "{listed}");
        if !built {
            let command = format!("--features {feature},autotune");
            experiment.run(&out, &["--device", device]).is_refused_with(&[device, "cpu", &command]);
        }
    }
    assert!(!out.exists(), "something was written");
}

#[cfg(feature = "wgpu")]
mod graphics {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn graphics_processors_are_listed_and_counted() {
        let said = dicewise(["devices"]).exits_with(0);
        assert!(said.row(&["gpu:0"]).len() > 2, "{}", said.stdout);
        let experiment = Experiment::new(EXPERIMENT);
        let out = experiment.out("results");
        experiment.run(&out, &["--device", "gpu:99"]).is_refused_with(&["gpu:99", "dicewise devices"]);
    }

    /// Column `loss` of every iteration.
    fn losses(results: &Path, cell: &str) -> Vec<f64> {
        let text = fs::read_to_string(results.join(cell).join("fold_0").join("metrics.csv")).unwrap();
        let column = text.lines().next().unwrap().split(',').position(|name| name == "loss").unwrap();
        let value = |line: &str| line.split(',').nth(column).unwrap().parse().unwrap();
        text.lines().skip(1).map(value).collect()
    }

    /// The losses of a training, whose every step follows from the derivatives before it, and the scores of what it
    /// predicts.
    #[test]
    fn a_training_on_a_graphics_processor_goes_as_on_the_cpu() {
        for activation in ["sigmoid", "softmax"] {
            let experiment = Experiment::new(
                &EXPERIMENT.replace("\"sigmoid\"", &format!("{activation:?}")).replace("[0, 2]", "[0]"),
            );
            let (cpu, gpu) = (experiment.out("cpu"), experiment.out("gpu"));
            experiment.run(&cpu, &[]).exits_with(0);
            experiment.run(&gpu, &["--device", "gpu:0"]).exits_with(0);
            for cell in ["full-I-b2-seed3", "partial-BI-b2-seed3"] {
                let (expected, found) = (losses(&cpu, cell), losses(&gpu, cell));
                assert_eq!((expected.len(), found.len()), (6, 6));
                for (expected, found) in expected.iter().zip(&found) {
                    assert!((expected - found).abs() < 1e-4, "{activation}, {cell}: {found}, not {expected}");
                }
                assert!((expected[0] - expected[5]).abs() > 1e-3, "nothing was learnt: {expected:?}");
            }
        }
    }
}
