//! From the experiment's words to the network and its training.
use burn::tensor::Device;
use dicewise_experiment as experiment;
use dicewise_experiment::{
    Architecture, CellConfig, Duration, HiddenActivation, Norm, OutputActivation, Schedule, Training,
    WarmUpRule,
};
use dicewise_train::{Activation, Batches, Normalisation, TrainingConfig, UNet, UNetConfig, WarmUp};

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

/// Mean number of voxels of each output channel over the cases: E Σy of Eq. 5.
pub(crate) fn mean(sizes: &[Vec<f64>]) -> Vec<f64> {
    let channels = sizes.first().map_or(0, Vec::len);
    let sum = |channel: usize| sizes.iter().map(|of_case| of_case[channel]).sum::<f64>();
    (0..channels).map(|channel| sum(channel) / sizes.len() as f64).collect()
}

/// The stratum of each case: cases that have voxels of the same channels are in one.
fn strata(sizes: &[Vec<f64>]) -> Vec<usize> {
    let patterns: Vec<Vec<bool>> =
        sizes.iter().map(|of_case| of_case.iter().map(|&voxels| voxels > 0.0).collect()).collect();
    let mut known: Vec<&Vec<bool>> = patterns.iter().collect();
    known.sort();
    known.dedup();
    patterns.iter().map(|pattern| known.partition_point(|&other| other < pattern)).collect()
}

/// Iterations of a training with so many batches in an epoch.
pub(crate) fn iterations(training: &Training, epoch: usize) -> usize {
    match training.duration {
        Duration::Iterations(iterations) => iterations,
        Duration::Epochs(epochs) => epochs * epoch,
    }
}

/// How a cell is trained on its cases.
/// `sizes` are the voxels of every output channel in each of them, as training sees it.
pub(crate) fn training_config(config: &CellConfig, sizes: &[Vec<f64>]) -> Result<TrainingConfig, RunError> {
    let (batch_size, cases) = (config.cell.batch_size, sizes.len());
    let mean_sizes = &mean(sizes);
    let setting = &config.cell.setting;
    let batches = match setting.batches.unwrap_or(config.training.batches) {
        experiment::Batches::Shuffled => Batches::Shuffled,
        experiment::Batches::Stratified => Batches::Stratified(strata(sizes)),
        experiment::Batches::Separated => Batches::Separated(strata(sizes)),
    };
    let epoch = batches.epoch(cases, batch_size).div_ceil(batch_size);
    let iterations = iterations(&config.training, epoch);
    let unit = match config.training.duration {
        Duration::Iterations(_) => 1,
        Duration::Epochs(_) => epoch,
    };
    // Patiences and intervals are for a number of training cases, where that is said.
    let per_records = config.training.records.map_or(1.0, |records| records as f64 / cases as f64);
    let scaled = |n: usize| ((n as f64 * per_records).round() as usize).max(1);
    let loss = setting.dice_loss(&config.target, mean_sizes)?;
    // Warm-up concerns settings whose ε is large; for the others both losses are the same.
    let tiny = setting.warm_up_loss(config.epsilon_tiny, &config.target, mean_sizes)?;
    let warm_up = setting.epsilon_warm_up.or(config.training.epsilon_warm_up);
    let warm_up = warm_up.filter(|_| tiny != loss).map(|warm_up| match warm_up {
        experiment::WarmUp::Iterations(until) => WarmUp::Iterations(until, tiny),
        experiment::WarmUp::When(WarmUpRule::Auto) => WarmUp::Growth(tiny),
    });
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
        cross_entropy: setting.cross_entropy,
        warm_up,
        batches,
        loaders: 0,
        validate_every: config.training.validate_every.unwrap_or(0) * unit,
        evaluate_every: config.training.evaluate_every.map_or(0, scaled) * unit,
        evaluated_checkpoint: None,
        checkpoint: None,
        previous_checkpoint: None,
        best_checkpoint: None,
        fingerprint: config.hash()?,
    })
}
