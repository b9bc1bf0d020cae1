//! Which class each voxel of a block has.

use std::ops::Range;

use super::{InstructionSet, Kernel, MapSums, lanes::LANES, tile::Simd};
use crate::{DiceError, Target, target::LEFT_OUT};

/// The length of a row that holds `voxels`.
pub(super) fn padded(voxels: usize) -> usize {
    voxels.next_multiple_of(LANES)
}

/// The voxels of a class.
#[inline(always)]
pub(super) fn count_of(class: i32, codes: &[i32]) -> f64 {
    f64::from(codes.iter().map(|&code| i32::from(code == class)).sum::<i32>())
}

/// The codes of a block's voxels, and whether some of them are left out.
pub(super) struct Codes {
    codes: Vec<i32>,
    /// Whether one is left out, or the row is not whole tiles long.
    pub(super) left_out: bool,
}

impl Codes {
    pub(super) fn new() -> Self {
        Self { codes: Vec::new(), left_out: false }
    }

    #[inline(always)]
    pub(super) fn read(
        &mut self,
        target: &Target<'_>,
        b: usize,
        voxels: &Range<usize>,
    ) -> Result<&[i32], DiceError> {
        // All zeros again.
        if target.is_dense_and_whole() && !self.left_out && self.codes.len() == voxels.len() {
            return Ok(&self.codes);
        }
        let some_left_out = target.codes(b, voxels, &mut self.codes)?;
        self.codes.resize(padded(voxels.len()), LEFT_OUT);
        self.left_out = some_left_out || self.codes.len() > voxels.len();
        Ok(&self.codes)
    }

    /// As [`read`](Self::read), compiled for the instructions at hand.
    pub(super) fn read_with(
        &mut self,
        set: InstructionSet,
        target: &Target<'_>,
        b: usize,
        voxels: &Range<usize>,
    ) -> Result<(), DiceError> {
        set.run(Read { codes: self, target, b, voxels })
    }

    pub(super) fn get(&self) -> &[i32] {
        &self.codes
    }

    /// How many voxels count.
    #[inline(always)]
    pub(super) fn counted(&self) -> f64 {
        f64::from(self.codes.iter().map(|&code| i32::from(code >= 0)).sum::<i32>())
    }

    /// Rows of sixteen.
    pub(super) fn tiles(&self) -> &[[i32; LANES]] {
        self.codes.as_chunks().0
    }

    /// Adds the voxels of each class to its target's sums.
    pub(super) fn count<'a>(&'a self, sums: &'a mut [MapSums]) -> Count<'a> {
        Count { codes: &self.codes, sums }
    }
}

struct Read<'a> {
    codes: &'a mut Codes,
    target: &'a Target<'a>,
    b: usize,
    voxels: &'a Range<usize>,
}

impl Kernel for Read<'_> {
    type Output = Result<(), DiceError>;

    #[inline(always)]
    fn run<S: Simd>(self) -> Self::Output {
        self.codes.read(self.target, self.b, self.voxels).map(drop)
    }
}

pub(super) struct Count<'a> {
    codes: &'a [i32],
    sums: &'a mut [MapSums],
}

impl Kernel for Count<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        for &code in self.codes.iter().filter(|&&code| code >= 0) {
            self.sums[code as usize].target += 1.0;
        }
    }
}
