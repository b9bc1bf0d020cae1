//! From the experiment's words to the network and its training.
use burn::tensor::Device;
use dicewise_experiment::{
    Architecture, CellConfig, Duration, HiddenActivation, Norm, OutputActivation, Schedule, Training,
};
use dicewise_train::{Activation, Normalisation, TrainingConfig, UNet, UNetConfig};

use crate::run_error::RunError;

pub(crate) fn output_activation(activation: OutputActivation) -> dicewise_train::OutputActivation {
    match activation {
        OutputActivation::Sigmoid => dicewise_train::OutputActivation::Sigmoid,
        OutputActivation::Softmax => dicewise_train::OutputActivation::Softmax,
    }
}

/// The network of a cell, its weights drawn from the cell's seed.
pub(crate) fn network(config: &CellConfig, in_channels: usize, device: &Device) -> UNet {
    unet_config(config, in_channels).init(config.cell.seed, device)
}

/// The layers of a cell's network.
pub(crate) fn unet_config(config: &CellConfig, in_channels: usize) -> UNetConfig {
    let out_channels = config.target.channels();
    let unet = match &config.network.architecture {
        Architecture::Brats => UNetConfig::brats(in_channels, out_channels),
        Architecture::Acdc => UNetConfig::acdc(in_channels, out_channels),
        Architecture::Custom { base, levels, norm, activation } => UNetConfig {
            normalisation: match norm {
                Norm::Instance => Normalisation::Instance,
                Norm::Batch => Normalisation::Batch,
            },
            activation: match activation {
                HiddenActivation::LeakyRelu => Activation::LeakyRelu,
                HiddenActivation::PRelu => Activation::Prelu,
            },
            ..UNetConfig::small(in_channels, out_channels, *base, *levels)
        },
    };
    unet.widened(config.network.width)
}

/// The output bias at which an uninformed network predicts the mean size of every class: the logit of the class
/// frequency (sigmoid) or its logarithm (softmax).
pub(crate) fn prior_bias(config: &CellConfig, mean_sizes: &[f64], voxels: usize) -> Vec<f32> {
    // A class that is nowhere in the training data still starts with a finite bias.
    let frequency = mean_sizes.iter().map(|size| (size / voxels as f64).clamp(1e-4, 1.0 - 1e-4));
    let bias = frequency.map(|p| match config.target.activation {
        OutputActivation::Sigmoid => (p / (1.0 - p)).ln(),
        OutputActivation::Softmax => p.ln(),
    });
    bias.map(|b| b as f32).collect()
}

/// Iterations of a training with so many batches in an epoch.
pub(crate) fn iterations(training: &Training, epoch: usize) -> usize {
    match training.duration {
        Duration::Iterations(iterations) => iterations,
        Duration::Epochs(epochs) => epochs * epoch,
    }
}

/// How a cell is trained on so many cases.
pub(crate) fn training_config(
    config: &CellConfig,
    cases: usize,
    mean_sizes: &[f64],
) -> Result<TrainingConfig, RunError> {
    let batch_size = config.cell.batch_size;
    let epoch = cases.div_ceil(batch_size);
    let iterations = iterations(&config.training, epoch);
    let unit = match config.training.duration {
        Duration::Iterations(_) => 1,
        Duration::Epochs(_) => epoch,
    };
    // Patiences and intervals are for a number of training cases, where that is said.
    let per_records = config.training.records.map_or(1.0, |records| records as f64 / cases as f64);
    let scaled = |n: usize| ((n as f64 * per_records).round() as usize).max(1);
    let setting = &config.cell.setting;
    let loss = setting.dice_loss(&config.target, mean_sizes)?;
    // Warm-up concerns settings whose ε is large; for the others both losses are the same.
    let tiny = setting.warm_up_loss(config.epsilon_tiny, &config.target, mean_sizes)?;
    let warm_up = config.training.epsilon_warm_up.filter(|_| tiny != loss).map(|until| (until, tiny));
    Ok(TrainingConfig {
        iterations,
        batch_size,
        learning_rate: config.training.learning_rate,
        schedule: match config.training.schedule {
            Schedule::Constant => dicewise_train::Schedule::Constant,
            Schedule::Cosine => dicewise_train::Schedule::Cosine,
            Schedule::Plateau { factor, patience, stop_patience, min_delta } => {
                let (patience, stop_patience) = (scaled(patience), scaled(stop_patience));
                dicewise_train::Schedule::Plateau { factor, patience, stop_patience, min_delta }
            }
        },
        l2: config.training.l2,
        seed: config.cell.seed,
        output: output_activation(config.target.activation),
        loss,
        warm_up,
        validate_every: config.training.validate_every.unwrap_or(0) * unit,
        evaluate_every: config.training.evaluate_every.map_or(0, scaled) * unit,
        evaluated_checkpoint: None,
        checkpoint: None,
        previous_checkpoint: None,
        best_checkpoint: None,
        fingerprint: config.hash()?,
    })
}
