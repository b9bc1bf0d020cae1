use dicewise::DiceError;
use dicewise_train::{Normalisation, Sample, SampleSource, TrainError, Trainer, TrainingConfig};

use crate::setup::{Record, SHAPE, Source, ball, balls, config, network, tensors, tracking};

/// Three cases, drawn in the first three iterations; the one of the third iteration is `spoilt`.
fn third_is(spoilt: impl Fn(&mut Sample) + Sync) -> impl SampleSource {
    let drawn = std::sync::atomic::AtomicUsize::new(0);
    Source {
        cases: 3,
        shape: SHAPE,
        draw: move |case, epoch| {
            let mut sample = ball(SHAPE, 2.5, case, epoch);
            if drawn.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 2 {
                spoilt(&mut sample);
            }
            sample
        },
    }
}

fn one_at_a_time() -> TrainingConfig {
    TrainingConfig { batch_size: 1, ..config(6) }
}

fn run(
    config: TrainingConfig,
    normalisation: Normalisation,
    source: &dyn SampleSource,
) -> (Record, TrainError) {
    let mut trainer = Trainer::new(config, network(normalisation, 1), tracking());
    let mut record = Record::default();
    let error =
        record.run(&mut trainer, source, &balls(2)).expect_err("this should have stopped the training");
    (record, error)
}

#[test]
fn an_intensity_that_is_not_finite_stops_the_training_with_its_iteration() {
    for normalisation in [Normalisation::Instance, Normalisation::Batch] {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let source = third_is(|sample| sample.image[17] = value);
            let (record, error) = run(one_at_a_time(), normalisation, &source);
            assert_eq!(record.steps.len(), 2);
            let named = match error {
                TrainError::NonFiniteLoss { iteration, .. } => iteration,
                TrainError::Loss { iteration, source: DiceError::PredictionNotFinite { .. } } => iteration,
                other => panic!("{value} {normalisation:?}: {other:?}"),
            };
            assert_eq!(named, 3, "{value} {normalisation:?}");
        }
    }
}

#[test]
fn a_target_that_is_no_probability_stops_the_training() {
    for value in [f32::NAN, 255.0, -1.0] {
        let source = third_is(|sample| sample.target[17] = value);
        let (_, error) = run(one_at_a_time(), Normalisation::Instance, &source);
        let TrainError::Loss { iteration: 3, source: DiceError::TargetNotProbability { voxel, .. } } = error
        else {
            panic!("{value}: {error:?}");
        };
        assert_eq!(voxel, 17);
    }
}

#[test]
fn the_checkpoint_of_a_training_that_failed_is_from_before_the_failure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let config = TrainingConfig { checkpoint: Some((path.clone(), 1)), ..one_at_a_time() };
    run(config.clone(), Normalisation::Batch, &third_is(|sample| sample.image[0] = f32::NAN));
    for (name, values) in tensors(&path) {
        assert!(values.iter().all(|value| value.is_finite()), "{name}");
    }
    // With the image repaired, the training goes on from there.
    let mut trainer = Trainer::resume(config, network(Normalisation::Batch, 1), tracking()).unwrap();
    assert_eq!(trainer.iteration(), 2);
    Record::default().run(&mut trainer, &balls(3), &balls(2)).unwrap();
}

#[test]
fn an_exploding_training_is_an_error() {
    let config = TrainingConfig { learning_rate: 1e30, ..config(20) };
    let (record, error) = run(config, Normalisation::Instance, &balls(3));
    assert!(matches!(error, TrainError::Loss { .. } | TrainError::NonFiniteLoss { .. }), "{error:?}");
    assert!(record.losses().iter().all(|loss| loss.is_finite()));
}

#[test]
fn a_spoilt_validation_case_is_reported_with_the_iteration_that_validated() {
    let spoilt = Source {
        cases: 2,
        shape: SHAPE,
        draw: |case, epoch| {
            let mut sample = ball(SHAPE, 2.5, case, epoch);
            sample.image[case] = f32::NAN;
            sample
        },
    };
    let config = TrainingConfig { validate_every: 2, ..config(6) };
    let mut trainer = Trainer::new(config, network(Normalisation::Instance, 1), tracking());
    let error = Record::default().run(&mut trainer, &balls(3), &spoilt).unwrap_err();
    assert!(matches!(error, TrainError::Validation { iteration: 2, .. }), "{error:?}");
    assert!(error.to_string().contains("validation"), "{error}");
}

#[test]
fn a_training_without_cases_is_an_error() {
    let (_, error) = run(config(3), Normalisation::Instance, &balls(0));
    assert!(matches!(error, TrainError::NoTrainingCases), "{error:?}");
}
