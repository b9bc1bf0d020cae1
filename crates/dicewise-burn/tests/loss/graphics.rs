use burn::tensor::{DType, Device, DeviceKind};

use crate::logits;
use crate::settings::{Batch, Setting, assert_close, values};

fn device() -> Device {
    Device::wgpu(DeviceKind::DefaultDevice).autodiff()
}

/// Every Φ, ε, weighting and treatment, on probabilities.
#[test]
fn probabilities_have_the_oracles_loss_and_derivative() {
    let device = device();
    let batch = Batch::new(&[2, 3, 5], true, false);
    for setting in Setting::all() {
        let problem = setting.problem(&batch);
        let p = batch.tensor::<5>(&batch.p, &device, DType::F32).require_grad();
        let y = batch.tensor::<5>(&batch.y, &device, DType::F32);
        let value = setting.module().forward(p.clone(), y, Some(&batch.presence())).unwrap();
        assert!((value.loss - problem.loss()).abs() < 1e-6, "{setting:?}: {}", value.loss);
        assert_close(&values(value.tensor.clone()), &[problem.loss()], 1e-6, &setting);
        let gradient = p.grad(&value.tensor.backward()).unwrap();
        assert_close(&values(gradient), &problem.gradient(), 1e-5, &setting);
    }
}

/// The activation inside the kernels.
#[test]
fn logits_have_the_oracles_loss_and_derivative() {
    logits::check(&device(), DType::F32, 1e-5);
}

/// Only the gradient is rounded to f16: its last digit, 2⁻¹¹, or what is next to zero.
#[test]
fn logits_in_f16_have_the_oracles_loss_and_derivative() {
    let device = device();
    if !device.supports_dtype(DType::F16) {
        println!("this device has no f16");
        return;
    }
    logits::check(&device, DType::F16, 1e-3);
}

/// A network's output may be a view with the axes in another order.
#[test]
fn memory_layout_does_not_matter() {
    let device = device();
    let batch = Batch::new(&[4, 6], true, false);
    let setting = &Setting::all()[0];
    let shuffled = |values: &[f64]| {
        let there = batch.tensor::<4>(values, &device, DType::F32).swap_dims(2, 3).into_data();
        burn::tensor::Tensor::<4>::from_data(there, &device).swap_dims(2, 3)
    };
    let p = shuffled(&batch.p).detach().require_grad();
    let value = setting.module().forward(p.clone(), shuffled(&batch.y), Some(&batch.presence())).unwrap();
    let problem = setting.problem(&batch);
    assert!((value.loss - problem.loss()).abs() < 1e-6);
    assert_close(&values(p.grad(&value.tensor.backward()).unwrap()), &problem.gradient(), 1e-5, "view");
}

/// Logits where probabilities belong, and numbers that are none.
#[test]
fn what_sums_show_to_be_wrong_is_refused() {
    let device = device();
    let batch = Batch::new(&[5], false, false);
    let module = Setting::all()[0].module();
    for wrong in [40.0, f64::NAN] {
        let mut input = batch.p.clone();
        input[7] = wrong;
        let p = batch.tensor::<3>(&input, &device, DType::F32);
        let y = batch.tensor::<3>(&batch.y, &device, DType::F32);
        assert!(module.forward(p, y, None).is_err(), "{wrong}");
    }
}
