//! The Python package and its tests, in a virtual environment of their own below the user's cache.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run;

/// What the tests need beside the package: PyTorch and the packages whose losses are compared.
const TEST_REQUIREMENTS: &str = "python/requirements-test.txt";
const LINT_REQUIREMENTS: &str = "python/requirements-lint.txt";

/// Installs the package as a user does, `pip install .`, and runs its tests.
pub(crate) fn test() -> bool {
    let Some(python) = environment("venv", TEST_REQUIREMENTS) else { return false };
    // Without dependencies: the requirements, which are pinned, have them.
    run(Command::new(&python).args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--force-reinstall",
        ".",
    ])) && run(Command::new(&python).args(["-m", "pytest", "python/tests"]))
}

/// Layout and mistakes that can be seen without running anything.
pub(crate) fn lint() -> bool {
    let Some(python) = environment("venv-lint", LINT_REQUIREMENTS) else { return false };
    run(Command::new(&python).args(["-m", "ruff", "format", "--check", "."]))
        && run(Command::new(&python).args(["-m", "ruff", "check", "."]))
}

/// The interpreter of a virtual environment that has these requirements; made if they have changed.
fn environment(name: &str, requirements: &str) -> Option<PathBuf> {
    let folder = cache()?.join(name);
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let wanted = fs::read_to_string(requirements).map_err(|e| eprintln!("{requirements}: {e}")).ok()?;
    // Written last: an installation that was interrupted is begun anew.
    let installed = folder.join("requirements-installed.txt");
    if python.exists() && fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return Some(python);
    }
    let base = base_interpreter()?;
    eprintln!("making {} (once; PyTorch is a large download)", folder.display());
    let made = run(Command::new(base).args(["-m", "venv", "--clear"]).arg(&folder))
        && run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "-r", requirements]));
    if !made {
        eprintln!("the environment in {} could not be made: see the message above", folder.display());
        return None;
    }
    fs::write(&installed, wanted).map_err(|e| eprintln!("{}: {e}", installed.display())).ok()?;
    Some(python)
}

/// `python3` (or `$PYTHON`) of 3.10 or newer, with the module that makes virtual environments.
fn base_interpreter() -> Option<String> {
    let python = env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let check = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";
    if Command::new(&python).args(["-c", check]).output().is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    eprintln!(
        "`{python}` is not Python 3.10 or newer with venv: install it (Debian: python3 and python3-venv), \
         or name another interpreter in the variable PYTHON"
    );
    None
}

/// `${XDG_CACHE_HOME:-~/.cache}/dicewise`: outside of the checkout, so that another checkout finds it too.
pub(crate) fn cache() -> Option<PathBuf> {
    let given = env::var_os("XDG_CACHE_HOME").filter(|path| Path::new(path).is_absolute());
    let home = || env::var_os("HOME").or_else(|| env::var_os("USERPROFILE"));
    let Some(cache) = given.map(PathBuf::from).or_else(|| Some(PathBuf::from(home()?).join(".cache"))) else {
        eprintln!(
            "neither XDG_CACHE_HOME nor HOME is set: nowhere to put what is installed for this project"
        );
        return None;
    };
    Some(cache.join("dicewise"))
}
