//! The gradient of a convolution's weights.
//!
//! Lanes are output channels here: the output's gradient is turned around so that the channels of a voxel lie side by
//! side, and one input value times such a group of channels updates one tap. Nothing is wasted on narrow volumes, and
//! the sums of all lanes are separate results, so no register is ever added up across.

use std::ops::Range;

use rayon::prelude::*;

use super::accumulate::Rows;
use super::buffer::Buffer;
use super::lattice::Lattice;
use super::source::Source;
use super::{Budget, ConvShape, Level};

/// About this many voxels are summed in registers before they are added to memory. Longer runs would save nothing, and
/// short ones keep rounding errors small.
const VOXELS: usize = 256;
/// At most this many slabs of planes are summed apart.
const SLABS: usize = 32;
/// Sums in all slabs together. Their number decides how partial sums are added, so it must not depend on the machine.
const PARTIAL_SUMS: usize = 1 << 20;

/// Output channels that share registers.
#[derive(Clone, Copy, Debug)]
struct Block {
    first: usize,
    channels: usize,
    lanes: usize,
}

fn blocks(level: Level, outputs: usize) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut first = 0;
    while first < outputs {
        let left = outputs - first;
        // The most lanes that are filled; the last channels take the fewest that hold them.
        let lanes = Rows::lanes(level);
        let lanes = *lanes.iter().find(|lanes| left > **lanes / 2).unwrap_or(&lanes[lanes.len() - 1]);
        blocks.push(Block { first, channels: left.min(lanes), lanes });
        first += lanes;
    }
    blocks
}

/// `[voxels][lanes]` from a plane of each channel, absent channels being zero.
fn interleave(gradient: &[f32], volume: usize, block: Block, voxels: usize, turned: &mut [f32]) {
    for lane in 0..block.lanes {
        let turned = turned[lane..].iter_mut().step_by(block.lanes);
        if lane < block.channels {
            turned.zip(&gradient[lane * volume..][..voxels]).for_each(|(to, from)| *to = *from);
        } else {
            turned.take(voxels).for_each(|to| *to = 0.0);
        }
    }
}

struct WeightGradient<'a> {
    level: Level,
    budget: Budget,
    shape: ConvShape,
    source: &'a Source<'a>,
    gradient: &'a [f32],
    blocks: Vec<Block>,
    /// Neighbouring taps that share a pointer.
    run: usize,
}

/// Gradient of the weights, `[outputs][inputs][taps]`, from the input and the gradient of the output.
pub(crate) fn weight_gradient(level: Level, shape: ConvShape, x: &Source, gradient: &[f32]) -> Vec<f32> {
    weight_gradient_within(Budget::CACHES, level, shape, x, gradient)
}

pub(super) fn weight_gradient_within(
    budget: Budget,
    level: Level,
    shape: ConvShape,
    x: &Source,
    gradient: &[f32],
) -> Vec<f32> {
    // Three neighbouring taps share a pointer where they lie next to each other.
    let run = if shape.kernel[2] == 3 && shape.stride[2] == 1 { 3 } else { 1 };
    let blocks = blocks(level, shape.outputs);
    WeightGradient { level, budget, shape, source: x, gradient, blocks, run }.run()
}

impl WeightGradient<'_> {
    fn run(&self) -> Vec<f32> {
        let weights = self.shape.inputs * self.shape.taps();
        let lanes: usize = self.blocks.iter().map(|block| block.lanes).sum();
        let planes = self.shape.batch * self.shape.out()[0];
        // Few weights: slabs of planes are summed apart, each padding what it reads. Many: blocks of channels are.
        let slabs = (PARTIAL_SUMS / (weights * lanes)).clamp(1, SLABS.min(planes));
        let all: Vec<usize> = (0..self.blocks.len()).collect();
        let together = if slabs >= 8 { all.len() } else { 1 };
        let tasks: Vec<(&[usize], Range<usize>)> = all
            .chunks(together)
            .flat_map(|blocks| {
                (0..slabs).map(move |s| (blocks, s * planes / slabs..(s + 1) * planes / slabs))
            })
            .collect();
        let sums: Vec<Vec<Vec<f32>>> =
            tasks.into_par_iter().map(|(blocks, planes)| self.sums(blocks, planes)).collect();

        let mut result = vec![0.0; self.shape.outputs * weights];
        for (b, block) in self.blocks.iter().enumerate() {
            let slabs = sums[b / together * slabs..][..slabs].iter().map(|task| &task[b % together]);
            let total = slabs.cloned().reduce(|mut total, slab| {
                total.iter_mut().zip(&slab).for_each(|(total, sum)| *total += sum);
                total
            });
            let total = total.expect("at least one slab");
            for (channel, result) in
                result[block.first * weights..].chunks_mut(weights).take(block.channels).enumerate()
            {
                let sums = total[channel..].iter().step_by(block.lanes);
                result.iter_mut().zip(sums).for_each(|(to, from)| *to = *from);
            }
        }
        result
    }

    /// Sums of some blocks over some planes, counted through the batch: `[inputs][taps][lanes]` for each block.
    fn sums(&self, blocks: &[usize], planes: Range<usize>) -> Vec<Vec<f32>> {
        let shape = &self.shape;
        let [out_z, out_y, out_x] = shape.out();
        let (volume, plane) = (out_z * out_y * out_x, out_y * out_x);
        let weights = shape.inputs * shape.taps();
        let mut sums: Vec<Vec<f32>> =
            blocks.iter().map(|b| vec![0.0; weights * self.blocks[*b].lanes]).collect();
        let widest = blocks.iter().map(|b| self.blocks[*b].lanes).max().unwrap_or(0);
        let mut turned = vec![0.0; plane * widest];

        // As many planes at a time as a padded copy may hold, without crossing from one batch element to the next.
        let halo = (shape.kernel[0] - 1) / shape.stride[0];
        let one = Lattice::new([1, out_y, out_x], shape.kernel, shape.stride);
        let fitting = self.budget.slab / (shape.inputs * one.channel() / (1 + halo));
        let depth = fitting.saturating_sub(halo).clamp(1, planes.len().min(out_z));
        let lattice = Lattice::new([depth, out_y, out_x], shape.kernel, shape.stride);
        let taps: Vec<usize> = (0..shape.inputs)
            .flat_map(|i| {
                let (channel, lattice) = (i * lattice.channel(), &lattice);
                let starts = shape.positions().filter(|tap| tap[2] % self.run == 0);
                starts.map(move |tap| channel + lattice.offset(tap))
            })
            .collect();
        let mut padded = Buffer::take(lattice.length(shape.inputs));
        let rows_at_once = VOXELS.div_ceil(out_x);
        let mut next = planes.start;
        while next < planes.end {
            let (b, first) = (next / out_z, next % out_z);
            let count = depth.min(out_z - first).min(planes.end - next);
            lattice.pad(self.level, self.source, b, 0..shape.inputs, first, &mut padded);
            for z in first..first + count {
                for (block, sums) in blocks.iter().map(|b| self.blocks[*b]).zip(&mut sums) {
                    let source = &self.gradient[(b * shape.outputs + block.first) * volume + z * plane..];
                    interleave(source, volume, block, plane, &mut turned);
                    for y in (0..out_y).step_by(rows_at_once) {
                        let rows = Rows {
                            input: &padded[(z - first) * lattice.plane() + y * lattice.row()..],
                            taps: &taps,
                            run: self.run,
                            pitch: lattice.row(),
                            gradient: &turned[y * out_x * block.lanes..],
                            rows: rows_at_once.min(out_y - y),
                            width: out_x,
                            lanes: block.lanes,
                        };
                        rows.accumulate(self.level, sums);
                    }
                }
            }
            next += count;
        }
        sums
    }
}
