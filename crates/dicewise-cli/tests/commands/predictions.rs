use std::fs;
use std::path::{Path, PathBuf};

use dicewise_report::{CaseScore, read_cases};
use serde_json::Value;
use tempfile::TempDir;

use crate::dataset::{contents, write_labels};
use crate::program::{Outcome, dicewise};

/// A folder of predicted label maps.
pub(crate) struct Predictions(pub(crate) TempDir);

impl Predictions {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn case(self, case: &str, runs: &[(u16, usize)]) -> Self {
        write_labels(&self.file(case), runs);
        self
    }

    pub(crate) fn file(&self, case: &str) -> PathBuf {
        self.0.path().join(format!("{case}.nii.gz"))
    }

    pub(crate) fn evaluate(&self, truth: &Path, flags: &str) -> Outcome {
        let args = ["evaluate".as_ref(), self.0.path().as_os_str(), truth.as_os_str()];
        dicewise(args.into_iter().chain(flags.split_whitespace().map(AsRef::as_ref)))
    }

    /// Refused, and every file is as it was: a `cases.csv` from before as well.
    pub(crate) fn is_refused(&self, truth: &Path, flags: &str, words: &[&str]) {
        fs::write(self.0.path().join("cases.csv"), "from before").unwrap();
        let before = contents(self.0.path());
        self.evaluate(truth, flags).is_refused_with(words);
        assert_eq!(contents(self.0.path()), before);
    }

    pub(crate) fn scores(&self) -> Vec<CaseScore> {
        read_cases(&self.0.path().join("cases.csv")).unwrap()
    }

    pub(crate) fn summary(&self) -> Value {
        serde_json::from_slice(&fs::read(self.0.path().join("summary.json")).unwrap()).unwrap()
    }
}
