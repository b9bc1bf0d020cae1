//! What a training step needs of memory.
use crate::unet::{Activation, UNetConfig};

/// Weights, their gradients and Adam's two moments.
const COPIES_OF_WEIGHTS: usize = 4;
const BYTES: usize = 4;

/// Bytes at the peak of a training step on the CPU in `f32`, for a batch of patches of `shape` voxels (x, y, z): the
/// tensors of the step, without its samples and the program.
///
/// Follows the step: every convolution keeps its input for the backward pass, which frees one after the other while a few
/// gradients are there. Within a fifth of what is measured for the paper's networks at their sizes.
pub fn training_bytes(config: &UNetConfig, batch: usize, shape: [usize; 3]) -> usize {
    let mut voxels = vec![batch * shape.iter().product::<usize>()];
    for window in &config.pooling {
        voxels.push(voxels[voxels.len() - 1] / window.iter().product::<usize>());
    }
    let deepest = config.encoder.len();
    let outputs = voxels[0] * config.out_channels;
    let mut tape = Tape::default();
    // Forward: image, and what each convolution and each pooling gives; at the end logits, probabilities and target.
    tape.claim(voxels[0] * config.in_channels);
    for (level, [first, second]) in config.encoder.iter().enumerate() {
        tape.claim(voxels[level] * (first + second) + voxels[level + 1] * second);
    }
    tape.claim(voxels[deepest] * (config.bottom[0] + config.bottom[1]));
    for (level, [first, second]) in (0..deepest).rev().zip(&config.decoder) {
        tape.claim(voxels[level] * (first + second));
    }
    tape.claim(3 * outputs);
    // Backward: gradients of probabilities and logits, then of the head's input.
    tape.claim(2 * outputs);
    let last = config.decoder.last().unwrap_or(&config.bottom)[1];
    tape.claim(voxels[0] * last);
    tape.free(4 * outputs);
    let mut gradient = voxels[0] * last;
    tape.free(gradient);
    for (level, [first, second]) in config.decoder.iter().rev().enumerate() {
        let (here, skip) = (voxels[level], config.encoder[level][1]);
        let coarse =
            if level + 1 == deepest { config.bottom[1] } else { config.decoder[deepest - level - 2][1] };
        tape.second(here * first, here * second);
        // The gradient of the upsampled channels is made at this resolution, and added up.
        tape.claim(here * coarse);
        tape.claim(voxels[level + 1] * coarse);
        tape.free(here * coarse);
        tape.claim(here * skip);
        tape.free(here * first + voxels[level + 1] * coarse);
        gradient = voxels[level + 1] * coarse;
    }
    tape.second(voxels[deepest] * config.bottom[0], gradient);
    for (level, [first, second]) in config.encoder.iter().enumerate().rev() {
        let here = voxels[level];
        // Of the pooled channels, of the skip through the pooling, and both ways together.
        tape.claim(voxels[level + 1] * second);
        tape.claim(2 * here * second);
        tape.free(2 * here * second + 2 * voxels[level + 1] * second);
        tape.free(here * second);
        tape.second(here * first, here * second);
    }
    BYTES * (tape.peak + COPIES_OF_WEIGHTS * config.weights())
}

/// Tensors of a block's input that are there for a moment in its backward pass, beside those that are kept for it.
const PASSING: usize = 2;

/// Bytes of a graphics processor's memory in use at the peak of a training step in `f32`, for a batch of patches of `shape`
/// voxels (x, y, z).
///
/// There every operation is Burn's own, and automatic differentiation keeps for each block (normalisation, activation,
/// convolution) its input less the mean, where the activation bends, and what the convolution reads; for PReLU what it reads
/// too. Of each pooling it keeps which voxel was the greatest so far. What the allocator reserves may be more.
pub fn training_bytes_on_device(config: &UNetConfig, batch: usize, shape: [usize; 3]) -> usize {
    let copies = if config.activation == Activation::Prelu { 4 } else { 3 };
    let mut voxels = batch * shape.iter().product::<usize>();
    let mut kept = voxels * config.in_channels;
    let mut peak = 0;
    let mut block = |channels: usize, voxels: usize, more: usize| {
        kept += copies * channels * voxels + more;
        peak = peak.max(kept + PASSING * channels * voxels);
    };
    let mut levels = Vec::new();
    let mut before = None;
    for (&[first, second], window) in config.encoder.iter().zip(&config.pooling) {
        // The first convolution of the network is bare.
        before.into_iter().for_each(|channels| block(channels, voxels, 0));
        let taps = window.iter().product::<usize>();
        block(first, voxels, second * voxels / taps * (taps - 1));
        levels.push((voxels, second));
        voxels /= taps;
        before = Some(second);
    }
    before.into_iter().for_each(|channels| block(channels, voxels, 0));
    block(config.bottom[0], voxels, 0);
    let mut coarse = config.bottom[1];
    for ((voxels, skip), [first, second]) in levels.into_iter().rev().zip(&config.decoder) {
        block(skip + coarse, voxels, 0);
        block(*first, voxels, 0);
        coarse = *second;
    }
    // The head; logits and target, both in another order for the loss, and the gradient.
    let whole = batch * shape.iter().product::<usize>();
    block(coarse, whole, 5 * config.out_channels * whole);
    BYTES * (peak + COPIES_OF_WEIGHTS * config.weights())
}

/// Values in memory now and at most.
#[derive(Default)]
struct Tape {
    now: usize,
    peak: usize,
}

impl Tape {
    fn claim(&mut self, values: usize) {
        self.now += values;
        self.peak = self.peak.max(self.now);
    }

    fn free(&mut self, values: usize) {
        self.now = self.now.saturating_sub(values);
    }

    /// The second convolution of a pair: the gradient of its input, then its input and its output's gradient go.
    fn second(&mut self, input: usize, output: usize) {
        self.claim(input);
        self.free(input + output);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_is_within_a_fifth_of_what_was_measured() {
        // Peak resident sets (VmHWM) of two cores with AVX2: the first two of the example `training_step` in
        // docs/performance.md; the others of `dicewise run` of brats2018.toml and acdc.toml, two iterations, less 241 and
        // 136 MB of prepared cases and 66 and 142 MB of samples. The program itself has about 10 MB.
        const MIB: f64 = (1 << 20) as f64;
        for (config, batch, shape, measured) in [
            (UNetConfig::brats(4, 1), 2, [48, 48, 32], 315.0 * MIB),
            (UNetConfig::acdc(1, 4), 2, [48, 48, 32], 153.0 * MIB),
            (UNetConfig::brats(4, 1), 8, [80, 80, 48], 2_439e6 - 241e6 - 66e6),
            (UNetConfig::acdc(1, 4), 2, [192, 192, 48], 2_267e6 - 136e6 - 142e6),
        ] {
            let estimate = training_bytes(&config, batch, shape) as f64 + 10e6;
            assert!((estimate / measured - 1.0).abs() < 0.2, "{estimate:.3e} for {measured:.3e}, {shape:?}");
        }
    }

    #[test]
    fn weights_are_counted_as_the_network_has_them() {
        // The paper's number of parameters, less a scale and a shift for each input of every convolution but the first.
        let encoder = 30 + (30 + 60) + (60 + 120) + (120 + 240);
        let bottom = 240 + 480;
        let decoder = (480 + 240) + (240 + 120) + (120 + 60) + (60 + 30);
        let head = 30;
        let normalised = encoder + bottom + decoder + head;
        assert_eq!(UNetConfig::brats(4, 1).weights(), 14_493_901 - 2 * normalised);
    }
}
