//! How errors are shown: once, on standard error, with what to do about them.
use std::error::Error;
use std::fmt::{self, Write};
use std::process::ExitCode;

use miette::{Diagnostic, Report};

use crate::stdout;

/// Exit code for bad input and usage; clap's own errors use the same.
const BAD_INPUT: u8 = 2;

/// Prints an error and gives the exit code that goes with it.
pub(crate) fn print(report: &Report) -> ExitCode {
    stdout::note(text(report).trim_end_matches('\n'));
    ExitCode::from(BAD_INPUT)
}

/// A mistake in an experiment file is shown where it stands; other errors take a line each for what, why and remedy.
fn text(report: &Report) -> String {
    if report.source_code().is_some() {
        return format!("{report:?}\n");
    }
    let mut text = String::new();
    describe(report.as_ref(), &mut text);
    text
}

fn describe(error: &dyn Diagnostic, text: &mut String) {
    let mut told = error.to_string();
    let _ = writeln!(text, "error: {told}");
    let mut cause = error.source();
    while let Some(source) = cause {
        let reason = source.to_string();
        // Many messages end with their cause already.
        if !told.contains(&reason) {
            let _ = writeln!(text, "  caused by: {reason}");
        }
        told = reason;
        cause = source.source();
    }
    if let Some(help) = error.help() {
        let _ = writeln!(text, "  help: {help}");
    }
    for related in error.related().into_iter().flatten() {
        describe(related, text);
    }
}

/// An error of a library with a remedy in the program's terms.
pub(crate) fn with_remedy(
    error: impl Error + Send + Sync + 'static,
    remedy: Option<impl Into<String>>,
) -> Report {
    Report::new(Remedied { error: Box::new(error), remedy: remedy.map(Into::into) })
}

#[derive(Debug)]
struct Remedied {
    error: Box<dyn Error + Send + Sync>,
    remedy: Option<String>,
}

impl fmt::Display for Remedied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for Remedied {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

impl Diagnostic for Remedied {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.remedy.as_ref()?))
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use dicewise_data::dataset::DatasetError;
    use dicewise_report::ReportError;

    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let source = io::Error::other("the disk is on fire");
        let error = DatasetError::Io { path: "data".into(), source };
        let report = with_remedy(error, Some("put it out"));
        assert_eq!(text(&report), "error: data: the disk is on fire\n  help: put it out\n");
    }

    #[test]
    fn a_cause_that_the_message_leaves_out_is_added() {
        let source = io::Error::other("the disk is full");
        let error = ReportError::Write { path: PathBuf::from("cases.csv"), source };
        let report = with_remedy(error, None::<&str>);
        assert_eq!(text(&report), "error: cannot write cases.csv\n  caused by: the disk is full\n");
    }

    #[test]
    fn a_mistake_in_an_experiment_file_is_shown_where_it_stands() {
        let file = "name = \"x\"\nsedes = [0]\n";
        let error = dicewise_experiment::Experiment::parse(
            "x.toml".as_ref(),
            file,
            &dicewise_experiment::Overrides::default(),
            &|_| None,
        )
        .expect_err("sedes is no key");
        let text = text(&Report::new(error));
        assert!(text.contains("x.toml:2:1") && text.contains("sedes = [0]"), "{text}");
    }
}
