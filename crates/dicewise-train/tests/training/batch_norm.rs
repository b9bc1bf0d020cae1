use std::collections::BTreeMap;
use std::path::PathBuf;

use burn::tensor::Device;
use dicewise_train::{
    Channels, Normalisation, Observer, OutputActivation, Sample, SampleSource, Trainer, TrainingConfig, UNet,
    UNetConfig, checkpoint, predict,
};

use crate::setup::{Record, SHAPE, Source, VOXELS, config, noise, tensors, tracking};

/// A pointwise network without pooling, two channels wide: image → conv → [norm, activation, conv] twice.
fn pointwise() -> UNetConfig {
    UNetConfig {
        normalisation: Normalisation::Batch,
        kernels: [[1, 1, 1]; 2],
        ..UNetConfig::small(1, 1, 2, 1)
    }
}

/// Noise whose mean and spread differ from case to case.
fn sample(case: usize) -> Sample {
    let image: Vec<f32> =
        (0..VOXELS).map(|i| (case as f64 + (1.0 + case as f64) * noise(i + 999 * case)) as f32).collect();
    let target = image.iter().map(|&x| f32::from(u8::from(x > case as f32 + 0.7))).collect();
    Sample { image, target, annotated: vec![true] }
}

/// Cases in the order they are drawn.
fn source(drawn: &std::sync::Mutex<Vec<usize>>) -> impl SampleSource + '_ {
    Source {
        cases: 4,
        shape: SHAPE,
        draw: |case, _| {
            drawn.lock().unwrap().push(case);
            sample(case)
        },
    }
}

type Tensors = BTreeMap<String, Vec<f32>>;

fn weights(tensors: &Tensors, name: &str) -> Vec<f64> {
    tensors[&format!("network.{name}")].iter().map(|&w| f64::from(w)).collect()
}

/// `out[o][i] = Σ_c kernel[o, c] · x[c][i] + bias[o]`.
fn convolve(x: &[Vec<f64>], kernel: &[f64], bias: &[f64]) -> Vec<Vec<f64>> {
    let voxel = |o: usize, i: usize| {
        x.iter().enumerate().map(|(c, x)| kernel[o * x_len(kernel, bias) + c] * x[i]).sum::<f64>() + bias[o]
    };
    (0..bias.len()).map(|o| (0..x[0].len()).map(|i| voxel(o, i)).collect()).collect()
}

/// Input channels of a pointwise kernel.
fn x_len(kernel: &[f64], bias: &[f64]) -> usize {
    kernel.len() / bias.len()
}

fn moments(x: &[f64]) -> (f64, f64) {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    (mean, x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64)
}

fn train(iterations: usize, path: PathBuf, learning_rate: f64) -> (Trainer, Vec<usize>) {
    let config = TrainingConfig { learning_rate, checkpoint: Some((path, 1)), ..config(iterations) };
    let mut trainer = Trainer::new(config, pointwise().init(4, &tracking()), tracking());
    let drawn = std::sync::Mutex::default();
    let training = source(&drawn);
    Record::default().run(&mut trainer, &training, &training).unwrap();
    drop(training);
    (trainer, drawn.into_inner().unwrap())
}

/// m ← 0.99 m + 0.01 mean of the batch, from 0; v likewise with the biased variance, from 1; for the first
/// normalisation, whose input is a linear function of the image. The weights stand still.
#[test]
fn running_statistics_follow_the_formula() {
    let folder = tempfile::tempdir().unwrap();
    for iterations in [1, 2, 7] {
        let path = folder.path().join(format!("after {iterations}"));
        let (_, drawn) = train(iterations, path.clone(), 0.0);
        assert_eq!(drawn.len(), 2 * iterations);
        let saved = tensors(&path);
        let (kernel, bias) =
            (weights(&saved, "bottom.first.conv.kernel"), weights(&saved, "bottom.first.conv.bias"));
        let (mut mean, mut variance) = ([0.0; 2], [1.0; 2]);
        for batch in drawn.chunks(2) {
            let image: Vec<f64> = batch.iter().flat_map(|&case| sample(case).image).map(f64::from).collect();
            for (channel, x) in convolve(&[image], &kernel, &bias).iter().enumerate() {
                let (of_batch, spread) = moments(x);
                mean[channel] = 0.99 * mean[channel] + 0.01 * of_batch;
                variance[channel] = 0.99 * variance[channel] + 0.01 * spread;
            }
        }
        for (name, expected) in [("mean", mean), ("variance", variance)] {
            let found = weights(&saved, &format!("bottom.second.norm.running.{name}"));
            for (found, expected) in found.iter().zip(expected) {
                let error = (found - expected).abs() / expected.abs().max(0.1);
                assert!(error < 1e-5, "{name} after {iterations} steps: {found}, not {expected}");
            }
        }
    }
}

/// The whole network by hand with the statistics and weights of the checkpoint; one case alone, so that its own
/// statistics would give something else.
fn by_hand(saved: &Tensors, image: &[f32]) -> Vec<f64> {
    let mut x = vec![image.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>()];
    for block in ["bottom.first", "bottom.second", "head"] {
        if block != "bottom.first" {
            let of = |name: &str| weights(saved, &format!("{block}.norm.{name}"));
            let (gamma, beta) = (of("gamma"), of("beta"));
            let (mean, variance) = (of("running.mean"), of("running.variance"));
            for (c, x) in x.iter_mut().enumerate() {
                for x in x {
                    let v = gamma[c] * (*x - mean[c]) / (variance[c] + 1e-3).sqrt() + beta[c];
                    *x = if v > 0.0 { v } else { 0.01 * v };
                }
            }
        }
        let of = |name: &str| weights(saved, &format!("{block}.conv.{name}"));
        x = convolve(&x, &of("kernel"), &of("bias"));
    }
    x[0].iter().map(|z| 1.0 / (1.0 + (-z).exp())).collect()
}

fn predictions(network: &UNet, image: &[f32]) -> Vec<f32> {
    let volume = Channels { data: image, channels: 1, shape: SHAPE };
    predict(network, &Device::flex(), OutputActivation::Sigmoid, volume, SHAPE)
}

#[test]
fn prediction_uses_the_running_statistics_also_after_a_round_trip() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let (trainer, _) = train(9, path.clone(), 0.01);
    let image = sample(2).image;
    let ours = predictions(&trainer.network(), &image);
    let expected = by_hand(&tensors(&path), &image);
    for (voxel, (ours, expected)) in ours.iter().zip(&expected).enumerate() {
        assert!((f64::from(*ours) - expected).abs() < 1e-5, "voxel {voxel}: {ours}, not {expected}");
    }

    // Into a network for training, and into one for prediction.
    let load = |device| checkpoint::load(&path, pointwise().init(77, &device), 0.0, None).unwrap().0;
    assert_eq!(predictions(&load(Device::flex()), &image), ours);
    let for_training = checkpoint::load(&path, pointwise().init(78, &tracking()), 0.0, None).unwrap().0;
    assert_eq!(predictions(&burn::module::Module::valid(&for_training), &image), ours);
}

/// Asking for the network to predict with, or validating, is no training step.
#[test]
fn prediction_and_validation_leave_the_statistics_alone() {
    struct Predicting;
    impl Observer for Predicting {
        fn step(&mut self, _: &dicewise_train::Step) {}
        fn empty_class(&mut self, _: &dicewise_train::EmptyClass) {}
    }
    let folder = tempfile::tempdir().unwrap();
    let (without, with) = (folder.path().join("without"), folder.path().join("with"));
    train(5, without.clone(), 0.01);
    let config = TrainingConfig {
        learning_rate: 0.01,
        checkpoint: Some((with.clone(), 1)),
        validate_every: 1,
        ..config(5)
    };
    let mut trainer = Trainer::new(config, pointwise().init(4, &tracking()), tracking());
    let drawn = std::sync::Mutex::default();
    let training = source(&drawn);
    trainer.run(&training, &training, &mut Predicting, &Default::default()).unwrap();
    predictions(&trainer.network(), &sample(1).image);
    assert_eq!(tensors(&with), tensors(&without));
}
