//! Opening a page that was written.
use std::path::Path;
use std::process::{Command, Stdio};

/// Opens a file in the system's browser.
pub(crate) fn open(file: &Path) -> miette::Result<()> {
    let (program, arguments): (&str, &[&str]) = match std::env::consts::OS {
        "macos" => ("open", &[]),
        "windows" => ("cmd", &["/C", "start", ""]),
        _ => ("xdg-open", &[]),
    };
    let mut command = Command::new(program);
    // What the browser has to say is not for this terminal.
    command.args(arguments).arg(file).stdout(Stdio::null()).stderr(Stdio::null());
    let opened = command.status().is_ok_and(|status| status.success());
    if opened {
        return Ok(());
    }
    Err(miette::miette!(
        help = "open the file yourself: a double-click is enough",
        "`{program}` cannot open {}",
        file.display()
    ))
}
