//! Project tasks: `cargo xtask TASK`.
//!
//! One place for the commands that the README, contributors and CI share.
mod book;
mod browser;
mod gpu;
mod markdown;
mod pages;
mod python;
mod slurm;
mod wasm;

use std::env;
use std::process::{Command, ExitCode};

const USAGE: &str = "\
Usage: cargo xtask TASK

  test         every test: unit, property, documentation, program, Python
  python       the Python package and its tests only
  properties   the property tests of loss, NIfTI, folds and experiment files with 100,000 cases each
  lint         formatting, clippy, documentation, ruff, and links of README and docs; warnings refused
  deny         licences and sources of all dependencies (installs cargo-deny if it is missing);
               with --advisories, known vulnerabilities too (fetches their list from GitHub)
  browser      report, viewer and explorer in Chromium (skipped where it or Node.js is missing)
  screenshots  pictures of README and docs, from results/phantom or the folder given
  slurm        a job array on a Slurm of this machine, its tasks killed and requeued (skipped where there is no Slurm)
  gpu          kernels, loss, networks and small trainings on a graphics processor, or on one in software (installs Mesa's
               where there is none and it may; skipped otherwise); and whether the program compiles for CUDA
  book         README and docs as a site (installs mdBook below the user's cache if it is missing)
  wasm         the explorer's numbers for the browser, again after a change to the loss
  sanitize     the tests of all kernels, where `unsafe` is, under AddressSanitizer (Linux)
  miri         the portable kernels under Miri (needs a nightly toolchain with the component `miri`)
  fuzz-smoke   a minute of changed files for every parser, on stable Rust
  fuzz TARGET [FLAG...]
               search for input that breaks a parser until stopped: nifti, dataset_json, experiment or checkpoint
               (installs cargo-fuzz if it is missing; flags go to libFuzzer, such as -runs=1000000)
  kill-resume [N]
               kill runs at N random moments (20), with 1 and 2 threads, and compare what resuming gives
  ci           lint, deny, test, properties, browser, slurm, gpu and fuzz-smoke
";

/// Cases of each property test in CI.
const PROPERTY_CASES: &str = "100000";
/// Of a run, with each number of threads.
const KILLS: &str = "20";
/// Of all parsers together.
const SMOKE_SECONDS: &str = "60";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let done = match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["test"] => test(),
        ["python"] => python::test(),
        ["properties"] => properties(),
        ["lint"] => lint(),
        ["deny"] => deny(),
        ["deny", "--advisories"] => deny() && cargo(&["deny", "check", "advisories"]),
        ["browser"] => browser::test(),
        ["slurm"] => slurm::test(),
        ["screenshots"] => browser::screenshots(None),
        ["screenshots", results] => browser::screenshots(Some(results)),
        ["gpu"] => gpu::test(),
        ["book"] => book::build(),
        ["wasm", flags @ ..] => wasm::build(flags),
        ["sanitize"] => sanitize(),
        ["miri"] => miri(),
        ["kill-resume"] => kill_resume(KILLS),
        ["kill-resume", kills] => kill_resume(kills),
        ["fuzz-smoke"] => fuzz_smoke(),
        ["fuzz", target, flags @ ..] => fuzz(target, flags),
        ["ci"] => {
            lint()
                && deny()
                && test()
                && properties()
                && browser::test()
                && slurm::test()
                && gpu::test()
                && fuzz_smoke()
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// All Rust but the Python module, whose dependencies switch on features that would build all of Burn a second time, and
/// the kernels for graphics processors, which have a task of their own.
const RUST: [&str; 7] =
    ["--release", "--locked", "--workspace", "--exclude", "dicewise-python", "--exclude", "dicewise-gpu"];

/// Tests run optimised: they train networks, and the program they drive is then the one that
/// `cargo run --release` has built already.
fn test() -> bool {
    cargo(&[&["test"], &RUST[..]].concat()) && python::test()
}

/// Of the loss, the NIfTI reader, folds and experiment files. One thread a test: the tests themselves run in parallel.
/// With the packages of all other tests, whose build is shared. The cases are the same every time: what changed then is
/// the code.
fn properties() -> bool {
    let tests = ["--test", "dice", "--test", "nifti", "--test", "splits", "--test", "resolution"];
    run(cargo_command(&[&["test"], &RUST[..], &tests].concat())
        .env("PROPTEST_CASES", PROPERTY_CASES)
        .env("PROPTEST_RNG_SEED", "0")
        .env("RAYON_NUM_THREADS", "1"))
}

fn kill_resume(kills: &str) -> bool {
    let test = ["--test", "commands", "--", "--ignored", "--nocapture", "runs_killed_at_random_moments"];
    run(cargo_command(&[&["test"], &RUST[..], &test].concat()).env("DICEWISE_KILLS", kills))
}

fn fuzz_smoke() -> bool {
    let test = [&["test"], &RUST[..], &["--test", "smoke", "--", "--nocapture"]].concat();
    run(cargo_command(&test).env("DICEWISE_SMOKE_SECONDS", SMOKE_SECONDS))
}

/// Coverage and sanitizers are not stable features; the stable compiler has them under this variable, so that no other
/// toolchain is needed.
fn fuzz(target: &str, flags: &[&str]) -> bool {
    // Only the checkpoint needs Burn.
    let burn: &[&str] = if target == "checkpoint" { &[] } else { &["--no-default-features"] };
    let seeds = ["run", "--release", "--locked", "-p", "dicewise-fuzz"];
    let seeds = [&seeds[..], burn, &["--", "fuzz/corpus"]].concat();
    let features: &[&str] = if target == "checkpoint" { &["--features", "checkpoint"] } else { &[] };
    let search = [&["fuzz", "run"], features, &[target, "--"], flags].concat();
    installed("cargo-fuzz") && cargo(&seeds) && run(cargo_command(&search).env("RUSTC_BOOTSTRAP", "1"))
}

fn lint() -> bool {
    pages::check()
        && cargo(&["fmt", "--all", "--check"])
        && cargo(&[&["clippy"], &RUST[..], &["--all-targets", "--", "-D", "warnings"]].concat())
        && cargo(&["clippy", "--release", "--locked", "-p", "dicewise-python", "--", "-D", "warnings"])
        && run(
            cargo_command(&[&["doc"], &RUST[..], &["--no-deps"]].concat()).env("RUSTDOCFLAGS", "-D warnings")
        )
        && python::lint()
}

/// Advisories are left to a flag: their list is fetched from outside the package registries.
fn deny() -> bool {
    installed("cargo-deny") && cargo(&["deny", "check", "bans", "licenses", "sources"])
}

/// Installs a tool from the package registry unless it is there.
fn installed(tool: &str) -> bool {
    let there = Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success());
    there || cargo(&["install", tool, "--locked"])
}

/// Reads and writes outside of memory, and what the standard library checks of `unsafe` calls in debug builds, under every
/// instruction set that the machine has. Build scripts are left alone because a target is named.
fn sanitize() -> bool {
    let target = ["test", "--release", "--locked", "--target", "x86_64-unknown-linux-gnu"];
    let folder = ["--target-dir", "target/sanitize"];
    let under_sanitizer = |more: &[&str]| {
        run(cargo_command(&[&target[..], &folder, more].concat())
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", "-Zsanitizer=address -Cdebug-assertions"))
    };
    under_sanitizer(&["-p", "dicewise", "--lib", "--test", "dice", "--test", "adversarial"])
        && under_sanitizer(&["--manifest-path", "sanitize/Cargo.toml"])
}

/// The loss's tiles of AVX2 through memory. The training kernels take their portable path, which together with what surrounds
/// it (cutting into tasks, reuse of buffers) is safe code but for the dispatch.
fn miri() -> bool {
    let under_miri = |what: &[&str], features: &str| {
        run(Command::new("cargo")
            .args([&["+nightly", "miri", "test"], what].concat())
            // rayon's queues keep memory to the end and tag pointers.
            .env("MIRIFLAGS", "-Zmiri-ignore-leaks -Zmiri-tree-borrows -Zmiri-permissive-provenance")
            .env("RUSTFLAGS", features)
            // A rustup proxy decides on the toolchain only if nothing has chosen one before.
            .env_remove("RUSTUP_TOOLCHAIN")
            .env_remove("CARGO"))
    };
    under_miri(
        &["-p", "dicewise", "--lib", "--", "instruction_set"],
        "-Ctarget-feature=+avx2,+fma,+bmi1,+popcnt",
    ) && under_miri(&["-p", "dicewise-kernels", "--lib"], "")
}

fn cargo(arguments: &[&str]) -> bool {
    run(&mut cargo_command(arguments))
}

fn cargo_command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

fn run(command: &mut Command) -> bool {
    eprintln!("▶ {command:?}");
    match command.status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("{command:?}: {error}");
            false
        }
    }
}
