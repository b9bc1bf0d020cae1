//! The `dicewise` program.
mod args;
mod cases;
mod cell;
mod metrics;
mod network;
mod overlay;
mod predict;
mod progress;
mod run;
mod run_error;
mod score;
mod source;
mod train;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;

use crate::args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    // The first Ctrl-C saves and stops, the second stops at once.
    let handler = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(run::INTERRUPTED));
        }
    });
    if let Err(error) = handler {
        eprintln!("warning: Ctrl-C will not save: {error}");
    }
    let done = match &args.command {
        Command::Run(args) => run::run(args, &stop),
        Command::Train(args) => train::run(args, &stop),
        Command::Predict(args) => predict::run(args, &stop),
        _ => todo!(),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
