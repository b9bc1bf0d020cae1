//! The kernels against the oracle's loops, on whatever device wgpu finds (`cargo xtask gpu` sees to it that there is
//! one, if only in software).
#![cfg(feature = "wgpu")]

/// Values and derivatives.
mod against_the_oracle;
/// Problems, and the loss and its derivative from the device.
mod problem;
/// Precisions, upstream derivatives, repeatability and limits.
mod properties;
