//! Normalisation with scale, shift and leaky ReLU, forward and backward, each in one pass after its sums.

use rayon::prelude::*;

use super::Level;
use super::level::for_every_level;

/// Values that are summed in `f32` before they join an `f64` total. Two reads of such a run stay in the L1 cache.
const RUN: usize = 4096;

/// `[batch, channels, voxels]`
#[derive(Clone, Copy, Debug)]
pub(crate) struct NormShape {
    pub(crate) batch: usize,
    pub(crate) channels: usize,
    pub(crate) voxels: usize,
}

/// What mean and variance are taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// Each channel of each batch element.
    Instance,
    /// Each channel of the whole batch.
    Batch,
}

/// Mean and inverse standard deviation, of every batch element and channel or of every channel alone.
#[derive(Clone, Debug)]
pub(crate) struct Statistics {
    pub(crate) mean: Vec<f32>,
    pub(crate) inverse_deviation: Vec<f32>,
}

/// The learned parameters: `gamma` and `beta` per channel, `slope` per channel or one for all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Affine<'a> {
    pub(crate) gamma: &'a [f32],
    pub(crate) beta: &'a [f32],
    pub(crate) slope: &'a [f32],
}

/// What one channel of one batch element is transformed by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Channel {
    mean: f32,
    inverse_deviation: f32,
    gamma: f32,
    beta: f32,
    slope: f32,
}

impl Statistics {
    /// From biased variances: `1/√(σ² + ε)`.
    pub(crate) fn new(mean: Vec<f32>, variance: &[f32], epsilon: f64) -> Self {
        let inverse_deviation =
            variance.iter().map(|v| (1.0 / (f64::from(*v) + epsilon).sqrt()) as f32).collect();
        Self { mean, inverse_deviation }
    }

    /// Of every batch element and channel.
    pub(crate) fn channels(&self, batch: usize, affine: Affine) -> Vec<Channel> {
        (0..batch * affine.gamma.len()).map(|i| self.channel(i, affine)).collect()
    }

    fn channel(&self, i: usize, affine: Affine) -> Channel {
        // Statistics may be per channel; i counts batch elements and channels.
        let c = i % affine.gamma.len();
        Channel {
            mean: self.mean[i % self.mean.len()],
            inverse_deviation: self.inverse_deviation[i % self.mean.len()],
            gamma: affine.gamma[c],
            beta: affine.beta[c],
            slope: affine.slope[c % affine.slope.len()],
        }
    }
}

/// Count, mean and sum of squared deviations, which join exactly (Chan, Golub and LeVeque 1979).
#[derive(Clone, Copy, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn join(self, other: Self) -> Self {
        let count = self.count + other.count;
        if count == 0.0 {
            return self;
        }
        let distance = other.mean - self.mean;
        Self {
            count,
            mean: self.mean + distance * other.count / count,
            squares: self.squares + other.squares + distance * distance * self.count * other.count / count,
        }
    }
}

#[inline(always)]
fn run_moments_body(run: &[f32]) -> (f32, f32) {
    let (groups, rest) = run.as_chunks::<16>();
    let mut lanes = [0.0f32; 16];
    for group in groups {
        for i in 0..16 {
            lanes[i] += group[i];
        }
    }
    let mean = lanes.iter().chain(rest).sum::<f32>() / run.len() as f32;
    let mut squares = [0.0f32; 16];
    // The mean is rounded: what it misses is in the sum of the deviations.
    let mut missed = [0.0f32; 16];
    for group in groups {
        for i in 0..16 {
            let deviation = group[i] - mean;
            missed[i] += deviation;
            squares[i] += deviation * deviation;
        }
    }
    for value in rest {
        missed[0] += value - mean;
        squares[0] += (value - mean) * (value - mean);
    }
    (mean + missed.iter().sum::<f32>() / run.len() as f32, squares.iter().sum())
}

for_every_level! {
    /// Mean and sum of squared deviations of at most [`RUN`] values.
    run_moments = run_moments_body(run: &[f32]) -> (f32, f32)
}

/// Mean and biased variance, `[batch · channels]` or `[channels]`.
pub(crate) fn moments(level: Level, shape: NormShape, over: Over, x: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let volumes: Vec<Moments> = x
        .par_chunks(shape.voxels)
        .map(|volume| {
            volume.chunks(RUN).fold(Moments::default(), |moments, run| {
                let (mean, squares) = run_moments(level, run);
                moments.join(Moments { count: run.len() as f64, mean: mean.into(), squares: squares.into() })
            })
        })
        .collect();
    let joined: Vec<Moments> = match over {
        Over::Instance => volumes,
        Over::Batch => (0..shape.channels)
            .map(|c| {
                volumes.iter().skip(c).step_by(shape.channels).fold(Moments::default(), |a, b| a.join(*b))
            })
            .collect(),
    };
    joined.iter().map(|m| (m.mean as f32, (m.squares / m.count) as f32)).unzip()
}

/// The activation of one normalised value.
#[inline(always)]
pub(super) fn apply(channel: &Channel, x: f32) -> f32 {
    let Channel { mean, inverse_deviation, gamma, beta, slope } = *channel;
    let v = (x - mean) * (gamma * inverse_deviation) + beta;
    if v > 0.0 { v } else { v * slope }
}

#[inline(always)]
fn transform_body(x: &[f32], y: &mut [f32], channel: &Channel) {
    let channel = *channel;
    for (x, y) in x.iter().zip(y) {
        *y = apply(&channel, *x);
    }
}

for_every_level! { transform = transform_body(x: &[f32], y: &mut [f32], channel: &Channel) }

/// `y` of [`norm_act`](crate::norm_act).
pub(crate) fn normalise(
    level: Level,
    shape: NormShape,
    x: &[f32],
    statistics: &Statistics,
    affine: Affine,
) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    y.par_chunks_mut(shape.voxels)
        .zip(x.par_chunks(shape.voxels))
        .enumerate()
        .for_each(|(i, (y, x))| transform(level, x, y, &statistics.channel(i, affine)));
    y
}

/// Sums over a volume that the gradients are made of.
#[derive(Clone, Copy, Default)]
struct Sums {
    /// Σ g: the gradient of beta.
    gradient: f64,
    /// Σ g·x̂: the gradient of gamma.
    product: f64,
    /// Σ dy·v where v ≤ 0: the gradient of the slope.
    slope: f64,
}

impl Sums {
    fn add(self, other: Self) -> Self {
        Self {
            gradient: self.gradient + other.gradient,
            product: self.product + other.product,
            slope: self.slope + other.slope,
        }
    }
}

#[inline(always)]
fn run_sums_body(x: &[f32], dy: &[f32], channel: &Channel) -> (f32, f32, f32) {
    let Channel { mean, inverse_deviation, gamma, beta, slope } = *channel;
    let scale = gamma * inverse_deviation;
    let (x_groups, x_rest) = x.as_chunks::<16>();
    let (dy_groups, dy_rest) = dy.as_chunks::<16>();
    let (mut gradients, mut products, mut slopes) = ([0.0f32; 16], [0.0f32; 16], [0.0f32; 16]);
    let term = |x: f32, dy: f32| {
        // v exactly as in the forward pass, or else its sign might differ.
        let centred = x - mean;
        let v = centred * scale + beta;
        let g = if v > 0.0 { dy } else { dy * slope };
        (g, g * centred, if v > 0.0 { 0.0 } else { dy * v })
    };
    for (x, dy) in x_groups.iter().zip(dy_groups) {
        for i in 0..16 {
            let (gradient, product, slope) = term(x[i], dy[i]);
            gradients[i] += gradient;
            products[i] += product;
            slopes[i] += slope;
        }
    }
    for (i, (x, dy)) in x_rest.iter().zip(dy_rest).enumerate() {
        let (gradient, product, slope) = term(*x, *dy);
        gradients[i] += gradient;
        products[i] += product;
        slopes[i] += slope;
    }
    (gradients.iter().sum(), products.iter().sum::<f32>() * inverse_deviation, slopes.iter().sum())
}

for_every_level! { run_sums = run_sums_body(x: &[f32], dy: &[f32], channel: &Channel) -> (f32, f32, f32) }

#[inline(always)]
fn backward_body(x: &[f32], dy: &mut [f32], channel: &Channel, mean_gradient: f32, mean_product: f32) {
    let Channel { mean, inverse_deviation, gamma, beta, slope } = *channel;
    let scale = gamma * inverse_deviation;
    for (x, dy) in x.iter().zip(dy) {
        let centred = x - mean;
        let g = if centred * scale + beta > 0.0 { *dy } else { *dy * slope };
        *dy = scale * (g - mean_gradient - centred * mean_product);
    }
}

for_every_level! {
    backward = backward_body(x: &[f32], dy: &mut [f32], channel: &Channel, mean_gradient: f32, mean_product: f32)
}

/// Gradients of `gamma`, `beta` and `slope`; the gradient of `x` replaces `dy`.
///
/// ```text
/// dx = γ/σ · (g − mean(g) − x̂ · mean(g·x̂))        g = dy where v > 0, s·dy elsewhere
/// ```
///
/// where the means are over what `over` normalised together, and absent if the statistics are constants (`None`).
pub(crate) fn gradients(
    level: Level,
    shape: NormShape,
    over: Option<Over>,
    x: &[f32],
    dy: &mut [f32],
    statistics: &Statistics,
    affine: Affine,
) -> [Vec<f32>; 3] {
    let voxels = shape.voxels;
    let sums: Vec<Sums> = x
        .par_chunks(voxels)
        .zip(dy.par_chunks(voxels))
        .enumerate()
        .map(|(i, (x, dy))| {
            let channel = statistics.channel(i, affine);
            x.chunks(RUN).zip(dy.chunks(RUN)).fold(Sums::default(), |sums, (x, dy)| {
                let (gradient, product, slope) = run_sums(level, x, dy, &channel);
                sums.add(Sums { gradient: gradient.into(), product: product.into(), slope: slope.into() })
            })
        })
        .collect();
    let per_channel: Vec<Sums> = (0..shape.channels)
        .map(|c| sums.iter().skip(c).step_by(shape.channels).fold(Sums::default(), |a, b| a.add(*b)))
        .collect();

    dy.par_chunks_mut(voxels).zip(x.par_chunks(voxels)).enumerate().for_each(|(i, (dy, x))| {
        let channel = statistics.channel(i, affine);
        let (together, count) = match over {
            None => (Sums::default(), 1.0),
            Some(Over::Instance) => (sums[i], voxels as f64),
            Some(Over::Batch) => (per_channel[i % shape.channels], (voxels * shape.batch) as f64),
        };
        // x̂ is the centred x times 1/σ, which goes into the mean instead.
        let mean_product = together.product / count * f64::from(channel.inverse_deviation);
        backward(level, x, dy, &channel, (together.gradient / count) as f32, mean_product as f32);
    });

    let mut slope = vec![0.0f64; affine.slope.len()];
    for (c, sums) in per_channel.iter().enumerate() {
        slope[c % affine.slope.len()] += sums.slope;
    }
    [
        per_channel.iter().map(|sums| sums.product as f32).collect(),
        per_channel.iter().map(|sums| sums.gradient as f32).collect(),
        slope.iter().map(|slope| *slope as f32).collect(),
    ]
}
