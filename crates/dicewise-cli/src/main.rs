//! The `dicewise` program.
fn main() {}
