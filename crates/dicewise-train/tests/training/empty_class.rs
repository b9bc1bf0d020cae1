use dicewise_train::{
    EmptyClass, OutputActivation, Sample, SampleSource, Trainer, TrainingConfig, UNet, UNetConfig,
};

use crate::setup::{Record, SHAPE, Source, VOXELS, ball, config, tracking};

/// Three channels: background, the ball, and a second structure of ten voxels if `has_second`.
fn three_classes(has_second: bool) -> impl SampleSource {
    Source {
        cases: 3,
        shape: SHAPE,
        draw: move |case, epoch| {
            let Sample { image, target: structure, .. } = ball(SHAPE, 2.5, case, epoch);
            let mut target: Vec<f32> = structure.iter().map(|y| 1.0 - y).collect();
            target.extend(structure);
            target.extend((0..VOXELS).map(|i| f32::from(u8::from(has_second && i < 10))));
            if has_second {
                target[..10].fill(0.0);
            }
            Sample { image, target, annotated: vec![true; 3] }
        },
    }
}

/// A network that predicts what its output bias says, in a training that changes nothing.
fn watch(bias: [f32; 3], iterations: usize, has_second: bool) -> Vec<EmptyClass> {
    let config = TrainingConfig {
        output: OutputActivation::Softmax,
        learning_rate: 0.0,
        batch_size: 1,
        ..config(iterations)
    };
    let network: UNet = UNetConfig::small(1, 3, 2, 1).init(1, &tracking()).with_output_bias(&bias);
    let mut trainer = Trainer::new(config, network, tracking());
    let mut record = Record::default();
    let source = three_classes(has_second);
    record.run(&mut trainer, &source, &source).unwrap();
    record.warnings
}

#[test]
fn a_class_that_vanishes_is_reported_once_with_its_numbers() {
    let warnings = watch([0.0, 0.0, -40.0], 160, true);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let EmptyClass { iteration, class, predicted, target, .. } = warnings[0];
    assert_eq!((iteration, class), (50, 2));
    assert!(predicted < 1e-6);
    assert!((target - 10.0).abs() < 1e-9, "ten voxels a sample, not {target}");
}

#[test]
fn classes_that_are_predicted_are_not_reported() {
    assert_eq!(watch([0.0, 0.0, 0.0], 110, true), []);
}

#[test]
fn a_class_that_no_case_has_may_be_predicted_empty() {
    assert_eq!(watch([0.0, 0.0, -40.0], 110, false), []);
}

#[test]
fn a_training_shorter_than_the_window_gives_no_verdict() {
    assert_eq!(watch([0.0, 0.0, -40.0], 49, true), []);
}

#[test]
fn two_classes_that_vanish_together_are_both_reported_even_in_the_last_iteration() {
    let mut classes: Vec<usize> =
        watch([0.0, -40.0, -40.0], 50, true).into_iter().map(|warning| warning.class).collect();
    classes.sort_unstable();
    assert_eq!(classes, [1, 2]);
}

/// Interruptions in the window, and after the warning: it comes when it would have come, and once.
#[test]
fn an_interruption_neither_delays_a_warning_nor_repeats_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = TrainingConfig {
        output: OutputActivation::Softmax,
        learning_rate: 0.0,
        batch_size: 1,
        checkpoint: Some((folder.path().join("checkpoint"), 0)),
        ..config(120)
    };
    let source = three_classes(true);
    let mut warned = Vec::new();
    for stop_after in [Some(20), Some(70), None] {
        let network = UNetConfig::small(1, 3, 2, 1).init(1, &tracking()).with_output_bias(&[0.0, 0.0, -40.0]);
        let mut trainer = Trainer::resume(config.clone(), network, tracking()).unwrap();
        let mut record = Record { stop_after, ..Record::default() };
        record.run(&mut trainer, &source, &source).unwrap();
        warned.extend(record.warnings);
    }
    assert_eq!(warned, watch([0.0, 0.0, -40.0], 120, true));
    assert_eq!(warned[0].iteration, 50);
}
