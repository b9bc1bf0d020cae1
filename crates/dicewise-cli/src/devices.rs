//! What networks can run on: `--device`, and `dicewise devices`.
mod processor;

use std::process::ExitCode;

use burn::tensor::Device;

pub(crate) use processor::model;

use crate::args::DeviceName;
use crate::run_error::RunError;
use crate::stdout;
use crate::table::Table;
use crate::terminal::Reader;

/// A line of `dicewise devices`.
struct Listed {
    name: DeviceName,
    model: String,
    details: String,
}

/// The device of that name.
///
/// # Errors
/// If the program was built without it.
pub(crate) fn device(name: DeviceName) -> Result<Device, RunError> {
    match name {
        DeviceName::Cpu => Ok(Device::flex()),
        DeviceName::Gpu(_) | DeviceName::Cuda(_) => Err(RunError::NotBuiltFor { device: name }),
    }
}

/// `dicewise devices`
pub(crate) fn run() -> miette::Result<ExitCode> {
    let mut table = Table::new(["--device", "model", "details"]);
    let Listed { name, model, details } = processor::listed();
    table.row(vec![name.to_string(), model, details]);
    let text = table.fitted(Reader::of_stdout()) + "graphics processors: this program was built without\n";
    stdout::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
