//! Normalisation, activation, nearest upsampling, concatenation and convolution as one operation, which stores only its
//! inputs and their statistics: everything between is computed again in the backward pass, while it is read.

use std::ops::Range;

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn_flex::FlexTensor;

use super::{contiguous, dims, tensor};
use crate::cpu::{self, Affine, ConvShape, Level, NormShape, Over, Part, Source, Statistics};

/// What [`norm_act_conv3d`](super::NetworkOps::norm_act_conv3d) is told beside tensors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Details {
    /// Upsampling of the coarse channels; `None`: there are none.
    pub(crate) factor: Option<[usize; 3]>,
    /// What the statistics are taken over; `None`: they are constants.
    pub(crate) over: Option<Over>,
    /// Whether `mean` and `variance` are given.
    pub(crate) given: bool,
    pub(crate) epsilon: f64,
    pub(crate) stride: [usize; 3],
}

/// The channels of one of the inputs.
#[derive(Clone, Debug)]
struct Channels {
    x: FlexTensor,
    factor: [usize; 3],
    /// Their place among all.
    range: Range<usize>,
    statistics: Statistics,
}

impl Channels {
    fn shape(&self) -> NormShape {
        let [batch, channels, z, y, x] = dims(&self.x);
        NormShape { batch, channels, voxels: z * y * x }
    }
}

/// What the backward pass remembers.
#[derive(Clone, Debug)]
pub(super) struct NormActConv {
    parts: Vec<Channels>,
    gamma: FlexTensor,
    beta: FlexTensor,
    slope: FlexTensor,
    weight: FlexTensor,
    shape: ConvShape,
    over: Option<Over>,
}

impl NormActConv {
    /// Takes the statistics of the inputs, or those that are given.
    pub(super) fn new(
        [x, coarse]: [FlexTensor; 2],
        parameters: [FlexTensor; 4],
        given: [FlexTensor; 2],
        details: Details,
    ) -> Self {
        let [gamma, beta, slope, weight] = parameters.map(contiguous);
        let given = details.given.then(|| given.map(contiguous));
        let mut first = 0;
        let mut channels = |x: FlexTensor, factor: [usize; 3]| {
            let x = contiguous(x);
            let [batch, channels, z, y, width] = dims(&x);
            let range = first..first + channels;
            first = range.end;
            let (mean, variance) = match &given {
                Some(given) => given.each_ref().map(|t| t.storage()[range.clone()].to_vec()).into(),
                // Repeating every voxel as often changes neither mean nor variance.
                None => {
                    let shape = NormShape { batch, channels, voxels: z * y * width };
                    let over = details.over.expect("statistics are given or taken over something");
                    cpu::moments(Level::best(), shape, over, x.storage())
                }
            };
            Channels { x, factor, range, statistics: Statistics::new(mean, &variance, details.epsilon) }
        };
        let mut parts = vec![channels(x, [1; 3])];
        parts.extend(details.factor.map(|factor| channels(coarse, factor)));
        let [batch, _, size @ ..] = dims(&parts[0].x);
        let [outputs, inputs, kernel @ ..] = dims(&weight);
        let shape = ConvShape { batch, inputs, outputs, size, kernel, stride: details.stride };
        Self { parts, gamma, beta, slope, weight, shape, over: details.over }
    }

    fn affine(&self, range: &Range<usize>) -> Affine<'_> {
        let slope: &[f32] = self.slope.storage();
        Affine {
            gamma: &self.gamma.storage()[range.clone()],
            beta: &self.beta.storage()[range.clone()],
            slope: if slope.len() == 1 { slope } else { &slope[range.clone()] },
        }
    }

    fn source(&self) -> Source<'_> {
        let parts = self.parts.iter().map(|part| Part {
            values: part.x.storage(),
            channels: part.range.len(),
            factor: part.factor,
            transforms: Some(part.statistics.channels(self.shape.batch, self.affine(&part.range))),
        });
        Source { parts: parts.collect(), size: self.shape.size }
    }

    pub(super) fn forward(&self, bias: &FlexTensor) -> FlexTensor {
        let weight = self.weight.storage();
        let y = cpu::forward(Level::best(), self.shape, &self.source(), weight, Some(bias.storage()));
        let [z, y_size, x_size] = self.shape.out();
        tensor(y, &[self.shape.batch, self.shape.outputs, z, y_size, x_size])
    }

    /// Gradient of the convolution's weights.
    fn weight_gradient(&self, dy: &FlexTensor) -> FlexTensor {
        let gradient = cpu::weight_gradient(Level::best(), self.shape, &self.source(), dy.storage());
        tensor(gradient, &dims(&self.weight))
    }

    /// Gradients of a part's voxels and of its channels of gamma, beta and slope.
    fn part_gradients(&self, part: &Channels, dy: &FlexTensor) -> (FlexTensor, [Vec<f32>; 3]) {
        let (level, weight) = (Level::best(), self.weight.storage());
        let mut gradient = cpu::input_gradient(level, self.shape, dy.storage(), weight, part.range.clone());
        if part.factor != [1; 3] {
            let [_, _, size @ ..] = dims(&part.x);
            gradient = cpu::nearest_gradient(&gradient, size, part.factor);
        }
        let parameters = cpu::gradients(
            level,
            part.shape(),
            self.over,
            part.x.storage(),
            &mut gradient,
            &part.statistics,
            self.affine(&part.range),
        );
        (tensor(gradient, &dims(&part.x)), parameters)
    }
}

#[derive(Debug)]
pub(super) struct NormActConvBackward;

impl Backward<Flex, 7> for NormActConvBackward {
    type State = NormActConv;

    fn backward(self, ops: Ops<Self::State, 7>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = contiguous(grads.consume::<Flex>(&ops.node));
        let state = ops.state;
        let [x, coarse, gamma, beta, slope, weight, bias] = ops.parents;
        if let Some(node) = bias {
            let gradient = cpu::bias_gradient(state.shape, dy.storage());
            grads.register::<Flex>(node.id, tensor(gradient, &[state.shape.outputs]));
        }
        if let Some(node) = weight {
            grads.register::<Flex>(node.id, state.weight_gradient(&dy));
        }
        let tracked = [gamma.is_some(), beta.is_some(), slope.is_some()].contains(&true);
        let mut of_parts: Vec<[Vec<f32>; 3]> = Vec::new();
        // The coarse part first: its gradient is small once it is summed up, and until then the other's is not there.
        for (part, node) in state.parts.iter().zip([x, coarse]).rev() {
            if node.is_none() && !tracked {
                continue;
            }
            let (gradient, parameters) = state.part_gradients(part, &dy);
            if let Some(node) = node {
                grads.register::<Flex>(node.id, gradient);
            }
            of_parts.push(parameters);
        }
        let mut parameters: [Vec<f32>; 3] = Default::default();
        for [gamma, beta, slope] in of_parts.into_iter().rev() {
            parameters[0].extend(gamma);
            parameters[1].extend(beta);
            match parameters[2].first_mut() {
                Some(shared) if state.slope.storage::<f32>().len() == 1 => *shared += slope[0],
                _ => parameters[2].extend(slope),
            }
        }
        for (node, values) in [gamma, beta, slope].into_iter().zip(parameters) {
            if let Some(node) = node {
                let length = values.len();
                grads.register::<Flex>(node.id, tensor(values, &[length]));
            }
        }
    }
}
