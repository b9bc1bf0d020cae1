//! `dicewise-fuzz smoke SECONDS` runs every target on changed seeds for so long; `dicewise-fuzz seeds FOLDER` writes the
//! corpora that the fuzzers start from.
use std::error::Error;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use dicewise_fuzz::{Mutator, Target};

/// Inputs between two looks at the clock.
const BATCH: usize = 16;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["smoke", seconds] => seconds.parse().map_err(Into::into).and_then(smoke),
        ["seeds", folder] => write_seeds(Path::new(folder)),
        _ => Err("usage: dicewise-fuzz smoke SECONDS | dicewise-fuzz seeds FOLDER".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Shares the seconds among the targets. The inputs are always the same ones; a faster machine gets further.
fn smoke(seconds: u64) -> Result<(), Box<dyn Error>> {
    let share = Duration::from_secs(seconds) / Target::ALL.len() as u32;
    for &target in Target::ALL {
        let seeds = target.seeds();
        seeds.iter().for_each(|seed| target.run(seed));
        let mut mutator = Mutator::new(seeds, 0);
        let (started, mut inputs) = (Instant::now(), 0_usize);
        while started.elapsed() < share {
            for _ in 0..BATCH {
                let input = mutator.draw();
                if catch_unwind(|| target.run(&input)).is_err() {
                    let path = std::env::temp_dir().join(format!("dicewise-{}-{inputs}", target.name()));
                    std::fs::write(&path, &input)?;
                    let path = path.display();
                    return Err(
                        format!("{}: input {inputs} panics; it is kept in {path}", target.name()).into()
                    );
                }
                inputs += 1;
            }
        }
        println!("{:<14} {inputs} inputs, none panics", target.name());
    }
    Ok(())
}

fn write_seeds(folder: &Path) -> Result<(), Box<dyn Error>> {
    for &target in Target::ALL {
        let corpus = folder.join(target.name());
        std::fs::create_dir_all(&corpus)?;
        for (number, seed) in target.seeds().iter().enumerate() {
            std::fs::write(corpus.join(format!("seed-{number:02}")), seed)?;
        }
    }
    Ok(())
}
