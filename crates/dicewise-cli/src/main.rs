//! The `dicewise` program.
mod args;
mod browser;
mod case_progress;
mod cases;
mod cell;
mod check;
mod compare;
mod data_source;
mod dataset_folder;
mod devices;
mod estimate;
mod evaluate;
mod evaluations;
mod explain;
mod failure;
mod grid_file;
mod lock;
mod metrics;
mod network;
mod overlay;
mod owner;
mod predict;
mod prepared_case;
mod progress;
mod record;
mod remedy;
mod report;
mod run;
mod run_error;
mod score;
mod slurm;
mod source;
mod status;
mod stdout;
mod table;
mod task;
mod terminal;
mod train;
mod utc;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;
use dicewise_data::nifti;

use crate::args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    dicewise_kernels::keep_freed_memory();
    if let Some(max_voxels) = args.max_voxels {
        nifti::set_default_max_voxels(max_voxels);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let done = match &args.command {
        Command::Run(args) => {
            // A scheduler, which kills what does not end in time, may signal a task twice: by its script and itself.
            let second = if args.task.is_some() { Second::Ignored } else { Second::EndsAtOnce };
            run::run(args, &on_interrupt(&stop, second)).map_err(Into::into)
        }
        Command::Train(args) => {
            train::run(args, &on_interrupt(&stop, Second::EndsAtOnce)).map_err(Into::into)
        }
        Command::Predict(args) => {
            predict::run(args, &on_interrupt(&stop, Second::EndsAtOnce)).map_err(Into::into)
        }
        Command::Evaluate(args) => evaluate::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Report(args) => report::run(args),
        Command::Status(args) => status::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Check(args) => check::run(args),
        Command::Devices(_) => devices::run(),
    };
    done.unwrap_or_else(|error| failure::print(&error))
}

/// What the second signal does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Second {
    EndsAtOnce,
    Ignored,
}

/// The flag that the first Ctrl-C, SIGTERM or SIGHUP raises: work is saved, then ends.
fn on_interrupt(stop: &Arc<AtomicBool>, second: Second) -> Arc<AtomicBool> {
    let flag = stop.clone();
    let handler = ctrlc::set_handler(move || match (flag.swap(true, Ordering::Relaxed), second) {
        (true, Second::EndsAtOnce) => std::process::exit(i32::from(run::INTERRUPTED)),
        (true, Second::Ignored) => {}
        (false, Second::EndsAtOnce) => {
            stdout::note("stopping as soon as everything is saved; once more to stop at once");
        }
        (false, Second::Ignored) => stdout::note("stopping as soon as everything is saved"),
    });
    if let Err(error) = handler {
        stdout::note(&format!("warning: Ctrl-C will not save: {error}"));
    }
    stop.clone()
}
