use burn::tensor::{DType, Device, Tensor, activation};

use crate::plain;
use crate::settings::{Batch, Setting, assert_close, values};

/// What stands between the network and the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Output {
    Identity,
    Sigmoid,
    Softmax,
}

impl Output {
    fn apply<const D: usize>(self, z: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Identity => z,
            Self::Sigmoid => activation::sigmoid(z),
            Self::Softmax => activation::softmax(z, 1),
        }
    }
}

/// The value and the gradient of `3·DL + Σp²/100` with respect to what goes into the output activation: a gradient
/// other than 1 arrives at the loss, and what it sends on meets another one.
fn value_and_gradient(
    z: &Tensor<5>,
    output: Output,
    loss: impl Fn(Tensor<5>) -> Tensor<1>,
) -> (f64, Vec<f64>) {
    let z = z.clone().detach().require_grad();
    let p = output.apply(z.clone());
    let total = loss(p.clone()) * 3.0 + p.square().sum() * 0.01;
    let gradient = z.grad(&total.backward()).unwrap();
    (values(total)[0], values(gradient))
}

fn check(output: Output) {
    let device = Device::flex().autodiff();
    for batch in Batch::all(&[2, 3, 4]) {
        let presence = batch.presence();
        let z: Vec<f64> = match output {
            Output::Identity => batch.p.clone(),
            Output::Sigmoid | Output::Softmax => {
                batch.p.iter().map(|p| f64::from((4.0 * p - 1.5) as f32)).collect()
            }
        };
        for setting in Setting::all() {
            let z64 = batch.tensor::<5>(&z, &device, DType::F64);
            let y64 = batch.tensor::<5>(&batch.y, &device, DType::F64).reshape([3, 3, 24]);
            let (expected, expected_gradient) = value_and_gradient(&z64, output, |p| {
                plain::dice_loss(p.reshape([3, 3, 24]), y64.clone(), &setting, &batch)
            });
            for (dtype, tolerance) in [(DType::F32, 2e-6), (DType::F64, 1e-12)] {
                let what = (dtype, &setting);
                let z = batch.tensor::<5>(&z, &device, dtype);
                let y = batch.tensor::<5>(&batch.y, &device, dtype);
                let (found, gradient) = value_and_gradient(&z, output, |p| {
                    setting.module().forward(p, y.clone(), Some(&presence)).unwrap().tensor
                });
                assert_close(&[found], &[expected], tolerance, what);
                assert_close(&gradient, &expected_gradient, tolerance, what);
            }
        }
    }
}

#[test]
fn the_backward_is_the_derivative_with_respect_to_probabilities() {
    check(Output::Identity);
}

#[test]
fn the_backward_is_the_derivative_behind_a_sigmoid() {
    check(Output::Sigmoid);
}

#[test]
fn the_backward_is_the_derivative_behind_a_softmax() {
    check(Output::Softmax);
}
