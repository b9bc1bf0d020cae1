//! Results go to standard output, all else to standard error.
use std::io::{self, Write};
use std::sync::Mutex;

use indicatif::ProgressBar;
use miette::IntoDiagnostic;

/// What moves at the bottom of the terminal; lines on standard error go above it.
static MOVING: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Sets or takes away what moves at the bottom of the terminal.
pub(crate) fn set_moving(bar: Option<ProgressBar>) {
    if let Ok(mut moving) = MOVING.lock() {
        *moving = bar;
    }
}

/// Prints a result. A reader that has seen enough (`| head`) is no error.
pub(crate) fn print(text: &str) -> miette::Result<()> {
    write(text).into_diagnostic()
}

/// As [`print`], with the system's reason.
pub(crate) fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Prints a result as JSON.
pub(crate) fn print_json(value: &impl serde::Serialize) -> miette::Result<()> {
    let text = serde_json::to_string_pretty(value).into_diagnostic()?;
    print(&format!("{text}\n"))
}

/// A line on standard error. That nobody listens any more, a closed terminal for example, must not end a training.
pub(crate) fn note(text: &str) {
    match MOVING.lock().ok().and_then(|moving| moving.clone()) {
        Some(bar) => bar.println(text),
        None => {
            let _ = writeln!(io::stderr(), "{text}");
        }
    }
}
