//! The loss on graphics processors: the kernels of [`dicewise_gpu`] on Burn's tensors.
//!
//! Where they cannot work (`f64`, more than 256 classes), the tensor operations of every other backend do.
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Cube, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{DType, FloatDType, Tensor, TensorData};
use burn_cubecl::cubecl::prelude::CubeElement;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use dicewise::{Activation, DiceError, DiceSums, DiceTerms, Shape};
use dicewise_gpu::VoxelPasses;

use crate::ops::{DiceOps, gradient_by_operations, maps};

/// The loss from logits, with the activation inside its derivative.
#[backend_extension(Cube, Autodiff)]
pub(crate) trait LogitOps: Backend {
    /// The loss, shape `[1]`. Its value is known already: this puts it on the device and, under autodiff, into the
    /// graph with `logits` as its parent.
    fn loss_of_logits(
        logits: FloatTensor<Self>,
        target: FloatTensor<Self>,
        activation: Activation,
        terms: Arc<DiceTerms>,
    ) -> FloatTensor<Self>;
}

impl LogitOps for Cube {
    fn loss_of_logits(
        logits: FloatTensor<Self>,
        _target: FloatTensor<Self>,
        _activation: Activation,
        terms: Arc<DiceTerms>,
    ) -> FloatTensor<Self> {
        let value = TensorData::from([terms.loss]).convert_dtype(logits.dtype());
        Self::float_from_data(value, &logits.device())
    }
}

impl<C: CheckpointStrategy> LogitOps for Autodiff<Cube, C> {
    fn loss_of_logits(
        logits: FloatTensor<Self>,
        target: FloatTensor<Self>,
        activation: Activation,
        terms: Arc<DiceTerms>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct ChainRule;
        impl Backward<Cube, 1> for ChainRule {
            type State = (CubeTensor, CubeTensor, Activation, Arc<DiceTerms>);

            fn backward(
                self,
                ops: Ops<Self::State, 1>,
                gradients: &mut Gradients,
                _checkpointer: &mut Checkpointer,
            ) {
                let upstream = gradients.consume::<Cube>(&ops.node);
                let (logits, target, activation, terms) = ops.state;
                let [parent] = ops.parents;
                let Some(parent) = parent else { return };
                let passes = passes(&logits, activation).expect("the forward pass had them");
                gradients.register::<Cube>(parent.id, gradient(&passes, logits, target, upstream, &terms));
            }
        }
        let target = target.into_primitive();
        match ChainRule.prepare::<C>([logits.node()]).compute_bound().stateful() {
            OpsKind::Tracked(graph) => {
                let logits = logits.into_primitive();
                let value = Cube::loss_of_logits(logits.clone(), target.clone(), activation, terms.clone());
                graph.finish((logits, target, activation, terms), value)
            }
            OpsKind::UnTracked(graph) => {
                graph.finish(Cube::loss_of_logits(logits.into_primitive(), target, activation, terms))
            }
        }
    }
}

impl DiceOps for Cube {
    fn scaled_gradient(
        target: FloatTensor<Self>,
        upstream: FloatTensor<Self>,
        terms: Arc<DiceTerms>,
    ) -> FloatTensor<Self> {
        match passes(&target, Activation::None) {
            // Without an activation the input is not read.
            Some(passes) => gradient(&passes, target.clone(), target, upstream, &terms),
            None => gradient_by_operations::<Self>(target, upstream, terms),
        }
    }
}

/// The sums of tensors (without autodiff) that lie on a graphics processor; `None` elsewhere, and where the kernels cannot
/// work.
pub(crate) fn sums<const D: usize>(
    input: &Tensor<D>,
    target: &Tensor<D>,
    activation: Activation,
    background: bool,
) -> Option<Result<DiceSums, DiceError>> {
    let (input, target) = (on_gpu(input)?, on_gpu(target)?);
    let passes = passes(&input, activation)?;
    let client = input.client.clone();
    let parts = passes.sums(into_contiguous(input).handle, into_contiguous(target).handle, background);
    // As Burn does with a device that fails: there is nothing that a caller could mend.
    let bytes = client.read_one(parts.handle).expect("the device answers");
    Some(VoxelPasses::add_up(f32::from_bytes(&bytes), parts.dims))
}

/// The loss of logits whose [`sums`] were taken, with its derivative.
pub(crate) fn loss_of_logits<const D: usize>(
    logits: Tensor<D>,
    target: Tensor<D>,
    activation: Activation,
    terms: DiceTerms,
) -> Tensor<1> {
    let (logits, target) = (logits.into_dispatch(), target.into_dispatch());
    Tensor::from_dispatch(<Dispatch as LogitOps>::loss_of_logits(logits, target, activation, Arc::new(terms)))
}

fn on_gpu<const D: usize>(tensor: &Tensor<D>) -> Option<CubeTensor> {
    tensor.clone().try_into_primitive::<Cube>().ok()
}

fn passes(input: &CubeTensor, activation: Activation) -> Option<VoxelPasses> {
    if !matches!(input.dtype, DType::F32 | DType::F16 | DType::BF16) {
        return None;
    }
    let [batch, classes, voxels] = maps(input);
    let shape = Shape::new(batch, classes, voxels).ok()?;
    let element = burn::backend::cubecl::dtype_to_elem_type(input.dtype);
    VoxelPasses::new(input.client.clone(), shape, activation, element)
}

fn gradient(
    passes: &VoxelPasses,
    input: CubeTensor,
    target: CubeTensor,
    upstream: CubeTensor,
    terms: &DiceTerms,
) -> CubeTensor {
    let (client, device, dtype) = (input.client.clone(), input.device.clone(), input.dtype);
    let shape = input.shape();
    let upstream = Cube::float_cast(upstream, FloatDType::F32);
    let [input, target, upstream] = [input, target, upstream].map(|tensor| into_contiguous(tensor).handle);
    let gradient = passes.gradient(input, target, terms, upstream);
    CubeTensor::new_contiguous(client, device, shape, gradient, dtype)
}
