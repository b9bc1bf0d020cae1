//! [`SoftDiceLoss`](dicewise_burn::SoftDiceLoss) against the oracle's loops and against Burn's own differentiation of
//! Eq. 3, on the fused path (f32 on the CPU) and on the path of every other backend (taken by f64 tensors).

/// Input that no loss should be given, and input that is legal and extreme.
mod adversarial;
/// The hand-written backward against automatic differentiation of a plain formulation.
mod against_autodiff;
/// The loss and its derivative against the literal loops, for every Φ, ε, weighting and treatment.
mod against_the_oracle;
/// Mistakes in what the loss is given.
mod bad_input;
/// What is tracked, and what is not.
mod graph;
/// The kernels for graphics processors (`cargo xtask gpu` sees to it that there is one, if only in software).
#[cfg(feature = "wgpu")]
mod graphics;
/// The loss of logits.
mod logits;
/// Eq. 3 in tensor operations.
mod plain;
/// Every combination of choices that a loss accepts, and batches to try them on.
mod settings;
