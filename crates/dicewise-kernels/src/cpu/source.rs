//! What a convolution reads: the channels of one or two tensors one after the other, normalised, activated and
//! upsampled on the way into its padded copies. None of the three is ever stored.

use super::Level;
use super::level::for_every_level;
use super::norm_act::{Channel, apply};

/// Channels of one tensor.
#[derive(Clone, Debug)]
pub(crate) struct Part<'a> {
    /// `[batch, channels, z / factor, y / factor, x / factor]`
    pub(crate) values: &'a [f32],
    pub(crate) channels: usize,
    /// Every voxel stands for this many along z, y, x.
    pub(crate) factor: [usize; 3],
    /// Of every batch element and channel; `None` takes the values as they are.
    pub(crate) transforms: Option<Vec<Channel>>,
}

/// A tensor `[batch, channels, z, y, x]` that is computed while it is read.
#[derive(Clone, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) parts: Vec<Part<'a>>,
    /// Voxels along z, y, x.
    pub(crate) size: [usize; 3],
}

impl<'a> Source<'a> {
    /// A tensor as it is.
    pub(crate) fn plain(values: &'a [f32], channels: usize, size: [usize; 3]) -> Self {
        Self { parts: vec![Part { values, channels, factor: [1; 3], transforms: None }], size }
    }

    /// Writes plane `z` of batch element `b`, channel `c`: rows `pitch` apart, each after `before` zeros.
    pub(super) fn plane(
        &self,
        level: Level,
        [b, mut c]: [usize; 2],
        z: usize,
        rows: &mut [f32],
        pitch: usize,
        before: usize,
    ) {
        let mut parts = self.parts.iter();
        let part = loop {
            let part = parts.next().expect("a channel of one of the parts");
            if c < part.channels {
                break part;
            }
            c -= part.channels;
        };
        let [coarse_z, coarse_y, coarse_x] = core::array::from_fn(|a| self.size[a] / part.factor[a]);
        let volume = b * part.channels + c;
        let plane = (volume * coarse_z + z / part.factor[0]) * coarse_y * coarse_x;
        let transform = part.transforms.as_ref().map(|transforms| &transforms[volume]);
        let values = &part.values[plane..][..coarse_y * coarse_x];
        if part.factor[1..] == [1, 1] {
            copy_plane(level, values, coarse_x, transform, rows, pitch, before);
        } else {
            repeat_plane(
                level,
                values,
                coarse_x,
                transform,
                [part.factor[1], part.factor[2]],
                rows,
                pitch,
                before,
            );
        }
    }
}

#[inline(always)]
fn copy_plane_body(
    values: &[f32],
    width: usize,
    transform: Option<&Channel>,
    rows: &mut [f32],
    pitch: usize,
    before: usize,
) {
    for (row, values) in rows.chunks_exact_mut(pitch).zip(values.chunks_exact(width)) {
        let (zeros, row) = row.split_at_mut(before);
        zeros.fill(0.0);
        match transform {
            None => row[..width].copy_from_slice(values),
            Some(channel) => {
                let channel = *channel;
                for (to, from) in row.iter_mut().zip(values) {
                    *to = apply(&channel, *from);
                }
            }
        }
    }
}

for_every_level! {
    copy_plane = copy_plane_body(
        values: &[f32], width: usize, transform: Option<&Channel>, rows: &mut [f32], pitch: usize, before: usize
    )
}

#[inline(always)]
fn repeat_plane_body(
    values: &[f32],
    width: usize,
    transform: Option<&Channel>,
    [factor_y, factor_x]: [usize; 2],
    rows: &mut [f32],
    pitch: usize,
    before: usize,
) {
    for (rows, values) in rows.chunks_exact_mut(factor_y * pitch).zip(values.chunks_exact(width)) {
        let (first, others) = rows.split_at_mut(pitch);
        let (zeros, row) = first.split_at_mut(before);
        zeros.fill(0.0);
        let value = |from: f32| transform.map_or(from, |channel| apply(channel, from));
        if factor_x == 2 {
            // The usual factor, written so that the compiler may use vectors.
            for (to, from) in row.as_chunks_mut::<2>().0.iter_mut().zip(values) {
                *to = [value(*from); 2];
            }
        } else {
            for (to, from) in row.chunks_exact_mut(factor_x).zip(values) {
                to.fill(value(*from));
            }
        }
        others.chunks_exact_mut(pitch).for_each(|other| other.copy_from_slice(first));
    }
}

for_every_level! {
    repeat_plane = repeat_plane_body(
        values: &[f32], width: usize, transform: Option<&Channel>, factor: [usize; 2], rows: &mut [f32],
        pitch: usize, before: usize
    )
}
