//! `cargo xtask gpu`: the kernels for graphics processors, on one or on a program that imitates one.
use std::path::Path;
use std::process::Command;

use crate::{cargo_command, run};

/// Where a Vulkan driver says that it is there.
const DRIVERS: [&str; 2] = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
/// The loader of drivers, and Mesa's lavapipe, which computes on the CPU.
const PACKAGES: [&str; 2] = ["libvulkan1", "mesa-vulkan-drivers"];

/// Tests the kernels against the oracle. Where there is no Vulkan and no leave to
/// install it, says so and is content: a machine without can still run the other tasks.
pub(crate) fn test() -> bool {
    if !vulkan() {
        eprintln!("SKIPPED: no Vulkan driver ({}), so no kernel is run", PACKAGES.join(", "));
        return true;
    }
    // CubeCL is large, and what is tested runs on the device: not optimised, it builds in a fraction of the time.
    let quickly = ["test", "--release", "--config", "profile.release.opt-level=0", "--locked"];
    run(&mut cargo_command(
        &[&quickly[..], &["-p", "dicewise-gpu", "--features", "wgpu", "--test", "kernels"]].concat(),
    ))
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
