//! 3-D network operations for Burn: convolution, normalisation with activation, pooling, upsampling.
//!
//! Every tensor is `[batch, channels, z, y, x]` and every triple (kernel, stride, window, factor) is in tensor order
//! `[z, y, x]`, **not** in the x, y, z order of volumes and command-line options. Gradients flow through all
//! operations; the backend is chosen at run time by the device of the tensors:
//!
//! * on Burn's CPU backend (`Device::flex()`) in `f32`, fused kernels with hand-written backward passes; their results
//!   do not depend on the number of threads,
//! * on every other backend, and in other precisions, the same mathematics in Burn's own operations.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use dicewise_kernels::{Norm, conv3d, max_pool3d, norm_act, upsample_nearest3d};
//!
//! let device = Device::flex();
//! let image = Tensor::<5>::ones([1, 1, 4, 6, 8], &device);
//! let features = conv3d(image, Tensor::ones([2, 1, 3, 3, 3], &device), None, [1, 1, 1]);
//! let (scale, shift) = (Tensor::ones([2], &device), Tensor::zeros([2], &device));
//! let slope = Tensor::full([1], 0.01, &device);
//! let features = norm_act(features, scale, shift, slope, Norm::Instance, 1e-5);
//! let coarse = max_pool3d(features, [2, 2, 2]);
//! assert_eq!(coarse.dims(), [1, 2, 2, 3, 4]);
//! assert_eq!(upsample_nearest3d(coarse, [2, 2, 2]).dims(), [1, 2, 4, 6, 8]);
//! ```

mod adam;
mod check;
mod cpu;
mod memory;
mod ops;
mod primitive;

use burn::backend::{Dispatch, DispatchTensorKind};
use burn::tensor::{DType, Tensor};

pub use adam::{Moments, adam_step};
pub use cpu::Adam;
pub use memory::keep_freed_memory;

use cpu::Over;
use ops::{Details, NetworkOps, Upsampling};

/// Whether the fused kernels can work on this tensor.
fn has_kernels<const D: usize>(tensor: &Tensor<D>) -> bool {
    let inner = match tensor.clone().into_dispatch().kind {
        DispatchTensorKind::Autodiff(inner) => *inner,
        concrete => concrete,
    };
    tensor.dtype() == DType::F32 && matches!(inner, DispatchTensorKind::Flex(_))
}

/// 3-D convolution with "same" zero padding.
///
/// ```text
/// y[b, o, z, y, x] = bias[o] + Σ_{i, p, q, r} weight[o, i, p, q, r] · x[b, i, s_z z + p − k_z/2, s_y y + q − k_y/2, s_x x + r − k_x/2]
/// ```
///
/// where `s` is the stride, `k` the kernel, `k/2` is rounded down, and positions outside the volume count as zero
/// (the "cross-correlation" that all deep-learning libraries call convolution).
///
/// # Shapes
///
/// * `x`: `[B, Ci, Z, Y, X]`
/// * `weight`: `[Co, Ci, kz, ky, kx]`, `bias`: `[Co]`
/// * returns `[B, Co, ⌈Z/sz⌉, ⌈Y/sy⌉, ⌈X/sx⌉]`
///
/// # Panics
///
/// If `x` is empty, if the channels of `x` and `weight` or the lengths of `bias` and `weight` differ, if a kernel side is even, or if a
/// stride is neither 1 nor 2: mistakes in the network's code, not in a user's data.
pub fn conv3d(x: Tensor<5>, weight: Tensor<5>, bias: Option<Tensor<1>>, stride: [usize; 3]) -> Tensor<5> {
    check::conv3d(&x, &weight, bias.as_ref(), stride);
    if !(has_kernels(&x) && has_kernels(&weight) && bias.as_ref().is_none_or(has_kernels)) {
        return primitive::conv3d(x, weight, bias, stride);
    }
    let bias = bias.unwrap_or_else(|| Tensor::zeros([weight.dims()[0]], &x.device()));
    let (x, weight, bias) = (x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as NetworkOps>::conv3d_same(x, weight, bias, stride))
}

/// Over which voxels [`norm_act`] takes mean and variance.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // two handles; nothing keeps many norms
pub enum Norm {
    /// Over the voxels of each channel of each batch element (instance normalisation).
    Instance,
    /// Over the voxels of each channel in the whole batch (batch normalisation while training).
    Batch,
    /// As [`Batch`](Norm::Batch), with the [`batch_statistics`] of this very input at hand; gradients flow as if they
    /// had been taken here.
    Measured {
        /// Mean of each channel, `[C]`.
        mean: Tensor<1>,
        /// Biased variance of each channel, `[C]`.
        variance: Tensor<1>,
    },
    /// Given per channel (batch normalisation while predicting); constants, no gradient flows into them.
    Fixed {
        /// Mean of each channel, `[C]`.
        mean: Tensor<1>,
        /// Biased variance of each channel, `[C]`.
        variance: Tensor<1>,
    },
}

/// Normalisation, per-channel scale and shift, and leaky (or parametric) ReLU in one operation.
///
/// ```text
/// v = γ[c] · (x − μ) / √(σ² + ε) + β[c]
/// y = v        where v > 0
///     s[c] · v elsewhere
/// ```
///
/// where `μ` and `σ²` are the mean and the biased variance that `norm` selects, `γ` is `gamma`, `β` is `beta`, `s` is
/// `slope` and `ε` is `epsilon`. Only `μ` and `1/√(σ² + ε)` are kept for the backward pass; the normalised tensor is not.
///
/// # Shapes
///
/// * `x`: `[B, C, Z, Y, X]`, as is the result
/// * `gamma`, `beta`: `[C]`; `slope`: `[1]` (leaky ReLU, or one learned slope) or `[C]` (PReLU)
///
/// # Panics
///
/// If `x` is empty or a parameter has another length than stated above.
pub fn norm_act(
    x: Tensor<5>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    slope: Tensor<1>,
    norm: Norm,
    epsilon: f64,
) -> Tensor<5> {
    check::norm_act(&x, &gamma, &beta, &slope, &norm);
    if !(has_kernels(&x) && [&gamma, &beta, &slope].into_iter().all(has_kernels)) {
        return primitive::norm_act(x, gamma, beta, slope, norm, epsilon);
    }
    let (x, slope) = (x.into_dispatch(), slope.into_dispatch());
    let (gamma, beta) = (gamma.into_dispatch(), beta.into_dispatch());
    Tensor::from_dispatch(match norm {
        Norm::Instance => <Dispatch as NetworkOps>::norm_act(x, gamma, beta, slope, Over::Instance, epsilon),
        Norm::Batch | Norm::Measured { .. } => {
            <Dispatch as NetworkOps>::norm_act(x, gamma, beta, slope, Over::Batch, epsilon)
        }
        Norm::Fixed { mean, variance } => {
            let (mean, variance) = (mean.into_dispatch(), variance.into_dispatch());
            <Dispatch as NetworkOps>::norm_act_fixed(x, gamma, beta, slope, mean, variance, epsilon)
        }
    })
}

/// What a convolution reads through [`norm_act_conv3d`].
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // handles; nothing keeps many of them
pub enum Features {
    /// One tensor, `[B, C, Z, Y, X]`.
    One(Tensor<5>),
    /// The channels of two, as [`concat_channels`] of `fine` and [`upsample_nearest3d`] of `coarse` would give them.
    Joined {
        /// `[B, C₁, Z, Y, X]`
        fine: Tensor<5>,
        /// `[B, C₂, Z/fz, Y/fy, X/fx]`
        coarse: Tensor<5>,
        /// `[fz, fy, fx]`
        factor: [usize; 3],
    },
}

impl Features {
    /// As one tensor.
    pub fn into_tensor(self) -> Tensor<5> {
        match self {
            Self::One(x) => x,
            Self::Joined { fine, coarse, factor } => {
                concat_channels(vec![fine, upsample_nearest3d(coarse, factor)])
            }
        }
    }

    /// [`batch_statistics`] of all channels.
    ///
    /// # Panics
    ///
    /// If a tensor is empty.
    pub fn batch_statistics(&self) -> (Tensor<1>, Tensor<1>) {
        match self {
            Self::One(x) => batch_statistics(x),
            Self::Joined { fine, coarse, .. } => {
                // Repeating every voxel as often changes neither mean nor variance.
                let (fine, coarse) = (batch_statistics(fine), batch_statistics(coarse));
                (Tensor::cat(vec![fine.0, coarse.0], 0), Tensor::cat(vec![fine.1, coarse.1], 0))
            }
        }
    }
}

/// The parameters of [`norm_act`].
#[derive(Clone, Debug)]
pub struct NormAct {
    /// Scale, `[C]`.
    pub gamma: Tensor<1>,
    /// Shift, `[C]`.
    pub beta: Tensor<1>,
    /// Slope of the activation below zero, `[1]` or `[C]`.
    pub slope: Tensor<1>,
    /// What mean and variance are taken over.
    pub norm: Norm,
    /// Added to the variance.
    pub epsilon: f64,
}

/// [`norm_act`], then [`conv3d`], in one operation: the block that a pre-activation network is made of.
///
/// On Burn's CPU backend nothing but the inputs themselves, their means and variances is kept for the backward pass:
/// upsampling, concatenation, normalisation and activation happen while the convolution reads, forward and again
/// backward.
///
/// # Shapes
///
/// * `features`: `[B, Ci, Z, Y, X]` in all
/// * `weight`: `[Co, Ci, kz, ky, kx]`, `bias`: `[Co]`
/// * returns `[B, Co, ⌈Z/sz⌉, ⌈Y/sy⌉, ⌈X/sx⌉]`
///
/// # Panics
///
/// As [`norm_act`], [`conv3d`], [`upsample_nearest3d`] and [`concat_channels`] do.
pub fn norm_act_conv3d(
    features: Features,
    norm_act: NormAct,
    weight: Tensor<5>,
    bias: Option<Tensor<1>>,
    stride: [usize; 3],
) -> Tensor<5> {
    check::norm_act_conv3d(&features, &norm_act, &weight, bias.as_ref(), stride);
    let volumes = match &features {
        Features::One(x) => has_kernels(x),
        Features::Joined { fine, coarse, .. } => has_kernels(fine) && has_kernels(coarse),
    };
    let NormAct { gamma, beta, slope, norm, epsilon } = norm_act;
    if !(volumes && has_kernels(&weight) && [&gamma, &beta, &slope].into_iter().chain(&bias).all(has_kernels))
    {
        let x = self::norm_act(features.into_tensor(), gamma, beta, slope, norm, epsilon);
        return conv3d(x, weight, bias, stride);
    }
    let bias = bias.unwrap_or_else(|| Tensor::zeros([weight.dims()[0]], &weight.device()));
    let (x, coarse, factor) = match features {
        Features::One(x) => (x.clone(), x, None),
        Features::Joined { fine, coarse, factor } => (fine, coarse, Some(factor)),
    };
    let (over, given) = match norm {
        Norm::Instance => (Some(Over::Instance), None),
        Norm::Batch => (Some(Over::Batch), None),
        Norm::Measured { mean, variance } => (Some(Over::Batch), Some((mean, variance))),
        Norm::Fixed { mean, variance } => (None, Some((mean, variance))),
    };
    let details = Details { factor, over, given: given.is_some(), epsilon, stride };
    let (mean, variance) = given.unwrap_or_else(|| (gamma.clone(), gamma.clone()));
    Tensor::from_dispatch(<Dispatch as NetworkOps>::norm_act_conv3d(
        x.into_dispatch(),
        coarse.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        slope.into_dispatch(),
        mean.into_dispatch(),
        variance.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        details,
    ))
}

/// Mean and biased variance of each channel over batch and voxels, both `[C]`, without gradient: what the running
/// averages of batch normalisation are made of.
///
/// ```text
/// mean[c] = Σ x[·, c, ·] / N        variance[c] = Σ (x[·, c, ·] − mean[c])² / N        N = B·Z·Y·X
/// ```
///
/// # Panics
///
/// If `x` is empty.
pub fn batch_statistics(x: &Tensor<5>) -> (Tensor<1>, Tensor<1>) {
    check::not_empty("batch_statistics", x);
    if !has_kernels(x) {
        return primitive::batch_statistics(x);
    }
    let (mean, variance) = <Dispatch as NetworkOps>::batch_moments(x.clone().into_dispatch());
    (Tensor::from_dispatch(mean), Tensor::from_dispatch(variance))
}

/// Largest value of each window; windows do not overlap (the stride is the window).
///
/// Of equal values the first in z, y, x order receives the gradient. A NaN in a window is passed on.
///
/// # Shapes
///
/// `[B, C, Z, Y, X]` to `[B, C, Z/wz, Y/wy, X/wx]`.
///
/// # Panics
///
/// If `x` is empty, or if `window` does not divide the volume or holds zero or more than 256 voxels. Check a user's
/// patch size before.
pub fn max_pool3d(x: Tensor<5>, window: [usize; 3]) -> Tensor<5> {
    check::max_pool3d(&x, window);
    if !has_kernels(&x) {
        return primitive::max_pool3d(x, window);
    }
    Tensor::from_dispatch(<Dispatch as NetworkOps>::max_pool3d(x.into_dispatch(), window))
}

/// Repeats every voxel `factor` times along z, y and x.
///
/// # Shapes
///
/// `[B, C, Z, Y, X]` to `[B, C, fz·Z, fy·Y, fx·X]`.
///
/// # Panics
///
/// If `x` is empty or a factor is zero.
pub fn upsample_nearest3d(x: Tensor<5>, factor: [usize; 3]) -> Tensor<5> {
    check::upsample(&x, factor);
    if !has_kernels(&x) {
        return primitive::upsample_nearest3d(x, factor);
    }
    Tensor::from_dispatch(<Dispatch as NetworkOps>::upsample3d(
        x.into_dispatch(),
        factor,
        Upsampling::Nearest,
    ))
}

/// Linear interpolation along z, y and x, voxel centres aligned (`align_corners = false` elsewhere).
///
/// ```text
/// y[j] = (1 − t) · x[⌊p⌋] + t · x[⌊p⌋ + 1]        p = (j + ½)/f − ½        t = p − ⌊p⌋
/// ```
///
/// along each axis in turn, where `f` is the factor and positions outside the volume take the border voxel's value.
///
/// # Shapes
///
/// `[B, C, Z, Y, X]` to `[B, C, fz·Z, fy·Y, fx·X]`.
///
/// # Panics
///
/// If `x` is empty or a factor is zero.
pub fn upsample_trilinear3d(x: Tensor<5>, factor: [usize; 3]) -> Tensor<5> {
    check::upsample(&x, factor);
    if !has_kernels(&x) {
        return primitive::upsample_trilinear3d(x, factor);
    }
    Tensor::from_dispatch(<Dispatch as NetworkOps>::upsample3d(
        x.into_dispatch(),
        factor,
        Upsampling::Trilinear,
    ))
}

/// Joins tensors along the channel axis: `[B, C₁, Z, Y, X]`, `[B, C₂, Z, Y, X]`, … to `[B, C₁ + C₂ + …, Z, Y, X]`.
///
/// # Panics
///
/// If `tensors` is empty or their batch or volume sizes differ.
pub fn concat_channels(tensors: Vec<Tensor<5>>) -> Tensor<5> {
    Tensor::cat(tensors, 1)
}
