//! Times single convolution layers: forward, weight gradient, input gradient.
//!
//! `cargo run --release -p dicewise-kernels --example conv_layers -- [BASE CHANNELS] [REPETITIONS]`; `RAYON_NUM_THREADS`
//! and `DICEWISE_KERNELS` choose threads and instructions.

use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use dicewise_kernels::conv3d;

/// The shortest of `repetitions` calls, in milliseconds: what other work on the machine disturbs least.
fn shortest_ms(repetitions: usize, mut call: impl FnMut()) -> f64 {
    (0..repetitions.max(1))
        .map(|_| {
            let start = Instant::now();
            call();
            start.elapsed().as_secs_f64() * 1e3
        })
        .fold(f64::INFINITY, f64::min)
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse::<usize>().expect("a whole number"));
    let base = arguments.next().unwrap_or(8);
    let repetitions = arguments.next().unwrap_or(20);
    let device = Device::flex().autodiff();
    let random = |shape: [usize; 5]| Tensor::<5>::random(shape, Distribution::Normal(0.0, 1.0), &device);
    for (inputs, outputs, size) in [
        (1, base, [32, 48, 32]),
        (base, base, [32, 48, 32]),
        (3 * base, base, [32, 48, 32]),
        (2 * base, 2 * base, [16, 24, 16]),
        (4 * base, 4 * base, [8, 12, 8]),
        (8 * base, 8 * base, [4, 6, 4]),
    ] {
        let weight = random([outputs, inputs, 3, 3, 3]).require_grad();
        let conv = |x: Tensor<5>| conv3d(x, weight.clone(), None, [1; 3]);
        let [z, y, x] = size;
        let input = random([2, inputs, z, y, x]);
        let tracked = input.clone().require_grad();
        let forward = shortest_ms(repetitions, || drop(conv(input.clone())));
        let weights = shortest_ms(repetitions, || drop(conv(input.clone()).sum().backward()));
        let all = shortest_ms(repetitions, || drop(conv(tracked.clone()).sum().backward()));
        let flops = 2e-6 * (27 * inputs * outputs * 2 * z * y * x) as f64;
        println!(
            "{inputs:3} → {outputs:3} at {size:?}: forward {forward:6.2} ms ({:5.1} GFLOP/s), \
             weight gradient {:6.2} ms ({:5.1}), input gradient {:6.2} ms ({:5.1})",
            flops / forward,
            weights - forward,
            flops / (weights - forward),
            all - weights,
            flops / (all - weights),
        );
    }
}
