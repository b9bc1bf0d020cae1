use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Instant;

use crate::run::Experiment;
use crate::running::{Running, assert_same_results, results, rows};

/// All that a training remembers is in use: moments, running statistics, a rate that falls, a best checkpoint, a
/// warm-up, epochs that end within a batch.
pub(crate) const EXPERIMENT: &str = r#"
name = "killed"
seeds = [3]
data = { phantom = "tumour", phantom_cases = { HGG = 6, LGG = 6 }, phantom_shape = [8, 8, 8] }
target = { activation = "softmax", labels = { tumour = [1] } }
split = { folds = 3, run = [0] }
partial = { label = "tumour", group = "LGG" }
augmentation = { flip_x = 0.5, intensity_shift = 0.05, noise = 0.02 }
network = { base = 2, levels = 2, norm = "batch" }
cells = [
  { labelling = "full", settings = ["I_eps"], batch_sizes = [3] },
  { labelling = "partial", settings = ["BI"], batch_sizes = [3] },
]

[training]
iterations = 450
learning_rate = 1e-2
l2 = 1e-5
validate_every = 30
epsilon_warm_up = 100
schedule = "plateau"
plateau = { factor = 0.5, patience = 2, stop_patience = 100 }
"#;

#[test]
fn a_run_killed_again_and_again_ends_as_one_that_was_left_alone() {
    let experiment = Experiment::new(EXPERIMENT);
    let (whole, killed) = (experiment.out("whole"), experiment.out("killed"));
    experiment.run(&whole, &[]).exits_with(0);

    let cell = killed.join("full-I_eps-b3-seed3/fold_0");
    let metrics = cell.join("metrics.csv");
    type Moment<'a> = (&'a str, Box<dyn FnMut() -> bool + 'a>);
    let mut moments: [Moment<'_>; 4] = [
        ("before the first checkpoint", Box::new(|| rows(&metrics) >= 20)),
        ("after a checkpoint", Box::new(|| rows(&metrics) > 230)),
        ("while a cell is predicted", Box::new(|| holds_prediction(&cell.join("validation")))),
        ("in the second cell", Box::new(|| killed.join("partial-BI-b3-seed3/fold_0/metrics.csv").exists())),
    ];
    for (kill, (moment, reached)) in moments.iter_mut().enumerate() {
        let more: &[&str] = if kill == 0 { &[] } else { &["--resume"] };
        let mut running = Running::experiment(&experiment.file, &killed, 1 + kill % 2, more);
        running.wait_until(moment, reached);
        running.kill();
    }
    let (code, said) = Running::experiment(&experiment.file, &killed, 2, &["--resume"]).end();
    assert_eq!(code, Some(0), "{said}");
    // Weights, moments, metrics, predictions, tables, figures: every file, to the byte.
    assert_same_results(&killed, &whole, "after four kills");
}

/// Of the next test with one thread, and as many with two, unless `DICEWISE_KILLS` says otherwise.
const KILLS: usize = 20;

#[test]
#[ignore = "takes minutes: cargo xtask kill-resume"]
fn runs_killed_at_random_moments_end_as_one_that_was_left_alone() {
    let kills =
        std::env::var("DICEWISE_KILLS").map_or(KILLS, |kills| kills.parse().expect("a number of kills"));
    let experiment = Experiment::new(EXPERIMENT);
    let whole = experiment.out("whole");
    let started = Instant::now();
    assert_eq!(Running::experiment(&experiment.file, &whole, 1, &[]).end().0, Some(0));
    let duration = started.elapsed();
    println!("left alone: {} files, {duration:.1?}", results(&whole).len());
    let mut random = random();
    for threads in [1, 2] {
        let mut interrupted = 0;
        for kill in 1..=kills {
            let out = experiment.out(&format!("killed{kill}"));
            let running = Running::experiment(&experiment.file, &out, threads, &[]);
            sleep(duration.mul_f64(random()));
            interrupted += usize::from(!running.kill().success());
            let (code, said) = Running::experiment(&experiment.file, &out, threads, &["--resume"]).end();
            assert_eq!(code, Some(0), "{said}");
            assert_same_results(&out, &whole, &format!("{threads} threads, kill {kill}"));
            fs::remove_dir_all(&out).unwrap();
        }
        println!(
            "{threads} threads: {kills} runs, {interrupted} killed before their end, the same bytes in all files"
        );
        assert!(2 * interrupted > kills, "most runs ended before they were killed");
    }
}

/// Numbers in [0, 1), the same every time: xorshift64.
fn random() -> impl FnMut() -> f64 {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn holds_prediction(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}
