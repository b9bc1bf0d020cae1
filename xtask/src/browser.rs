//! `cargo xtask browser` and `cargo xtask screenshots`: the pages in a real browser.
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{cargo_command, run};

/// Opens report, viewer and explorer in Chromium and tests them. Without Node.js, npm or Chromium it says so and is
/// content: a machine without them can still run the other tasks.
pub(crate) fn test() -> bool {
    let Some(tools) = Tools::find() else { return true };
    let Some(results) = tools.small_run() else { return false };
    tools.node(&["--test", "--test-concurrency=1", "test.mjs"], &results)
}

/// Takes the pictures of README and docs from the results of a run, `results/phantom` unless another folder is given.
pub(crate) fn screenshots(results: Option<&str>) -> bool {
    let Some(tools) = Tools::find() else { return false };
    let results = PathBuf::from(results.unwrap_or("results/phantom"));
    if !results.join("run.json").is_file() {
        eprintln!(
            "{}: no run.json; `cargo run --release -- run experiments/phantom.toml` first",
            results.display()
        );
        return false;
    }
    let Ok(results) = results.canonicalize() else { return false };
    tools.dicewise(&["report"], &[&results])
        && tools.node(&["screenshots.mjs", "../../docs/images"], &results)
}

struct Tools {
    chromium: PathBuf,
    program: PathBuf,
}

impl Tools {
    /// Finds or installs what the tests need, and builds the program.
    fn find() -> Option<Self> {
        for program in ["node", "npm"] {
            if on_path(&[program]).is_none() {
                eprintln!("SKIPPED: `{program}` is not installed, so no page is opened in a browser");
                return None;
            }
        }
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let chromium = env::var_os("CHROMIUM").map(PathBuf::from);
        let chromium = chromium.or_else(|| found_or_installed(&names, &["chromium"]));
        let Some(chromium) = chromium else {
            eprintln!("SKIPPED: no Chromium on the PATH or in $CHROMIUM, so no page is opened in a browser");
            return None;
        };
        let ready = run(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(folder()))
            && run(&mut cargo_command(&["build", "--release", "--locked", "--package", "dicewise-cli"]));
        ready.then(|| Self { chromium, program: target().join("release").join("dicewise") })
    }

    /// A run of seconds with all its pages.
    fn small_run(&self) -> Option<PathBuf> {
        let results = target().join("browser");
        let _ = fs::remove_dir_all(&results);
        let (experiment, explorer) = (folder().join("small.toml"), results.join("explorer.html"));
        let (page, single) = (results.join("report").join("index.html"), results.join("single.html"));
        let written = self.dicewise(&["run", "--out"], &[&results, &experiment])
            && self.dicewise(&["report", "--single-file"], &[&results])
            && fs::rename(&page, &single).is_ok()
            && self.dicewise(&["report"], &[&results])
            && self.dicewise(&["explain", "--html"], &[&explorer]);
        written.then_some(results)
    }

    fn dicewise(&self, words: &[&str], paths: &[&Path]) -> bool {
        run(Command::new(&self.program).args(words).args(paths))
    }

    fn node(&self, arguments: &[&str], results: &Path) -> bool {
        run(Command::new("node")
            .args(arguments)
            .current_dir(folder())
            .env("CHROMIUM", &self.chromium)
            .env("DICEWISE", &self.program)
            .env("RESULTS", results))
    }
}

/// `xtask/browser`.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("browser")
}

/// The folder of build outputs.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target"),
    }
}

/// The first of these programs that is there, if need be after installing packages of Debian. That only on a system that
/// is ours to change, such as a container of a CI.
pub(crate) fn found_or_installed(names: &[&str], packages: &[&str]) -> Option<PathBuf> {
    on_path(names).or_else(|| {
        let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.starts_with(b"0\n"));
        let install = ["install", "-y", "-qq"];
        let installed = root
            && on_path(&["apt-get"]).is_some()
            && run(Command::new("apt-get").args(install).args(packages));
        if installed { on_path(names) } else { None }
    })
}

fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let files = |name: &&str| env::split_paths(&path).map(|folder| folder.join(name)).collect::<Vec<_>>();
    names.iter().flat_map(files).find(|file| file.is_file())
}
