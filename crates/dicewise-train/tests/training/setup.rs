use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Device;
use dicewise::{DiceLoss, Epsilon, Partition};
use dicewise_train::{
    Batches, EmptyClass, Normalisation, Observer, Outcome, OutputActivation, Sample, SampleSource, Schedule,
    Step, TrainError, Trainer, TrainingConfig, UNet, UNetConfig,
};
use safetensors::SafeTensors;

/// Extent of every sample along x, y, z.
pub(crate) const SHAPE: [usize; 3] = [10, 8, 6];
pub(crate) const VOXELS: usize = 10 * 8 * 6;

/// Samples made by a function of case and epoch.
pub(crate) struct Source<F> {
    pub(crate) cases: usize,
    pub(crate) shape: [usize; 3],
    pub(crate) draw: F,
}

impl<F: Fn(usize, u64) -> Sample + Sync> SampleSource for Source<F> {
    fn cases(&self) -> usize {
        self.cases
    }
    fn shape(&self) -> [usize; 3] {
        self.shape
    }
    fn draw(&self, case: usize, epoch: u64) -> std::io::Result<Sample> {
        Ok((self.draw)(case, epoch))
    }
}

/// A bright ball in noise of a third of its brightness, somewhere else in each case and epoch.
pub(crate) fn ball(shape: [usize; 3], radius: f64, case: usize, epoch: u64) -> Sample {
    let seed = case * 1_000_003 + epoch as usize * 7_919;
    let centre: Vec<f64> =
        (0..3).map(|axis| (shape[axis] as f64 - 1.0) / 2.0 + 3.0 * (noise(seed + axis) - 0.5)).collect();
    let (mut image, mut target) = (Vec::new(), Vec::new());
    for z in 0..shape[2] {
        for y in 0..shape[1] {
            for x in 0..shape[0] {
                let distances = [x, y, z].into_iter().zip(&centre).map(|(i, c)| (i as f64 - c).powi(2));
                let inside = f64::from(u8::from(distances.sum::<f64>() <= radius * radius));
                image.push((inside + 0.6 * (noise(seed * 31 + image.len() + 3) - 0.5)) as f32);
                target.push(inside as f32);
            }
        }
    }
    Sample { image, target, annotated: vec![true] }
}

pub(crate) fn balls(cases: usize) -> impl SampleSource {
    Source { cases, shape: SHAPE, draw: |case, epoch| ball(SHAPE, 2.5, case, epoch) }
}

/// Pseudo-random in [0, 1).
pub(crate) fn noise(k: usize) -> f64 {
    let hashed = (k as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((hashed ^ (hashed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 11) as f64 / (1_u64 << 53) as f64
}

pub(crate) fn dice(partition: Partition, epsilon: f64) -> DiceLoss {
    DiceLoss::new(partition, Epsilon::uniform(epsilon).unwrap()).unwrap()
}

pub(crate) fn config(iterations: usize) -> TrainingConfig {
    TrainingConfig {
        iterations,
        batch_size: 2,
        learning_rate: 1e-2,
        schedule: Schedule::Constant,
        l2: 0.0,
        seed: 5,
        output: OutputActivation::Sigmoid,
        loss: dice(Partition::ImageWise, 1e-7),
        cross_entropy: 0.0,
        warm_up: None,
        loaders: 0,
        batches: Batches::Shuffled,
        validate_every: 0,
        evaluate_every: 0,
        evaluated_checkpoint: None,
        checkpoint: None,
        previous_checkpoint: None,
        best_checkpoint: None,
        fingerprint: "a configuration".into(),
    }
}

pub(crate) fn tracking() -> Device {
    Device::flex().autodiff()
}

/// Two levels, three channels at the finer one.
pub(crate) fn network(normalisation: Normalisation, seed: u64) -> UNet {
    UNetConfig { normalisation, ..UNetConfig::small(1, 1, 3, 2) }.init(seed, &tracking())
}

/// Writes down everything, and raises the stop flag after some iterations.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) steps: Vec<Step>,
    pub(crate) warnings: Vec<EmptyClass>,
    pub(crate) stop_after: Option<usize>,
}

impl Record {
    pub(crate) fn losses(&self) -> Vec<f64> {
        self.steps.iter().map(|step| step.loss).collect()
    }

    pub(crate) fn validation_losses(&self) -> Vec<f64> {
        self.steps.iter().filter_map(|step| step.validation_loss).collect()
    }

    pub(crate) fn run(
        &mut self,
        trainer: &mut Trainer,
        training: &dyn SampleSource,
        validation: &dyn SampleSource,
    ) -> Result<Outcome, TrainError> {
        struct Writer<'a>(&'a mut Record, &'a AtomicBool);
        impl Observer for Writer<'_> {
            fn step(&mut self, step: &Step) {
                self.0.steps.push(step.clone());
                if Some(step.iteration) == self.0.stop_after {
                    self.1.store(true, Ordering::Relaxed);
                }
            }
            fn empty_class(&mut self, warning: &EmptyClass) {
                self.0.warnings.push(warning.clone());
            }
        }
        let stop = AtomicBool::new(false);
        trainer.run(training, validation, &mut Writer(self, &stop), &stop)
    }
}

/// A whole training with instance normalisation.
pub(crate) fn train(config: TrainingConfig, training: &dyn SampleSource) -> (Record, Trainer) {
    let mut trainer = Trainer::new(config, network(Normalisation::Instance, 1), tracking());
    let mut record = Record::default();
    let outcome = record.run(&mut trainer, training, training).unwrap();
    assert_eq!(outcome, Outcome::Finished);
    (record, trainer)
}

/// The tensors of a file by name.
pub(crate) fn tensors(path: &Path) -> BTreeMap<String, Vec<f32>> {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let values = |data: &[u8]| data.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    // The seal is a digest, which no numbers have in common.
    let sealed = file.tensors().into_iter().filter(|(name, _)| name != "sha256");
    sealed.map(|(name, view)| (name, values(view.data()))).collect()
}
