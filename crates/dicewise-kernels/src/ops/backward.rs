//! The backward passes of the operations, written by hand.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Flex};
use burn_flex::FlexTensor;

use super::norm_act_conv::{NormActConv, NormActConvBackward};
use super::{
    Details, NetworkOps, Normalised, Upsampling, contiguous, conv_shape, dims, scaled, sizes, tensor,
};
use crate::Adam;
use crate::cpu::{self, Level, Over, Source};

#[derive(Debug)]
struct ConvBackward;

impl Backward<Flex, 3> for ConvBackward {
    type State = (FlexTensor, FlexTensor, [usize; 3]);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = contiguous(grads.consume::<Flex>(&ops.node));
        let (x, weight, stride) = ops.state;
        let shape = conv_shape(&x, &weight, stride);
        let [x_node, weight_node, bias_node] = ops.parents;
        if let Some(node) = bias_node {
            let gradient = cpu::bias_gradient(shape, dy.storage());
            grads.register::<Flex>(node.id, tensor(gradient, &[shape.outputs]));
        }
        if let Some(node) = weight_node {
            let source = Source::plain(x.storage(), shape.inputs, shape.size);
            let gradient = cpu::weight_gradient(Level::best(), shape, &source, dy.storage());
            grads.register::<Flex>(node.id, tensor(gradient, &dims(&weight)));
        }
        if let Some(node) = x_node {
            let (dy, weight) = (dy.storage(), weight.storage());
            let gradient = cpu::input_gradient(Level::best(), shape, dy, weight, 0..shape.inputs);
            grads.register::<Flex>(node.id, tensor(gradient, &dims(&x)));
        }
    }
}

#[derive(Debug)]
struct NormBackward;

impl Backward<Flex, 4> for NormBackward {
    type State = Normalised;

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<Flex>(&ops.node);
        for (node, gradient) in ops.parents.into_iter().zip(ops.state.backward(dy)) {
            if let Some(node) = node {
                grads.register::<Flex>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct PoolBackward;

impl Backward<Flex, 1> for PoolBackward {
    /// Places of the maxima, size of the input, window.
    type State = (Vec<u8>, [usize; 5], [usize; 3]);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = contiguous(grads.consume::<Flex>(&ops.node));
        let (places, shape, window) = ops.state;
        let [_, _, size @ ..] = shape;
        if let [Some(node)] = ops.parents {
            let gradient = cpu::max_pool_gradient(dy.storage(), &places, size, window);
            grads.register::<Flex>(node.id, tensor(gradient, &shape));
        }
    }
}

#[derive(Debug)]
struct UpsampleBackward;

impl Backward<Flex, 1> for UpsampleBackward {
    type State = ([usize; 5], [usize; 3], Upsampling);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = contiguous(grads.consume::<Flex>(&ops.node));
        let (shape, factor, how) = ops.state;
        let [_, _, size @ ..] = shape;
        let transpose = match how {
            Upsampling::Nearest => cpu::nearest_gradient,
            Upsampling::Trilinear => cpu::trilinear_gradient,
        };
        if let [Some(node)] = ops.parents {
            grads.register::<Flex>(node.id, tensor(transpose(dy.storage(), size, factor), &shape));
        }
    }
}

impl<C: CheckpointStrategy> NetworkOps for Autodiff<Flex, C> {
    fn conv3d_same(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        stride: [usize; 3],
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node()];
        let (x, weight) = (contiguous(x.into_primitive()), contiguous(weight.into_primitive()));
        let y = Flex::conv3d_same(x.clone(), weight.clone(), bias.into_primitive(), stride);
        match ConvBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x, weight, stride), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn norm_act(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        over: Over,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), gamma.node(), beta.node(), slope.node()];
        let state = Normalised::new([x, gamma, beta, slope].map(|t| t.into_primitive()), over, epsilon);
        let y = state.forward();
        match NormBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(state, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn norm_act_fixed(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), gamma.node(), beta.node(), slope.node()];
        let tensors = [x, gamma, beta, slope].map(|t| t.into_primitive());
        let state =
            Normalised::with_constants(tensors, mean.into_primitive(), variance.into_primitive(), epsilon);
        let y = state.forward();
        match NormBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(state, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn norm_act_conv3d(
        x: FloatTensor<Self>,
        coarse: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        details: Details,
    ) -> FloatTensor<Self> {
        let nodes =
            [x.node(), coarse.node(), gamma.node(), beta.node(), slope.node(), weight.node(), bias.node()];
        let inputs = [x, coarse].map(|t| t.into_primitive());
        let parameters = [gamma, beta, slope, weight].map(|t| t.into_primitive());
        let given = [mean, variance].map(|t| t.into_primitive());
        let state = NormActConv::new(inputs, parameters, given, details);
        let y = state.forward(&contiguous(bias.into_primitive()));
        match NormActConvBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(state, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn batch_moments(x: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (mean, variance) = Flex::batch_moments(x.into_primitive());
        (Self::from_inner(mean), Self::from_inner(variance))
    }

    fn adam_step(
        weights: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        adam: Adam,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [w, g, m, v] = [weights, gradient, first, second].map(|t| t.into_primitive());
        let (weights, first, second) = Flex::adam_step(w, g, m, v, adam);
        (Self::from_inner(weights), Self::from_inner(first), Self::from_inner(second))
    }

    fn max_pool3d(x: FloatTensor<Self>, window: [usize; 3]) -> FloatTensor<Self> {
        let node = x.node();
        let x = contiguous(x.into_primitive());
        let shape = dims(&x);
        let (values, places) = cpu::max_pool(x.storage(), sizes(&x).1, window);
        let y = tensor(values, &scaled(&x, |axis, n| n / window[axis]));
        match PoolBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((places, shape, window), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn upsample3d(x: FloatTensor<Self>, factor: [usize; 3], how: Upsampling) -> FloatTensor<Self> {
        let node = x.node();
        let shape = dims(x.primitive());
        let y = Flex::upsample3d(x.into_primitive(), factor, how);
        match UpsampleBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((shape, factor, how), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}
