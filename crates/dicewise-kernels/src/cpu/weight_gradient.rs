//! The gradient of a convolution's weights.
//!
//! Lanes are output channels here: the output's gradient is turned around so that the channels of a voxel lie side by
//! side, and one input value times one such group of channels updates one tap. Nothing is wasted on narrow volumes, and
//! the sums of all lanes are separate results, so no register is ever added up across.

use rayon::prelude::*;

use super::lattice::Lattice;
use super::microkernel::Rows;
use super::{ConvShape, Level};

/// About this many voxels are summed in registers before they are added to memory. Longer runs would save nothing, and
/// short ones keep rounding errors small.
const VOXELS: usize = 256;
/// At most this many slabs of planes are summed apart, and fewer where the weights are many.
const SLABS: usize = 32;
/// Weights in all slabs together.
const PARTIAL_SUMS: usize = 1 << 18;

/// Output channels that share registers: `(first, lanes)`.
fn channel_blocks(level: Level, outputs: usize) -> Vec<(usize, usize)> {
    let mut blocks = Vec::new();
    let mut first = 0;
    while first < outputs {
        // Eight channels or fewer would leave half of a wide register empty.
        let lanes = if outputs - first > 8 { widest(level) } else { 8 };
        blocks.push((first, lanes));
        first += lanes;
    }
    blocks
}

fn widest(level: Level) -> usize {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => 16,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => 8,
        Level::Portable => 8,
    }
}

/// `[voxels][lanes]` from the planes of the channels, absent channels being zero.
fn interleave(
    gradient: &[f32],
    volume: usize,
    lanes: usize,
    channels: usize,
    voxels: usize,
    turned: &mut [f32],
) {
    for channel in 0..channels {
        let plane = &gradient[channel * volume..][..voxels];
        turned[channel..].iter_mut().step_by(lanes).zip(plane).for_each(|(to, from)| *to = *from);
    }
}

/// Gradient of the weights, `[outputs][inputs][taps]`, from the input and the gradient of the output.
pub(crate) fn weight_gradient(level: Level, shape: ConvShape, x: &[f32], gradient: &[f32]) -> Vec<f32> {
    let [out_z, out_y, out_x] = shape.out();
    let lattice = Lattice::new(shape.size, shape.out(), shape.kernel, shape.stride);
    let reach = shape.positions().map(|tap| lattice.offset(tap)).max().unwrap_or(0);
    let tail = reach + out_z * lattice.plane();
    let padded = lattice.pad(x, shape.batch * shape.inputs, tail);

    // Three neighbouring taps share a pointer where they lie next to each other.
    let run = if shape.kernel[2] == 3 && shape.stride[2] == 1 { 3 } else { 1 };
    let taps: Vec<usize> = (0..shape.inputs)
        .flat_map(|i| {
            let channel = i * lattice.channel();
            let lattice = &lattice;
            shape
                .positions()
                .filter(move |tap| tap[2] % run == 0)
                .map(move |tap| channel + lattice.offset(tap))
        })
        .collect();

    let weights = taps.len() * run;
    let planes = shape.batch * out_z;
    let slabs = (PARTIAL_SUMS / (weights * shape.outputs)).clamp(1, SLABS.min(planes));
    let blocks = channel_blocks(level, shape.outputs);
    let (volume, plane) = (out_z * out_y * out_x, out_y * out_x);
    let rows_at_once = VOXELS.div_ceil(out_x);
    let tasks: Vec<(usize, usize)> =
        (0..blocks.len()).flat_map(|block| (0..slabs).map(move |slab| (block, slab))).collect();
    let sums: Vec<Vec<f32>> = tasks
        .into_par_iter()
        .map(|(block, slab)| {
            let (first, lanes) = blocks[block];
            let channels = lanes.min(shape.outputs - first);
            let mut sums = vec![0.0; weights * lanes];
            let mut turned = vec![0.0; plane * lanes];
            for i in slab * planes / slabs..(slab + 1) * planes / slabs {
                let (b, z) = (i / out_z, i % out_z);
                let source = &gradient[(b * shape.outputs + first) * volume + z * plane..];
                interleave(source, volume, lanes, channels, plane, &mut turned);
                let input = b * shape.inputs * lattice.channel() + z * lattice.plane();
                for y in (0..out_y).step_by(rows_at_once) {
                    let rows = Rows {
                        input: &padded[input + y * lattice.row()..],
                        taps: &taps,
                        run,
                        pitch: lattice.row(),
                        gradient: &turned[y * out_x * lanes..],
                        rows: rows_at_once.min(out_y - y),
                        width: out_x,
                        lanes,
                    };
                    rows.accumulate(level, &mut sums);
                }
            }
            sums
        })
        .collect();

    let mut result = vec![0.0; shape.outputs * weights];
    for (block, slabs) in sums.chunks(slabs).enumerate() {
        let (first, lanes) = blocks[block];
        let mut total = slabs[0].clone();
        for slab in &slabs[1..] {
            total.iter_mut().zip(slab).for_each(|(total, sum)| *total += sum);
        }
        for (channel, result) in result[first * weights..].chunks_mut(weights).take(lanes).enumerate() {
            result.iter_mut().zip(total[channel..].iter().step_by(lanes)).for_each(|(to, from)| *to = *from);
        }
    }
    result
}
