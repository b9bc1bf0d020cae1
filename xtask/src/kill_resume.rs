//! Kills real runs at random moments, resumes them, and compares every file with those of a run left alone.
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Instant;

use crate::cargo;

const KILLS: usize = 20;

/// Two cells that use everything a training remembers: moments, running statistics, a rate that falls, a best
/// checkpoint, ε warm-up, epochs that end within a batch.
const EXPERIMENT: &str = r#"
name = "kill-resume"
seeds = [3]
data = { phantom = "tumour", phantom_cases = { HGG = 6, LGG = 6 }, phantom_shape = [8, 8, 8] }
target = { activation = "softmax", labels = { tumour = [1] } }
split = { folds = 2, run = [0] }
partial = { label = "tumour", group = "LGG" }
augmentation = { flip_x = 0.5, intensity_shift = 0.05, noise = 0.02 }
network = { base = 2, levels = 2, norm = "batch" }
cells = [
  { labelling = "full", settings = ["I_eps"], batch_sizes = [3] },
  { labelling = "partial", settings = ["BI"], batch_sizes = [3] },
]

[training]
iterations = 500
learning_rate = 1e-2
l2 = 1e-5
validate_every = 30
epsilon_warm_up = 100
schedule = "plateau"
plateau = { factor = 0.5, patience = 2, stop_patience = 100 }
"#;

/// `cargo xtask kill-resume [KILLS]`
pub(crate) fn run(arguments: &[&str]) -> bool {
    let kills = match arguments.first().map(|argument| argument.parse()) {
        None => KILLS,
        Some(Ok(kills)) => kills,
        Some(Err(_)) => {
            eprintln!("kill-resume: `{}` is no number of kills", arguments[0]);
            return false;
        }
    };
    if !cargo(&["build", "--release", "--locked", "-p", "dicewise-cli"]) {
        return false;
    }
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let program = target.join("release").join(format!("dicewise{}", env::consts::EXE_SUFFIX));
    let folder = target.join("kill-resume");
    compare(&program, &folder, kills).unwrap_or_else(|error| {
        eprintln!("kill-resume: {error}; see {}", folder.display());
        false
    })
}

fn compare(program: &Path, folder: &Path, kills: usize) -> io::Result<bool> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let experiment = folder.join("kill-resume.toml");
    fs::write(&experiment, EXPERIMENT)?;
    let command = |out: &Path, threads: usize, resume: bool| {
        let mut command = Command::new(program);
        command.arg("run").arg(&experiment).arg("--out").arg(out).args(resume.then_some("--resume"));
        command.env("RAYON_NUM_THREADS", threads.to_string());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let finish = |out: &Path, threads: usize, resume: bool| match command(out, threads, resume).status()? {
        status if status.success() => Ok(()),
        status => Err(io::Error::other(format!("{}: {status}", out.display()))),
    };

    let whole = folder.join("whole");
    let started = Instant::now();
    finish(&whole, 1, false)?;
    let duration = started.elapsed();
    let expected = files(&whole)?;
    println!("left alone: {} files, {duration:.1?}", expected.len());
    let mut random = random();
    let mut all_same = true;
    for threads in [1, 2] {
        let (mut same, mut interrupted) = (0, 0);
        for kill in 0..kills {
            let out = folder.join(format!("threads{threads}-kill{kill}"));
            let mut child = command(&out, threads, false).spawn()?;
            sleep(duration.mul_f64(random()));
            // SIGKILL, where there are signals.
            child.kill()?;
            interrupted += usize::from(!child.wait()?.success());
            finish(&out, threads, true)?;
            match difference(&files(&out)?, &expected) {
                None => {
                    same += 1;
                    fs::remove_dir_all(&out)?;
                }
                Some(file) => println!("{threads} threads, kill {kill}: {} differs", file.display()),
            }
        }
        println!(
            "{threads} threads: {same} of {kills} killed and resumed runs have the same bytes in all files \
             ({interrupted} killed before their end)"
        );
        all_same &= same == kills;
    }
    Ok(all_same)
}

/// Left out of the comparison: locks, and what tells when a run was and how long it took.
const LEFT_OUT: [&str; 4] = [".dicewise.lock", "run.json", "report", "tensorboard"];

/// Every file with its path in the folder.
fn files(folder: &Path) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| LEFT_OUT.iter().any(|left_out| name == *left_out)) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path)?;
                found.push((path.strip_prefix(folder).expect("it is below").to_owned(), bytes));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The first file that one has and the other has not, or has with other bytes.
fn difference<'a>(found: &'a [(PathBuf, Vec<u8>)], expected: &'a [(PathBuf, Vec<u8>)]) -> Option<&'a Path> {
    let pairs = found.iter().zip(expected);
    let differing = pairs.into_iter().find(|(a, b)| a != b).map(|(a, _)| a);
    let longer = if found.len() > expected.len() { found } else { expected };
    let more = longer.get(found.len().min(expected.len()));
    differing.or(more).map(|(path, _)| path.as_path())
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
