//! Each operation, forward and with its backward pass, at the finest resolution of the paper's networks.
//!
//! `cargo bench -p dicewise-kernels -p dicewise-cli --bench operations`, with the program so that Burn keeps its features;
//! `RAYON_NUM_THREADS` and `DICEWISE_KERNELS` choose threads and instructions.

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use dicewise_kernels::{
    Adam, Features, Norm, NormAct, adam_step, conv3d, max_pool3d, norm_act, norm_act_conv3d,
    upsample_nearest3d, upsample_trilinear3d,
};

const FINE: [usize; 3] = [32, 48, 48];
const COARSE: [usize; 3] = [16, 24, 24];

fn volume(channels: usize, [z, y, x]: [usize; 3], device: &Device) -> Tensor<5> {
    Tensor::random([2, channels, z, y, x], Distribution::Normal(0.0, 1.0), device)
}

fn vector(length: usize, device: &Device) -> Tensor<1> {
    Tensor::random([length], Distribution::Uniform(0.1, 1.0), device)
}

fn parameters(channels: usize, device: &Device) -> NormAct {
    let [gamma, beta] = [0, 1].map(|_| vector(channels, device));
    NormAct { gamma, beta, slope: vector(1, device), norm: Norm::Instance, epsilon: 1e-3 }
}

/// `operation` alone, and followed by the backward pass for its input.
fn both(
    criterion: &mut Criterion,
    name: &str,
    channels: usize,
    size: [usize; 3],
    operation: impl Fn(Tensor<5>, &Device) -> Tensor<5>,
) {
    let plain = Device::flex();
    let x = volume(channels, size, &plain);
    criterion.bench_function(&format!("{name}/forward"), |b| b.iter(|| operation(x.clone(), &plain)));
    let tracking = plain.autodiff();
    let x = volume(channels, size, &tracking).require_grad();
    criterion.bench_function(&format!("{name}/forward and backward"), |b| {
        b.iter(|| operation(x.clone(), &tracking).sum().backward());
    });
}

fn operations(criterion: &mut Criterion) {
    let weight = |outputs, inputs, device: &Device| -> Tensor<5> {
        Tensor::random([outputs, inputs, 3, 3, 3], Distribution::Normal(0.0, 0.1), device)
    };
    both(criterion, "conv3d 30 → 30", 30, FINE, |x, device| {
        conv3d(x, weight(30, 30, device).require_grad(), None, [1; 3])
    });
    both(criterion, "norm_act", 30, FINE, |x, device| {
        let NormAct { gamma, beta, slope, norm, epsilon } = parameters(30, device);
        norm_act(x, gamma, beta, slope, norm, epsilon)
    });
    both(criterion, "norm_act_conv3d 30 + 30 → 30", 30, FINE, |fine, device| {
        let features = Features::Joined { fine, coarse: volume(30, COARSE, device), factor: [2; 3] };
        norm_act_conv3d(features, parameters(60, device), weight(30, 60, device), None, [1; 3])
    });
    both(criterion, "max_pool3d", 30, FINE, |x, _| max_pool3d(x, [2; 3]));
    both(criterion, "upsample_nearest3d", 30, COARSE, |x, _| upsample_nearest3d(x, [2; 3]));
    both(criterion, "upsample_trilinear3d", 30, COARSE, |x, _| upsample_trilinear3d(x, [2; 3]));

    let device = Device::flex();
    let adam = Adam { betas: [0.9, 0.999], rate: 1e-3, epsilon: 1e-7, decay: 0.0 };
    let gradient = vector(1 << 20, &device);
    let mut state = Some((vector(1 << 20, &device), None));
    criterion.bench_function("adam_step, a million weights", |b| {
        b.iter(|| {
            let (weights, moments) = state.take().expect("put back after every step");
            let (weights, moments) = adam_step(&adam, weights, gradient.clone(), moments);
            state = Some((weights, Some(moments)));
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = operations
}
criterion_main!(benches);
