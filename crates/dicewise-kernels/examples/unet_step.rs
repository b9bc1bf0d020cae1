//! Times one training step of a small U-Net made of these operations.
//!
//! `cargo run --release -p dicewise-kernels --example unet_step -- [BASE CHANNELS] [REPETITIONS]`; `RAYON_NUM_THREADS`
//! and `DICEWISE_KERNELS` choose threads and instructions.

use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use dicewise_kernels::{Norm, concat_channels, conv3d, max_pool3d, norm_act, upsample_nearest3d};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    let step = shortest_ms(repetitions, || {
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
}
