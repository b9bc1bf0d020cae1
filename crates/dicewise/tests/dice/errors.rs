use dicewise::{
    Activation, ClassWeights, DiceError, DiceLoss, DiceSums, Epsilon, MissingLabels, MissingRule, Partition,
    Presence, SegmentationLoss, Shape, Target,
};

fn loss(partition: Partition) -> DiceLoss {
    DiceLoss::new(partition, Epsilon::uniform(1e-7).unwrap()).unwrap()
}

/// Two samples, two classes, 20,000 voxels: an element in the second block.
fn shape() -> Shape {
    Shape::new(2, 2, 20_000).unwrap()
}

/// The value of map (1, 0) at voxel 12,345 is `value`.
fn error_for(value: f32) -> DiceError {
    let mut p = vec![0.5_f32; 80_000];
    p[2 * 20_000 + 12_345] = value;
    let labels = vec![0_u8; 40_000];
    let target = Target::labels(shape(), &labels).unwrap();
    loss(Partition::ImageWise).value(&p, &target, None).unwrap_err()
}

#[test]
fn predictions_that_are_no_probabilities_are_named_with_their_place() {
    for value in [1.5, -0.5, 1.0002, -0.0002] {
        let place = (1, 0, 12_345);
        match error_for(value) {
            DiceError::PredictionNotProbability { value: found, batch, class, voxel } => {
                assert_eq!((found, (batch, class, voxel)), (f64::from(value), place));
            }
            other => panic!("{other}"),
        }
    }
    assert!(error_for(7.0).to_string().contains("if these are logits, apply softmax or sigmoid first"));
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = error_for(value);
        assert!(
            matches!(error, DiceError::PredictionNotFinite { batch: 1, class: 0, voxel: 12_345, .. }),
            "{error}"
        );
    }
}

#[test]
fn rounding_beyond_0_and_1_is_forgiven() {
    let target = Target::dense(Shape::new(1, 1, 2).unwrap(), &[1.0_f32, 0.0]).unwrap();
    assert!(loss(Partition::ImageWise).value(&[1.00009_f32, -0.00009], &target, None).is_ok());
}

#[test]
fn labels_that_are_no_classes_are_named_unless_left_out() {
    let p = vec![0.5_f64; 80_000];
    for label in [2_i16, -1, 255] {
        let mut labels = vec![0_i16; 40_000];
        labels[20_000 + 9_999] = label;
        let target = Target::labels(shape(), &labels).unwrap();
        let expected = DiceError::LabelOutOfRange { label: label.into(), batch: 1, voxel: 9_999, classes: 2 };
        assert_eq!(DiceSums::measure(&p, &target).unwrap_err(), expected);
        let mut gradient = vec![0.0_f64; 80_000];
        let zeros = || vec![0.0; 4];
        let sums = DiceSums::from_parts(2, 2, zeros(), zeros(), zeros()).unwrap();
        let terms = loss(Partition::ImageWise).terms(&sums, None).unwrap();
        assert_eq!(terms.write_gradient(&target, &mut gradient).unwrap_err(), expected);

        let ignoring = target.ignore_index(Some(label.into()));
        assert!(DiceSums::measure(&p, &ignoring).is_ok());
        let mut mask = vec![true; 40_000];
        mask[20_000 + 9_999] = false;
        assert!(DiceSums::measure(&p, &target.masked(&mask).unwrap()).is_ok());
    }
}

#[test]
fn dense_targets_outside_0_and_1_are_named_with_their_place() {
    let p = [0.5_f32; 6];
    for value in [-0.1, 1.01, f64::NAN, f64::INFINITY] {
        let y = [0.0, 1.0, 0.0, 1.0, value, 1.0];
        let target = Target::dense(Shape::new(1, 2, 3).unwrap(), &y).unwrap();
        let error = DiceSums::measure(&p, &target).unwrap_err();
        assert!(
            matches!(error, DiceError::TargetNotProbability { batch: 0, class: 1, voxel: 1, .. }),
            "{error}"
        );
    }
    for activation in Activation::ALL {
        let target = Target::dense(Shape::new(1, 2, 3).unwrap(), &[0_u8, 1, 0, 1, 255, 1]).unwrap();
        let dice = DiceLoss::new(Partition::BatchWise, Epsilon::uniform(1.0).unwrap()).unwrap();
        let loss = SegmentationLoss::new(dice, activation).unwrap();
        let error = loss.sums(&p, &target, None).unwrap_err();
        assert!(
            matches!(error, DiceError::TargetNotProbability { value: 255.0, batch: 0, class: 1, voxel: 1 }),
            "{error}"
        );
    }
}

#[test]
fn shapes_that_disagree_are_named() {
    assert_eq!(Shape::new(0, 1, 1).unwrap_err(), DiceError::ZeroDimension { dimension: "batch" });
    assert_eq!(Shape::new(1, 0, 1).unwrap_err(), DiceError::ZeroDimension { dimension: "classes" });
    assert_eq!(Shape::new(1, 1, 0).unwrap_err(), DiceError::ZeroDimension { dimension: "voxels" });
    assert!(matches!(Shape::new(usize::MAX, 2, 2), Err(DiceError::ShapeTooLarge { .. })));

    let shape = Shape::new(1, 2, 3).unwrap();
    let length = |result: Result<(), DiceError>| match result.unwrap_err() {
        DiceError::Length { argument, expected, found, .. } => (argument, expected, found),
        other => panic!("{other}"),
    };
    let labels = [0_u8; 3];
    let target = Target::labels(shape, &labels).unwrap();
    assert_eq!(length(Target::labels(shape, &[0_u8; 6]).map(drop)), ("label map", 3, 6));
    assert_eq!(length(Target::dense(shape, &[0.0_f32; 3]).map(drop)), ("dense target", 6, 3));
    assert_eq!(length(target.masked(&[true; 2]).map(drop)), ("mask", 3, 2));
    assert_eq!(length(DiceSums::measure(&[0.5_f32; 5], &target).map(drop)), ("prediction", 6, 5));
    let dice = loss(Partition::ImageWise);
    let slot = &mut [0.0_f32; 4];
    assert_eq!(length(dice.value_and_gradient(&[0.5; 6], &target, None, slot).map(drop)), ("gradient", 6, 4));
    assert_eq!(length(Presence::new(2, 2, vec![true; 3]).map(drop)), ("presence", 4, 3));

    let presence = Presence::new(2, 2, vec![true; 4]).unwrap();
    assert_eq!(
        dice.value(&[0.5_f32; 6], &target, Some(&presence)).unwrap_err(),
        DiceError::ShapeMismatch { argument: "presence", expected: (1, 2), found: (2, 2) }
    );
}

#[test]
fn epsilons_that_make_no_sense_are_refused() {
    for value in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(
            Epsilon::uniform(value),
            Err(DiceError::EpsilonValue { argument: "numerator", .. })
        ));
        assert!(matches!(
            Epsilon::new(0.0, value),
            Err(DiceError::EpsilonValue { argument: "denominator", .. })
        ));
    }
    assert_eq!(Epsilon::new(0.5, 0.0).unwrap_err(), DiceError::EpsilonDenominatorZero { numerator: 0.5 });
    let per_class = || Epsilon::per_class(vec![1.0, 2.0, 3.0]).unwrap();
    for partition in [Partition::ClassWise, Partition::AllWise] {
        assert_eq!(
            DiceLoss::new(partition, per_class()).unwrap_err(),
            DiceError::EpsilonMixesClasses { partition }
        );
    }
    let labels = [0_u8; 2];
    let target = Target::labels(Shape::new(1, 2, 2).unwrap(), &labels).unwrap();
    let loss = DiceLoss::new(Partition::ImageWise, per_class()).unwrap();
    assert_eq!(
        loss.value(&[0.5_f32; 4], &target, None).unwrap_err(),
        DiceError::EpsilonLength { expected: 2, found: 3 }
    );
}

#[test]
fn weights_that_make_no_sense_are_refused() {
    assert!(matches!(
        ClassWeights::normalised(vec![1.0, -2.0]),
        Err(DiceError::WeightValue { class: 1, value }) if value == -2.0
    ));
    assert!(matches!(ClassWeights::normalised(vec![f64::NAN]), Err(DiceError::WeightValue { class: 0, .. })));
    assert_eq!(ClassWeights::normalised(vec![0.0, 0.0]).unwrap_err(), DiceError::WeightsAllZero);
    assert_eq!(ClassWeights::without_background(1).unwrap_err(), DiceError::WeightsAllZero);
    for weights in [
        ClassWeights::normalised(vec![1.0, 2.0]).unwrap(),
        ClassWeights::unnormalised(vec![0.0, 1.0]).unwrap(),
    ] {
        let partition = Partition::ClassWise;
        assert_eq!(
            loss(partition).with_class_weights(weights).unwrap_err(),
            DiceError::WeightsMixClasses { partition }
        );
    }
    let labels = [0_u8; 2];
    let target = Target::labels(Shape::new(1, 2, 2).unwrap(), &labels).unwrap();
    let three = loss(Partition::ImageWise).with_class_weights(ClassWeights::without_background(3).unwrap());
    assert_eq!(
        three.unwrap().value(&[0.5_f32; 4], &target, None).unwrap_err(),
        DiceError::WeightsLength { expected: 2, found: 3 }
    );
}

#[test]
fn marginal_treatment_says_what_it_lacks() {
    let marginal = MissingLabels::Marginal(MissingRule::Declared);
    let without_background = ClassWeights::without_background(2).unwrap();
    let loss = loss(Partition::ImageWise);
    assert_eq!(
        loss.clone()
            .with_class_weights(without_background)
            .unwrap()
            .with_missing_labels(marginal)
            .unwrap_err(),
        DiceError::MarginalWithoutBackground
    );
    let loss = loss.with_missing_labels(marginal).unwrap();
    let sums = |classes: usize| {
        let ones = || vec![1.0; classes];
        DiceSums::from_parts(1, classes, ones(), ones(), ones()).unwrap()
    };
    assert_eq!(loss.terms(&sums(1), None).unwrap_err(), DiceError::MarginalWithoutBackground);
    let presence = |annotated: [bool; 2]| Presence::new(1, 2, annotated.to_vec()).unwrap();
    assert_eq!(
        loss.terms(&sums(2), Some(&presence([false, true]))).unwrap_err(),
        DiceError::BackgroundMissing { batch: 0 }
    );
    assert_eq!(
        loss.terms(&sums(2), Some(&presence([true, false]))).unwrap_err(),
        DiceError::BackgroundOverlapMissing
    );
}

#[test]
fn sums_from_elsewhere_are_checked() {
    let zeros = || vec![0.0; 2];
    assert!(matches!(
        DiceSums::from_parts(1, 2, zeros(), vec![0.0; 3], zeros()),
        Err(DiceError::Length { argument: "target", expected: 2, found: 3, .. })
    ));
    assert!(matches!(
        DiceSums::from_parts(1, 2, zeros(), zeros(), vec![1.0, f64::NAN]),
        Err(DiceError::SumNotFinite { argument: "prediction", batch: 0, class: 1, .. })
    ));
    assert_eq!(DiceSums::concat(&[]).unwrap_err(), DiceError::ZeroDimension { dimension: "batch" });
    let two = DiceSums::from_parts(1, 2, zeros(), zeros(), zeros()).unwrap();
    let one = DiceSums::from_parts(1, 1, vec![0.0], vec![0.0], vec![0.0]).unwrap();
    assert!(matches!(DiceSums::concat(&[two, one]), Err(DiceError::ShapeMismatch { .. })));
}
