//! Project tasks: `cargo xtask TASK`.
//!
//! One place for the commands that the README, contributors and CI share.
use std::env;
use std::process::{Command, ExitCode};

const USAGE: &str = "\
Usage: cargo xtask TASK

  test   every test: unit, property, documentation, program
  lint   formatting, clippy and documentation, warnings refused
  deny   licences and sources of all dependencies (installs cargo-deny if it is missing)
  miri   the portable kernels under Miri (needs a nightly toolchain with the component `miri`)
  ci     lint, deny and test
";

fn main() -> ExitCode {
    let task = env::args().nth(1).unwrap_or_default();
    let done = match task.as_str() {
        "test" => test(),
        "lint" => lint(),
        "deny" => deny(),
        "miri" => miri(),
        "ci" => lint() && deny() && test(),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Tests run optimised: they train networks, and the program they drive is then the one that
/// `cargo run --release` has built already.
fn test() -> bool {
    cargo(&["test", "--release", "--workspace", "--locked"])
}

fn lint() -> bool {
    cargo(&["fmt", "--all", "--check"])
        && cargo(&["clippy", "--release", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])
        && run(cargo_command(&["doc", "--release", "--workspace", "--no-deps", "--locked"])
            .env("RUSTDOCFLAGS", "-D warnings"))
}

/// Advisories are left out: their database is fetched from outside the package registries.
fn deny() -> bool {
    let installed = Command::new("cargo-deny").arg("--version").output().is_ok_and(|o| o.status.success());
    (installed || cargo(&["install", "cargo-deny", "--locked"]))
        && cargo(&["deny", "check", "bans", "licenses", "sources"])
}

/// Miri has no vector instructions, so the kernels take their portable path, which together with what surrounds it
/// (cutting into tasks, reuse of buffers) is safe code but for the dispatch.
fn miri() -> bool {
    // rayon's queues keep memory to the end and tag pointers.
    let flags = "-Zmiri-ignore-leaks -Zmiri-tree-borrows -Zmiri-permissive-provenance";
    run(Command::new("cargo")
        .args(["+nightly", "miri", "test", "-p", "dicewise-kernels", "--lib"])
        .env("MIRIFLAGS", flags)
        // A rustup proxy decides on the toolchain only if nothing has chosen one before.
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO"))
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
