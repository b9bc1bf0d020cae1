//! Changed seeds for every parser, on stable Rust: the same inputs on every machine, as many as time allows.

use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use dicewise_fuzz::{Mutator, Target};

/// Of all targets together, unless `DICEWISE_SMOKE_SECONDS` says otherwise.
const SECONDS: f64 = 4.0;
/// Inputs of each target, whatever the time.
const LEAST_INPUTS: usize = 64;

#[test]
fn no_parser_panics_on_changed_seeds() {
    let seconds =
        std::env::var("DICEWISE_SMOKE_SECONDS").map_or(SECONDS, |text| text.parse().expect("seconds"));
    let share = Duration::from_secs_f64(seconds / Target::ALL.len() as f64);
    for &target in Target::ALL {
        let mut mutator = Mutator::new(target.seeds(), 0);
        let (started, mut inputs) = (Instant::now(), 0);
        while inputs < LEAST_INPUTS || started.elapsed() < share {
            let input = mutator.draw();
            if catch_unwind(|| target.run(&input)).is_err() {
                let path = std::env::temp_dir().join(format!("dicewise-{}-{inputs}", target.name()));
                std::fs::write(&path, &input).unwrap();
                panic!(
                    "{}: input {inputs} breaks a promise; it is kept in {}",
                    target.name(),
                    path.display()
                );
            }
            inputs += 1;
        }
        eprintln!("{:<14} {inputs} inputs", target.name());
    }
}
