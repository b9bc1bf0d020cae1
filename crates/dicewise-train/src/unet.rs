//! The 3-D U-Net of the paper, as one configurable module.
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use dicewise_kernels::{Features, max_pool3d};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use crate::block::{Block, BlockConfig};

/// What the normalisation layers normalise over.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalisation {
    /// Over the voxels of one channel of one case.
    Instance,
    /// Over the voxels of one channel of the whole batch; running averages at prediction.
    Batch,
}

/// The non-linearity after each normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// max(x, 0) + 0.01·min(x, 0).
    LeakyRelu,
    /// max(x, 0) + s·min(x, 0), one learnt slope s per channel, starting at 0.
    Prelu,
}

/// Shape of a [`UNet`]. Triples are x, y, z.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UNetConfig {
    /// Image channels.
    pub in_channels: usize,
    /// Output channels, before softmax or sigmoid.
    pub out_channels: usize,
    /// Output channels of the two convolutions of each encoder level, finest first.
    pub encoder: Vec<[usize; 2]>,
    /// Output channels of the two convolutions at the bottom.
    pub bottom: [usize; 2],
    /// Output channels of the two convolutions of each decoder level, deepest first.
    pub decoder: Vec<[usize; 2]>,
    /// Kernel sizes of the two convolutions of every pair.
    pub kernels: [[usize; 3]; 2],
    /// Pooling window (= stride) below each encoder level, finest first.
    pub pooling: Vec<[usize; 3]>,
    /// Normalisation.
    pub normalisation: Normalisation,
    /// Activation.
    pub activation: Activation,
}

impl UNetConfig {
    /// The network of the paper's BRATS experiments: 14,493,901 parameters with 4 channels in and 1 out.
    pub fn brats(in_channels: usize, out_channels: usize) -> Self {
        Self {
            in_channels,
            out_channels,
            encoder: vec![[30, 30], [60, 60], [120, 120], [240, 240]],
            bottom: [480, 240],
            decoder: vec![[240, 120], [120, 60], [60, 30], [30, 30]],
            kernels: [[3, 3, 3]; 2],
            pooling: vec![[2, 2, 2]; 4],
            normalisation: Normalisation::Instance,
            activation: Activation::LeakyRelu,
        }
    }

    /// The network of the paper's ACDC experiments: 3,926,212 trainable parameters with 1 channel in and 4 out.
    pub fn acdc(in_channels: usize, out_channels: usize) -> Self {
        let pair = |c| [c, c];
        Self {
            in_channels,
            out_channels,
            encoder: [16, 32, 64, 128].map(pair).to_vec(),
            bottom: pair(256),
            decoder: [128, 64, 32, 16].map(pair).to_vec(),
            kernels: [[3, 3, 3], [3, 3, 1]],
            pooling: vec![[2, 2, 1], [2, 2, 2], [2, 2, 2], [2, 2, 2]],
            normalisation: Normalisation::Batch,
            activation: Activation::Prelu,
        }
    }

    /// A small network: `levels` resolutions (the bottom included), `base` channels at the finest, doubled at each
    /// coarser one; 3×3×3 kernels, instance normalisation, leaky ReLU.
    pub fn small(in_channels: usize, out_channels: usize, base: usize, levels: usize) -> Self {
        let width = |level: usize| [base << level; 2];
        let depth = levels.saturating_sub(1);
        Self {
            in_channels,
            out_channels,
            encoder: (0..depth).map(width).collect(),
            bottom: width(depth),
            decoder: (0..depth).rev().map(width).collect(),
            kernels: [[3, 3, 3]; 2],
            pooling: vec![[2, 2, 2]; depth],
            normalisation: Normalisation::Instance,
            activation: Activation::LeakyRelu,
        }
    }

    /// The same network with `factor` times as many channels inside, at least 1 each.
    pub fn widened(mut self, factor: f64) -> Self {
        let levels = self.encoder.iter_mut().chain(&mut self.decoder).chain([&mut self.bottom]);
        for channels in levels.flatten() {
            *channels = ((*channels as f64 * factor).round() as usize).max(1);
        }
        self
    }

    /// Number of kernel weights and biases of all convolutions.
    pub(crate) fn weights(&self) -> usize {
        let volumes = self.kernels.map(|kernel| kernel.iter().product::<usize>());
        let pair = |inputs: usize, [first, second]: [usize; 2]| {
            (inputs * volumes[0] + 1) * first + (first * volumes[1] + 1) * second
        };
        let mut channels = self.in_channels;
        let mut total = 0;
        for &out in self.encoder.iter().chain([&self.bottom]) {
            total += pair(channels, out);
            channels = out[1];
        }
        for (&out, skip) in self.decoder.iter().zip(self.encoder.iter().rev()) {
            total += pair(channels + skip[1], out);
            channels = out[1];
        }
        total + (channels + 1) * self.out_channels
    }

    /// The input size along x, y, z must be a multiple of this.
    pub fn divisor(&self) -> [usize; 3] {
        std::array::from_fn(|axis| self.pooling.iter().map(|window| window[axis]).product())
    }

    /// A network with He-normal weights drawn from `seed`, the same on every device.
    pub fn init(&self, seed: u64, device: &Device) -> UNet {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut block = |in_channels, out_channels, kernel, bare| {
            let config = BlockConfig { in_channels, out_channels, kernel, bare };
            Block::init(&config, self.normalisation, self.activation, &mut rng, device)
        };
        let mut pair = |in_channels: usize, out: [usize; 2], bare: bool| Pair {
            first: block(in_channels, out[0], self.kernels[0], bare),
            second: block(out[0], out[1], self.kernels[1], false),
        };

        let mut channels = self.in_channels;
        let mut encoder = Vec::new();
        for (level, &out) in self.encoder.iter().enumerate() {
            encoder.push(pair(channels, out, level == 0));
            channels = out[1];
        }
        let bottom = pair(channels, self.bottom, self.encoder.is_empty());
        channels = self.bottom[1];
        let mut decoder = Vec::new();
        for (&out, skip) in self.decoder.iter().zip(self.encoder.iter().rev()) {
            decoder.push(pair(skip[1] + channels, out, false));
            channels = out[1];
        }
        let head = block(channels, self.out_channels, [1, 1, 1], false);
        // Inside the network triples are in tensor order.
        let pooling = self.pooling.iter().map(|&[x, y, z]| [z, y, x]).collect();
        UNet { encoder, bottom, decoder, head, pooling }
    }
}

/// Two convolutions at one resolution.
#[derive(Module, Debug)]
struct Pair {
    first: Block,
    second: Block,
}

impl Pair {
    fn forward(&self, input: Features) -> Tensor<5> {
        self.second.forward(Features::One(self.first.forward(input)))
    }
}

/// A 3-D U-Net with pre-activation order: the first convolution is bare, every other one is
/// normalisation → activation → convolution; max pooling down, nearest upsampling up, skips of raw convolution outputs.
#[derive(Module, Debug)]
pub struct UNet {
    encoder: Vec<Pair>,
    bottom: Pair,
    decoder: Vec<Pair>,
    head: Block,
    #[module(skip)]
    pooling: Vec<[usize; 3]>,
}

impl UNet {
    /// Logits of the input.
    ///
    /// # Shapes
    /// - input: `[B, in_channels, Z, Y, X]`, each extent a multiple of [`UNetConfig::divisor`]
    /// - output: `[B, out_channels, Z, Y, X]`
    pub fn forward(&self, input: Tensor<5>) -> Tensor<5> {
        let mut x = input;
        let mut skips = Vec::new();
        for (level, window) in self.encoder.iter().zip(&self.pooling) {
            let skip = level.forward(Features::One(x));
            x = max_pool3d(skip.clone(), *window);
            skips.push(skip);
        }
        x = self.bottom.forward(Features::One(x));
        for (level, window) in self.decoder.iter().zip(self.pooling.iter().rev()) {
            let fine = skips.pop().expect("one skip for each decoder level");
            x = level.forward(Features::Joined { fine, coarse: x, factor: *window });
        }
        self.head.forward(Features::One(x))
    }

    /// Sets the output bias, e.g. to the logits of the class prior, so that training starts from
    /// the right class sizes instead of one half everywhere.
    ///
    /// # Panics
    /// If there is not one value an output channel.
    pub fn with_output_bias(mut self, bias: &[f32]) -> Self {
        let old = self.head.conv.bias;
        assert_eq!(old.val().dims(), [bias.len()], "one bias an output channel");
        let device = old.val().device();
        self.head.conv.bias = Param::initialized(old.id, Tensor::from_floats(bias, &device).require_grad());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::count_trainable;

    #[test]
    fn the_brats_network_has_the_papers_number_of_parameters() {
        let device = Device::flex().autodiff();
        assert_eq!(count_trainable(&UNetConfig::brats(4, 1).init(0, &device)), 14_493_901);
    }

    #[test]
    fn the_acdc_network_has_the_papers_number_of_trainable_parameters() {
        let device = Device::flex().autodiff();
        assert_eq!(count_trainable(&UNetConfig::acdc(1, 4).init(0, &device)), 3_926_212);
    }

    #[test]
    fn the_output_has_the_inputs_grid_under_anisotropic_pooling() {
        let device = Device::flex();
        let config = UNetConfig {
            encoder: vec![[2, 3], [4, 4]],
            bottom: [5, 4],
            decoder: vec![[4, 3], [2, 2]],
            pooling: vec![[2, 2, 1], [2, 2, 2]],
            ..UNetConfig::acdc(1, 4)
        };
        assert_eq!(config.divisor(), [4, 4, 2]);
        let network = config.init(0, &device);
        let output = network.forward(Tensor::ones([2, 1, 6, 8, 12], &device));
        assert_eq!(output.dims(), [2, 4, 6, 8, 12]);
    }

    #[test]
    fn the_same_seed_gives_the_same_network() {
        let device = Device::flex();
        let input = Tensor::<5>::ones([1, 1, 4, 4, 4], &device) * 0.5;
        let run = |seed| {
            let data = UNetConfig::small(1, 2, 3, 2).init(seed, &device).forward(input.clone()).into_data();
            data.try_to_vec::<f32>().unwrap()
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }
}
