//! `cargo xtask gpu`: the kernels for graphics processors, on one or on a program that imitates one.
use std::path::Path;
use std::process::Command;

use crate::{cargo_command, run};

/// Where a Vulkan driver says that it is there.
const DRIVERS: [&str; 2] = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
/// The loader of drivers, and Mesa's lavapipe, which computes on the CPU.
const PACKAGES: [&str; 2] = ["libvulkan1", "mesa-vulkan-drivers"];

/// CubeCL, and Burn for graphics processors, are large, and what is tested runs on the device: not optimised, they build in
/// a fraction of the time. Macros and build scripts are those of the other tasks.
const QUICKLY: [&str; 4] = ["--release", "--locked", "--config", "profile.release.opt-level=0"];
/// What a run spends most of its time in then: the pictures of its report.
const OPTIMISED: [&str; 2] = ["png", "zlib-rs"];

/// Tests kernels, loss, networks and small trainings against the oracle and the CPU, and checks that the program compiles
/// for CUDA. Where there is no Vulkan and no leave to install it, says so: a machine without can still run the other tasks.
pub(crate) fn test() -> bool {
    let tested = if vulkan() {
        let tests = ["--test", "loss", "--test", "training", "--test", "commands", "--", "graphics"];
        cargo(&["--test", "kernels"])
            && cargo(&tests)
            // That it still runs; its figures mean nothing there.
            && cargo(&["--bench", "bandwidth", "--", "1,3,16,16,16"])
    } else {
        eprintln!("SKIPPED: no Vulkan driver ({}), so no kernel is run", PACKAGES.join(", "));
        true
    };
    tested && cuda()
}

/// All with the same packages and features, so that Burn is built once.
fn cargo(which: &[&str]) -> bool {
    let optimised: Vec<String> =
        OPTIMISED.iter().map(|name| format!("profile.release.package.{name}.opt-level=3")).collect();
    let mut all = vec!["test"];
    all.extend(QUICKLY);
    all.extend(optimised.iter().flat_map(|setting| ["--config", setting]));
    all.extend(["--features", "dicewise-cli/wgpu"]);
    all.extend(
        ["dicewise-gpu", "dicewise-burn", "dicewise-train", "dicewise-cli"]
            .iter()
            .flat_map(|name| ["-p", name]),
    );
    run(&mut cargo_command(&[&all[..], which].concat()))
}

/// Types and borrows of everything that CUDA needs. `DOCS_RS` spares CubeCL's build scripts the download of LLVM.
fn cuda() -> bool {
    let check = ["check", "--release", "--locked", "-p", "dicewise-cli", "--features", "cuda"];
    run(cargo_command(&check).env("DOCS_RS", "1"))
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
