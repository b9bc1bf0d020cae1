//! Seeded resampling that gives the same numbers on any number of threads.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;
use thiserror::Error;

/// Why two methods could not be compared.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum SignificanceError {
    /// The two methods were not scored on the same subjects.
    #[error(
        "{left} values on the left and {right} on the right: a paired test needs one of each per subject"
    )]
    Unpaired {
        /// Values of the first method.
        left: usize,
        /// Values of the second method.
        right: usize,
    },
    /// Fewer than two subjects.
    #[error("{n} paired subjects: at least 2 are needed to say anything about chance")]
    TooFew {
        /// Subjects given.
        n: usize,
    },
    /// A value is NaN or infinite.
    #[error(
        "the {side} value of subject {index} is {value}: leave out subjects without a score, in both methods"
    )]
    NotFinite {
        /// `left` or `right`, or the name of a method.
        side: String,
        /// Index of the subject.
        index: usize,
        /// The value.
        value: f64,
    },
    /// All differences are equal, so a standardised effect is not defined.
    #[error(
        "all {n} differences are {value}: without spread there is no standardised effect, report the mean"
    )]
    NoSpread {
        /// Subjects given.
        n: usize,
        /// The common difference.
        value: f64,
    },
    /// A number of resamples, a confidence level or the index of a method outside its range.
    #[error("{argument} is {value}: {accepted}")]
    Argument {
        /// Name of the argument.
        argument: &'static str,
        /// The value given.
        value: f64,
        /// What is accepted.
        accepted: &'static str,
    },
}

/// How often to resample, and from which seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resampling {
    iterations: u32,
    seed: u64,
}

/// Resamples drawn from one ChaCha8 stream: enough to amortise seeding, few enough to feed all cores.
const BLOCK: u32 = 1000;

impl Resampling {
    /// The paper's number of iterations.
    pub const PAPER_ITERATIONS: u32 = 100_000;

    /// The paper's 100,000 iterations from `seed`.
    pub fn seeded(seed: u64) -> Self {
        Self { iterations: Self::PAPER_ITERATIONS, seed }
    }

    /// `iterations` ≥ 1 resamples from `seed`. The smallest p-value of a corrected test is 1 / (iterations + 1).
    pub fn new(iterations: u32, seed: u64) -> Result<Self, SignificanceError> {
        if iterations == 0 {
            return Err(SignificanceError::Argument {
                argument: "iterations",
                value: 0.0,
                accepted: "at least 1 resample is needed",
            });
        }
        Ok(Self { iterations, seed })
    }

    /// Number of resamples.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// Seed of the random streams.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Runs `draw` for every resample and returns the results in order.
    pub(crate) fn draw<T: Send>(&self, draw: impl Fn(&mut ChaCha8Rng) -> T + Sync) -> Vec<T> {
        let blocks: Vec<Vec<T>> = (0..self.iterations.div_ceil(BLOCK))
            .into_par_iter()
            .map(|block| {
                let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
                rng.set_stream(u64::from(block));
                let resamples = BLOCK.min(self.iterations - block * BLOCK);
                (0..resamples).map(|_| draw(&mut rng)).collect()
            })
            .collect();
        blocks.into_iter().flatten().collect()
    }

    /// Number of resamples for which `draw` returns true.
    pub(crate) fn count(&self, draw: impl Fn(&mut ChaCha8Rng) -> bool + Sync) -> u32 {
        self.draw(draw).into_iter().map(u32::from).sum()
    }

    /// Monte-Carlo p-value that counts the observed data as one more resample, so it is never 0.
    ///
    /// ```text
    /// p = (1 + #{|T*| ≥ |T|}) / (1 + N)
    /// ```
    pub(crate) fn corrected_p_value(&self, at_least_as_extreme: u32) -> f64 {
        (1.0 + f64::from(at_least_as_extreme)) / (1.0 + f64::from(self.iterations))
    }
}

/// A random index below `n`. The bias is n / 2³², and the draw does not depend on the version of `rand`.
pub(crate) fn random_index(rng: &mut ChaCha8Rng, n: usize) -> usize {
    ((u64::from(rng.next_u32()) * n as u64) >> 32) as usize
}

/// Calls `each` with the index and a fair coin for `0..n`, 64 coins a draw.
pub(crate) fn flip_coins(rng: &mut ChaCha8Rng, n: usize, mut each: impl FnMut(usize, bool)) {
    let mut bits = 0;
    for i in 0..n {
        if i % 64 == 0 {
            bits = rng.next_u64();
        }
        each(i, bits & 1 == 1);
        bits >>= 1;
    }
}
