//! The CPU kernels as operations of Burn's Flex backend, and their backward passes.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Flex, TensorMetadata, backend_extension};
use burn::tensor::TensorData;
use burn_flex::FlexTensor;

use crate::Adam;
use crate::cpu::{self, Affine, ConvShape, Level, NormShape, Over, Source, Statistics};

mod norm_act_conv;

pub(crate) use norm_act_conv::Details;
use norm_act_conv::{NormActConv, NormActConvBackward};

/// Operations that [`lib`](crate) calls on tensors of the Flex backend.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait NetworkOps: Backend {
    fn conv3d_same(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        stride: [usize; 3],
    ) -> FloatTensor<Self>;

    fn norm_act(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        over: Over,
        epsilon: f64,
    ) -> FloatTensor<Self>;

    #[allow(clippy::too_many_arguments)]
    fn norm_act_fixed(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;

    /// The channels of `coarse` are upsampled and follow those of `x`. `coarse`, `mean` and `variance` are not looked at
    /// where `details` says so: any tensor will do, since extensions of Burn take no optional ones.
    #[allow(clippy::too_many_arguments)]
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
    ) -> FloatTensor<Self>;

    fn batch_moments(x: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Weights and moments after the step, without gradient.
    fn adam_step(
        weights: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        adam: Adam,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    fn max_pool3d(x: FloatTensor<Self>, window: [usize; 3]) -> FloatTensor<Self>;

    fn upsample3d(x: FloatTensor<Self>, factor: [usize; 3], how: Upsampling) -> FloatTensor<Self>;
}

/// How [`NetworkOps::upsample3d`] fills the voxels between.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Upsampling {
    Nearest,
    Trilinear,
}

fn dims(tensor: &FlexTensor) -> [usize; 5] {
    let shape = tensor.shape();
    core::array::from_fn(|i| shape[i])
}

/// The same values in C order. Consuming the tensor keeps a buffer that nobody else holds writable.
fn contiguous(tensor: FlexTensor) -> FlexTensor {
    tensor.to_contiguous()
}

fn tensor(values: Vec<f32>, shape: &[usize]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape.to_vec()))
}

fn conv_shape(x: &FlexTensor, weight: &FlexTensor, stride: [usize; 3]) -> ConvShape {
    let ([batch, inputs, size @ ..], [outputs, _, kernel @ ..]) = (dims(x), dims(weight));
    ConvShape { batch, inputs, outputs, size, kernel, stride }
}

fn norm_shape(x: &FlexTensor) -> NormShape {
    let [batch, channels, z, y, x] = dims(x);
    NormShape { batch, channels, voxels: z * y * x }
}

fn sizes(x: &FlexTensor) -> ([usize; 2], [usize; 3]) {
    let [batch, channels, size @ ..] = dims(x);
    ([batch, channels], size)
}

fn scaled(x: &FlexTensor, factor: impl Fn(usize, usize) -> usize) -> Vec<usize> {
    dims(x).into_iter().enumerate().map(|(axis, n)| if axis < 2 { n } else { factor(axis - 2, n) }).collect()
}

/// What the backward pass of a normalisation remembers.
#[derive(Clone, Debug)]
struct Normalised {
    x: FlexTensor,
    gamma: FlexTensor,
    beta: FlexTensor,
    slope: FlexTensor,
    statistics: Statistics,
    /// `None`: the statistics are constants.
    over: Option<Over>,
}

impl Normalised {
    fn new([x, gamma, beta, slope]: [FlexTensor; 4], over: Over, epsilon: f64) -> Self {
        let x = contiguous(x);
        let (mean, variance) = cpu::moments(Level::best(), norm_shape(&x), over, x.storage());
        let statistics = Statistics::new(mean, &variance, epsilon);
        Self { statistics, over: Some(over), ..Self::fixed([x, gamma, beta, slope]) }
    }

    /// Without statistics yet.
    fn fixed(tensors: [FlexTensor; 4]) -> Self {
        let [x, gamma, beta, slope] = tensors.map(contiguous);
        let statistics = Statistics { mean: Vec::new(), inverse_deviation: Vec::new() };
        Self { x, gamma, beta, slope, statistics, over: None }
    }

    fn with_constants(
        tensors: [FlexTensor; 4],
        mean: FlexTensor,
        variance: FlexTensor,
        epsilon: f64,
    ) -> Self {
        let (mean, variance) = (contiguous(mean), contiguous(variance));
        let statistics = Statistics::new(mean.storage().to_vec(), variance.storage(), epsilon);
        Self { statistics, ..Self::fixed(tensors) }
    }

    fn affine(&self) -> Affine<'_> {
        Affine { gamma: self.gamma.storage(), beta: self.beta.storage(), slope: self.slope.storage() }
    }

    fn forward(&self) -> FlexTensor {
        let x = self.x.storage();
        let y = cpu::normalise(Level::best(), norm_shape(&self.x), x, &self.statistics, self.affine());
        tensor(y, &dims(&self.x))
    }

    /// Gradients of x, gamma, beta and slope. That of x takes the place of `dy` where nobody else holds it.
    fn backward(&self, dy: FlexTensor) -> [FlexTensor; 4] {
        let mut dx = contiguous(dy);
        let shape = norm_shape(&self.x);
        let x = self.x.storage();
        let level = Level::best();
        let parameters =
            cpu::gradients(level, shape, self.over, x, dx.storage_mut(), &self.statistics, self.affine());
        let [gamma, beta, slope] = parameters.map(|values| {
            let length = values.len();
            tensor(values, &[length])
        });
        [dx, gamma, beta, slope]
    }
}

impl NetworkOps for Flex {
    fn conv3d_same(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, stride: [usize; 3]) -> FlexTensor {
        let [x, weight, bias] = [x, weight, bias].map(contiguous);
        let shape = conv_shape(&x, &weight, stride);
        let source = Source::plain(x.storage(), shape.inputs, shape.size);
        let y = cpu::forward(Level::best(), shape, &source, weight.storage(), Some(bias.storage()));
        let [z, y_size, x_size] = shape.out();
        tensor(y, &[shape.batch, shape.outputs, z, y_size, x_size])
    }

    fn norm_act(
        x: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        slope: FlexTensor,
        over: Over,
        epsilon: f64,
    ) -> FlexTensor {
        Normalised::new([x, gamma, beta, slope], over, epsilon).forward()
    }

    fn norm_act_fixed(
        x: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        slope: FlexTensor,
        mean: FlexTensor,
        variance: FlexTensor,
        epsilon: f64,
    ) -> FlexTensor {
        Normalised::with_constants([x, gamma, beta, slope], mean, variance, epsilon).forward()
    }

    fn norm_act_conv3d(
        x: FlexTensor,
        coarse: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        slope: FlexTensor,
        mean: FlexTensor,
        variance: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        details: Details,
    ) -> FlexTensor {
        let parameters = [gamma, beta, slope, weight];
        NormActConv::new([x, coarse], parameters, [mean, variance], details).forward(&contiguous(bias))
    }

    fn batch_moments(x: FlexTensor) -> (FlexTensor, FlexTensor) {
        let x = contiguous(x);
        let shape = norm_shape(&x);
        let (mean, variance) = cpu::moments(Level::best(), shape, Over::Batch, x.storage());
        (tensor(mean, &[shape.channels]), tensor(variance, &[shape.channels]))
    }

    fn adam_step(
        weights: FlexTensor,
        gradient: FlexTensor,
        first: FlexTensor,
        second: FlexTensor,
        adam: Adam,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let [mut weights, gradient, mut first, mut second] =
            [weights, gradient, first, second].map(contiguous);
        let (w, m, v) = (weights.storage_mut(), first.storage_mut(), second.storage_mut());
        cpu::adam_step(Level::best(), &adam, w, gradient.storage(), m, v);
        (weights, first, second)
    }

    fn max_pool3d(x: FlexTensor, window: [usize; 3]) -> FlexTensor {
        let x = contiguous(x);
        let (values, _) = cpu::max_pool(x.storage(), sizes(&x).1, window);
        tensor(values, &scaled(&x, |axis, n| n / window[axis]))
    }

    fn upsample3d(x: FlexTensor, factor: [usize; 3], how: Upsampling) -> FlexTensor {
        let x = contiguous(x);
        let upsample = match how {
            Upsampling::Nearest => cpu::nearest,
            Upsampling::Trilinear => cpu::trilinear,
        };
        tensor(upsample(x.storage(), sizes(&x).1, factor), &scaled(&x, |axis, n| n * factor[axis]))
    }
}

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
