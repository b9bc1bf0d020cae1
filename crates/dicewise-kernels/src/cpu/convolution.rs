//! Convolution and the gradient of its input: both are correlations of a padded source with a list of taps.

use std::ops::Range;

use rayon::prelude::*;

use super::Level;
use super::buffer::Buffer;
use super::correlate::{Strip, Tap};
use super::lattice::Lattice;
use super::source::Source;

/// Values that are kept where they are found quickly. Sizes of caches, and no result depends on them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// Up to this many the padded copy of the whole input is shared by all tasks, which then divide the result's
    /// channels: small volumes have many channels, and their weights are what has to stay in the cache.
    pub(crate) shared: usize,
    /// Larger inputs are padded slab by slab, each by the task that computes the slab, in about this many.
    pub(crate) slab: usize,
    /// What the channels of a strip of rows read: all blocks of channels find them in the second-level cache.
    pub(crate) strip: usize,
}

impl Budget {
    pub(crate) const CACHES: Self = Self { shared: 1 << 20, slab: 3 << 18, strip: 1 << 16 };
}

/// At least this many tasks, where there are enough planes.
const TASKS: usize = 8;

/// The sizes of a convolution with zero padding `kernel / 2`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConvShape {
    pub(crate) batch: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    /// Input voxels along z, y, x.
    pub(crate) size: [usize; 3],
    pub(crate) kernel: [usize; 3],
    pub(crate) stride: [usize; 3],
}

impl ConvShape {
    /// Output voxels along z, y, x.
    pub(crate) fn out(&self) -> [usize; 3] {
        core::array::from_fn(|a| self.size[a].div_ceil(self.stride[a]))
    }

    pub(super) fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// All positions of the kernel, x fastest.
    pub(super) fn positions(&self) -> impl Iterator<Item = [usize; 3]> {
        let [kz, ky, kx] = self.kernel;
        (0..kz * ky * kx).map(move |t| [t / kx / ky, t / kx % ky, t % kx])
    }
}

/// Positions in the padded source and in the weight's channel.
type Taps = Vec<([usize; 3], usize)>;

/// Everything that stays the same for all planes of a correlation.
struct Correlation<'a> {
    level: Level,
    budget: Budget,
    source: &'a Source<'a>,
    batch: usize,
    /// Channels of `source`.
    channels: usize,
    outputs: usize,
    /// Result voxels along z, y, x.
    size: [usize; 3],
    /// Distance between result voxels that share a phase, which all together are `step[0] · step[1] · step[2]`.
    step: [usize; 3],
    kernel: [usize; 3],
    /// Of the padded source.
    stride: [usize; 3],
    /// For each phase of the result.
    phases: Vec<Taps>,
    /// Begins at the first of `outputs`.
    weights: &'a [f32],
    /// Distance in `weights` between the channels of the result, and between those of `source`.
    strides: [usize; 2],
    bias: Option<&'a [f32]>,
}

/// One padded copy and what is found in it.
struct Padded<'a> {
    lattice: &'a Lattice,
    values: &'a [f32],
    /// Plane of the result at its beginning, a multiple of `step[0]`.
    first: usize,
    phases: &'a [Vec<Tap>],
}

/// `n` channels in blocks that differ by at most one.
fn blocks(level: Level, n: usize) -> Vec<Range<usize>> {
    let count = n.div_ceil(Strip::block(level));
    (0..count).map(|b| b * n / count..(b + 1) * n / count).collect()
}

impl Correlation<'_> {
    fn run(&self) -> Vec<f32> {
        let [size_z, size_y, size_x] = self.size;
        let mut result = vec![0.0; self.batch * self.outputs * size_z * size_y * size_x];
        let whole = self.lattice(size_z.div_ceil(self.step[0]));
        if self.batch * whole.length(self.channels) <= self.budget.shared {
            self.by_channels(&whole, &mut result);
        } else {
            self.by_slabs(&mut result);
        }
        result
    }

    /// The layout for so many planes of one phase.
    fn lattice(&self, planes: usize) -> Lattice {
        let [_, y, x] = core::array::from_fn(|a| self.size[a].div_ceil(self.step[a]));
        Lattice::new([planes, y, x], self.kernel, self.stride)
    }

    fn taps(&self, lattice: &Lattice) -> Vec<Vec<Tap>> {
        let tap = |&(position, weight): &([usize; 3], usize)| Tap { input: lattice.offset(position), weight };
        self.phases.iter().map(|taps| taps.iter().map(tap).collect()).collect()
    }

    /// Sorts the result's planes by the task that computes them; within a task channels are slowest.
    fn tasks<'r>(
        &self,
        result: &'r mut [f32],
        count: usize,
        task: impl Fn([usize; 3]) -> usize,
    ) -> Vec<Vec<&'r mut [f32]>> {
        let [size_z, size_y, size_x] = self.size;
        let mut tasks: Vec<Vec<&mut [f32]>> = Vec::new();
        tasks.resize_with(count, Vec::new);
        for (i, plane) in result.chunks_exact_mut(size_y * size_x).enumerate() {
            tasks[task([i / size_z / self.outputs, i / size_z % self.outputs, i % size_z])].push(plane);
        }
        tasks
    }

    fn by_channels(&self, lattice: &Lattice, result: &mut [f32]) {
        let length = lattice.length(self.channels);
        let mut padded = Buffer::take(self.batch * length);
        padded.par_chunks_exact_mut(length).enumerate().for_each(|(b, padded)| {
            lattice.pad(self.level, self.source, b, 0..self.channels, 0, padded);
        });
        let phases = self.taps(lattice);
        let blocks = blocks(self.level, self.outputs);
        // Slabs give enough tasks where channels are few.
        let slabs = (4 * TASKS).div_ceil(blocks.len() * self.batch);
        let planes = self.size[0].div_ceil(slabs).next_multiple_of(self.step[0]);
        let slabs = self.size[0].div_ceil(planes);
        let mut block_of = vec![0; self.outputs];
        for (i, block) in blocks.iter().enumerate() {
            block_of[block.clone()].fill(i);
        }
        // Neighbouring tasks share the weights of a block.
        let tasks = self.tasks(result, blocks.len() * self.batch * slabs, |[b, o, z]| {
            (block_of[o] * self.batch + b) * slabs + z / planes
        });
        tasks.into_par_iter().enumerate().for_each_init(Vec::new, |scratch, (i, mut task)| {
            let (block, b, slab) = (&blocks[i / slabs / self.batch], i / slabs % self.batch, i % slabs);
            let padded =
                Padded { lattice, values: &padded[b * length..][..length], first: 0, phases: &phases };
            self.planes(&padded, slab * planes, core::slice::from_ref(block), &mut task, scratch);
        });
    }

    fn by_slabs(&self, result: &mut [f32]) {
        let halo = (self.kernel[0] - 1) / self.stride[0];
        let fitting = self.budget.slab / (self.channels * self.lattice(1).channel() / (1 + halo));
        let enough = (self.batch * self.size[0]).div_ceil(TASKS * self.step[0]);
        let planes = fitting.saturating_sub(halo).clamp(1, enough);
        let lattice = self.lattice(planes);
        let phases = self.taps(&lattice);
        let blocks = blocks(self.level, self.outputs);
        let planes = planes * self.step[0];
        let slabs = self.size[0].div_ceil(planes);
        let tasks = self.tasks(result, self.batch * slabs, |[b, _, z]| b * slabs + z / planes);
        tasks.into_par_iter().enumerate().for_each_init(Vec::new, |scratch, (i, mut task)| {
            let (b, first) = (i / slabs, i % slabs * planes);
            let mut values = Buffer::take(lattice.length(self.channels));
            let channels = 0..self.channels;
            lattice.pad(self.level, self.source, b, channels, first / self.step[0], &mut values);
            let padded = Padded { lattice: &lattice, values: &values, first, phases: &phases };
            self.planes(&padded, first, &blocks, &mut task, scratch);
        });
    }

    /// Blocks of channels of planes from `first` on, in `planes` with channels slowest.
    fn planes(
        &self,
        padded: &Padded,
        first: usize,
        blocks: &[Range<usize>],
        planes: &mut [&mut [f32]],
        scratch: &mut Vec<f32>,
    ) {
        let ([_, size_y, size_x], [step_z, step_y, step_x]) = (self.size, self.step);
        let channels = blocks.last().map_or(0, |last| last.end) - blocks[0].start;
        let depth = planes.len() / channels;
        let zeros = [0.0; 16];
        for (i, z) in (first..first + depth).enumerate() {
            let plane = (z - padded.first) / step_z * padded.lattice.plane();
            for (phase_y, phase_x) in (0..step_y).flat_map(|y| (0..step_x).map(move |x| (y, x))) {
                let taps = &padded.phases[(z % step_z * step_y + phase_y) * step_x + phase_x];
                // A volume of one row has no second phase along y.
                let rows = size_y.saturating_sub(phase_y).div_ceil(step_y);
                let columns = size_x.saturating_sub(phase_x).div_ceil(step_x);
                if rows == 0 || columns == 0 {
                    continue;
                }
                let height = self.strip(padded.lattice, rows, columns);
                for (y, block) in
                    (0..rows).step_by(height).flat_map(|y| blocks.iter().map(move |block| (y, block)))
                {
                    let height = height.min(rows - y);
                    let lanes = padded.lattice.lanes([height, columns]);
                    let length = lanes.next_multiple_of(Strip::lanes(self.level));
                    scratch.resize(scratch.len().max(block.len() * length), 0.0);
                    let strip = Strip {
                        input: &padded.values[plane + y * padded.lattice.row()..],
                        channels: self.channels,
                        channel: padded.lattice.channel(),
                        taps,
                        weights: &self.weights[block.start * self.strides[0]..],
                        strides: self.strides,
                        bias: self.bias.map_or(&zeros[..block.len()], |bias| &bias[block.clone()]),
                        length,
                    };
                    strip.correlate(self.level, scratch);
                    let results =
                        planes[(block.start - blocks[0].start) * depth + i..].iter_mut().step_by(depth);
                    for (plane, sums) in results.zip(scratch.chunks_exact(length).take(block.len())) {
                        let target =
                            plane.chunks_exact_mut(size_x).skip(phase_y + y * step_y).step_by(step_y);
                        for (to, from) in target.zip(sums.chunks(padded.lattice.row())).take(height) {
                            if step_x == 1 {
                                to.copy_from_slice(&from[..size_x]);
                            } else {
                                let to = to[phase_x..].iter_mut().step_by(step_x);
                                to.zip(from).for_each(|(to, from)| *to = *from);
                            }
                        }
                    }
                }
            }
        }
    }

    /// Rows to compute at once: as many as the cache holds, preferring heights that fill whole registers.
    fn strip(&self, lattice: &Lattice, rows: usize, columns: usize) -> usize {
        let row = self.channels * self.kernel[0] * lattice.row();
        let most = (self.budget.strip / row).saturating_sub(self.kernel[1] - 1).clamp(1, rows);
        let tile = 2 * Strip::lanes(self.level);
        let lanes = |height: usize| lattice.lanes([height, columns]).next_multiple_of(tile);
        let cost = |height: usize| match rows % height {
            0 => rows / height * lanes(height),
            rest => rows / height * lanes(height) + lanes(rest),
        };
        (most.div_ceil(2)..=most).rev().min_by_key(|height| cost(*height)).unwrap_or(1)
    }
}

/// `y` of [`conv3d`](crate::conv3d).
pub(crate) fn forward(
    level: Level,
    shape: ConvShape,
    x: &Source,
    weight: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    forward_within(Budget::CACHES, level, shape, x, weight, bias)
}

pub(super) fn forward_within(
    budget: Budget,
    level: Level,
    shape: ConvShape,
    x: &Source,
    weight: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let taps = shape.taps();
    Correlation {
        level,
        budget,
        source: x,
        batch: shape.batch,
        channels: shape.inputs,
        outputs: shape.outputs,
        size: shape.out(),
        step: [1; 3],
        kernel: shape.kernel,
        stride: shape.stride,
        phases: vec![shape.positions().enumerate().map(|(t, tap)| (tap, t)).collect()],
        weights: weight,
        strides: [shape.inputs * taps, taps],
        bias,
    }
    .run()
}

/// Gradient of some of the input's channels, from the gradient of the output.
///
/// Input voxel `i = s·j + p` was read by output `o` through tap `k` when `i + K/2 = s·o + k`. With `e = (p + K/2 − k)/s`
/// where that is a whole number, `o = j + e`: for each phase `p` a correlation of the output's gradient.
pub(crate) fn input_gradient(
    level: Level,
    shape: ConvShape,
    gradient: &[f32],
    weight: &[f32],
    channels: Range<usize>,
) -> Vec<f32> {
    input_gradient_within(Budget::CACHES, level, shape, gradient, weight, channels)
}

pub(super) fn input_gradient_within(
    budget: Budget,
    level: Level,
    shape: ConvShape,
    gradient: &[f32],
    weight: &[f32],
    channels: Range<usize>,
) -> Vec<f32> {
    let [step_z, step_y, step_x] = shape.stride;
    let taps = shape.taps();
    let phases = (0..step_z * step_y * step_x).map(|p| {
        let phase = [p / step_x / step_y, p / step_x % step_y, p % step_x];
        let reads = shape.positions().enumerate().filter_map(|(t, k)| {
            // Padded position of the gradient: j + e + K/2, shifted by s·K so that it stays positive.
            let shifted: [usize; 3] = core::array::from_fn(|a| {
                phase[a] + shape.kernel[a] / 2 + shape.stride[a] * shape.kernel[a] - k[a]
            });
            let whole = (0..3).all(|a| shifted[a].is_multiple_of(shape.stride[a]));
            let position = core::array::from_fn(|a| {
                shifted[a] / shape.stride[a] + shape.kernel[a] / 2 - shape.kernel[a]
            });
            whole.then_some((position, t))
        });
        reads.collect()
    });
    Correlation {
        level,
        budget,
        source: &Source::plain(gradient, shape.outputs, shape.out()),
        batch: shape.batch,
        channels: shape.outputs,
        outputs: channels.len(),
        size: shape.size,
        step: shape.stride,
        kernel: shape.kernel,
        stride: [1; 3],
        phases: phases.collect(),
        weights: &weight[channels.start * taps..],
        strides: [taps, shape.inputs * taps],
        bias: None,
    }
    .run()
}

/// Gradient of the bias: the sum of each channel's output gradient.
pub(crate) fn bias_gradient(shape: ConvShape, gradient: &[f32]) -> Vec<f32> {
    let voxels = shape.out().iter().product::<usize>();
    let sums: Vec<f64> = gradient
        .par_chunks(voxels)
        .map(|volume| volume.chunks(4096).map(|run| f64::from(sum_of_lanes(run))).sum())
        .collect();
    (0..shape.outputs).map(|o| sums.iter().skip(o).step_by(shape.outputs).sum::<f64>() as f32).collect()
}

/// Sixteen partial sums, so that the compiler may use vectors.
fn sum_of_lanes(values: &[f32]) -> f32 {
    let (groups, rest) = values.as_chunks::<16>();
    let mut lanes = [0.0f32; 16];
    for group in groups {
        lanes.iter_mut().zip(group).for_each(|(sum, value)| *sum += value);
    }
    lanes.iter().chain(rest).sum()
}
