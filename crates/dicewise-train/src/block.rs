//! Normalisation → activation → convolution, the building block of the U-Net.
use burn::module::{Module, Param, RunningState};
use burn::tensor::{Device, Tensor, TensorData};
use dicewise_kernels::{self as kernels, Features, Norm, conv3d, norm_act_conv3d};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;

use crate::unet::{Activation, Normalisation};

/// Added to variances, as in the authors' networks.
const NORM_EPSILON: f64 = 1e-3;
/// Share of the old running statistics kept at each step of batch normalisation (Keras' `momentum`).
const BATCH_MOMENTUM: f64 = 0.99;
const LEAKY_SLOPE: f32 = 0.01;

pub(crate) struct BlockConfig {
    pub(crate) in_channels: usize,
    pub(crate) out_channels: usize,
    /// x, y, z.
    pub(crate) kernel: [usize; 3],
    /// Only the convolution: the first block of the network.
    pub(crate) bare: bool,
}

/// Normalisation → activation → convolution, or the convolution alone.
#[derive(Module, Debug)]
pub(crate) struct Block {
    norm: Option<NormAct>,
    pub(crate) conv: Conv,
}

impl Block {
    pub(crate) fn init(
        config: &BlockConfig,
        normalisation: Normalisation,
        activation: Activation,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Self {
        let norm =
            (!config.bare).then(|| NormAct::init(config.in_channels, normalisation, activation, device));
        Self { norm, conv: Conv::init(config, rng, device) }
    }

    pub(crate) fn forward(&self, input: Features) -> Tensor<5> {
        let (kernel, bias) = (self.conv.kernel.val(), Some(self.conv.bias.val()));
        match &self.norm {
            Some(norm) => norm_act_conv3d(input.clone(), norm.parameters(&input), kernel, bias, [1; 3]),
            None => conv3d(input.into_tensor(), kernel, bias, [1; 3]),
        }
    }
}

/// A convolution with "same" padding, stride 1 and a bias.
#[derive(Module, Debug)]
pub(crate) struct Conv {
    kernel: Param<Tensor<5>>,
    pub(crate) bias: Param<Tensor<1>>,
}

impl Conv {
    fn init(config: &BlockConfig, rng: &mut ChaCha8Rng, device: &Device) -> Self {
        let [kx, ky, kz] = config.kernel;
        let shape = [config.out_channels, config.in_channels, kz, ky, kx];
        let fan_in = (config.in_channels * kx * ky * kz) as f64;
        // Keras' he_normal: a normal truncated at two standard deviations, widened by the factor
        // that makes the truncated distribution's variance 2 / fan_in.
        let sigma = (2.0 / fan_in).sqrt() / 0.879_625_661_034_239_8;
        let weights: Vec<f32> =
            (0..shape.iter().product()).map(|_| (sigma * truncated_normal(rng)) as f32).collect();
        let kernel = Tensor::from_data(TensorData::new(weights, shape), device);
        let bias = Tensor::zeros([config.out_channels], device);
        Self { kernel: Param::from_tensor(kernel), bias: Param::from_tensor(bias) }
    }
}

/// A standard normal number between −2 and 2, by rejection from Box–Muller.
fn truncated_normal(rng: &mut ChaCha8Rng) -> f64 {
    loop {
        // 1 − u is in (0, 1], so that the logarithm is finite.
        let radius = (-2.0 * (1.0 - uniform(rng)).ln()).sqrt();
        let value = radius * (std::f64::consts::TAU * uniform(rng)).cos();
        if value.abs() <= 2.0 {
            return value;
        }
    }
}

/// Uniform in [0, 1), with 53 random bits.
fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Normalisation, scale and shift, activation.
#[derive(Module, Debug)]
struct NormAct {
    gamma: Param<Tensor<1>>,
    beta: Param<Tensor<1>>,
    /// Learnt slopes of PReLU; none for leaky ReLU.
    slope: Option<Param<Tensor<1>>>,
    /// Running averages of batch normalisation; none for instance normalisation.
    running: Option<Running>,
}

/// Running mean and variance of batch normalisation.
#[derive(Module, Debug)]
struct Running {
    mean: RunningState<Tensor<1>>,
    variance: RunningState<Tensor<1>>,
}

impl NormAct {
    fn init(channels: usize, normalisation: Normalisation, activation: Activation, device: &Device) -> Self {
        let zeros = || Tensor::<1>::zeros([channels], device);
        let ones = || Tensor::<1>::ones([channels], device);
        Self {
            gamma: Param::from_tensor(ones()),
            beta: Param::from_tensor(zeros()),
            slope: match activation {
                Activation::LeakyRelu => None,
                Activation::Prelu => Some(Param::from_tensor(zeros())),
            },
            running: match normalisation {
                Normalisation::Instance => None,
                Normalisation::Batch => {
                    Some(Running { mean: RunningState::new(zeros()), variance: RunningState::new(ones()) })
                }
            },
        }
    }

    /// What to normalise and activate `input` with.
    fn parameters(&self, input: &Features) -> kernels::NormAct {
        let slope = match &self.slope {
            Some(slope) => slope.val(),
            None => Tensor::from_floats([LEAKY_SLOPE], &self.gamma.val().device()),
        };
        let norm = match &self.running {
            None => Norm::Instance,
            Some(running) if self.gamma.val().device().is_autodiff() => {
                let (mean, variance) = input.batch_statistics();
                running.update([mean.clone(), variance.clone()]);
                Norm::Measured { mean, variance }
            }
            Some(running) => Norm::Fixed { mean: running.mean.value(), variance: running.variance.value() },
        };
        kernels::NormAct {
            gamma: self.gamma.val(),
            beta: self.beta.val(),
            slope,
            norm,
            epsilon: NORM_EPSILON,
        }
    }
}

impl Running {
    fn update(&self, [mean, variance]: [Tensor<1>; 2]) {
        for (state, new) in [(&self.mean, mean), (&self.variance, variance)] {
            let old = state.value_sync().to_device(&new.device());
            state.update((old * BATCH_MOMENTUM + new * (1.0 - BATCH_MOMENTUM)).detach());
            // An update only counts from the next synchronisation on; a checkpoint, which does not ask for one,
            // would be one iteration behind.
            state.value_sync();
        }
    }
}
