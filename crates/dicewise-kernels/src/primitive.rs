//! The operations in Burn's own vocabulary: for every backend, with Burn's automatic differentiation.

use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, TensorData, module};

use crate::Norm;
use crate::cpu::linear_taps;

pub(crate) fn conv3d(
    x: Tensor<5>,
    weight: Tensor<5>,
    bias: Option<Tensor<1>>,
    stride: [usize; 3],
) -> Tensor<5> {
    let [_, _, kz, ky, kx] = weight.dims();
    module::conv3d(x, weight, bias, ConvOptions::new(stride, [kz / 2, ky / 2, kx / 2], [1; 3], 1))
}

/// One value per channel, ready to broadcast over a 5-D tensor.
fn per_channel(values: Tensor<1>) -> Tensor<5> {
    let [length] = values.dims();
    values.reshape([1, length, 1, 1, 1])
}

/// The mean over `axes`, which stay as axes of length one.
fn mean(x: Tensor<5>, axes: &[usize]) -> Tensor<5> {
    let dims = x.dims();
    // Over an axis of length one there is nothing to do, and Burn 0.22.1 does it wrong on graphics processors where the
    // tensor is a view as its convolutions return them (cubek-reduce 0.3.1).
    axes.iter().filter(|&&axis| dims[axis] > 1).fold(x, |x, &axis| x.mean_dim(axis))
}

/// The mean over `axes`, and x less that.
fn centred(x: Tensor<5>, axes: &[usize]) -> (Tensor<5>, Tensor<5>) {
    let mean = mean(x.clone(), axes);
    (mean.clone(), x - mean)
}

fn mean_square(x: &Tensor<5>, axes: &[usize]) -> Tensor<5> {
    mean(x.clone() * x.clone(), axes)
}

pub(crate) fn norm_act(
    x: Tensor<5>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    slope: Tensor<1>,
    norm: Norm,
    epsilon: f64,
) -> Tensor<5> {
    let measured = |axes: &[usize]| {
        let (_, centred) = centred(x.clone(), axes);
        (mean_square(&centred, axes), centred)
    };
    let (variance, centred) = match norm {
        Norm::Instance => measured(&[2, 3, 4]),
        Norm::Batch | Norm::Measured { .. } => measured(&[0, 2, 3, 4]),
        Norm::Fixed { mean, variance } => (per_channel(variance.detach()), x - per_channel(mean.detach())),
    };
    // One factor a channel, so that automatic differentiation keeps x less its mean, and not two more tensors of its size.
    let factor = per_channel(gamma) / (variance + epsilon).sqrt();
    let v = centred * factor + per_channel(beta);
    let negative = v.clone().lower_equal_elem(0.0);
    let sloped = v.clone() * per_channel(slope);
    v.mask_where(negative, sloped)
}

pub(crate) fn batch_statistics(x: &Tensor<5>) -> (Tensor<1>, Tensor<1>) {
    let channels = x.dims()[1];
    let axes = [0, 2, 3, 4];
    let (mean, centred) = centred(x.clone().detach(), &axes);
    (mean.reshape([channels]), mean_square(&centred, &axes).reshape([channels]))
}

pub(crate) fn max_pool3d(x: Tensor<5>, [wz, wy, wx]: [usize; 3]) -> Tensor<5> {
    let [batch, channels, z, y, x_size] = x.dims();
    let pooled = [z / wz, y / wy, x_size / wx];
    let windows = x
        .reshape([batch * channels, pooled[0], wz, pooled[1], wy, pooled[2], wx])
        .permute([0, 1, 3, 5, 2, 4, 6])
        .reshape([batch * channels * pooled.iter().product::<usize>(), wz * wy * wx]);
    // Only a greater value replaces the maximum so far, so the first of equal values stays; so does a NaN.
    let tap = |k: usize| windows.clone().narrow(1, k, 1);
    let maximum = (1..wz * wy * wx).fold(tap(0), |maximum, k| {
        let greater = tap(k).greater(maximum.clone()).bool_or(tap(k).is_nan());
        maximum.mask_where(greater, tap(k))
    });
    maximum.reshape([batch, channels, pooled[0], pooled[1], pooled[2]])
}

pub(crate) fn upsample_nearest3d(x: Tensor<5>, [fz, fy, fx]: [usize; 3]) -> Tensor<5> {
    let [batch, channels, z, y, x_size] = x.dims();
    x.reshape([batch * channels, z, 1, y, 1, x_size, 1])
        .expand([batch * channels, z, fz, y, fy, x_size, fx])
        .reshape([batch, channels, fz * z, fy * y, fx * x_size])
}

pub(crate) fn upsample_trilinear3d(x: Tensor<5>, factor: [usize; 3]) -> Tensor<5> {
    factor.into_iter().enumerate().fold(x, |x, (axis, factor)| interpolate_axis(x, axis + 2, factor))
}

/// Interpolates one axis, by the matrix that holds each output voxel's weights.
fn interpolate_axis(x: Tensor<5>, axis: usize, factor: usize) -> Tensor<5> {
    if factor == 1 {
        return x;
    }
    let size = x.dims()[axis];
    let mut weights = vec![0.0; size * factor * size];
    for (j, row) in weights.chunks_mut(size).enumerate() {
        let (low, high, t) = linear_taps(j, size, factor);
        row[low] += 1.0 - t;
        row[high] += t;
    }
    let matrix = Tensor::<2>::from_data(TensorData::new(weights, [size * factor, size]), &x.device());
    let matrix = matrix.cast(x.dtype());
    let rows = x.swap_dims(axis, 4);
    let [a, b, c, d, _] = rows.dims();
    let rows = rows.reshape([a * b * c * d, size]).matmul(matrix.transpose());
    rows.reshape([a, b, c, d, size * factor]).swap_dims(axis, 4)
}
