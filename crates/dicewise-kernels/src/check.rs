//! Preconditions of the public operations. They guard against mistakes in a network's code and therefore panic.

use burn::tensor::Tensor;

use crate::{Features, Norm, NormAct};

#[track_caller]
pub(crate) fn not_empty(operation: &str, x: &Tensor<5>) {
    let dims = x.dims();
    assert!(!dims.contains(&0), "{operation}: the input {dims:?} [batch, channels, z, y, x] is empty");
}

#[track_caller]
pub(crate) fn conv3d(x: &Tensor<5>, weight: &Tensor<5>, bias: Option<&Tensor<1>>, stride: [usize; 3]) {
    not_empty("conv3d", x);
    kernel("conv3d", x.dims()[1], weight, bias, stride);
}

#[track_caller]
fn kernel(
    operation: &str,
    channels: usize,
    weight: &Tensor<5>,
    bias: Option<&Tensor<1>>,
    stride: [usize; 3],
) {
    let [outputs, inputs, kernel @ ..] = weight.dims();
    assert_eq!(
        channels, inputs,
        "{operation}: the input has {channels} channels, the weight expects {inputs}"
    );
    assert!(
        kernel.iter().all(|k| k % 2 == 1),
        "{operation}: kernel {kernel:?} [z, y, x] must be odd on every side"
    );
    assert!(
        stride.iter().all(|s| (1..=2).contains(s)),
        "{operation}: stride {stride:?} [z, y, x] must be 1 or 2"
    );
    if let Some(bias) = bias {
        let [length] = bias.dims();
        assert_eq!(
            length, outputs,
            "{operation}: the bias has {length} values for {outputs} output channels"
        );
    }
}

#[track_caller]
pub(crate) fn norm_act(x: &Tensor<5>, gamma: &Tensor<1>, beta: &Tensor<1>, slope: &Tensor<1>, norm: &Norm) {
    not_empty("norm_act", x);
    normalisation("norm_act", x.dims()[1], gamma, beta, slope, norm);
}

#[track_caller]
fn normalisation(
    operation: &str,
    channels: usize,
    gamma: &Tensor<1>,
    beta: &Tensor<1>,
    slope: &Tensor<1>,
    norm: &Norm,
) {
    let per_channel = |name: &str, tensor: &Tensor<1>| {
        let [length] = tensor.dims();
        assert_eq!(length, channels, "{operation}: {name} has {length} values for {channels} channels");
    };
    per_channel("gamma", gamma);
    per_channel("beta", beta);
    if slope.dims() != [1] {
        per_channel("slope", slope);
    }
    if let Norm::Fixed { mean, variance } | Norm::Measured { mean, variance } = norm {
        per_channel("the mean", mean);
        per_channel("the variance", variance);
    }
}

#[track_caller]
pub(crate) fn norm_act_conv3d(
    features: &Features,
    norm_act: &NormAct,
    weight: &Tensor<5>,
    bias: Option<&Tensor<1>>,
    stride: [usize; 3],
) {
    let operation = "norm_act_conv3d";
    let channels = match features {
        Features::One(x) => {
            not_empty(operation, x);
            x.dims()[1]
        }
        Features::Joined { fine, coarse, factor } => {
            not_empty(operation, fine);
            not_empty(operation, coarse);
            let ([batch, channels, size @ ..], [coarse_batch, more, coarse_size @ ..]) =
                (fine.dims(), coarse.dims());
            assert_eq!(batch, coarse_batch, "{operation}: batches of {batch} and of {coarse_batch}");
            assert!(
                (0..3).all(|a| factor[a] * coarse_size[a] == size[a]),
                "{operation}: {coarse_size:?} [z, y, x] upsampled by {factor:?} is not {size:?}"
            );
            channels + more
        }
    };
    normalisation(operation, channels, &norm_act.gamma, &norm_act.beta, &norm_act.slope, &norm_act.norm);
    kernel(operation, channels, weight, bias, stride);
}

#[track_caller]
pub(crate) fn max_pool3d(x: &Tensor<5>, window: [usize; 3]) {
    not_empty("max_pool3d", x);
    let [_, _, size @ ..] = x.dims();
    let voxels: usize = window.iter().product();
    assert!((1..=256).contains(&voxels), "max_pool3d: window {window:?} must hold 1 to 256 voxels");
    assert!(
        size.iter().zip(window).all(|(side, w)| side % w == 0),
        "max_pool3d: window {window:?} does not divide the volume {size:?} [z, y, x]"
    );
}

#[track_caller]
pub(crate) fn upsample(x: &Tensor<5>, factor: [usize; 3]) {
    not_empty("upsample", x);
    assert!(factor.iter().all(|&f| f > 0), "upsample: factor {factor:?} [z, y, x] must be positive");
}
