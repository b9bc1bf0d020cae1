//! The CPU kernels as operations of Burn's Flex backend.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, TensorMetadata, backend_extension};
use burn::tensor::TensorData;
use burn_flex::FlexTensor;

use crate::Adam;
use crate::cpu::{self, Affine, ConvShape, Level, NormShape, Over, Source, Statistics};

mod backward;
mod norm_act_conv;

pub(crate) use norm_act_conv::Details;
use norm_act_conv::NormActConv;

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
