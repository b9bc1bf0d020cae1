//! What networks can run on: `--device`, and `dicewise devices`.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod graphics;
mod processor;

use std::process::ExitCode;

use burn::tensor::Device;

pub(crate) use processor::model;

use crate::args::{DeviceName, Devices};
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
/// If the program was built without it, or this machine has none.
pub(crate) fn device(name: DeviceName) -> Result<Device, RunError> {
    match name {
        DeviceName::Cpu => Ok(Device::flex()),
        #[cfg(feature = "wgpu")]
        DeviceName::Gpu(number) => nth(name, number, graphics::adapters()),
        #[cfg(feature = "cuda")]
        DeviceName::Cuda(number) => nth(name, number, graphics::cuda()),
        #[cfg(not(feature = "wgpu"))]
        DeviceName::Gpu(_) => Err(RunError::NotBuiltFor { device: name, built: BUILT_FOR, feature: "wgpu" }),
        #[cfg(not(feature = "cuda"))]
        DeviceName::Cuda(_) => Err(RunError::NotBuiltFor { device: name, built: BUILT_FOR, feature: "cuda" }),
    }
}

/// The devices of a grid, one for each of `jobs` trainings at the same time, in turn.
///
/// # Errors
/// If there are more devices than trainings at the same time, and as [`device`].
pub(crate) fn of_jobs(names: &[DeviceName], jobs: usize) -> Result<Vec<(DeviceName, Device)>, RunError> {
    at_most(names, jobs)?;
    let named = |&name: &DeviceName| Ok((name, device(name)?));
    let devices = names.iter().map(named).collect::<Result<Vec<_>, RunError>>()?;
    Ok(devices.iter().cycle().take(jobs).cloned().collect())
}

/// That a training has no more than one device.
pub(crate) fn at_most(names: &[DeviceName], jobs: usize) -> Result<(), RunError> {
    match names.len() {
        devices if devices > jobs => Err(RunError::MoreDevicesThanJobs { devices, jobs }),
        _ => Ok(()),
    }
}

/// The device of a single training.
///
/// # Errors
/// If there are several.
pub(crate) fn only(devices: &Devices) -> Result<DeviceName, RunError> {
    at_most(&devices.names, 1)?;
    Ok(devices.names[0])
}

/// The kinds of devices that this program can use.
const BUILT_FOR: &str = match (cfg!(feature = "wgpu"), cfg!(feature = "cuda")) {
    (false, false) => "cpu",
    (true, false) => "cpu and gpu",
    (false, true) => "cpu and cuda",
    (true, true) => "cpu, gpu and cuda",
};

#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn nth(name: DeviceName, number: usize, devices: Vec<Device>) -> Result<Device, RunError> {
    let found = devices.len();
    let device = devices.into_iter().nth(number).ok_or(RunError::NoSuchDevice { device: name, found })?;
    if graphics::is_software(&device) {
        stdout::note(&format!(
            "warning: {name} is no graphics processor but a program that imitates one on the CPU: right, and slow; \
             `--device cpu` is much faster"
        ));
    }
    Ok(device)
}

/// `dicewise devices`
pub(crate) fn run() -> miette::Result<ExitCode> {
    let mut table = Table::new(["--device", "model", "details"]);
    let mut add = |Listed { name, model, details }| table.row(vec![name.to_string(), model, details]);
    add(processor::listed());
    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    graphics::listed().into_iter().for_each(add);
    let mut text = table.fitted(Reader::of_stdout());
    for (built, kind, feature) in [
        (cfg!(feature = "wgpu"), "graphics processors through Vulkan, Metal or DirectX 12", "wgpu"),
        (cfg!(feature = "cuda"), "NVIDIA's through CUDA", "cuda"),
    ] {
        if !built {
            text +=
                &format!("not looked for: {kind}; this program was built without `--features {feature}`\n");
        }
    }
    stdout::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
