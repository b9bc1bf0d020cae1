//! The `dicewise` program.
mod args;
mod case_progress;
mod cases;
mod cell;
mod check;
mod dataset_folder;
mod evaluate;
mod explain;
mod failure;
mod metrics;
mod network;
mod overlay;
mod predict;
mod progress;
mod remedy;
mod run;
mod run_error;
mod score;
mod source;
mod stdout;
mod table;
mod train;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;

use crate::args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    dicewise_kernels::keep_freed_memory();
    let stop = Arc::new(AtomicBool::new(false));
    let done = match &args.command {
        Command::Run(args) => run::run(args, &on_interrupt(&stop)).map_err(Into::into),
        Command::Train(args) => train::run(args, &on_interrupt(&stop)).map_err(Into::into),
        Command::Predict(args) => predict::run(args, &on_interrupt(&stop)).map_err(Into::into),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Check(args) => check::run(args),
    };
    done.unwrap_or_else(|error| failure::print(&error))
}

/// The flag that the first Ctrl-C raises: work is saved, then ends. The second one ends at once.
fn on_interrupt(stop: &Arc<AtomicBool>) -> Arc<AtomicBool> {
    let flag = stop.clone();
    let handler = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(run::INTERRUPTED));
        }
    });
    if let Err(error) = handler {
        eprintln!("warning: Ctrl-C will not save: {error}");
    }
    stop.clone()
}
