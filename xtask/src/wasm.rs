//! `cargo xtask wasm`: the loss crate for the browser, as the report embeds it.
use std::fs;
use std::path::Path;

use crate::browser::target;
use crate::{cargo_command, run};

const TARGET: &str = "wasm32-unknown-unknown";

/// Builds `dicewise-web` and puts it where `dicewise-report` embeds it. `more` goes to `cargo build`, for example
/// `-Zbuild-std=std,panic_abort` where a toolchain has no standard library for this target.
pub(crate) fn build(more: &[&str]) -> bool {
    let mut build = cargo_command(&[
        "build",
        "--profile",
        "web",
        "--locked",
        "--package",
        "dicewise-web",
        "--lib",
        "--target",
    ]);
    if !run(build.arg(TARGET).args(more)) {
        eprintln!("`rustup target add {TARGET}` installs what is needed");
        return false;
    }
    let built = target().join(TARGET).join("web").join("dicewise_web.wasm");
    let asset =
        Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("crates/dicewise-report/assets/dicewise.wasm");
    match fs::read(&built).and_then(|bytes| fs::write(&asset, &bytes).map(|()| bytes.len())) {
        Ok(size) => {
            eprintln!("{}: {size} bytes", asset.display());
            true
        }
        Err(error) => {
            eprintln!("{}: {error}", built.display());
            false
        }
    }
}
