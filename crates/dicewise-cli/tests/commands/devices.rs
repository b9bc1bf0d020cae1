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

#[test]
fn a_training_on_several_devices_is_refused_with_what_is_possible() {
    let experiment = Experiment::new(EXPERIMENT);
    let out = experiment.out("results");
    let words = ["2 devices", "--jobs 2", "batch-wise", "DistributedDataParallel"];
    experiment.run(&out, &["--device", "cpu,cpu"]).is_refused_with(&words);
    experiment.run(&out, &["--device", "cpu,cpu", "--task", "0"]).is_refused_with(&words);
    assert!(!out.exists(), "something was written");
    let train = "train data --out model --setting BI --batch-size 2 --iterations 1 --device gpu:0,gpu:1";
    dicewise(train.split(' ')).is_refused_with(&["one training runs on one device", "--jobs"]);
}

/// Planning needs neither the device nor a build for it.
#[test]
fn a_dry_run_says_what_each_device_must_have_of_memory() {
    let experiment = Experiment::new(EXPERIMENT);
    let out = experiment.out("results");
    let of = |devices: &str, jobs: &str| {
        let flags = ["--dry-run", "--device", devices, "--jobs", jobs];
        let said = experiment.run(&out, &flags).exits_with(0).stdout;
        let lines = said.lines().filter_map(|line| line.strip_prefix("memory of "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(of("cpu", "1"), Vec::<String>::new());
    assert_eq!(of("gpu:0,cuda:1,cpu", "3"), ["gpu:0: 0.00 GiB with B = 2", "cuda:1: 0.00 GiB with B = 2"]);
    let large =
        Experiment::new(&EXPERIMENT.replace("[8, 8, 8]", "[32, 32, 32]").replace("base = 2", "base = 16"));
    let flags = ["--dry-run", "--device", "gpu:0", "--jobs", "2"];
    let said = large.run(&large.out("results"), &flags).exits_with(0).stdout;
    let words: Vec<&str> =
        said.lines().find(|line| line.starts_with("memory of gpu:0")).unwrap().split(' ').collect();
    let gib: f64 = words[3].parse().unwrap();
    // At the finest level convolutions read 16 + 48 + 16 + 16 channels of 65,536 voxels; of each three numbers are kept.
    // That is 72 MiB, and with all else 91; two trainings.
    assert!((0.16..0.2).contains(&gib), "{said}");
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

    const CELLS: [&str; 2] = ["full-I-b2-seed3", "partial-BI-b2-seed3"];

    /// Column `loss` of every iteration.
    fn losses(results: &Path, cell: &str) -> Vec<f64> {
        let text = fs::read_to_string(results.join(cell).join("fold_0").join("metrics.csv")).unwrap();
        let column = text.lines().next().unwrap().split(',').position(|name| name == "loss").unwrap();
        let value = |line: &str| line.split(',').nth(column).unwrap().parse().unwrap();
        text.lines().skip(1).map(value).collect()
    }

    /// Column `dsc` of every held-out case; NaN where it is undefined.
    fn scores(results: &Path) -> Vec<f64> {
        let text = fs::read_to_string(results.join("cases.csv")).unwrap();
        let column = text.lines().next().unwrap().split(',').position(|name| name == "dsc").unwrap();
        text.lines()
            .skip(1)
            .map(|row| row.split(',').nth(column).unwrap().parse().unwrap_or(f64::NAN))
            .collect()
    }

    /// The losses of a training, whose every step follows from the derivatives before it, and the scores of what it
    /// predicts.
    #[test]
    fn a_run_on_a_graphics_processor_goes_as_on_the_cpu() {
        let experiment = Experiment::new(
            &EXPERIMENT.replace("[0, 2]", "[0]").replace("iterations = 6", "iterations = 20"),
        );
        let (cpu, gpu) = (experiment.out("cpu"), experiment.out("gpu"));
        experiment.run(&cpu, &[]).exits_with(0);
        experiment.run(&gpu, &["--device", "gpu:0"]).exits_with(0);
        for cell in CELLS {
            let (expected, found) = (losses(&cpu, cell), losses(&gpu, cell));
            assert_eq!((expected.len(), found.len()), (20, 20));
            for (expected, found) in expected.iter().zip(&found) {
                assert!((expected - found).abs() < 1e-3, "{cell}: {found}, not {expected}");
            }
            let least = expected.iter().copied().fold(f64::MAX, f64::min);
            assert!(expected[0] - least > 1e-2, "nothing was learnt: {expected:?}");
        }
        let (expected, found) = (scores(&cpu), scores(&gpu));
        assert_eq!((expected.len(), found.len()), (8, 8));
        for (expected, found) in expected.iter().zip(&found) {
            let same = (expected - found).abs() < 0.02 || (expected.is_nan() && found.is_nan());
            assert!(same, "DSC {found}, not {expected}");
        }
        // What is trained and not scored is predicted again, from its checkpoint.
        let table = fs::read(gpu.join("cases.csv")).unwrap();
        fs::remove_file(gpu.join(CELLS[1]).join("fold_0").join("cases.csv")).unwrap();
        experiment.run(&gpu, &["--device", "gpu:0", "--resume"]).exits_with(0);
        assert!(fs::read(gpu.join("cases.csv")).unwrap() == table, "other scores from the same checkpoint");
    }

    /// A cell a device: one trains as it does on the CPU, to the last digit; the other nearly so.
    #[test]
    fn cells_are_spread_over_graphics_processor_and_cpu() {
        let experiment =
            Experiment::new(&EXPERIMENT.replace("\"sigmoid\"", "\"softmax\"").replace("[0, 2]", "[0]"));
        let (cpu, both) = (experiment.out("cpu"), experiment.out("both"));
        experiment.run(&cpu, &[]).exits_with(0);
        experiment.run(&both, &["--device", "gpu:0,cpu", "--jobs", "2"]).exits_with(0);
        let mut alike = 0;
        for cell in CELLS {
            let (expected, found) = (losses(&cpu, cell), losses(&both, cell));
            alike += usize::from(expected == found);
            for (expected, found) in expected.iter().zip(&found) {
                assert!((expected - found).abs() < 1e-3, "{cell}: {found}, not {expected}");
            }
        }
        assert_eq!(alike, 1);
    }
}
