//! `cargo xtask gpu`: the kernels for graphics processors, on one or on a program that imitates one.
use std::path::Path;
use std::process::Command;

use crate::{cargo_command, run};

/// Where a Vulkan driver says that it is there.
const DRIVERS: [&str; 2] = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
/// The loader of drivers, and Mesa's lavapipe, which computes on the CPU.
const PACKAGES: [&str; 2] = ["libvulkan1", "mesa-vulkan-drivers"];

/// Tests kernels, loss and a small training against the oracle and the CPU. Where there is no Vulkan and no leave to
/// install it, says so and is content: a machine without can still run the other tasks.
pub(crate) fn test() -> bool {
    if !vulkan() {
        eprintln!("SKIPPED: no Vulkan driver ({}), so no kernel is run", PACKAGES.join(", "));
        return true;
    }
    tests(&["--test", "kernels"]) && tests(&["--test", "loss", "--test", "commands", "--", "graphics"])
}

/// All with the same packages and features, so that Burn is built once.
fn tests(which: &[&str]) -> bool {
    let packages = ["-p", "dicewise-gpu", "-p", "dicewise-burn", "-p", "dicewise-cli"];
    // CubeCL, and Burn for graphics processors, are large, and what is tested runs on the device: not optimised, they
    // build in a fraction of the time. Macros and build scripts are those of the other tasks.
    let quickly = ["test", "--release", "--config", "profile.release.opt-level=0"];
    let build = [&quickly[..], &["--locked", "--features", "dicewise-cli/wgpu"]].concat();
    run(&mut cargo_command(&[&build[..], &packages, which].concat()))
}

fn vulkan() -> bool {
    let there = || {
        DRIVERS
            .iter()
            .any(|folder| Path::new(folder).read_dir().is_ok_and(|mut files| files.next().is_some()))
    };
    // Other systems bring Metal or DirectX 12.
    if !cfg!(target_os = "linux") || there() {
        return true;
    }
    let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.starts_with(b"0\n"));
    let install = ["install", "-y", "-qq", "--no-install-recommends"];
    root && run(Command::new("apt-get").args(install).args(PACKAGES)) && there()
}
