//! A network's parameters as named values, and back.
use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};

use crate::optimizer::to_vec;
use crate::parameters::Path;

/// A tensor on the host.
pub(super) struct Values {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

pub(super) type Named = BTreeMap<String, Values>;

/// Number of values of a network, running statistics included.
pub(super) fn count_values<M: Module>(network: &M) -> u64 {
    struct Count(u64);
    impl ModuleVisitor for Count {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0 += param.val().shape().num_elements() as u64;
        }
    }
    let mut count = Count(0);
    network.visit(&mut count);
    count.0
}

pub(super) fn named_tensors<M: Module>(network: &M) -> Named {
    struct Collect {
        path: Path,
        tensors: Named,
    }
    impl ModuleVisitor for Collect {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.path.enter(name);
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let tensor = param.val().inner();
            let shape = tensor.dims().to_vec();
            let count: usize = shape.iter().product();
            let values = to_vec(tensor.reshape([count]));
            self.tensors.insert(format!("network.{}", self.path.name()), Values { shape, values });
        }
    }
    let mut collect = Collect { path: Path::default(), tensors: Named::new() };
    network.visit(&mut collect);
    collect.tensors
}

/// Puts values into a network's parameters; those that are no weights are left over.
pub(super) struct Loader {
    path: Path,
    pub(super) tensors: Named,
    /// Values in each of the network's tensors.
    pub(super) sizes: BTreeMap<String, usize>,
    /// The first thing that did not fit.
    pub(super) problem: Option<String>,
    pub(super) device: Option<Device>,
}

impl Loader {
    pub(super) fn new(tensors: Named) -> Self {
        Self { path: Path::default(), tensors, sizes: BTreeMap::new(), problem: None, device: None }
    }
}

impl ModuleMapper for Loader {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = format!("network.{}", self.path.name());
        let expected = param.val().dims();
        let Some(Values { shape, values }) = self.tensors.remove(&name) else {
            self.problem.get_or_insert(format!("tensor {name} is missing"));
            return param;
        };
        if shape != expected {
            self.problem
                .get_or_insert(format!("tensor {name} has shape {shape:?}, the network {expected:?}"));
            return param;
        }
        self.sizes.insert(self.path.name(), values.len());
        let trainable = param.is_require_grad();
        let (id, old, mapper) = param.consume();
        let device = old.device();
        self.device.get_or_insert(device.clone().inner());
        let tensor =
            Tensor::<D>::from_data(TensorData::new(values, shape), &device).set_require_grad(trainable);
        Param::from_mapped_value(id, tensor, mapper)
    }
}
