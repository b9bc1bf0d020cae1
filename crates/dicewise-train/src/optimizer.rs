//! Adam with an L2 penalty on convolution kernels, its state kept by parameter name.
use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};
pub(crate) use dicewise_kernels::Moments;
use dicewise_kernels::adam_step;

use crate::parameters::Path;

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
/// Keras' default; added to √v̂ before the bias correction.
const EPSILON: f64 = 1e-7;

/// Adam (Kingma and Ba 2015), as Keras computes it.
///
/// ```text
/// g ← g + 2·l2·w                       for convolution kernels
/// m ← β₁ m + (1 − β₁) g
/// v ← β₂ v + (1 − β₂) g²
/// w ← w − lr · √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + 1e-7)
/// ```
///
/// Written here because the state has to travel in the same checkpoint as the weights, under the
/// parameters' names: Burn's optimiser keys its state by ids that are drawn anew in every process.
#[derive(Clone, Debug)]
pub struct Adam {
    /// Steps taken.
    pub(crate) step: u64,
    /// Weight of Σ w² over convolution kernels in the loss.
    l2: f64,
    /// The two running moments of each parameter, flattened.
    pub(crate) moments: BTreeMap<String, Moments>,
}

impl Adam {
    /// A fresh optimiser; `l2` weighs Σ w² over convolution kernels (biases are left out).
    pub fn new(l2: f64) -> Self {
        Self { step: 0, l2, moments: BTreeMap::new() }
    }

    /// An optimiser as it was saved.
    pub(crate) fn restored(l2: f64, step: u64, moments: BTreeMap<String, Moments>) -> Self {
        Self { step, l2, moments }
    }

    /// The module after one step.
    pub fn step<M: Module>(&mut self, learning_rate: f64, module: M, gradients: GradientsParams) -> M {
        self.step += 1;
        let t = self.step as f64;
        let rate = learning_rate * (1.0 - BETA_2.powf(t)).sqrt() / (1.0 - BETA_1.powf(t));
        module.map(&mut Stepper { adam: self, rate, gradients, path: Path::default() })
    }
}

struct Stepper<'a> {
    adam: &'a mut Adam,
    rate: f64,
    gradients: GradientsParams,
    path: Path,
}

impl ModuleMapper for Stepper<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else {
            return param;
        };
        let name = self.path.name();
        let l2 = if is_kernel(&name) { self.adam.l2 } else { 0.0 };
        let moments = self.adam.moments.remove(&name);
        let (id, tensor, mapper) = param.consume();
        let weights = tensor.inner();
        let shape = weights.shape();
        let count = [shape.num_elements()];
        let step = dicewise_kernels::Adam {
            betas: [BETA_1, BETA_2],
            rate: self.rate,
            epsilon: EPSILON,
            decay: 2.0 * l2,
        };
        let (weights, moments) = adam_step(&step, weights.reshape(count), gradient.reshape(count), moments);
        self.adam.moments.insert(name, moments);
        let weights = Tensor::from_inner(weights.reshape(shape)).require_grad();
        Param::from_mapped_value(id, weights, mapper)
    }
}

fn is_kernel(name: &str) -> bool {
    name.ends_with("kernel")
}

/// Σ w² over all convolution kernels: what the L2 penalty adds to a monitored loss, before its weight.
pub fn kernel_square_sum<M: Module>(module: &M) -> f64 {
    struct Sum {
        path: Path,
        total: f64,
    }
    impl ModuleVisitor for Sum {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.path.enter(name);
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if is_kernel(&self.path.name()) {
                self.total += param.val().inner().square().sum().into_scalar::<f32>() as f64;
            }
        }
    }
    let mut sum = Sum { path: Path::default(), total: 0.0 };
    module.visit(&mut sum);
    sum.total
}

pub(crate) fn to_vec(tensor: Tensor<1>) -> Vec<f32> {
    let data: TensorData = tensor.into_data();
    data.try_to_vec().expect("parameters and moments are f32")
}
