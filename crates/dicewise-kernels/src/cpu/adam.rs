//! One step of Adam.

use rayon::prelude::*;

use super::Level;
use super::level::for_every_level;

/// The constants of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// Share of the old first and second moment that is kept.
    pub betas: [f64; 2],
    /// Learning rate, times the correction for moments that started from zero.
    pub rate: f64,
    /// Added to √v.
    pub epsilon: f64,
    /// Multiple of the weights that is added to the gradient: the derivative of an L2 penalty.
    pub decay: f64,
}

/// Values a task.
const RUN: usize = 1 << 14;

#[inline(always)]
fn run_body(adam: &Adam, weights: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
    let [beta_1, beta_2] = adam.betas.map(|beta| beta as f32);
    let [new_1, new_2] = adam.betas.map(|beta| (1.0 - beta) as f32);
    let (rate, epsilon, decay) = (adam.rate as f32, adam.epsilon as f32, adam.decay as f32);
    for (((w, g), m), v) in weights.iter_mut().zip(gradient).zip(first).zip(second) {
        let g = g + decay * *w;
        *m = beta_1 * *m + new_1 * g;
        *v = beta_2 * *v + new_2 * g * g;
        *w -= rate * *m / (v.sqrt() + epsilon);
    }
}

for_every_level! {
    run = run_body(adam: &Adam, weights: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32])
}

/// [`adam_step`](crate::adam_step) in place.
pub(crate) fn adam_step(
    level: Level,
    adam: &Adam,
    weights: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
) {
    weights
        .par_chunks_mut(RUN)
        .zip(gradient.par_chunks(RUN))
        .zip(first.par_chunks_mut(RUN).zip(second.par_chunks_mut(RUN)))
        .for_each(|((weights, gradient), (first, second))| {
            run(level, adam, weights, gradient, first, second)
        });
}
