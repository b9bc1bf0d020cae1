//! Convolution and the gradient of its input: both are correlations of a padded source with a list of taps.

use rayon::prelude::*;

use super::Level;
use super::lattice::Lattice;
use super::microkernel::Plane;

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

/// Taps and weights of those outputs whose position has one remainder by `step`.
struct Phase {
    taps: Vec<usize>,
    /// `[blocks][channels][taps][block]`
    weights: Vec<f32>,
}

/// Everything that stays the same for all planes of a correlation.
struct Correlation<'a> {
    level: Level,
    lattice: Lattice,
    source: &'a [f32],
    batch: usize,
    channels: usize,
    outputs: usize,
    /// Result voxels along z, y, x.
    size: [usize; 3],
    /// Distance between result voxels that share a [`Phase`].
    step: [usize; 3],
    /// `step[0] · step[1] · step[2]` of them.
    phases: Vec<Phase>,
    bias: Option<&'a [f32]>,
}

fn pack(
    level: Level,
    outputs: usize,
    channels: usize,
    taps: usize,
    weight: impl Fn(usize, usize, usize) -> f32 + Sync,
) -> Vec<f32> {
    let block = Plane::block(level);
    let mut packed = vec![0.0; outputs.div_ceil(block) * channels * taps * block];
    if taps > 0 {
        packed.par_chunks_mut(channels * taps * block).enumerate().for_each(|(b, packed)| {
            for (i, weights) in packed.chunks_exact_mut(block).enumerate() {
                for (c, packed) in weights.iter_mut().take(outputs - (b * block).min(outputs)).enumerate() {
                    *packed = weight(b * block + c, i / taps, i % taps);
                }
            }
        });
    }
    packed
}

impl Correlation<'_> {
    fn run(&self) -> Vec<f32> {
        let [size_z, size_y, size_x] = self.size;
        let lanes = Plane::lanes(self.level);
        // Reading may run past the last channel by its largest tap and by a plane, rounded up to whole registers.
        let reach = self.phases.iter().flat_map(|phase| &phase.taps).max().copied().unwrap_or(0);
        let tail = reach + size_z * self.lattice.plane() + lanes;
        let padded = self.lattice.pad(self.source, self.batch * self.channels, tail);

        let mut result = vec![0.0; self.batch * self.outputs * size_z * size_y * size_x];
        // Every task owns the output planes of one batch element at one z, of one block of channels.
        let block = Plane::block(self.level);
        let blocks = self.outputs.div_ceil(block);
        let mut tasks: Vec<Vec<&mut [f32]>> = Vec::new();
        tasks.resize_with(self.batch * size_z * blocks, || Vec::with_capacity(block));
        for (i, plane) in result.chunks_exact_mut(size_y * size_x).enumerate() {
            let (b, o, z) = (i / size_z / self.outputs, i / size_z % self.outputs, i % size_z);
            tasks[(b * size_z + z) * blocks + o / block].push(plane);
        }
        let longest = self.lattice.lanes([size_y.div_ceil(self.step[1]), size_x.div_ceil(self.step[2])]);
        let scratch = block * longest.next_multiple_of(lanes);
        tasks.into_par_iter().enumerate().for_each_init(
            || vec![0.0; scratch],
            |scratch, (i, planes)| {
                let (b, z) = (i / blocks / size_z, i / blocks % size_z);
                self.planes(&padded, [b, z], i % blocks, scratch, planes);
            },
        );
        result
    }

    /// One block of channels of batch element `b` at `z`.
    fn planes(
        &self,
        padded: &[f32],
        [b, z]: [usize; 2],
        block: usize,
        scratch: &mut [f32],
        mut planes: Vec<&mut [f32]>,
    ) {
        let ([_, size_y, size_x], [step_z, step_y, step_x]) = (self.size, self.step);
        let (width, lanes) = (Plane::block(self.level), Plane::lanes(self.level));
        let input = &padded[b * self.channels * self.lattice.channel() + z / step_z * self.lattice.plane()..];
        let mut bias = [0.0; 16];
        if let Some(values) = self.bias {
            bias[..planes.len()].copy_from_slice(&values[block * width..][..planes.len()]);
        }
        for (phase_y, phase_x) in (0..step_y).flat_map(|y| (0..step_x).map(move |x| (y, x))) {
            let phase = &self.phases[(z % step_z * step_y + phase_y) * step_x + phase_x];
            // A volume of one row has no second phase along y.
            let rows = size_y.saturating_sub(phase_y).div_ceil(step_y);
            let columns = size_x.saturating_sub(phase_x).div_ceil(step_x);
            if rows == 0 || columns == 0 {
                continue;
            }
            let length = self.lattice.lanes([rows, columns]).next_multiple_of(lanes);
            let weights = self.channels * phase.taps.len() * width;
            let kernel = Plane {
                input,
                channels: self.channels,
                channel: self.lattice.channel(),
                taps: &phase.taps,
                weights: &phase.weights[block * weights..][..weights],
                bias: &bias,
                length,
            };
            kernel.correlate(self.level, scratch);
            for (plane, sums) in planes.iter_mut().zip(scratch.chunks_exact(length)) {
                let target = plane.chunks_exact_mut(size_x).skip(phase_y).step_by(step_y);
                for (to, from) in target.zip(sums.chunks(self.lattice.row())) {
                    if step_x == 1 {
                        to.copy_from_slice(&from[..size_x]);
                    } else {
                        to[phase_x..].iter_mut().step_by(step_x).zip(from).for_each(|(to, from)| *to = *from);
                    }
                }
            }
        }
    }
}

/// `y` of [`conv3d`](crate::conv3d).
pub(crate) fn forward(
    level: Level,
    shape: ConvShape,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let lattice = Lattice::new(shape.size, shape.out(), shape.kernel, shape.stride);
    let taps = shape.taps();
    let phase = Phase {
        taps: shape.positions().map(|tap| lattice.offset(tap)).collect(),
        weights: pack(level, shape.outputs, shape.inputs, taps, |o, i, t| {
            weight[(o * shape.inputs + i) * taps + t]
        }),
    };
    Correlation {
        level,
        lattice,
        source: x,
        batch: shape.batch,
        channels: shape.inputs,
        outputs: shape.outputs,
        size: shape.out(),
        step: [1; 3],
        phases: vec![phase],
        bias,
    }
    .run()
}

/// Gradient of the input, from the gradient of the output.
///
/// Input voxel `i = s·j + p` was read by output `o` through tap `k` when `i + K/2 = s·o + k`. With `e = (p + K/2 − k)/s`
/// where that is a whole number, `o = j + e`: for each phase `p` a correlation of the output's gradient.
pub(crate) fn input_gradient(level: Level, shape: ConvShape, gradient: &[f32], weight: &[f32]) -> Vec<f32> {
    let lattice = Lattice::new(shape.out(), shape.out(), shape.kernel, [1; 3]);
    let [step_z, step_y, step_x] = shape.stride;
    let taps = shape.taps();
    let phases = (0..step_z * step_y * step_x).map(|p| {
        let phase = [p / step_x / step_y, p / step_x % step_y, p % step_x];
        let (positions, offsets): (Vec<usize>, Vec<usize>) = shape
            .positions()
            .enumerate()
            .filter_map(|(t, k)| {
                // Padded position of the gradient: j + e + K/2, shifted by s·K so that it stays positive.
                let shifted: [usize; 3] = core::array::from_fn(|a| {
                    phase[a] + shape.kernel[a] / 2 + shape.stride[a] * shape.kernel[a] - k[a]
                });
                let whole = (0..3).all(|a| shifted[a].is_multiple_of(shape.stride[a]));
                whole.then(|| {
                    let tap = core::array::from_fn(|a| {
                        shifted[a] / shape.stride[a] + shape.kernel[a] / 2 - shape.kernel[a]
                    });
                    (t, lattice.offset(tap))
                })
            })
            .unzip();
        let weights = pack(level, shape.inputs, shape.outputs, offsets.len(), |i, o, t| {
            weight[(o * shape.inputs + i) * taps + positions[t]]
        });
        Phase { taps: offsets, weights }
    });
    Correlation {
        level,
        phases: phases.collect(),
        lattice,
        source: gradient,
        batch: shape.batch,
        channels: shape.outputs,
        outputs: shape.inputs,
        size: shape.size,
        step: shape.stride,
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
