use std::fs;
use std::path::Path;

use dicewise::Partition;
use dicewise_train::checkpoint::CheckpointError;
use dicewise_train::{
    Batches, Normalisation, Outcome, Schedule, TrainError, Trainer, TrainingConfig, WarmUp,
};

use crate::setup::{Record, balls, config, dice, network, tensors, tracking};

const ITERATIONS: usize = 12;

/// Everything a training remembers is in use: moments, L2, a rate that falls, validation, warm-up, epochs that end
/// in the middle of a batch (5 cases, batches of 2).
///
/// With instance norm all of it; with batch norm ε warm-up by growth instead, batches of one stratum, and cross-entropy.
fn everything(checkpoint: &Path, normalisation: Normalisation) -> TrainingConfig {
    let config = always(checkpoint);
    match normalisation {
        Normalisation::Instance => config,
        Normalisation::Batch => TrainingConfig {
            warm_up: Some(WarmUp::Growth(dice(Partition::BatchWise, 1e-7))),
            batches: Batches::Separated(vec![0, 1, 0, 1, 0]),
            cross_entropy: 0.5,
            ..config
        },
    }
}

fn always(checkpoint: &Path) -> TrainingConfig {
    TrainingConfig {
        schedule: Schedule::Plateau { factor: 0.5, patience: 1, stop_patience: 50, min_delta: 0.05 },
        l2: 1e-3,
        loss: dice(Partition::BatchWise, 20.0),
        warm_up: Some(WarmUp::Iterations(4, dice(Partition::BatchWise, 1e-7))),
        validate_every: 2,
        checkpoint: Some((checkpoint.to_path_buf(), 3)),
        ..config(ITERATIONS)
    }
}

/// A training interrupted after each of `stops` iterations, in a pool of so many threads each time; with more than one,
/// samples are drawn ahead by three others. Every process starts with a network of its own, as after a crash.
fn train(checkpoint: &Path, normalisation: Normalisation, stops: &[(Option<usize>, usize)]) -> Record {
    let mut record = Record::default();
    for (part, &(stop_after, threads)) in stops.iter().enumerate() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        record.stop_after = stop_after;
        let outcome = pool.install(|| {
            let seed = if part == 0 { 1 } else { 100 };
            let loaders = if threads > 1 { 3 } else { 0 };
            let config = TrainingConfig { loaders, ..everything(checkpoint, normalisation) };
            let mut trainer = Trainer::resume(config, network(normalisation, seed), tracking()).unwrap();
            assert_eq!(trainer.iteration(), record.steps.len());
            record.run(&mut trainer, &balls(5), &balls(3)).unwrap()
        });
        let expected = if stop_after.is_some() { Outcome::Interrupted } else { Outcome::Finished };
        assert_eq!(outcome, expected);
    }
    record
}

fn interruption_changes_nothing(normalisation: Normalisation) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let whole = train(&path("whole"), normalisation, &[(None, 1)]);
    assert_eq!(whole.steps.len(), ITERATIONS);
    let file = fs::read(path("whole")).unwrap();
    let trainings: [&[_]; 4] = [
        &[(None, 2)],
        &[(Some(5), 1), (None, 1)],
        &[(Some(1), 2), (None, 2)],
        &[(Some(3), 1), (Some(4), 2), (Some(9), 1), (None, 2)],
    ];
    for (k, stops) in trainings.into_iter().enumerate() {
        let path = path(&format!("in parts {k}"));
        let parts = train(&path, normalisation, stops);
        // Bit for bit: losses, validation losses and rates, then weights, moments, running statistics, progress.
        assert_eq!(parts.steps, whole.steps, "{stops:?}");
        assert!(fs::read(&path).unwrap() == file, "{stops:?}: the final checkpoints differ");
    }
}

#[test]
fn an_interrupted_training_ends_as_the_uninterrupted_one_with_instance_normalisation() {
    interruption_changes_nothing(Normalisation::Instance);
}

#[test]
fn an_interrupted_training_ends_as_the_uninterrupted_one_with_batch_normalisation() {
    interruption_changes_nothing(Normalisation::Batch);
}

#[test]
fn a_training_killed_without_warning_goes_on_from_its_last_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let expected = train(&whole, Normalisation::Batch, &[(None, 1)]);
    // Saved after iteration 6, killed after iteration 8: the last two are lost and done again.
    let checkpoint = Some((killed.clone(), 6));
    let interrupted =
        TrainingConfig { iterations: 8, checkpoint, ..everything(&killed, Normalisation::Batch) };
    let mut trainer = Trainer::new(interrupted, network(Normalisation::Batch, 1), tracking());
    struct KilledAt8(std::path::PathBuf, Vec<u8>);
    impl dicewise_train::Observer for KilledAt8 {
        fn step(&mut self, step: &dicewise_train::Step) {
            if step.iteration == 8 {
                self.1 = fs::read(&self.0).unwrap();
            }
        }
        fn empty_class(&mut self, _: &dicewise_train::EmptyClass) {}
    }
    let mut observer = KilledAt8(killed.clone(), Vec::new());
    trainer.run(&balls(5), &balls(3), &mut observer, &Default::default()).unwrap();
    fs::write(&killed, observer.1).unwrap();

    let mut trainer = Trainer::resume(
        everything(&killed, Normalisation::Batch),
        network(Normalisation::Batch, 9),
        tracking(),
    )
    .unwrap();
    assert_eq!(trainer.iteration(), 6);
    let mut record = Record::default();
    record.run(&mut trainer, &balls(5), &balls(3)).unwrap();
    assert_eq!(record.steps, expected.steps[6..]);
    assert!(fs::read(&killed).unwrap() == fs::read(&whole).unwrap());
}

#[test]
fn another_configuration_is_refused_and_its_checkpoint_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    train(&path, Normalisation::Instance, &[(Some(2), 1)]);
    let before = fs::read(&path).unwrap();
    let other = TrainingConfig {
        fingerprint: "another configuration".into(),
        ..everything(&path, Normalisation::Instance)
    };
    let found = Trainer::resume(other, network(Normalisation::Instance, 1), tracking()).err().unwrap();
    assert!(
        matches!(&found, TrainError::Checkpoint(CheckpointError::OtherConfiguration { path: p }) if *p == path),
        "{found:?}"
    );
    assert!(found.to_string().contains("another configuration"), "{found}");
    assert!(fs::read(&path).unwrap() == before);
}

#[test]
fn resuming_without_a_checkpoint_starts_from_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("not there yet");
    let trainer = Trainer::resume(
        everything(&path, Normalisation::Instance),
        network(Normalisation::Instance, 1),
        tracking(),
    )
    .unwrap();
    assert_eq!(trainer.iteration(), 0);
    assert!(!path.exists());
}

#[test]
fn a_finished_training_does_nothing_when_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    train(&path, Normalisation::Instance, &[(None, 1)]);
    let before = tensors(&path);
    let mut trainer = Trainer::resume(
        everything(&path, Normalisation::Instance),
        network(Normalisation::Instance, 2),
        tracking(),
    )
    .unwrap();
    let mut record = Record::default();
    assert_eq!(record.run(&mut trainer, &balls(5), &balls(3)).unwrap(), Outcome::Finished);
    assert!(record.steps.is_empty());
    assert_eq!(tensors(&path), before);
}

/// An interval of 0 is "only at the end", as it is "never" for validation.
#[test]
fn a_checkpoint_without_an_interval_is_written_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let config = TrainingConfig { checkpoint: Some((path.clone(), 0)), ..config(2) };
    crate::setup::train(config, &balls(2));
    assert!(path.exists());
}
