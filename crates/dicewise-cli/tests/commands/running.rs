use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::dataset::contents;

/// Every file below a folder, under its path in the folder, but for locks.
pub(crate) fn results(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = contents(folder).into_iter();
    files
        .map(|(path, bytes)| (path.strip_prefix(folder).unwrap().to_owned(), bytes))
        .filter(|(path, _)| path.file_name().unwrap() != ".dicewise.lock")
        .collect()
}

/// Fails with the names of the files that differ.
#[track_caller]
pub(crate) fn assert_same_results(found: &Path, expected: &Path, when: &str) {
    let (found, expected) = (results(found), results(expected));
    let names = |files: &[(PathBuf, Vec<u8>)]| files.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected), "{when}");
    let differing = found.iter().zip(&expected).filter(|(a, b)| a != b).map(|(a, _)| &a.0);
    let differing: Vec<_> = differing.collect();
    assert!(differing.is_empty(), "{when}: {differing:?} differ");
}

/// A process of the program, killed when it goes out of scope.
pub(crate) struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Running {
    /// `run EXPERIMENT --out OUT`, with so many threads.
    pub(crate) fn experiment(file: &Path, out: &Path, threads: usize, more: &[&str]) -> Self {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("dicewise"));
        command.arg("run").arg(file).arg("--out").arg(out).args(more);
        command.env("RAYON_NUM_THREADS", threads.to_string());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr }
    }

    /// Waits until something is the case on the disk. Fails if the program ends before.
    #[track_caller]
    pub(crate) fn wait_until(&mut self, what: &str, mut is_so: impl FnMut() -> bool) {
        while !is_so() {
            if let Some(status) = self.child.try_wait().unwrap() {
                // It may have come with the end.
                assert!(is_so(), "{status} before {what}: {}", self.rest());
                return;
            }
            sleep(Duration::from_micros(200));
        }
    }

    #[cfg(unix)]
    #[track_caller]
    pub(crate) fn wait_for_line(&mut self, words: &str) {
        let mut line = String::new();
        while self.stderr.read_line(&mut line).unwrap() > 0 {
            if line.contains(words) {
                return;
            }
            line.clear();
        }
        panic!("the program ended without saying {words:?}");
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let number = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &number]).status().unwrap().success());
    }

    /// SIGKILL: nothing can be saved any more.
    pub(crate) fn kill(mut self) -> ExitStatus {
        self.child.kill().unwrap();
        self.child.wait().unwrap()
    }

    /// Exit code, and what it said on standard error from here on.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let said = self.rest();
        (self.child.wait().unwrap().code(), said)
    }

    fn rest(&mut self) -> String {
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        said
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Rows of a `metrics.csv`, of which there may be none yet.
pub(crate) fn rows(metrics: &Path) -> usize {
    fs::read_to_string(metrics).unwrap_or_default().lines().skip(1).count()
}
