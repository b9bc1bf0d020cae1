use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Set for a child, to the folder it works in.
const FOLDER: &str = "DICEWISE_TEST_CHILD_FOLDER";

/// The test binary once more, as a process that runs only the named test.
pub(crate) fn child(test: &str, folder: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(arguments(test)).env(FOLDER, folder);
    command
}

/// As [`child`], started by a shell script in which `"$@"` is the child.
pub(crate) fn child_of_shell(script: &str, test: &str, folder: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(env::current_exe().unwrap()).args(arguments(test));
    command.env(FOLDER, folder);
    command
}

fn arguments(test: &str) -> [&str; 4] {
    ["--exact", test, "--nocapture", "--test-threads=1"]
}

/// The folder to work in, in a child.
pub(crate) fn in_child() -> Option<PathBuf> {
    env::var_os(FOLDER).map(PathBuf::from)
}
