use burn::tensor::{DType, Device, Tensor, activation};
use dicewise::{DiceLoss, Epsilon, Partition};
use dicewise_burn::SoftDiceLoss;

use crate::settings::{Batch, Setting, assert_close, values};

fn image_wise() -> SoftDiceLoss {
    SoftDiceLoss::new(DiceLoss::new(Partition::ImageWise, Epsilon::uniform(1.0).unwrap()).unwrap())
}

#[test]
fn a_plain_device_gives_the_value_without_a_graph() {
    let batch = Batch::new(&[2, 3, 4], true, false);
    let device = Device::flex();
    for setting in Setting::all() {
        let expected = setting.problem(&batch).loss();
        for dtype in [DType::F32, DType::F64] {
            let (p, y) =
                (batch.tensor::<5>(&batch.p, &device, dtype), batch.tensor(&batch.y, &device, dtype));
            let value = setting.module().forward(p, y, Some(&batch.presence())).unwrap();
            assert!(!value.tensor.is_autodiff());
            assert!((values(value.tensor)[0] - expected).abs() < 1e-7, "{dtype:?} {setting:?}");
        }
    }
}

#[test]
fn a_prediction_that_needs_no_gradient_gives_the_value_and_gets_none() {
    let batch = Batch::new(&[2, 3, 4], false, false);
    let device = Device::flex().autodiff();
    let p = batch.tensor::<5>(&batch.p, &device, DType::F32);
    let value = image_wise().forward(p.clone(), batch.tensor(&batch.y, &device, DType::F32), None).unwrap();
    assert!((values(value.tensor.clone())[0] - value.loss).abs() < 1e-7);
    // Something else in the sum may still be trained.
    let other = Tensor::<1>::from_floats([2.0], &device).require_grad();
    let gradients = (value.tensor * other.clone()).backward();
    assert!(p.grad(&gradients).is_none());
    assert!((values(other.grad(&gradients).unwrap())[0] - value.loss).abs() < 1e-7);
}

#[test]
fn no_gradient_flows_into_the_target() {
    let batch = Batch::new(&[2, 3, 4], true, false);
    let device = Device::flex().autodiff();
    for dtype in [DType::F32, DType::F64] {
        let p = batch.tensor::<5>(&batch.p, &device, dtype).require_grad();
        let y = batch.tensor::<5>(&batch.y, &device, dtype).require_grad();
        let gradients = image_wise().forward(p.clone(), y.clone(), None).unwrap().tensor.backward();
        assert!(p.grad(&gradients).is_some());
        assert!(y.grad(&gradients).is_none());

        // Nor through a target that was computed from something trained.
        let z = batch.tensor::<5>(&batch.y, &device, dtype).require_grad();
        let y = activation::sigmoid(z.clone());
        let gradients = image_wise().forward(p.clone(), y, None).unwrap().tensor.backward();
        assert!(p.grad(&gradients).is_some());
        assert!(z.grad(&gradients).is_none());
    }
}

#[test]
fn a_prediction_used_by_two_losses_gets_the_sum_of_their_gradients() {
    let batch = Batch::new(&[2, 3, 4], false, false);
    let device = Device::flex().autodiff();
    let (first, second) = (Setting::all()[0].clone(), Setting::all().pop().unwrap());
    let p = batch.tensor::<5>(&batch.p, &device, DType::F64).require_grad();
    let loss = |setting: &Setting| {
        let y = batch.tensor(&batch.y, &device, DType::F64);
        setting.module().forward(p.clone(), y, Some(&batch.presence())).unwrap().tensor
    };
    let gradients = (loss(&first) - loss(&second) * 2.0).backward();
    let (of_first, of_second) = (first.problem(&batch).gradient(), second.problem(&batch).gradient());
    let expected: Vec<f64> = of_first.iter().zip(of_second).map(|(a, b)| a - 2.0 * b).collect();
    assert_close(&values(p.grad(&gradients).unwrap()), &expected, 1e-12, "a − 2b");
}

/// A prediction in training and a target straight from the loader, on the plain device, and the other way round.
#[test]
fn prediction_and_target_may_differ_in_tracking() {
    let batch = Batch::new(&[2, 3, 4], false, false);
    let (plain, tracking) = (Device::flex(), Device::flex().autodiff());
    let p = batch.tensor::<5>(&batch.p, &tracking, DType::F32).require_grad();
    let value = image_wise().forward(p.clone(), batch.tensor(&batch.y, &plain, DType::F32), None).unwrap();
    assert!(p.grad(&value.tensor.backward()).is_some());
    let p = batch.tensor::<5>(&batch.p, &plain, DType::F32);
    let other = image_wise().forward(p, batch.tensor(&batch.y, &tracking, DType::F32), None).unwrap();
    assert_eq!(other.loss, value.loss);
}

/// Labels are kept in f32 whatever the network computes in.
#[test]
fn prediction_and_target_may_differ_in_precision() {
    let batch = Batch::new(&[2, 3, 4], false, false);
    let device = Device::flex().autodiff();
    let setting = &Setting::all()[0];
    for (of_p, of_y) in [(DType::F64, DType::F32), (DType::F32, DType::F64)] {
        let p = batch.tensor::<5>(&batch.p, &device, of_p).require_grad();
        let y = batch.tensor::<5>(&batch.y, &device, of_y);
        let value = setting.module().forward(p.clone(), y, Some(&batch.presence())).unwrap();
        let gradient = p.grad(&value.tensor.backward()).unwrap();
        assert_eq!(gradient.dtype(), of_p);
        assert_close(&values(gradient), &setting.problem(&batch).gradient(), 1e-6, (of_p, of_y));
    }
}
