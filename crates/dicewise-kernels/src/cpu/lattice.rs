//! Where a convolution finds its input: zero-padded copies in which every tap is a constant offset.
//!
//! An input voxel `i` of an axis with kernel `k` and stride `s` is read by output `o` through tap `t` when
//! `i + k/2 = s·o + t`. Splitting the padded position `i + k/2` into a phase (its remainder by `s`) and an index (its
//! quotient) turns this into "phase `t mod s`, index `o + t/s`": for one tap, the same distance from every output.
//!
//! Rows lie `out + k/2` apart, so the zeros after one row are also the zeros before the next, and likewise for planes
//! of rows. A plane of outputs is then one flat run of lanes in which only `k/2` of `out + k/2` are wasted: that is what
//! makes volumes narrower than a vector register worthwhile.
//!
//! A copy holds what a slab of output planes reads. It is made where it is used, stays in the cache, and is never as
//! large as the tensor.

use std::ops::Range;

use super::Level;
use super::source::Source;

/// The layout of one padded channel, for the outputs of a slab of planes.
#[derive(Clone, Debug)]
pub(super) struct Lattice {
    /// Zeros before the first voxel.
    pad: [usize; 3],
    /// Phases along each axis: the stride.
    phases: [usize; 3],
    /// Indices along each axis; rows lie `pitch[2]` apart and planes `pitch[1]` rows.
    pitch: [usize; 3],
}

impl Lattice {
    /// For outputs of `out` voxels, `out[0]` being the planes of a slab.
    pub(super) fn new(out: [usize; 3], kernel: [usize; 3], stride: [usize; 3]) -> Self {
        let pad = kernel.map(|k| k / 2);
        // A slab has neighbours before and after it that are not zero, so nothing can be shared along z.
        let planes = out[0] + (kernel[0] - 1) / stride[0];
        Self { pad, phases: stride, pitch: [planes, out[1] + pad[1], out[2] + pad[2]] }
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

    /// Lanes from the first output of `[y, x]` outputs in a plane to the last.
    pub(super) fn lanes(&self, [y, x]: [usize; 2]) -> usize {
        (y - 1) * self.pitch[2] + x
    }

    /// Distance from an output to padded position `tap`.
    pub(super) fn offset(&self, tap: [usize; 3]) -> usize {
        let phase = (0..3).fold(0, |phase, a| phase * self.phases[a] + tap[a] % self.phases[a]);
        let index = (0..3).fold(0, |index, a| index * self.pitch[a] + tap[a] / self.phases[a]);
        phase * self.pitch.iter().product::<usize>() + index
    }

    /// Values of a copy of `channels` channels, of which lanes after the last output may be read: the last plane's taps
    /// reach into zeros after it, and a run of lanes is rounded up to whole registers.
    pub(super) fn length(&self, channels: usize) -> usize {
        channels * self.channel() + (self.pad[1] + 1) * self.pitch[2] + MARGIN
    }

    /// Copies channels of batch element `b` into the layout, from the plane that the slab's first output begins with:
    /// output plane `first` of all.
    pub(super) fn pad(
        &self,
        level: Level,
        source: &Source,
        b: usize,
        channels: Range<usize>,
        first: usize,
        padded: &mut [f32],
    ) {
        let (volumes, rest) = padded.split_at_mut(channels.len() * self.channel());
        rest[..self.length(0)].fill(0.0);
        for (padded, c) in volumes.chunks_exact_mut(self.channel()).zip(channels) {
            if self.phases == [1; 3] {
                self.pad_dense(level, source, [b, c], first, padded);
            } else {
                self.pad_phases(level, source, [b, c], first, padded);
            }
        }
    }

    /// Source plane at padded position `p` of the slab.
    fn source_plane(&self, source: &Source, first: usize, p: usize) -> Option<usize> {
        (first * self.phases[0] + p).checked_sub(self.pad[0]).filter(|z| *z < source.size[0])
    }

    fn pad_dense(
        &self,
        level: Level,
        source: &Source,
        channel: [usize; 2],
        first: usize,
        padded: &mut [f32],
    ) {
        let [_, pad_y, pad_x] = self.pad;
        for (p, plane) in padded.chunks_exact_mut(self.plane()).enumerate() {
            match self.source_plane(source, first, p) {
                None => plane.fill(0.0),
                Some(z) => {
                    let (border, rows) = plane.split_at_mut(pad_y * self.row());
                    border.fill(0.0);
                    source.plane(level, channel, z, rows, self.row(), pad_x);
                }
            }
        }
    }

    fn pad_phases(
        &self,
        level: Level,
        source: &Source,
        channel: [usize; 2],
        first: usize,
        padded: &mut [f32],
    ) {
        padded.fill(0.0);
        let [_, size_y, size_x] = source.size;
        let mut plane = vec![0.0; size_y * size_x];
        for p in 0..self.phases[0] * self.pitch[0] {
            let Some(z) = self.source_plane(source, first, p) else { continue };
            source.plane(level, channel, z, &mut plane, size_x, 0);
            for (y, values) in plane.chunks_exact(size_x).enumerate() {
                for phase in 0..self.phases[2] {
                    // The first voxel of the row whose padded position has this phase.
                    let first = (phase + self.phases[2] - self.pad[2] % self.phases[2]) % self.phases[2];
                    let start = self.offset([p, y + self.pad[1], self.pad[2] + first]);
                    let every = values.iter().skip(first).step_by(self.phases[2]);
                    padded[start..].iter_mut().zip(every).for_each(|(to, from)| *to = *from);
                }
            }
        }
    }
}

/// At least the lanes that a microkernel computes at once.
pub(super) const MARGIN: usize = 64;
