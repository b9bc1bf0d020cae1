use std::{fmt, ops::Range};

use crate::DiceError;

/// Voxels that one parallel task handles. Fixed, so that sums are added in the same order on any machine.
const CHUNK: usize = 1 << 14;

/// `[B, C, I]`: samples, classes, voxels per map, C-contiguous. A 3-D map `[Z, Y, X]` is flattened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    batch: usize,
    classes: usize,
    voxels: usize,
}

impl Shape {
    /// A shape of `batch` samples, `classes` classes (background included) and `voxels` voxels per map.
    ///
    /// # Errors
    /// A dimension of 0, or more elements than can be addressed.
    pub fn new(batch: usize, classes: usize, voxels: usize) -> Result<Self, DiceError> {
        for (dimension, size) in [("batch", batch), ("classes", classes), ("voxels", voxels)] {
            if size == 0 {
                return Err(DiceError::ZeroDimension { dimension });
            }
        }
        // Class indices travel as i32 inside the voxel pass.
        if classes > i32::MAX as usize
            || batch.checked_mul(classes).and_then(|n| n.checked_mul(voxels)).is_none()
        {
            return Err(DiceError::ShapeTooLarge { batch, classes, voxels });
        }
        Ok(Self { batch, classes, voxels })
    }

    /// B, the number of samples.
    pub fn batch(self) -> usize {
        self.batch
    }

    /// C, the number of classes.
    pub fn classes(self) -> usize {
        self.classes
    }

    /// I, the number of voxels of one map.
    pub fn voxels(self) -> usize {
        self.voxels
    }

    /// B·C·I.
    pub fn elements(self) -> usize {
        self.batch * self.classes * self.voxels
    }

    /// Where the voxels `range` of map `(b, c)` lie in a `[B, C, I]` array.
    pub(crate) fn map(self, b: usize, c: usize, range: &Range<usize>) -> Range<usize> {
        let start = (b * self.classes + c) * self.voxels;
        start + range.start..start + range.end
    }

    /// Where the voxels `range` of sample `b` lie in a `[B, I]` array.
    pub(crate) fn sample(self, b: usize, range: &Range<usize>) -> Range<usize> {
        b * self.voxels + range.start..b * self.voxels + range.end
    }

    pub(crate) fn check_maps(self, argument: &'static str, found: usize) -> Result<(), DiceError> {
        self.check(argument, self.to_string(), self.elements(), found)
    }

    pub(crate) fn check_samples(self, argument: &'static str, found: usize) -> Result<(), DiceError> {
        self.check(argument, format!("[{}, {}]", self.batch, self.voxels), self.batch * self.voxels, found)
    }

    fn check(
        self,
        argument: &'static str,
        shape: String,
        expected: usize,
        found: usize,
    ) -> Result<(), DiceError> {
        if expected == found { Ok(()) } else { Err(DiceError::Length { argument, shape, expected, found }) }
    }

    /// The parallel tasks of a voxel pass, in the order in which their results are added.
    pub(crate) fn chunks(self) -> Vec<Chunk> {
        self.chunks_after(0)
    }

    /// As [`chunks`](Self::chunks), after the first `head` voxels of a sample, which are a task of their own.
    fn chunks_after(self, head: usize) -> Vec<Chunk> {
        let ranges = || {
            let rest =
                (head..self.voxels).step_by(CHUNK).map(|start| start..(start + CHUNK).min(self.voxels));
            (head > 0).then_some(0..head).into_iter().chain(rest)
        };
        (0..self.batch).flat_map(|b| ranges().map(move |voxels| Chunk { b, voxels })).collect()
    }

    /// Tasks with their own piece of each of the C maps of a `[B, C, I]` array, to be written; the first `head` voxels of
    /// a sample, fewer than all, are one of their own.
    pub(crate) fn chunks_mut<T>(self, maps: &mut [T], head: usize) -> Vec<(Chunk, Vec<&mut [T]>)> {
        let mut tasks: Vec<_> =
            self.chunks_after(head).into_iter().map(|chunk| (chunk, Vec::new())).collect();
        let per_sample = tasks.len() / self.batch;
        for (index, map) in maps.chunks_exact_mut(self.voxels).enumerate() {
            let first = index / self.classes * per_sample;
            let (start, rest) = map.split_at_mut(head);
            let pieces = (head > 0).then_some(start).into_iter().chain(rest.chunks_mut(CHUNK));
            for ((_, of_task), piece) in tasks[first..].iter_mut().zip(pieces) {
                of_task.push(piece);
            }
        }
        tasks
    }
}

/// `[B, C, I]`.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}, {}]", self.batch, self.classes, self.voxels)
    }
}

/// A run of voxels of one sample, in all classes.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) b: usize,
    pub(crate) voxels: Range<usize>,
}

impl Chunk {
    /// The chunk in blocks of at most `length` voxels.
    pub(crate) fn blocks(&self, length: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let end = self.voxels.end;
        self.voxels.clone().step_by(length).map(move |start| start..(start + length).min(end))
    }

    /// Where a block lies within the chunk.
    pub(crate) fn within(&self, block: &Range<usize>) -> Range<usize> {
        block.start - self.voxels.start..block.end - self.voxels.start
    }
}
