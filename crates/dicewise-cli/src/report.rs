//! `dicewise report`: the page of a run, written again.
use std::process::ExitCode;

use dicewise_report::{ReportOptions, write_report};
use miette::IntoDiagnostic;

use crate::{args, browser, stdout};

pub(crate) fn run(args: &args::Report) -> miette::Result<ExitCode> {
    let page =
        write_report(&args.results, ReportOptions { single_file: args.single_file }).into_diagnostic()?;
    stdout::print(&format!("report in {}\n", page.display()))?;
    if args.open {
        browser::open(&page)?;
    }
    Ok(ExitCode::SUCCESS)
}
