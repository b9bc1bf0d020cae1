//! Where a convolution finds its input: zero-padded copies in which every tap is a constant offset.
//!
//! An input voxel `i` of an axis with kernel `k` and stride `s` is read by output `o` through tap `t` when
//! `i + k/2 = s·o + t`. Splitting the padded position `i + k/2` into a phase (its remainder by `s`) and an index (its
//! quotient) turns this into "phase `t mod s`, index `o + t/s`": for one tap, the same distance from every output.
//!
//! Rows lie `out + k/2` apart, so the zeros after one row are also the zeros before the next, and likewise for planes.
//! A plane of outputs is then one flat run of lanes in which only `k/2` of `out + k/2` are wasted: that is what makes
//! volumes narrower than a vector register worthwhile.

use rayon::prelude::*;

use super::buffer::Buffer;

/// The layout of one padded channel.
#[derive(Clone, Debug)]
pub(super) struct Lattice {
    /// Voxels of the source along z, y, x.
    size: [usize; 3],
    /// Zeros before the first voxel.
    pad: [usize; 3],
    /// Phases along each axis: the stride.
    phases: [usize; 3],
    /// Distance, in indices, between rows (`pitch[2]`), and in rows between planes (`pitch[1]`).
    pitch: [usize; 3],
}

impl Lattice {
    /// For outputs of `out` voxels, from a source of `size` voxels.
    pub(super) fn new(size: [usize; 3], out: [usize; 3], kernel: [usize; 3], stride: [usize; 3]) -> Self {
        let pad = kernel.map(|k| k / 2);
        Self { size, pad, phases: stride, pitch: core::array::from_fn(|a| out[a] + pad[a]) }
    }

    /// Values between the same voxel of two neighbouring channels.
    pub(super) fn channel(&self) -> usize {
        self.phases.iter().chain(&self.pitch).product()
    }

    /// Values between two planes of outputs.
    pub(super) fn plane(&self) -> usize {
        self.pitch[1] * self.pitch[2]
    }

    /// Values between two rows of outputs.
    pub(super) fn row(&self) -> usize {
        self.pitch[2]
    }

    /// Lanes from the first output of a plane of `[y, x]` outputs to its last.
    pub(super) fn lanes(&self, [y, x]: [usize; 2]) -> usize {
        (y - 1) * self.pitch[2] + x
    }

    /// Distance from an output to padded position `tap`.
    pub(super) fn offset(&self, tap: [usize; 3]) -> usize {
        let phase = (0..3).fold(0, |phase, a| phase * self.phases[a] + tap[a] % self.phases[a]);
        let index = (0..3).fold(0, |index, a| index * self.pitch[a] + tap[a] / self.phases[a]);
        phase * self.pitch.iter().product::<usize>() + index
    }

    /// Copies `channels` volumes into the layout, followed by `tail` zeros.
    pub(super) fn pad(&self, source: &[f32], channels: usize, tail: usize) -> Buffer {
        let length = self.channel();
        let mut padded = Buffer::take(channels * length + tail);
        let (volumes, rest) = padded.split_at_mut(channels * length);
        rest.fill(0.0);
        let volume: usize = self.size.iter().product();
        volumes.par_chunks_mut(length).zip(source.par_chunks(volume)).for_each(|(padded, source)| {
            if self.phases == [1; 3] {
                self.pad_dense(padded, source)
            } else {
                self.pad_phases(padded, source)
            }
        });
        padded
    }

    /// One channel with stride 1: every row in turn, the zeros before it first.
    fn pad_dense(&self, padded: &mut [f32], source: &[f32]) {
        let [pad_z, pad_y, pad_x] = self.pad;
        let [_, size_y, size_x] = self.size;
        let (border, planes) = padded.split_at_mut(pad_z * self.plane());
        border.fill(0.0);
        let planes = planes.chunks_exact_mut(self.plane()).zip(source.chunks_exact(size_y * size_x));
        for (plane, source) in planes {
            let (border, rows) = plane.split_at_mut(pad_y * self.row());
            border.fill(0.0);
            for (row, source) in rows.chunks_exact_mut(self.row()).zip(source.chunks_exact(size_x)) {
                row[..pad_x].fill(0.0);
                row[pad_x..].copy_from_slice(source);
            }
        }
    }

    fn pad_phases(&self, padded: &mut [f32], source: &[f32]) {
        padded.fill(0.0);
        for (row, values) in source.chunks_exact(self.size[2]).enumerate() {
            let [z, y] = [row / self.size[1] + self.pad[0], row % self.size[1] + self.pad[1]];
            for phase in 0..self.phases[2] {
                // The first voxel of the row whose padded position has this phase.
                let first = (phase + self.phases[2] - self.pad[2] % self.phases[2]) % self.phases[2];
                let start = self.offset([z, y, self.pad[2] + first]);
                let every = values.iter().skip(first).step_by(self.phases[2]);
                padded[start..].iter_mut().zip(every).for_each(|(to, from)| *to = *from);
            }
        }
    }
}
