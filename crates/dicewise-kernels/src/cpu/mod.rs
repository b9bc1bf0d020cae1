//! The operations on slices of `f32`, for the CPU.
//!
//! Nothing here knows Burn, so that `cargo xtask sanitize` can build it alone.
//!
//! Everything here is deterministic: how work is cut into tasks depends on the shapes alone, and partial sums are added
//! in a fixed order, so a result does not depend on the number of threads. It does depend on the [`Level`].

mod accumulate;
mod adam;
mod buffer;
mod convolution;
mod correlate;
mod lattice;
mod level;
mod norm_act;
mod pool;
mod portable;
mod source;
mod upsample;
#[cfg(target_arch = "x86_64")]
mod vector;
mod weight_gradient;

#[cfg(test)]
mod tests;

pub use adam::Adam;
pub(crate) use adam::adam_step;
pub(crate) use convolution::{Budget, ConvShape, bias_gradient, forward, input_gradient};
pub(crate) use level::Level;
pub(crate) use norm_act::{Affine, NormShape, Over, Statistics, gradients, moments, normalise};
pub(crate) use pool::{max_pool, max_pool_gradient};
pub(crate) use source::{Part, Source};
pub(crate) use upsample::{linear_taps, nearest, nearest_gradient, trilinear, trilinear_gradient};
pub(crate) use weight_gradient::weight_gradient;
