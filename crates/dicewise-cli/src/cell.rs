//! One cell of the grid: trained, predicted, scored, in a folder of its own.
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use burn::module::Module;
use burn::tensor::Device;
use dicewise_data::folds::Split;
use dicewise_data::nifti;
use dicewise_experiment::{CellConfig, Scored};
use dicewise_report::{CaseScore, Cell, read_cases, write_atomically, write_cases, write_progress};
use dicewise_train::{EmptyClass, Observer, Outcome, SampleSource, Step, Trainer, UNet, checkpoint};

use crate::evaluations::Evaluations;
use crate::lock::FolderLock;
use crate::metrics::{METRICS, Metrics};
use crate::network::{mean, network, prior_bias, training_config};
use crate::prepared_case::PreparedCase;
use crate::run_error::RunError;
use crate::score::{Prediction, label_maps, predict_case, score_case};
use crate::source::CaseSource;

pub(crate) const CONFIG: &str = "config.toml";
pub(crate) const CHECKPOINT_LATEST: &str = "checkpoint_latest.safetensors";
/// The one before the latest, while there is no score yet.
pub(crate) const CHECKPOINT_PREVIOUS: &str = "checkpoint_previous.safetensors";
pub(crate) const CHECKPOINT_BEST: &str = "checkpoint_best.safetensors";
pub(crate) const CHECKPOINT_FINAL: &str = "checkpoint_final.safetensors";
/// The one at the last evaluation.
const CHECKPOINT_EVALUATED: &str = "checkpoint_evaluated.safetensors";
/// Scores of the held-out cases at every evaluation.
const EVALUATIONS: &str = "evaluations.csv";
/// Scores of the cell's held-out cases; written last, so a cell that has it is finished.
pub(crate) const SCORES: &str = "cases.csv";
/// Why it failed, until it is tried again.
const FAILURE: &str = "failure.txt";
/// Folder of predicted label maps.
pub(crate) const PREDICTIONS: &str = "validation";

/// Iterations between two checkpoints.
const CHECKPOINT_EVERY: usize = 200;

/// Hears how a cell is getting on.
pub(crate) trait CellObserver {
    /// Training goes from `done` to `total` iterations.
    fn started(&mut self, done: usize, total: usize);
    /// One iteration is done.
    fn step(&mut self, step: &Step);
    /// Something the user should know.
    fn warn(&mut self, message: &str);
    /// Predicting case `done` of `total`.
    fn predicting(&mut self, done: usize, total: usize);
}

/// Everything a cell needs.
pub(crate) struct CellRun<'a> {
    pub(crate) config: &'a CellConfig,
    pub(crate) folder: &'a Path,
    /// That nobody else writes to the folder.
    pub(crate) lock: &'a FolderLock,
    pub(crate) cases: &'a [PreparedCase],
    pub(crate) split: &'a Split,
    pub(crate) device: &'a Device,
    /// Threads that load batches ahead.
    pub(crate) loaders: usize,
    pub(crate) resume: bool,
}

impl CellRun<'_> {
    /// Trains, predicts and scores. None if `stop` was raised; what is done so far is in the folder.
    pub(crate) fn run(
        &self,
        observer: &mut dyn CellObserver,
        stop: &AtomicBool,
    ) -> Result<Option<Vec<CaseScore>>, RunError> {
        if let Some(scores) = finished(self.config, self.folder, self.lock)?.filter(|_| self.resume) {
            return Ok(Some(scores));
        }
        let Some(trainer) = self.train(observer, stop)? else { return Ok(None) };

        let network = self.scored(trainer)?;
        let predictions = self.folder.join(PREDICTIONS);
        fs::create_dir_all(&predictions).map_err(RunError::io(&predictions))?;
        self.lock.remove_leftovers(&predictions)?;
        let mut scores = Vec::new();
        for (done, &index) in self.split.test.iter().enumerate() {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            observer.predicting(done, self.split.test.len());
            let case = &self.cases[index];
            let (prediction, of_case) = self.predict(&network, case)?;
            scores.extend(of_case);
            for (name, map) in label_maps(&self.config.target, &case.id, &prediction) {
                nifti::write(predictions.join(format!("{name}.nii.gz")), &map)?;
            }
        }
        // Sorted as the whole experiment's are.
        write_cases(&self.folder.join(SCORES), &scores)?;
        remove(&self.folder.join(CHECKPOINT_PREVIOUS))?;
        Ok(Some(scores))
    }

    /// A held-out case as the network segments it, and its scores.
    fn predict(&self, network: &UNet, case: &PreparedCase) -> Result<(Prediction, Vec<CaseScore>), RunError> {
        let voxels = case.voxels().map_err(RunError::io(self.folder))?;
        let (device, prepared) = (self.device.clone().inner(), case.prepared(&voxels));
        let prediction = predict_case(self.config, network, &device, prepared, case.centres)
            .map_err(|source| RunError::Preprocess { case: case.id.clone(), source })?;
        let scores = score_case(self.config, case, &voxels.truth, &prediction)?;
        Ok((prediction, scores))
    }

    /// The network that the configuration wants to be scored; the final one where a training was too short for another.
    fn scored(&self, trainer: Trainer) -> Result<UNet, RunError> {
        let file = match self.config.training.scored {
            Scored::Final => return Ok(trainer.network()),
            Scored::Best => self.folder.join(CHECKPOINT_BEST),
            Scored::Periodic => self.folder.join(CHECKPOINT_EVALUATED),
        };
        if !file.is_file() {
            return Ok(trainer.network());
        }
        let (l2, fingerprint) = (self.config.training.l2, self.config.hash()?);
        let (network, _, _) = checkpoint::load(&file, trainer.into_network(), l2, Some(&fingerprint))?;
        Ok(network.valid())
    }

    fn train(&self, observer: &mut dyn CellObserver, stop: &AtomicBool) -> Result<Option<Trainer>, RunError> {
        let side = |indices: &[usize], side: &'static str| -> Result<Vec<&PreparedCase>, RunError> {
            if indices.is_empty() {
                return Err(RunError::EmptySide { fold: self.config.cell.fold, side });
            }
            Ok(indices.iter().map(|&index| &self.cases[index]).collect())
        };
        let repeated = |case: &&PreparedCase| repeats(self.config, case);
        let once = side(&self.split.train, "training")?;
        let training_cases: Vec<&PreparedCase> =
            once.into_iter().flat_map(|case| std::iter::repeat_n(case, repeated(&case))).collect();
        let test_cases = side(&self.split.test, "test")?;
        let training = CaseSource::training(self.config, &training_cases)?;
        let unvaried = CaseSource::validation(self.config, &training_cases)?;
        let validation = CaseSource::validation(self.config, &test_cases)?;

        let sizes = unvaried.sizes().map_err(RunError::io(self.folder))?;
        let mut config = training_config(self.config, &sizes)?;
        config.loaders = self.loaders;
        let latest = self.folder.join(CHECKPOINT_LATEST);
        config.checkpoint = Some((latest.clone(), CHECKPOINT_EVERY));
        config.previous_checkpoint = Some(self.folder.join(CHECKPOINT_PREVIOUS));
        config.best_checkpoint = Some(self.folder.join(CHECKPOINT_BEST));
        config.evaluated_checkpoint = Some(self.folder.join(CHECKPOINT_EVALUATED));
        let total = config.iterations;
        let config_evaluates = config.evaluate_every > 0;

        let device = self.device.clone().autodiff();
        let in_channels = training.channels().map_err(RunError::io(self.folder))?;
        let mut unet = network(self.config, in_channels, &device);
        if self.config.network.prior_bias {
            let voxels = training.shape().iter().product();
            unet = unet.with_output_bias(&prior_bias(self.config, &mean(&sizes), voxels));
        }
        let finished = self.folder.join(CHECKPOINT_FINAL);
        if finished.is_file() {
            // Trained but not scored. Should it be damaged, training goes on from the previous one, as always.
            fs::rename(&finished, &latest).map_err(RunError::io(&finished))?;
        }
        let mut trainer = match self.resume {
            true => Trainer::resume(config, unet, device)?,
            false => Trainer::new(config, unet, device),
        };
        for error in trainer.passed_over() {
            observer.warn(&format!("{error}; going on from iteration {}", trainer.iteration()));
        }
        observer.started(trainer.iteration(), total);
        let metrics = Metrics::open(self.folder.join(METRICS), trainer.iteration())?;
        let names = self.config.target.labels.iter().map(|label| label.name.clone());
        let background = self.config.target.channels() - self.config.target.labels.len();
        let names = std::iter::repeat_n("background".to_owned(), background).chain(names).collect();
        let cell = &self.config.cell;
        let drawn = Cell {
            labelling: cell.labelling.to_string(),
            setting: cell.setting.name.clone(),
            batch_size: cell.batch_size,
        };
        let progress = (self.folder, drawn);
        let evaluations = match config_evaluates {
            true => Some(Evaluations::open(self.folder.join(EVALUATIONS), trainer.iteration())?),
            false => None,
        };
        let mut follower =
            Follower { observer, metrics, progress, failed: None, names, run: self, evaluations };
        let outcome = trainer.run(&training, &validation, &mut follower, stop)?;
        // Also when it was this that interrupted the training.
        follower.close()?;
        if outcome == Outcome::Interrupted {
            return Ok(None);
        }
        if latest.exists() {
            fs::rename(&latest, &finished).map_err(RunError::io(&finished))?;
        }
        Ok(Some(trainer))
    }
}

/// Passes a training's events on, and writes them to metrics.csv.
struct Follower<'a> {
    observer: &'a mut dyn CellObserver,
    metrics: Metrics,
    /// Where progress.png belongs, and whose it is.
    progress: (&'a Path, Cell),
    failed: Option<RunError>,
    /// Names of the output channels.
    names: Vec<String>,
    run: &'a CellRun<'a>,
    evaluations: Option<Evaluations>,
}

impl Follower<'_> {
    fn close(mut self) -> Result<(), RunError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.draw()?;
        self.metrics.close()
    }

    fn draw(&mut self) -> Result<(), RunError> {
        let (folder, cell) = &self.progress;
        Ok(write_progress(folder, cell.clone())?)
    }
}

impl Observer for Follower<'_> {
    fn step(&mut self, step: &Step) {
        if self.failed.is_none() {
            self.failed = self.metrics.write(step).err();
        }
        if self.failed.is_none() && step.iteration.is_multiple_of(CHECKPOINT_EVERY) {
            self.failed = self.draw().err();
        }
        self.observer.step(step);
    }

    fn empty_class(&mut self, warning: &EmptyClass) {
        let EmptyClass { iteration, class, predicted, target } = warning;
        self.observer.warn(&format!(
            "iteration {iteration}: {} is predicted empty everywhere ({predicted:.1} voxels a case, the truth has \
             {target:.1}); if ε is of the size of the objects, `epsilon_warm_up` in [training] can prevent it",
            self.names[*class]
        ));
    }

    fn evaluate(&mut self, iteration: usize, network: &UNet) {
        let Some(evaluations) = &mut self.evaluations else { return };
        let held_out = self.run.split.test.iter().map(|&index| &self.run.cases[index]);
        let scores: Result<Vec<_>, _> =
            held_out.map(|case| self.run.predict(network, case).map(|(_, scores)| scores)).collect();
        let written = scores.and_then(|scores| evaluations.write(iteration, &scores.concat()));
        self.failed = self.failed.take().or(written.err());
    }

    /// A training that cannot write its metrics saves itself, while that still works, rather than going on without.
    fn gives_up(&self) -> bool {
        self.failed.is_some()
    }
}

/// Creates a cell's folder, or makes sure that it belongs to this configuration. The scores, if it is finished.
pub(crate) fn finished(
    config: &CellConfig,
    folder: &Path,
    lock: &FolderLock,
) -> Result<Option<Vec<CaseScore>>, RunError> {
    lock.remove_leftovers(folder)?;
    let file = folder.join(CONFIG);
    match fs::read_to_string(&file) {
        Ok(text) => {
            let before = CellConfig::from_toml(&file, &text)?;
            let differences = config.differences(&before)?;
            if !differences.is_empty() {
                return Err(RunError::ConfigurationChanged { file, differences });
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            write_atomically(&file, config.to_toml()?.as_bytes())?;
        }
        Err(error) => return Err(RunError::io(file)(error)),
    }
    remove(&folder.join(FAILURE))?;
    if !is_done(folder) {
        return Ok(None);
    }
    // It would be a third of the folder.
    remove(&folder.join(CHECKPOINT_PREVIOUS))?;
    Ok(Some(read_cases(&folder.join(SCORES))?))
}

/// Whether the cell of this folder is trained and scored.
pub(crate) fn is_done(folder: &Path) -> bool {
    folder.join(SCORES).is_file()
}

/// Keeps in a cell's folder why it failed, for `dicewise status`.
pub(crate) fn remember_failure<T>(folder: &Path, outcome: &Result<T, RunError>) {
    if let Err(error) = outcome {
        // The error itself is told in any case.
        let _ = write_atomically(&folder.join(FAILURE), format!("{error}\n").as_bytes());
    }
}

/// Why the cell of this folder failed, if it did.
pub(crate) fn failure(folder: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(folder.join(FAILURE)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        text => text.map(|text| Some(text.trim().to_owned())),
    }
}

/// How often an epoch shows a training case.
pub(crate) fn repeats(config: &CellConfig, case: &PreparedCase) -> usize {
    let repeat = config.cell.repeat.iter().find(|repeat| repeat.group == case.group);
    repeat.map_or(1, |repeat| repeat.count)
}

/// Removes a file that may not be there.
fn remove(file: &Path) -> Result<(), RunError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(RunError::io(file)(error)),
        _ => Ok(()),
    }
}

/// The folder of a cell inside the experiment's.
pub(crate) fn folder(out: &Path, config: &CellConfig) -> PathBuf {
    out.join(config.cell.folder_name())
}
