use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor};
use dicewise_train::{Adam, kernel_square_sum};

use crate::setup::tracking;

/// One number that is a kernel by name, one that is not, one that is not trained.
#[derive(Module, Debug)]
struct Toy {
    kernel: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    frozen_kernel: Param<Tensor<1>>,
}

fn scalar(value: f64, device: &Device) -> Tensor<1> {
    Tensor::from_data([value], (device, DType::F64))
}

impl Toy {
    fn new(value: f64) -> Self {
        let device = tracking();
        Self {
            kernel: Param::from_tensor(scalar(value, &device)),
            bias: Param::from_tensor(scalar(value, &device)),
            frozen_kernel: Param::from_tensor(scalar(value, &device)).set_require_grad(false),
        }
    }

    fn values(&self) -> [f64; 3] {
        [&self.kernel, &self.bias, &self.frozen_kernel].map(|p| p.val().into_scalar::<f64>())
    }

    /// Kernel and bias after each step with these gradients.
    fn steps(mut self, learning_rate: f64, l2: f64, gradients: &[f64]) -> Vec<[f64; 3]> {
        let mut adam = Adam::new(l2);
        let step = |&gradient: &f64| {
            let loss = (self.kernel.val() + self.bias.val() + self.frozen_kernel.val()) * gradient;
            let gradients = GradientsParams::from_grads(loss.backward(), &self);
            self = adam.step(learning_rate, self.clone(), gradients);
            self.values()
        };
        gradients.iter().map(step).collect()
    }
}

#[track_caller]
fn assert_steps(found: &[[f64; 3]], which: usize, expected: [f64; 3]) {
    for (step, expected) in expected.into_iter().enumerate() {
        let found = found[step][which];
        assert!((found - expected).abs() < 1e-14, "step {}: {found}, not {expected}", step + 1);
    }
}

/// The first step by hand, w = 2, g = ½, no L2: m = 0.05, v = 2.5e-4, rate = 0.1·√0.001/0.1 = 0.0316227766,
/// w − 0.0316227766 · 0.05 / (0.0158113883 + 1e-7) = 1.9000006324515. All numbers below are the recursion of the
/// documentation in decimal arithmetic of 40 digits.
#[test]
fn the_first_steps_are_those_of_adam_by_hand() {
    let found = Toy::new(2.0).steps(0.1, 0.0, &[0.5, -0.25, 0.125]);
    let expected = [1.900_000_632_451_532, 1.873_367_079_207_921, 1.839_324_352_481_928];
    assert_steps(&found, 0, expected);
    assert_steps(&found, 1, expected);
}

/// g + 2·0.01·w = 0.54 in the first step.
#[test]
fn the_penalty_pulls_at_kernels_only() {
    let found = Toy::new(2.0).steps(0.1, 0.01, &[0.5, -0.25, 0.125]);
    assert_steps(&found, 0, [1.900_000_585_603_544, 1.864_839_010_956_488, 1.821_440_228_335_488]);
    assert_steps(&found, 1, [1.900_000_632_451_532, 1.873_367_079_207_921, 1.839_324_352_481_928]);
}

#[test]
fn without_a_gradient_kernels_shrink_and_biases_stay() {
    let found = Toy::new(2.0).steps(0.1, 0.01, &[0.0, 0.0, 0.0]);
    assert_steps(&found, 0, [1.900_007_905_069_199, 1.800_180_097_774_386, 1.700_641_744_517_084]);
    assert_steps(&found, 1, [2.0; 3]);
}

/// A gradient of the size of Adam's ε tells where ε is added: before the bias correction, as Keras does. After it
/// (Kingma and Ba's first form, PyTorch) the first step would be 0.1/1.1 = 0.0909 instead of 0.0240.
#[test]
fn epsilon_is_added_before_the_bias_correction() {
    let found = Toy::new(1.0).steps(0.1, 0.0, &[1e-6; 3]);
    assert_steps(&found, 1, [0.975_974_692_664_794, 0.945_078_332_444_552, 0.909_700_829_312_023]);
}

#[test]
fn weights_that_are_not_trained_stay() {
    let found = Toy::new(2.0).steps(0.1, 0.01, &[0.5, -0.25, 0.125]);
    assert_steps(&found, 2, [2.0; 3]);
}

/// 3² + 4² of the two kernels; the bias is left out.
#[test]
fn the_penalty_sums_squares_of_kernels() {
    let device = tracking();
    let toy = Toy {
        kernel: Param::from_tensor(Tensor::from_floats([3.0], &device)),
        bias: Param::from_tensor(Tensor::from_floats([7.0], &device)),
        frozen_kernel: Param::from_tensor(Tensor::from_floats([4.0], &device)),
    };
    assert_eq!(kernel_square_sum(&toy), 25.0);
}
