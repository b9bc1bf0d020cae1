use dicewise::Partition;
use dicewise_train::{Schedule, TrainingConfig, WarmUp};

use crate::setup::{Record, balls, config, dice, network, tensors, tracking, train};

/// With a learning rate of 0 the network stays as it is.
fn standing_still(iterations: usize) -> TrainingConfig {
    TrainingConfig { learning_rate: 0.0, validate_every: 1, ..config(iterations) }
}

#[test]
fn warm_up_uses_its_own_loss_first_and_the_other_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let (tiny, large) = (dice(Partition::ImageWise, 1e-7), dice(Partition::ImageWise, 60.0));
    let source = balls(4);
    let checkpoint = Some((path, 1));
    let warmed = TrainingConfig {
        loss: large.clone(),
        warm_up: Some(WarmUp::Iterations(3, tiny.clone())),
        ..config(7)
    };
    let (warmed, _) = train(warmed, &source);

    // The same by hand: three iterations with one loss, then on with the other.
    let first = TrainingConfig { loss: tiny, checkpoint: checkpoint.clone(), ..config(3) };
    let (first, _) = train(first, &source);
    let then = TrainingConfig { loss: large.clone(), checkpoint, ..config(7) };
    let fresh = network(dicewise_train::Normalisation::Instance, 1);
    let mut trainer = dicewise_train::Trainer::resume(then, fresh, tracking()).unwrap();
    let mut second = Record::default();
    second.run(&mut trainer, &source, &source).unwrap();
    assert_eq!(warmed.steps, [first.steps, second.steps].concat());

    let (never, _) = train(TrainingConfig { loss: large, ..config(7) }, &source);
    assert_ne!(warmed.losses()[0], never.losses()[0]);
}

#[test]
fn validation_judges_by_the_final_loss_even_during_warm_up() {
    let (tiny, large) = (dice(Partition::ImageWise, 1e-7), dice(Partition::ImageWise, 60.0));
    let source = balls(4);
    let warm_up = Some(WarmUp::Iterations(3, tiny));
    let (warmed, _) = train(TrainingConfig { loss: large.clone(), warm_up, ..standing_still(2) }, &source);
    let (never, _) = train(TrainingConfig { loss: large, ..standing_still(2) }, &source);
    assert_eq!(warmed.validation_losses(), never.validation_losses());
    assert_ne!(warmed.losses(), never.losses());
}

/// λ·Σw² with the kernels read from the checkpoint.
#[test]
fn the_validation_loss_includes_the_penalty_and_the_training_loss_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let source = balls(4);
    let (free, _) = train(standing_still(1), &source);
    let penalised = TrainingConfig { l2: 0.01, checkpoint: Some((path.clone(), 1)), ..standing_still(1) };
    let (penalised, _) = train(penalised, &source);
    assert_eq!(penalised.losses(), free.losses());

    let squares: f64 = tensors(&path)
        .into_iter()
        .filter(|(name, _)| name.starts_with("network.") && name.ends_with(".kernel"))
        .flat_map(|(_, values)| values)
        .map(|w| f64::from(w).powi(2))
        .sum();
    let penalty = penalised.validation_losses()[0] - free.validation_losses()[0];
    assert!((penalty - 0.01 * squares).abs() < 1e-6 * penalty, "{penalty}, not 0.01·{squares}");
}

/// Image-wise, the mean over batches of unequal size is the mean over cases.
#[test]
fn every_validation_case_counts_the_same() {
    let loss = |batch_size| {
        let config = TrainingConfig { batch_size, ..standing_still(1) };
        train(config, &balls(5)).0.validation_losses()[0]
    };
    let one_by_one = loss(1);
    for batch_size in [2, 3, 5] {
        let together = loss(batch_size);
        assert!((together - one_by_one).abs() < 1e-6, "{batch_size}: {together}, not {one_by_one}");
    }
}

#[test]
fn a_plateau_lowers_the_rate_and_stops_early() {
    let schedule = Schedule::Plateau { factor: 0.2, patience: 2, stop_patience: 5, min_delta: 1e-4 };
    // A rate that changes nothing visible: every validation after the first is without improvement.
    let config = TrainingConfig { schedule, learning_rate: 1e-12, validate_every: 3, ..config(1000) };
    let (record, _) = train(config, &balls(2));
    // The first validation (iteration 3) is the best, five more without improvement end it.
    assert_eq!(record.steps.len(), 18);
    let rates: Vec<f64> =
        record.steps.iter().map(|step| (step.learning_rate / 1e-12 * 1e3).round()).collect();
    assert!(rates[..9].iter().all(|&rate| rate == 1000.0), "{rates:?}");
    assert!(rates[9..15].iter().all(|&rate| rate == 200.0), "{rates:?}");
    assert!(rates[15..].iter().all(|&rate| rate == 40.0), "{rates:?}");
}

#[test]
fn a_training_stopped_early_stays_stopped_when_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = Some((folder.path().join("checkpoint"), 100));
    let schedule = Schedule::Plateau { factor: 0.2, patience: 2, stop_patience: 2, min_delta: 1e-4 };
    let config = TrainingConfig { schedule, checkpoint, ..standing_still(50) };
    let (record, _) = train(config.clone(), &balls(2));
    assert_eq!(record.steps.len(), 3);
    let fresh = network(dicewise_train::Normalisation::Instance, 1);
    let mut trainer = dicewise_train::Trainer::resume(config, fresh, tracking()).unwrap();
    let mut again = Record::default();
    again.run(&mut trainer, &balls(2), &balls(2)).unwrap();
    assert!(again.steps.is_empty());
}

#[test]
fn the_best_checkpoint_is_the_one_with_the_lowest_validation_loss() {
    let folder = tempfile::tempdir().unwrap();
    let best = folder.path().join("best");
    let config = TrainingConfig {
        // Too fast to improve steadily.
        learning_rate: 0.3,
        validate_every: 1,
        best_checkpoint: Some(best.clone()),
        ..config(15)
    };
    let (record, _) = train(config, &balls(3));
    let losses = record.validation_losses();
    let (at, lowest) = losses.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).unwrap();
    assert!(at + 1 < losses.len(), "the last is the best: choose a less steady training");
    let fresh = network(dicewise_train::Normalisation::Instance, 2);
    let (_, _, progress) = dicewise_train::checkpoint::load(&best, fresh, 0.0, None).unwrap();
    assert_eq!(progress.iteration, at + 1);
    // serde_json may miss the last bit of a decimal that it reads.
    let saved = progress.best_validation.expect("a validation was saved");
    assert!((saved - lowest).abs() <= f64::EPSILON * lowest.abs(), "{saved} instead of {lowest}");
}

#[test]
fn without_validation_cases_the_training_goes_on() {
    let mut trainer = dicewise_train::Trainer::new(
        standing_still(2),
        network(dicewise_train::Normalisation::Instance, 1),
        tracking(),
    );
    let mut record = Record::default();
    record.run(&mut trainer, &balls(2), &balls(0)).unwrap();
    assert_eq!(record.steps.len(), 2);
    assert!(record.validation_losses().is_empty());
}
