//! The loss as one operation with its own backward.
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, FloatDType, TensorData};
use burn_flex::FlexTensor;
use dicewise::{DiceTerms, Shape, Target};

/// What a backend provides for the loss. The bodies given here work on every backend.
#[backend_extension(Flex, Cube: cfg(feature = "gpu"), Autodiff)]
pub(crate) trait DiceOps: Backend {
    /// The loss, shape `[1]`. Its value is known already: this puts it on the device and, under autodiff, into the
    /// graph with `prediction` as its parent.
    fn dice_loss(
        prediction: FloatTensor<Self>,
        target: FloatTensor<Self>,
        terms: Arc<DiceTerms>,
    ) -> FloatTensor<Self> {
        let _ = target;
        let value = TensorData::from([terms.loss]).convert_dtype(prediction.dtype());
        Self::float_from_data(value, &prediction.device())
    }

    /// ∂DL/∂p = a − b·y_row, shaped like the target (Eq. 4).
    fn dice_gradient(target: FloatTensor<Self>, terms: Arc<DiceTerms>) -> FloatTensor<Self> {
        portable_gradient::<Self>(target, &terms)
    }

    /// [`dice_gradient`](Self::dice_gradient) times what comes from upstream, shape `[1]`: in the target's type.
    fn scaled_gradient(
        target: FloatTensor<Self>,
        upstream: FloatTensor<Self>,
        terms: Arc<DiceTerms>,
    ) -> FloatTensor<Self> {
        gradient_by_operations::<Self>(target, upstream, terms)
    }
}

impl DiceOps for Flex {
    fn dice_gradient(target: FloatTensor<Self>, terms: Arc<DiceTerms>) -> FloatTensor<Self> {
        if !is_f32(&target) {
            return portable_gradient::<Self>(target, &terms);
        }
        let dims = target.shape();
        let [batch, classes, voxels] = maps(&target);
        let target = target.to_contiguous();
        let shape = Shape::new(batch, classes, voxels).expect("the forward pass has accepted this shape");
        let mut gradient = vec![0f32; shape.elements()];
        Target::dense(shape, target.storage::<f32>())
            .and_then(|target| terms.write_gradient(&target, &mut gradient))
            .expect("the forward pass has accepted this target");
        FlexTensor::from_data(TensorData::new(gradient, dims))
    }
}

impl<B: DiceOps, C: CheckpointStrategy> DiceOps for Autodiff<B, C> {
    fn dice_loss(
        prediction: FloatTensor<Self>,
        target: FloatTensor<Self>,
        terms: Arc<DiceTerms>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Eq4;
        impl<B: DiceOps> Backward<B, 1> for Eq4 {
            type State = (FloatTensor<B>, Arc<DiceTerms>);

            fn backward(
                self,
                ops: Ops<Self::State, 1>,
                gradients: &mut Gradients,
                _checkpointer: &mut Checkpointer,
            ) {
                let upstream = gradients.consume::<B>(&ops.node);
                let (target, terms) = ops.state;
                let [prediction] = ops.parents;
                let Some(prediction) = prediction else { return };
                gradients.register::<B>(prediction.id, B::scaled_gradient(target, upstream, terms));
            }
        }
        let target = target.into_primitive();
        match Eq4.prepare::<C>([prediction.node()]).compute_bound().stateful() {
            OpsKind::Tracked(graph) => {
                let value = B::dice_loss(prediction.into_primitive(), target.clone(), terms.clone());
                graph.finish((target, terms), value)
            }
            OpsKind::UnTracked(graph) => {
                graph.finish(B::dice_loss(prediction.into_primitive(), target, terms))
            }
        }
    }
}

/// [`DiceOps::scaled_gradient`] of any backend.
pub(crate) fn gradient_by_operations<B: DiceOps>(
    target: FloatTensor<B>,
    upstream: FloatTensor<B>,
    terms: Arc<DiceTerms>,
) -> FloatTensor<B> {
    let ones = [1].repeat(target.shape().num_dims());
    let dtype = target.dtype();
    // A derivative of 10⁻⁷ has one digit left in f16, until it is scaled by what comes from upstream.
    let widened = |tensor| match is_half(dtype) {
        true => B::float_cast(tensor, FloatDType::F32),
        false => tensor,
    };
    let gradient = B::dice_gradient(widened(target), terms);
    let gradient = B::float_mul(gradient, B::float_reshape(widened(upstream), ones.into()));
    if is_half(dtype) { B::float_cast(gradient, dtype.into()) } else { gradient }
}

/// Eq. 4 by tensor operations, for backends without a kernel of their own.
fn portable_gradient<B: Backend>(target: FloatTensor<B>, terms: &DiceTerms) -> FloatTensor<B> {
    let (shape, dtype, device) = (target.shape(), target.dtype(), target.device());
    let flat = maps(&target);
    let coefficients = |values: Vec<f64>| {
        let data = TensorData::new(values, [terms.batch, terms.classes, 1]).convert_dtype(dtype);
        B::float_from_data(data, &device)
    };
    // Under marginal treatment a missing class has the background's y in its derivative, not its own.
    let routed = |own: bool| {
        let b = terms.b.iter().zip(&terms.row).enumerate();
        b.map(|(map, (&b, &row))| if (row == map % terms.classes) == own { b } else { 0.0 }).collect()
    };
    let y = B::float_reshape(target, flat.into());
    let mut slope = B::float_mul(y.clone(), coefficients(routed(true)));
    if !terms.rows_are_identity() {
        let background = B::float_slice(y, &[(0..flat[0]).into(), (0..1).into(), (0..flat[2]).into()]);
        slope = B::float_add(slope, B::float_mul(background, coefficients(routed(false))));
    }
    B::float_reshape(B::float_sub(coefficients(terms.a.clone()), slope), shape)
}

/// `[B, C, I]` of a tensor `[B, C, …]`.
pub(crate) fn maps(tensor: &impl TensorMetadata) -> [usize; 3] {
    let shape = tensor.shape();
    [shape[0], shape[1], shape.iter().skip(2).product()]
}

pub(crate) fn is_half(dtype: DType) -> bool {
    matches!(dtype, DType::F16 | DType::BF16)
}

pub(crate) fn is_f32(tensor: &FlexTensor) -> bool {
    tensor.dtype() == DType::F32
}
