//! Times one training step of a small U-Net made of these operations, and its parts.
//!
//! `cargo run --release -p dicewise-kernels --example unet_step -- [BASE CHANNELS] [REPETITIONS]`; `RAYON_NUM_THREADS`
//! and `DICEWISE_KERNELS` choose threads and instructions.

use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use dicewise_kernels::{Norm, concat_channels, conv3d, max_pool3d, norm_act, upsample_nearest3d};

struct Conv {
    weight: Tensor<5>,
    bias: Tensor<1>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    slope: Tensor<1>,
}

impl Conv {
    fn new(inputs: usize, outputs: usize, kernel: usize, device: &Device) -> Self {
        let deviation = (2.0 / (inputs * kernel.pow(3)) as f64).sqrt();
        let weight = [outputs, inputs, kernel, kernel, kernel];
        Self {
            weight: Tensor::random(weight, Distribution::Normal(0.0, deviation), device).require_grad(),
            bias: Tensor::zeros([outputs], device).require_grad(),
            gamma: Tensor::ones([outputs], device).require_grad(),
            beta: Tensor::zeros([outputs], device).require_grad(),
            slope: Tensor::full([1], 0.01, device),
        }
    }

    fn plain(&self, x: Tensor<5>) -> Tensor<5> {
        conv3d(x, self.weight.clone(), Some(self.bias.clone()), [1; 3])
    }

    fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        let (gamma, beta, slope) = (self.gamma.clone(), self.beta.clone(), self.slope.clone());
        norm_act(self.plain(x), gamma, beta, slope, Norm::Instance, 1e-5)
    }
}

/// The median of `repetitions` calls, in milliseconds, after one to warm up.
fn median_ms(repetitions: usize, mut call: impl FnMut()) -> f64 {
    call();
    let mut times: Vec<f64> = (0..repetitions)
        .map(|_| {
            let start = Instant::now();
            call();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse::<usize>().expect("a whole number"));
    let base = arguments.next().unwrap_or(8);
    let repetitions = arguments.next().unwrap_or(20);
    let device = Device::flex().autodiff();
    let random = |shape: [usize; 5]| Tensor::<5>::random(shape, Distribution::Normal(0.0, 1.0), &device);

    let channels = [
        (1, base),
        (base, base),
        (base, 2 * base),
        (2 * base, 2 * base),
        (2 * base, 4 * base),
        (4 * base, 4 * base),
        (6 * base, 2 * base),
        (2 * base, 2 * base),
        (3 * base, base),
        (base, base),
    ];
    let convs: Vec<Conv> = channels.iter().map(|&(i, o)| Conv::new(i, o, 3, &device)).collect();
    let head = Conv::new(base, 3, 1, &device);
    let image = random([2, 1, 32, 48, 32]);
    let step = median_ms(repetitions, || {
        let two = |x, k: usize| convs[k + 1].forward(convs[k].forward(x));
        let fine = two(image.clone(), 0);
        let middle = two(max_pool3d(fine.clone(), [2; 3]), 2);
        let coarse = two(max_pool3d(middle.clone(), [2; 3]), 4);
        let middle = two(concat_channels(vec![middle, upsample_nearest3d(coarse, [2; 3])]), 6);
        let fine = two(concat_channels(vec![fine, upsample_nearest3d(middle, [2; 3])]), 8);
        let logits = head.plain(fine);
        let gradients = (logits.clone() * logits).mean().backward();
        assert!(convs[0].weight.grad(&gradients).is_some());
    });
    println!("U-Net step, {base} channels, [2, 1, 32, 48, 32]: {step:.1} ms");

    for (inputs, outputs, size) in [
        (1, base, [32, 48, 32]),
        (base, base, [32, 48, 32]),
        (3 * base, base, [32, 48, 32]),
        (2 * base, 2 * base, [16, 24, 16]),
        (4 * base, 4 * base, [8, 12, 8]),
        (8 * base, 8 * base, [4, 6, 4]),
    ] {
        let conv = Conv::new(inputs, outputs, 3, &device);
        let [z, y, x] = size;
        let input = random([2, inputs, z, y, x]);
        let tracked = input.clone().require_grad();
        let forward = median_ms(repetitions, || drop(conv.plain(input.clone())));
        let weights = median_ms(repetitions, || drop(conv.plain(input.clone()).sum().backward()));
        let all = median_ms(repetitions, || drop(conv.plain(tracked.clone()).sum().backward()));
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
