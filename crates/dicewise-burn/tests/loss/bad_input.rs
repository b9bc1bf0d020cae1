use burn::tensor::{DType, Device, Tensor, TensorData};
use dicewise::{DiceError, DiceLoss, Epsilon, MissingLabels, MissingRule, Partition, Presence, Similarity};
use dicewise_burn::{DiceValue, SoftDiceLoss};

fn loss() -> DiceLoss {
    DiceLoss::new(Partition::ImageWise, Epsilon::uniform(1e-7).unwrap()).unwrap()
}

/// The loss of `[1, 2, 3]` maps.
fn forward(p: [f64; 6], y: [f64; 6], dtype: DType) -> Result<DiceValue, DiceError> {
    let device = Device::flex().autodiff();
    let tensor = |values: [f64; 6]| {
        Tensor::<3>::from_data(TensorData::new(values.to_vec(), [1, 2, 3]), (&device, dtype))
    };
    SoftDiceLoss::new(loss()).forward(tensor(p).require_grad(), tensor(y), None)
}

const P: [f64; 6] = [0.5, 0.25, 0.75, 0.5, 0.75, 0.25];
const Y: [f64; 6] = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0];

fn with(mut values: [f64; 6], at: usize, value: f64) -> [f64; 6] {
    values[at] = value;
    values
}

#[test]
fn tensors_of_different_shapes_are_refused_even_if_equally_large() {
    let device = Device::flex();
    let p = Tensor::<4>::ones([1, 2, 3, 4], &device);
    let found = SoftDiceLoss::new(loss()).forward(p.clone(), Tensor::ones([1, 2, 4, 3], &device), None);
    assert!(matches!(found, Err(DiceError::Length { argument: "dense target", .. })), "{found:?}");
    let found = SoftDiceLoss::new(loss()).forward(p, Tensor::ones([1, 1, 3, 4], &device), None);
    assert!(matches!(found, Err(DiceError::Length { expected: 24, found: 12, .. })), "{found:?}");
}

#[test]
fn the_message_about_shapes_names_both() {
    let device = Device::flex();
    let p = Tensor::<4>::ones([1, 2, 3, 4], &device);
    let error = SoftDiceLoss::new(loss()).forward(p, Tensor::ones([1, 2, 4, 3], &device), None).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("[1, 2, 3, 4]") && message.contains("[1, 2, 4, 3]"), "{message}");
}

#[test]
fn a_tensor_without_batch_or_classes_is_refused() {
    let device = Device::flex();
    let vector = Tensor::<1>::ones([4], &device);
    let found = SoftDiceLoss::new(loss()).forward(vector.clone(), vector, None);
    assert!(matches!(found, Err(DiceError::ZeroDimension { dimension: "classes" })), "{found:?}");
}

#[test]
fn logits_in_place_of_probabilities_are_refused() {
    let found = forward(with(P, 4, 2.5), Y, DType::F32).unwrap_err();
    let expected = DiceError::PredictionNotProbability { value: 2.5, batch: 0, class: 1, voxel: 1 };
    assert_eq!(found, expected);
    assert!(forward(with(P, 0, -0.5), Y, DType::F32).is_err());
}

/// Other backends send sums only. A map of logits shows there as soon as its sum cannot be one of probabilities.
#[test]
fn logits_whose_sums_are_impossible_are_refused_on_other_backends() {
    for logits in [[-2.0, -1.5, 0.5, 0.5, 0.75, 0.25], [0.5, 0.25, 0.75, 4.0, 3.0, 5.0]] {
        let error = forward(logits, Y, DType::F64).unwrap_err();
        assert!(matches!(error, DiceError::Domain { argument: "sum of the prediction", .. }), "{error:?}");
        assert!(error.to_string().contains("softmax or sigmoid"), "{error}");
    }
    let error = forward(P, [3.0, 2.0, 1.0, 0.0, 1.0, 0.0], DType::F64).unwrap_err();
    assert!(matches!(error, DiceError::Domain { argument: "sum of the target", .. }), "{error:?}");
}

#[test]
fn values_that_are_not_finite_are_refused() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let found = forward(with(P, 2, value), Y, DType::F32);
        assert!(matches!(found, Err(DiceError::PredictionNotFinite { voxel: 2, .. })), "{value}: {found:?}");
        let found = forward(P, with(Y, 3, value), DType::F32);
        assert!(matches!(found, Err(DiceError::TargetNotProbability { class: 1, .. })), "{value}: {found:?}");
        for found in [forward(with(P, 2, value), Y, DType::F64), forward(P, with(Y, 3, value), DType::F64)] {
            assert!(matches!(found, Err(DiceError::SumNotFinite { .. })), "{value}: {found:?}");
        }
    }
}

#[test]
fn a_target_outside_of_0_to_1_is_refused() {
    let found = forward(P, with(Y, 1, 2.0), DType::F32);
    assert!(matches!(found, Err(DiceError::TargetNotProbability { voxel: 1, .. })), "{found:?}");
}

#[test]
fn presence_of_another_batch_is_refused() {
    let device = Device::flex();
    let maps = Tensor::<3>::ones([2, 2, 3], &device);
    let presence = Presence::new(1, 2, vec![true; 2]).unwrap();
    let found = SoftDiceLoss::new(loss()).forward(maps.clone(), maps, Some(&presence));
    assert!(matches!(found, Err(DiceError::ShapeMismatch { argument: "presence", .. })), "{found:?}");
}

#[test]
fn marginal_treatment_of_one_class_is_refused() {
    let device = Device::flex();
    let maps = Tensor::<3>::ones([2, 1, 3], &device);
    let marginal = loss().with_missing_labels(MissingLabels::Marginal(MissingRule::Inferred)).unwrap();
    let found = SoftDiceLoss::new(marginal).forward(maps.clone(), maps, None);
    assert!(matches!(found, Err(DiceError::MarginalWithoutBackground)), "{found:?}");
}

/// Its derivative needs p, which the backward pass does not keep.
#[test]
fn squared_dice_is_refused_before_the_backward_pass() {
    let loss = SoftDiceLoss::new(loss().with_similarity(Similarity::SquaredDice).unwrap());
    let device = Device::flex().autodiff();
    for dtype in [DType::F32, DType::F64] {
        let maps = || Tensor::<3>::ones([1, 2, 3], (&device, dtype));
        let found = loss.forward(maps().require_grad(), maps(), None);
        assert_eq!(found.unwrap_err(), DiceError::DerivativeNeedsPrediction, "{dtype:?}");
    }
}
