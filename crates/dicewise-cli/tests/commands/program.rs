use std::ffi::OsStr;

use serde_json::Value;

/// What a call of the program came to.
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn dicewise<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Outcome {
    outcome(assert_cmd::cargo::cargo_bin_cmd!("dicewise").args(args))
}

/// With one more variable in its environment.
pub(crate) fn dicewise_with<S: AsRef<OsStr>>(
    name: &str,
    value: &str,
    args: impl IntoIterator<Item = S>,
) -> Outcome {
    outcome(assert_cmd::cargo::cargo_bin_cmd!("dicewise").env(name, value).args(args))
}

fn outcome(command: &mut assert_cmd::Command) -> Outcome {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).expect("text is UTF-8");
    Outcome {
        code: output.status.code().expect("the program ends by itself"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

impl Outcome {
    /// Fails with everything that the program said unless the exit code is as expected.
    #[track_caller]
    pub(crate) fn exits_with(self, code: i32) -> Self {
        self.assert_code(code);
        self
    }

    #[track_caller]
    fn assert_code(&self, code: i32) {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
    }

    /// Bad input: exit code 2, nothing on standard output, and all of these on standard error.
    #[track_caller]
    pub(crate) fn is_refused_with(&self, words: &[&str]) {
        self.assert_code(2);
        assert_eq!(self.stdout, "");
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in\n{}", self.stderr);
        }
    }

    /// The line of a table that starts with these cells, as cells.
    #[track_caller]
    pub(crate) fn row(&self, start: &[&str]) -> Vec<String> {
        let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let mut rows = self
            .stdout
            .lines()
            .map(cells)
            .filter(|row| row.starts_with(&start.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()));
        rows.next().unwrap_or_else(|| panic!("no line starts with {start:?} in\n{}", self.stdout))
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}:\n{}", self.stdout))
    }
}
