//! The Dice losses as Burn modules, with Eq. 4 as a hand-written backward.
//!
//! [`SoftDiceLoss`] wraps a [`dicewise::DiceLoss`], where Φ, ε, class weights and the treatment of missing labels are
//! chosen. The forward pass reads prediction and target once, for 3·B·C sums; everything between the sums and the
//! derivative is the scalar mathematics of [`dicewise`], on the host; the backward pass writes `a − b·y`. Only the
//! target and those coefficients are kept for it. The device, and with it the backend, is chosen at run time.
//!
//! On graphics processors (features `wgpu` and `cuda`) both passes are kernels of `dicewise-gpu`, and
//! [`SoftDiceLoss::forward_logits`] has softmax or sigmoid inside them.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use dicewise::{DiceLoss, Epsilon, Partition};
//! use dicewise_burn::SoftDiceLoss;
//!
//! let device = Device::flex().autodiff();
//! let prediction = Tensor::<3>::from_floats([[[0.9, 0.2, 0.1]], [[0.4, 0.4, 0.4]]], &device).require_grad();
//! let target = Tensor::<3>::from_floats([[[1.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]]], &device);
//!
//! let image_wise = SoftDiceLoss::new(DiceLoss::new(Partition::ImageWise, Epsilon::uniform(1e-7)?)?);
//! let loss = image_wise.forward(prediction.clone(), target, None)?;
//! let gradient = prediction.grad(&loss.tensor.backward()).unwrap();
//! // The second image has no ground truth: image-wise Dice with a tiny ε ignores it.
//! let on_empty = gradient.slice([1..2]).abs().max().into_scalar::<f32>();
//! assert!(on_empty < 1e-6);
//! # Ok::<(), dicewise::DiceError>(())
//! ```
#[cfg(feature = "gpu")]
mod gpu;
mod loss;
mod ops;

pub use loss::{DiceValue, SoftDiceLoss};
