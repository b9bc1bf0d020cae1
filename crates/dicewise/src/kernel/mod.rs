//! The two voxel passes, sums and gradient, for every activation.
//!
//! A pass goes over chunks of voxels in parallel, and over a chunk in blocks small enough for the first-level
//! cache: load (converted, left-out voxels set to 0, checked), activate, and add up or differentiate. Chunks have
//! a fixed size and their `f64` sums are added in order, so a result does not depend on the number of threads.

mod block;
mod codes;
mod dense_rows;
mod identity;
mod instruction_set;
mod lane;
pub(crate) mod lanes;
mod map_truth;
mod rows;
mod sigmoid;
mod softmax;
mod softmax_dense;
mod softmax_labels;
mod softmax_rows;
mod softmax_sums;
mod softmax_tile;
mod streaming;
pub(crate) mod tile;

use rayon::prelude::*;

pub use instruction_set::InstructionSet;
pub(crate) use instruction_set::Kernel;
use instruction_set::Streaming;
use softmax_labels::Scratch;

use crate::{Activation, DiceError, Element, Shape, Target, shape::Chunk};

/// What a forward pass has to add up.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) activation: Activation,
    /// Σ y_0 p_c, for marginal treatment.
    pub(crate) background: bool,
    /// Σ y² and Σ p².
    pub(crate) squares: bool,
    pub(crate) cross_entropy: CrossEntropyOf<'a>,
}

/// The cross-entropy to add up or to differentiate.
#[derive(Clone, Copy)]
pub(crate) enum CrossEntropyOf<'a> {
    None,
    /// Binary, of each map, with sigmoid.
    Maps,
    /// Categorical, of each sample, with softmax. The class that each map is merged into, `[B, C]`.
    Groups(&'a [usize]),
}

impl<'a> CrossEntropyOf<'a> {
    /// The groups of sample `b`; `None` if there is no categorical cross-entropy.
    #[inline(always)]
    fn groups(self, b: usize, classes: usize) -> Option<&'a [usize]> {
        match self {
            Self::Groups(groups) => Some(&groups[b * classes..(b + 1) * classes]),
            Self::None | Self::Maps => None,
        }
    }
}

/// The sums of one map over one chunk.
#[derive(Clone, Copy, Default)]
pub(crate) struct MapSums {
    pub(crate) overlap: f64,
    pub(crate) target: f64,
    pub(crate) prediction: f64,
    pub(crate) background_overlap: f64,
    pub(crate) target_square: f64,
    pub(crate) prediction_square: f64,
    /// Of the map with sigmoid; of the sample, kept with class 0, with softmax.
    pub(crate) cross_entropy: f64,
    /// Voxels that count, for the same.
    pub(crate) voxels: f64,
}

impl MapSums {
    fn add(&mut self, other: &Self) {
        self.overlap += other.overlap;
        self.target += other.target;
        self.prediction += other.prediction;
        self.background_overlap += other.background_overlap;
        self.target_square += other.target_square;
        self.prediction_square += other.prediction_square;
        self.cross_entropy += other.cross_entropy;
        self.voxels += other.voxels;
    }
}

/// Fewer elements than this are not worth waking another thread for.
const LEAST_TASK: usize = 1 << 14;

/// How many chunks a thread is given at least: one of a volume, all of a small batch.
fn chunks_of_a_task(shape: Shape, chunks: usize) -> usize {
    (LEAST_TASK * chunks / shape.elements()).max(1)
}

/// Step 1: reads the input `[B, C, I]` and its target once; the sums of each map, `[B, C]`.
pub(crate) fn measure<T: Element>(
    set: InstructionSet,
    wanted: Wanted<'_>,
    input: &[T],
    target: &Target<'_>,
) -> Result<Vec<MapSums>, DiceError> {
    let shape = target.shape();
    shape.check_maps("prediction", input.len())?;
    let chunks = shape.chunks();
    let parts: Vec<_> = chunks
        .par_iter()
        .with_min_len(chunks_of_a_task(shape, chunks.len()))
        .map_init(Scratch::new, |scratch, chunk| {
            let pass = Forward { wanted, input, target, chunk };
            match wanted.activation {
                Activation::None => set.run(identity::Measure(pass)),
                Activation::Sigmoid => set.run(sigmoid::Measure(pass)),
                Activation::Softmax if pass.is_of_labels() => softmax_labels::measure(set, &pass, scratch),
                Activation::Softmax if pass.is_dense() => softmax_dense::measure(set, &pass, scratch),
                Activation::Softmax => set.run(softmax::Measure(pass)),
            }
        })
        .collect();
    let mut sums = vec![MapSums::default(); shape.batch() * shape.classes()];
    for (chunk, part) in chunks.iter().zip(parts) {
        let maps = &mut sums[chunk.b * shape.classes()..][..shape.classes()];
        maps.iter_mut().zip(&part?).for_each(|(sum, part)| sum.add(part));
    }
    Ok(sums)
}

/// Σ_i y of each map, `[B, C]`, for those who must know before step 1 which maps are empty.
pub(crate) fn measure_target(target: &Target<'_>) -> Result<Vec<f64>, DiceError> {
    let shape = target.shape();
    let chunks = shape.chunks();
    let set = InstructionSet::best();
    let parts: Vec<_> = chunks
        .par_iter()
        .with_min_len(chunks_of_a_task(shape, chunks.len()))
        .map(|chunk| set.run(identity::MeasureTarget { target, chunk }))
        .collect();
    let mut sizes = vec![0.0; shape.batch() * shape.classes()];
    for (chunk, part) in chunks.iter().zip(parts) {
        let maps = &mut sizes[chunk.b * shape.classes()..][..shape.classes()];
        maps.iter_mut().zip(part?).for_each(|(size, part)| *size += part);
    }
    Ok(sizes)
}

/// What a forward kernel works on.
struct Forward<'a, T> {
    wanted: Wanted<'a>,
    input: &'a [T],
    target: &'a Target<'a>,
    chunk: &'a Chunk,
}

/// The derivative with respect to probabilities and of the cross-entropy, for every map `[B, C]`:
///
/// ```text
/// ∂/∂p = a − b·y_row + c·p
/// ```
#[derive(Clone, Copy)]
pub(crate) struct Coefficients<'a> {
    pub(crate) activation: Activation,
    pub(crate) a: &'a [f64],
    pub(crate) b: &'a [f64],
    pub(crate) c: &'a [f64],
    pub(crate) row: &'a [usize],
    /// By what the derivative of a voxel's cross-entropy is multiplied, `[B, C]`.
    pub(crate) cross_entropy: &'a [f64],
    pub(crate) cross_entropy_of: CrossEntropyOf<'a>,
}

/// Step 3: writes the gradient with respect to the input, `[B, C, I]`.
///
/// Without `input`, it is what `gradient` holds on entry.
pub(crate) fn write_gradient<T: Element>(
    set: InstructionSet,
    coefficients: Coefficients<'_>,
    input: Option<&[T]>,
    target: &Target<'_>,
    gradient: &mut [T],
) -> Result<(), DiceError> {
    let shape = target.shape();
    if let Some(input) = input {
        shape.check_maps("prediction", input.len())?;
    }
    shape.check_maps("gradient", gradient.len())?;
    let large = size_of_val(gradient) >= streaming::LARGE;
    // Sigmoid, which reads and writes one map at a time, is an eighth slower from there; we do not know why.
    let from_line = large && coefficients.activation != Activation::Sigmoid;
    let head = if from_line { streaming::head(gradient, shape.voxels()) } else { 0 };
    let chunks = shape.chunks_mut(gradient, head);
    let least = chunks_of_a_task(shape, chunks.len());
    let results: Vec<_> = chunks
        .into_par_iter()
        .with_min_len(least)
        .map_init(Scratch::new, |scratch, (chunk, maps)| {
            let activation = coefficients.activation;
            let streaming = large.then(|| set.streaming());
            let pass = Backward { coefficients, input, target, chunk, maps, streaming };
            match activation {
                Activation::None => set.run(identity::Differentiate(pass)),
                Activation::Sigmoid => set.run(sigmoid::Differentiate(pass)),
                Activation::Softmax if pass.is_of_labels() => {
                    softmax_labels::differentiate(set, pass, scratch)
                }
                Activation::Softmax if pass.is_dense() => softmax_dense::differentiate(set, pass, scratch),
                Activation::Softmax => set.run(softmax::Differentiate(pass)),
            }
        })
        .collect();
    results.into_iter().collect()
}

/// What a backward kernel works on.
struct Backward<'a, T> {
    coefficients: Coefficients<'a>,
    input: Option<&'a [T]>,
    target: &'a Target<'a>,
    chunk: Chunk,
    /// The chunk's piece of each map of the gradient.
    maps: Vec<&'a mut [T]>,
    /// If the gradient is large; orders its stores when it goes with the chunk.
    streaming: Option<Streaming>,
}

impl<T: Element> Backward<'_, T> {
    /// The input of class `c` at `voxels`.
    #[inline(always)]
    fn input(&self, c: usize, voxels: &std::ops::Range<usize>) -> &[T] {
        match self.input {
            Some(input) => &input[self.target.shape().map(self.chunk.b, c, voxels)],
            None => &self.maps[c][self.chunk.within(voxels)],
        }
    }
}
