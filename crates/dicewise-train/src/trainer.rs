//! The training loop.
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use dicewise::{DiceError, DiceLoss, Presence};
use dicewise_burn::{DiceValue, SoftDiceLoss};

use crate::batches::Batches;
use crate::checkpoint::{self, CheckpointError, Progress};
use crate::cross_entropy::{cross_entropy, missing_maps};
use crate::empty_class::EmptyClass;
use crate::error::TrainError;
use crate::lesson::Lesson;
use crate::loading::{Loading, Plan};
use crate::optimizer::{Adam, kernel_square_sum};
use crate::predict::OutputActivation;
use crate::schedule::Schedule;
use crate::unet::UNet;
use crate::warm_up::WarmUp;

/// One training example as the network sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Intensities `[channels, Z, Y, X]`.
    pub image: Vec<f32>,
    /// Ground truth in [0, 1], `[classes, Z, Y, X]`.
    pub target: Vec<f32>,
    /// Which classes are annotated.
    pub annotated: Vec<bool>,
}

/// Where examples come from.
pub trait SampleSource: Sync {
    /// Number of cases; an epoch draws each once.
    fn cases(&self) -> usize;
    /// Extent of every sample along x, y, z.
    fn shape(&self) -> [usize; 3];
    /// A sample of a case, which depends on nothing but the case and the epoch: a training that was interrupted
    /// then sees what it would have seen.
    ///
    /// # Errors
    /// If the case cannot be read.
    fn draw(&self, case: usize, epoch: u64) -> io::Result<Sample>;
}

/// How to train.
#[derive(Clone, Debug)]
pub struct TrainingConfig {
    /// Steps of the optimiser at most.
    pub iterations: usize,
    /// Samples a step.
    pub batch_size: usize,
    /// Initial learning rate.
    pub learning_rate: f64,
    /// Its schedule.
    pub schedule: Schedule,
    /// Weight of Σ w² over convolution kernels.
    pub l2: f64,
    /// Seeds order and augmentation.
    pub seed: u64,
    /// Output activation.
    pub output: OutputActivation,
    /// The loss.
    pub loss: DiceLoss,
    /// Weight of a cross-entropy added to it; 0 adds none.
    pub cross_entropy: f64,
    /// ε warm-up.
    pub warm_up: Option<WarmUp>,
    /// Which cases share a batch.
    pub batches: Batches,
    /// Threads that draw samples ahead, each a batch; with 0 the training draws them itself. They change nothing but the
    /// time in which the device waits.
    pub loaders: usize,
    /// Validate (and let the schedule observe) every so many iterations; 0 is never.
    pub validate_every: usize,
    /// Let the observer evaluate the network every so many iterations; 0 is never.
    pub evaluate_every: usize,
    /// Where to save the training at each evaluation.
    pub evaluated_checkpoint: Option<PathBuf>,
    /// Where to save the training, and after how many iterations each time; 0 is only at the end.
    pub checkpoint: Option<(PathBuf, usize)>,
    /// Where the checkpoint before that one is kept, for the case that it is damaged.
    pub previous_checkpoint: Option<PathBuf>,
    /// Where to save the training with the lowest validation loss.
    pub best_checkpoint: Option<PathBuf>,
    /// Identifies the configuration in checkpoints.
    pub fingerprint: String,
}

/// What happened in one iteration.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Iterations done, this one included.
    pub iteration: usize,
    /// Training loss, cross-entropy included where there is one, without the L2 penalty.
    pub loss: f64,
    /// Learning rate used.
    pub learning_rate: f64,
    /// Loss on the validation cases, L2 penalty included, if this iteration validated.
    pub validation_loss: Option<f64>,
    /// What the batch's maps were taught.
    pub lesson: Lesson,
}

/// Follows a training.
pub trait Observer {
    /// After each iteration.
    fn step(&mut self, step: &Step);
    /// A class is predicted empty everywhere although the truth has it.
    fn empty_class(&mut self, warning: &EmptyClass);
    /// The network after an iteration at which it is to be evaluated.
    fn evaluate(&mut self, _iteration: usize, _network: &UNet) {}
    /// Whether the training should be saved and interrupted, as by the stop flag. Asked after each iteration.
    fn gives_up(&self) -> bool {
        false
    }
}

/// How a call of [`Trainer::run`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All iterations done, or stopped early by the schedule.
    Finished,
    /// The stop flag was raised, or the observer gave up; the checkpoint, if any, holds everything needed to go on.
    Interrupted,
}

const ALWAYS: &str = "only the optimiser takes the network, and puts it back";

/// A network in training.
pub struct Trainer {
    config: TrainingConfig,
    device: Device,
    /// Absent only while the optimiser changes it: a second handle would make it copy all weights.
    network: Option<UNet>,
    adam: Adam,
    progress: Progress,
    /// The iteration that the checkpoint on the disk is of, if it is known to be whole.
    saved: Option<usize>,
    passed_over: Vec<CheckpointError>,
}

impl Trainer {
    /// Starts with a fresh network, which must live on `device` (with autodiff).
    pub fn new(config: TrainingConfig, network: UNet, device: Device) -> Self {
        let adam = Adam::new(config.l2);
        let progress = Progress { config: config.fingerprint.clone(), ..Progress::default() };
        Self { config, device, network: Some(network), adam, progress, saved: None, passed_over: Vec::new() }
    }

    /// Goes on from the checkpoint of `config`, or if that is damaged or gone from the one before; if there is neither,
    /// starts with `network`.
    ///
    /// # Errors
    /// If a checkpoint cannot be read or belongs to another configuration, or if there are damaged ones only.
    pub fn resume(config: TrainingConfig, network: UNet, device: Device) -> Result<Self, TrainError> {
        let mut trainer = Self::new(config, network, device);
        let latest = trainer.config.checkpoint.as_ref().map(|(path, _)| path.clone());
        let previous = trainer.config.previous_checkpoint.clone().filter(|_| latest.is_some());
        for path in latest.iter().chain(&previous) {
            let (network, l2) = (trainer.network.clone().expect(ALWAYS), trainer.config.l2);
            match checkpoint::load(path, network, l2, Some(&trainer.config.fingerprint)) {
                Ok((network, adam, progress)) => {
                    let saved = (Some(path) == latest.as_ref()).then_some(progress.iteration);
                    return Ok(Self { network: Some(network), adam, progress, saved, ..trainer });
                }
                Err(CheckpointError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
                Err(error @ CheckpointError::Damaged { .. }) => trainer.passed_over.push(error),
                Err(error) => return Err(error.into()),
            }
        }
        // Starting over would throw away what a repair of a file could bring back.
        let error = trainer.passed_over.into_iter().reduce(CheckpointError::and_the_one_before);
        match error {
            Some(error) => Err(error.into()),
            None => Ok(Self { passed_over: Vec::new(), ..trainer }),
        }
    }

    /// Why checkpoints were not resumed from that are later than the one that was.
    pub fn passed_over(&self) -> &[CheckpointError] {
        &self.passed_over
    }

    /// Iterations done so far.
    pub fn iteration(&self) -> usize {
        self.progress.iteration
    }

    /// The network, ready to predict.
    pub fn network(&self) -> UNet {
        self.present().valid()
    }

    /// The network, with what its training needs.
    pub fn into_network(mut self) -> UNet {
        self.network.take().expect(ALWAYS)
    }

    fn present(&self) -> &UNet {
        self.network.as_ref().expect(ALWAYS)
    }

    /// Trains until done or until `stop` is raised.
    ///
    /// # Errors
    /// If the loss stops being finite, the loss refuses its input, or a checkpoint cannot be written.
    pub fn run(
        &mut self,
        training: &dyn SampleSource,
        validation: &dyn SampleSource,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Outcome, TrainError> {
        if training.cases() == 0 {
            return Err(TrainError::NoTrainingCases);
        }
        let plan = Plan {
            batches: self.config.batches.clone(),
            batch_size: self.config.batch_size,
            seed: self.config.seed,
        };
        thread::scope(|scope| {
            let loading = Loading::new(plan, training, self.progress.iteration, self.config.loaders, scope);
            self.run_on(&loading, training.shape(), validation, observer, stop)
        })
    }

    fn run_on(
        &mut self,
        training: &Loading,
        shape: [usize; 3],
        validation: &dyn SampleSource,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Outcome, TrainError> {
        while self.progress.iteration < self.config.iterations && !self.progress.stopped {
            if stop.load(Ordering::Relaxed) || observer.gives_up() {
                self.save()?;
                return Ok(Outcome::Interrupted);
            }
            let mut step = self.step(training, shape)?;
            while let Some(warning) = self.progress.empty_class.take() {
                observer.empty_class(&warning);
            }
            let every = self.config.validate_every;
            if step.iteration.is_multiple_of(every) && validation.cases() > 0 {
                let loss = self.validate(validation)?;
                step.validation_loss = Some(loss);
                if self.progress.best_validation.is_none_or(|best| loss < best) {
                    self.progress.best_validation = Some(loss);
                    if let Some(path) = &self.config.best_checkpoint {
                        checkpoint::save(path, &self.network, &self.adam, &self.progress)?;
                    }
                }
                self.progress.stopped = self.config.schedule.observe(&mut self.progress.schedule, loss);
            }
            observer.step(&step);
            if step.iteration.is_multiple_of(self.config.evaluate_every) {
                if let Some(path) = &self.config.evaluated_checkpoint {
                    checkpoint::save(path, self.present(), &self.adam, &self.progress)?;
                }
                observer.evaluate(step.iteration, &self.network());
            }
            if self.config.checkpoint.as_ref().is_some_and(|&(_, every)| step.iteration.is_multiple_of(every))
            {
                self.save()?;
            }
        }
        self.save()?;
        Ok(Outcome::Finished)
    }

    /// Saves the training, unless it is on the disk already.
    fn save(&mut self) -> Result<(), TrainError> {
        let Some((latest, _)) = self.config.checkpoint.as_ref() else { return Ok(()) };
        if self.saved == Some(self.progress.iteration) {
            return Ok(());
        }
        // A file that is not known to be whole must not take the place of one that may be.
        match self.config.previous_checkpoint.as_ref().filter(|_| self.saved.is_some()) {
            Some(previous) => {
                checkpoint::save_keeping(latest, previous, self.present(), &self.adam, &self.progress)?;
            }
            None => checkpoint::save(latest, self.present(), &self.adam, &self.progress)?,
        }
        self.saved = Some(self.progress.iteration);
        Ok(())
    }

    fn step(&mut self, training: &Loading, shape: [usize; 3]) -> Result<Step, TrainError> {
        let iteration = self.progress.iteration;
        let samples = training.batch(iteration)?;
        let refused = |source| TrainError::Loss { iteration: iteration + 1, source };
        let loss = match &self.config.warm_up {
            Some(WarmUp::Iterations(until, tiny)) if iteration < *until => tiny.clone(),
            Some(WarmUp::Growth(tiny)) => {
                self.progress.growth.loss(tiny, &self.config.loss).map_err(refused)?
            }
            _ => self.config.loss.clone(),
        };
        let batch = Batch::new(&samples, shape, &self.device);
        let presence = batch.presence.clone();
        let value = batch.loss(self.present(), &self.config, &loss).map_err(refused)?;
        if !value.loss.is_finite() {
            return Err(TrainError::NonFiniteLoss { iteration: iteration + 1, value: value.loss });
        }
        self.progress.empty_class.observe(iteration + 1, &value.sums);
        if let Some(WarmUp::Growth(_)) = self.config.warm_up {
            let missing = missing_maps(loss.missing_labels(), &value.sums, &presence);
            self.progress.growth.observe(&value.sums, &self.config.loss, &missing);
        }
        // Scalar mathematics on B·C numbers: the voxels are not read again.
        let terms = loss.terms(&value.sums, Some(&presence)).map_err(refused)?;
        let first = usize::from(self.config.output == OutputActivation::Softmax);
        let lesson = Lesson::of(&value.sums, &terms, first);
        let gradients = GradientsParams::from_grads(value.tensor.backward(), self.present());
        let factor = self.config.schedule.factor(&self.progress.schedule, iteration, self.config.iterations);
        let learning_rate = self.config.learning_rate * factor;
        self.network = self.network.take().map(|network| self.adam.step(learning_rate, network, gradients));
        self.progress.iteration += 1;
        Ok(Step { iteration: iteration + 1, loss: value.loss, learning_rate, validation_loss: None, lesson })
    }

    /// Mean loss over the validation cases in batches of the training's size, plus the L2 penalty: what the
    /// authors monitored.
    fn validate(&self, validation: &dyn SampleSource) -> Result<f64, TrainError> {
        let device = self.device.clone().inner();
        let network = self.network();
        let cases: Vec<usize> = (0..validation.cases()).collect();
        let mut total = 0.0;
        for chunk in cases.chunks(self.config.batch_size) {
            let samples: Vec<Sample> =
                chunk.iter().map(|&case| validation.draw(case, 0)).collect::<Result<_, _>>()?;
            let batch = Batch::new(&samples, validation.shape(), &device);
            let value = batch
                .loss(&network, &self.config, &self.config.loss)
                .map_err(|source| TrainError::Validation { iteration: self.progress.iteration, source })?;
            total += value.loss * chunk.len() as f64;
        }
        let penalty = if self.config.l2 > 0.0 { self.config.l2 * kernel_square_sum(&network) } else { 0.0 };
        Ok(total / cases.len() as f64 + penalty)
    }
}

/// Samples as tensors.
struct Batch {
    image: Tensor<5>,
    target: Tensor<5>,
    presence: Presence,
}

impl Batch {
    fn new(samples: &[Sample], shape: [usize; 3], device: &Device) -> Self {
        let [x, y, z] = shape;
        let tensor = |values: fn(&Sample) -> &[f32]| {
            let channels = values(&samples[0]).len() / (x * y * z);
            let data: Vec<f32> = samples.iter().flat_map(values).copied().collect();
            Tensor::<5>::from_data(TensorData::new(data, [samples.len(), channels, z, y, x]), device)
        };
        let annotated: Vec<bool> = samples.iter().flat_map(|s| s.annotated.iter().copied()).collect();
        Self {
            image: tensor(|s| &s.image),
            target: tensor(|s| &s.target),
            presence: Presence::new(samples.len(), samples[0].annotated.len(), annotated)
                .expect("samples of one source agree in their classes"),
        }
    }

    /// `loss` of the configuration's output, with its cross-entropy.
    fn loss(self, network: &UNet, config: &TrainingConfig, loss: &DiceLoss) -> Result<DiceValue, DiceError> {
        let (logits, output) = (network.forward(self.image), config.output);
        let dice = SoftDiceLoss::new(loss.clone());
        if config.cross_entropy == 0.0 {
            return dice.forward_logits(logits, self.target, output.into(), Some(&self.presence));
        }
        let (own, target) = (logits.clone(), self.target.clone());
        let value = dice.forward_logits(own, target, output.into(), Some(&self.presence))?;
        let missing = missing_maps(loss.missing_labels(), &value.sums, &self.presence);
        let added = cross_entropy(logits, self.target, output, &missing);
        let added = added * config.cross_entropy as f32;
        let loss = value.loss + f64::from(added.clone().into_scalar::<f32>());
        Ok(DiceValue { tensor: value.tensor + added, loss, ..value })
    }
}
