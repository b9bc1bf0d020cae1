//! Preconditions of the public operations. They guard against mistakes in a network's code and therefore panic.

use burn::tensor::Tensor;

use crate::Norm;

#[track_caller]
pub(crate) fn not_empty(operation: &str, x: &Tensor<5>) {
    let dims = x.dims();
    assert!(!dims.contains(&0), "{operation}: the input {dims:?} [batch, channels, z, y, x] is empty");
}

#[track_caller]
pub(crate) fn conv3d(x: &Tensor<5>, weight: &Tensor<5>, bias: Option<&Tensor<1>>, stride: [usize; 3]) {
    not_empty("conv3d", x);
    let [outputs, inputs, kernel @ ..] = weight.dims();
    let channels = x.dims()[1];
    assert_eq!(channels, inputs, "conv3d: the input has {channels} channels, the weight expects {inputs}");
    assert!(
        kernel.iter().all(|k| k % 2 == 1),
        "conv3d: kernel {kernel:?} [z, y, x] must be odd on every side"
    );
    assert!(stride.iter().all(|s| (1..=2).contains(s)), "conv3d: stride {stride:?} [z, y, x] must be 1 or 2");
    if let Some(bias) = bias {
        let [length] = bias.dims();
        assert_eq!(length, outputs, "conv3d: the bias has {length} values for {outputs} output channels");
    }
}

#[track_caller]
pub(crate) fn norm_act(x: &Tensor<5>, gamma: &Tensor<1>, beta: &Tensor<1>, slope: &Tensor<1>, norm: &Norm) {
    not_empty("norm_act", x);
    let channels = x.dims()[1];
    let per_channel = |name: &str, tensor: &Tensor<1>| {
        let [length] = tensor.dims();
        assert_eq!(length, channels, "norm_act: {name} has {length} values for {channels} channels");
    };
    per_channel("gamma", gamma);
    per_channel("beta", beta);
    if slope.dims() != [1] {
        per_channel("slope", slope);
    }
    if let Norm::Fixed { mean, variance } = norm {
        per_channel("the mean", mean);
        per_channel("the variance", variance);
    }
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
