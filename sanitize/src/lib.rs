//! The module `cpu` of `dicewise-kernels`, alone.
#![allow(dead_code, unused_imports)] // but for its tests

#[path = "../../crates/dicewise-kernels/src/cpu/mod.rs"]
mod cpu;
