//! What each convolution of a network reaches of the machine's peak, forward and backward, as a table for
//! `docs/performance.md`.
//!
//! `cargo run --release -p dicewise-kernels --example layers -- [THREADS]`. The peak is the rate of independent fused
//! multiply-adds in registers, measured just before. Times are the shortest of several calls, those of the backward pass
//! with what Burn adds: the gradient of the sum is one tensor more to write.

#![allow(unsafe_code)] // the instructions whose rate is measured

use std::hint::black_box;
use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use dicewise_kernels::conv3d;

/// Inputs, outputs, size and kernel (z, y, x) of the convolutions.
type Layer = (usize, usize, [usize; 3], [usize; 3]);

const LAYERS: [Layer; 17] = [
    // The small U-Net of 8 and 16 channels.
    (1, 8, [32, 48, 32], [3; 3]),
    (8, 8, [32, 48, 32], [3; 3]),
    (24, 8, [32, 48, 32], [3; 3]),
    (16, 16, [32, 48, 32], [3; 3]),
    (32, 32, [8, 12, 8], [3; 3]),
    // The paper's network for ACDC.
    (48, 16, [32, 48, 48], [3; 3]),
    (16, 16, [32, 48, 48], [1, 3, 3]),
    (96, 32, [32, 24, 24], [3; 3]),
    // The paper's network for BRATS, finest first.
    (4, 30, [32, 48, 48], [3; 3]),
    (30, 30, [32, 48, 48], [3; 3]),
    (60, 30, [32, 48, 48], [3; 3]),
    (60, 60, [16, 24, 24], [3; 3]),
    (120, 120, [8, 12, 12], [3; 3]),
    (240, 240, [4, 6, 6], [3; 3]),
    (240, 480, [2, 3, 3], [3; 3]),
    (480, 240, [2, 3, 3], [3; 3]),
    (30, 1, [32, 48, 48], [1; 3]),
];
const BATCH: usize = 2;

/// The shortest of at least three calls and of a fifth of a second, in seconds. `call` returns what it took itself.
fn shortest(mut call: impl FnMut() -> f64) -> f64 {
    let start = Instant::now();
    let (mut best, mut calls) = (f64::INFINITY, 0);
    while calls < 3 || start.elapsed().as_secs_f64() < 0.2 {
        best = best.min(call());
        calls += 1;
    }
    best
}

fn timed<T>(call: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    black_box(call());
    start.elapsed().as_secs_f64()
}

macro_rules! peak {
    ($name:ident, $features:literal, $lanes:literal, $splat:ident, $mul_add:ident) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        fn $name() -> f64 {
            use core::arch::x86_64::*;
            const CALLS: usize = 1_000_000;
            // More independent sums than latency and width of the units need.
            let mut sums = [$splat(1.0); 12];
            let (factor, term) = ($splat(black_box(0.999)), $splat(black_box(0.001)));
            // Not in a closure: what is called from a function without these instructions keeps its sums in memory.
            let start = Instant::now();
            for _ in 0..CALLS {
                for sum in &mut sums {
                    *sum = $mul_add(*sum, factor, term);
                }
            }
            black_box(sums);
            2.0 * (CALLS * 12 * $lanes) as f64 / start.elapsed().as_secs_f64()
        }
    };
}
peak!(peak_avx2, "avx2,fma", 8, _mm256_set1_ps, _mm256_fmadd_ps);
peak!(peak_avx512, "avx512f", 16, _mm512_set1_ps, _mm512_fmadd_ps);

/// Operations a second of one thread, where this example knows the instructions.
fn peak() -> Option<f64> {
    #[cfg(target_arch = "x86_64")]
    {
        let best = |measure: &dyn Fn() -> f64| (0..10).map(|_| measure()).fold(0.0, f64::max);
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor was just asked.
            return Some(best(&|| unsafe { peak_avx512() }));
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the processor was just asked.
            return Some(best(&|| unsafe { peak_avx2() }));
        }
    }
    None
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads = std::env::args().nth(1).map_or(Ok(1), |threads| threads.parse())?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    dicewise_kernels::keep_freed_memory();
    let peak = peak();
    match peak {
        Some(peak) => println!("{:.0} GFLOP/s a thread, {threads} threads\n", peak / 1e9),
        None => println!("peak unknown, {threads} threads\n"),
    }
    println!("| inputs → outputs | voxels z·y·x | kernel | forward | input gradient | weight gradient |");
    println!("|---|---|---|--:|--:|--:|");
    for (inputs, outputs, [z, y, x], [kz, ky, kx]) in LAYERS {
        let operations = 2.0 * (BATCH * inputs * outputs * z * y * x * kz * ky * kx) as f64;
        let random = |shape: [usize; 5], device: &Device| {
            Tensor::<5>::random(shape, Distribution::Normal(0.0, 1.0), device)
        };
        let plain = Device::flex();
        let input = random([BATCH, inputs, z, y, x], &plain);
        let weight = random([outputs, inputs, kz, ky, kx], &plain);
        let forward = shortest(|| timed(|| conv3d(input.clone(), weight.clone(), None, [1; 3])));

        let tracking = plain.autodiff();
        let backward = |of_input: bool| {
            let input = random([BATCH, inputs, z, y, x], &tracking);
            let weight = random([outputs, inputs, kz, ky, kx], &tracking);
            let (input, weight) =
                if of_input { (input.require_grad(), weight) } else { (input, weight.require_grad()) };
            shortest(|| {
                let y = conv3d(input.clone(), weight.clone(), None, [1; 3]).sum();
                timed(|| y.backward())
            })
        };
        let cells = [forward, backward(true), backward(false)].map(|seconds| {
            let rate = operations / seconds;
            let share = peak
                .map(|peak| format!(" ({:.0} %)", 100.0 * rate / peak / threads as f64))
                .unwrap_or_default();
            format!("{:.2} ms, {:.0}{share}", seconds * 1e3, rate / 1e9)
        });
        println!("| {inputs} → {outputs} | {z}·{y}·{x} | {kz}·{ky}·{kx} | {} |", cells.join(" | "));
    }
    Ok(())
}
