use std::ops::Range;

use half::{bf16, f16};

use crate::{DiceError, Element, Shape};

/// y: the ground truth of a batch, and which of its voxels count.
///
/// An integer label map `[B, I]` is used as it is: its one-hot form `[B, C, I]` is never built.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    shape: Shape,
    kind: Kind<'a>,
    ignore_index: Option<i64>,
    mask: Option<&'a [bool]>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind<'a> {
    Labels(LabelMap<'a>),
    Dense(DenseMaps<'a>),
}

impl<'a> Target<'a> {
    /// Exclusive labels: one class index per voxel, `[B, I]`.
    ///
    /// # Errors
    /// A slice that is not B·I long. Labels outside of 0..C are found during the voxel pass.
    pub fn labels(shape: Shape, labels: impl Into<LabelMap<'a>>) -> Result<Self, DiceError> {
        let labels = labels.into();
        shape.check_samples("label map", labels.len())?;
        Ok(Self { shape, kind: Kind::Labels(labels), ignore_index: None, mask: None })
    }

    /// Soft or overlapping labels: y ∈ \[0, 1\], `[B, C, I]`, of any [`Element`] type, or masks of 0 and 1 as `u8`.
    ///
    /// # Errors
    /// A slice that is not B·C·I long. Values outside of \[0, 1\] are found during the voxel pass.
    pub fn dense(shape: Shape, maps: impl Into<DenseMaps<'a>>) -> Result<Self, DiceError> {
        let maps = maps.into();
        shape.check_maps("dense target", maps.len())?;
        Ok(Self { shape, kind: Kind::Dense(maps), ignore_index: None, mask: None })
    }

    /// Leaves out the voxels with this label, which may be no class (255, −1): they enter no sum and get
    /// gradient exactly 0. Of no effect on dense targets.
    #[must_use]
    pub fn ignore_index(mut self, label: Option<i64>) -> Self {
        self.ignore_index = label;
        self
    }

    /// Leaves out the voxels where `mask[b, i]` is false: they enter no sum and get gradient exactly 0,
    /// whatever the prediction is there, NaN included.
    ///
    /// # Errors
    /// A slice that is not B·I long.
    pub fn masked(mut self, mask: &'a [bool]) -> Result<Self, DiceError> {
        self.shape.check_samples("mask", mask.len())?;
        self.mask = Some(mask);
        Ok(self)
    }

    /// The shape of the predictions that belong to this target.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    pub(crate) fn kind(&self) -> Kind<'a> {
        self.kind
    }

    /// Whether the codes of all voxels are 0.
    pub(crate) fn is_dense_and_whole(&self) -> bool {
        matches!(self.kind, Kind::Dense(_)) && self.mask.is_none()
    }

    /// Writes the class of each voxel of a block: [`LEFT_OUT`] where ignored or masked, which is true if there are
    /// such, and 0 everywhere else if the target is dense.
    #[inline(always)]
    pub(crate) fn codes(
        &self,
        b: usize,
        voxels: &Range<usize>,
        codes: &mut Vec<i32>,
    ) -> Result<bool, DiceError> {
        let here = self.shape.sample(b, voxels);
        codes.resize(voxels.len(), 0);
        let classes = self.shape.classes();
        let mut least = match self.kind {
            Kind::Dense(_) => {
                codes.fill(0);
                0
            }
            Kind::Labels(labels) => match labels {
                LabelMap::U8(l) => encode(&l[here.clone()], classes, self.ignore_index, codes),
                LabelMap::U16(l) => encode(&l[here.clone()], classes, self.ignore_index, codes),
                LabelMap::I16(l) => encode(&l[here.clone()], classes, self.ignore_index, codes),
                LabelMap::I32(l) => encode(&l[here.clone()], classes, self.ignore_index, codes),
                LabelMap::I64(l) => encode(&l[here.clone()], classes, self.ignore_index, codes),
            },
        };
        if let Some(mask) = self.mask {
            let unmasked = std::mem::replace(&mut least, 0);
            for (code, &counts) in codes.iter_mut().zip(&mask[here.clone()]) {
                *code = if counts { *code } else { LEFT_OUT };
                least = least.min(*code);
            }
            // What is no class does not matter under the mask.
            least = if unmasked == NO_CLASS { NO_CLASS } else { least };
        }
        if least == NO_CLASS {
            self.find_bad_label(b, voxels, codes)?;
        }
        Ok(least < 0)
    }

    #[cold]
    fn find_bad_label(&self, b: usize, voxels: &Range<usize>, codes: &[i32]) -> Result<(), DiceError> {
        // A label that is no class does not matter under the mask.
        match codes.iter().position(|&code| code == NO_CLASS) {
            None => Ok(()),
            Some(offset) => {
                let voxel = voxels.start + offset;
                let Kind::Labels(labels) = self.kind else { unreachable!("dense targets have no labels") };
                let label = labels.get(b * self.shape.voxels() + voxel);
                Err(DiceError::LabelOutOfRange { label, batch: b, voxel, classes: self.shape.classes() })
            }
        }
    }
}

/// The code of a voxel that is ignored or masked.
pub(crate) const LEFT_OUT: i32 = -1;
/// The code of a label that is no class.
const NO_CLASS: i32 = -2;

/// Writes the codes of `labels` and returns the lowest, or 0: [`NO_CLASS`] is the lowest of all.
#[inline(always)]
fn encode<L: Label>(labels: &[L], classes: usize, ignore: Option<i64>, codes: &mut [i32]) -> i32 {
    let classes = classes as i32;
    let all_classes = L::are_below(labels, classes);
    match ignore.and_then(L::from_i64) {
        Some(ignore) if !all_classes || ignore.is_below(classes) => {
            let mut least = 0;
            for (code, &label) in codes.iter_mut().zip(labels) {
                let own = if label.is_below(classes) { label.as_code() } else { NO_CLASS };
                *code = if label == ignore { LEFT_OUT } else { own };
                least = least.min(*code);
            }
            least
        }
        _ if all_classes => {
            codes.iter_mut().zip(labels).for_each(|(code, &label)| *code = label.as_code());
            0
        }
        _ => {
            for (code, &label) in codes.iter_mut().zip(labels) {
                *code = if label.is_below(classes) { label.as_code() } else { NO_CLASS };
            }
            NO_CLASS
        }
    }
}

/// An integer type of label maps.
trait Label: Copy + PartialEq {
    /// Whether it is in 0..classes.
    fn is_below(self, classes: i32) -> bool;
    /// Whether all are.
    fn are_below(labels: &[Self], classes: i32) -> bool;
    /// A label in 0..classes.
    fn as_code(self) -> i32;
    /// `None` for values that this type does not have.
    fn from_i64(value: i64) -> Option<Self>;
}

macro_rules! label {
    ($($type:ty as $unsigned:ty),*) => {$(
        impl Label for $type {
            #[inline(always)]
            fn is_below(self, classes: i32) -> bool {
                u64::from(self as $unsigned) < classes as u64
            }

            #[inline(always)]
            fn are_below(labels: &[Self], classes: i32) -> bool {
                // Negative ones are large as unsigned ones.
                let largest = labels.iter().fold(0, |largest: $unsigned, &label| largest.max(label as $unsigned));
                u64::from(largest) < classes as u64
            }

            #[inline(always)]
            fn as_code(self) -> i32 {
                self as i32
            }

            fn from_i64(value: i64) -> Option<Self> {
                value.try_into().ok()
            }
        }
    )*};
}

label!(u8 as u8, u16 as u16, i16 as u16, i32 as u32, i64 as u64);

/// Borrowed integer labels, `[B, I]`: a label is the index of its class.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum LabelMap<'a> {
    /// Unsigned 8-bit labels.
    U8(&'a [u8]),
    /// Unsigned 16-bit labels.
    U16(&'a [u16]),
    /// Signed 16-bit labels.
    I16(&'a [i16]),
    /// Signed 32-bit labels.
    I32(&'a [i32]),
    /// Signed 64-bit labels.
    I64(&'a [i64]),
}

impl LabelMap<'_> {
    fn len(&self) -> usize {
        match self {
            Self::U8(l) => l.len(),
            Self::U16(l) => l.len(),
            Self::I16(l) => l.len(),
            Self::I32(l) => l.len(),
            Self::I64(l) => l.len(),
        }
    }

    fn get(&self, index: usize) -> i64 {
        match self {
            Self::U8(l) => l[index].into(),
            Self::U16(l) => l[index].into(),
            Self::I16(l) => l[index].into(),
            Self::I32(l) => l[index].into(),
            Self::I64(l) => l[index],
        }
    }
}

/// Borrowed dense targets, `[B, C, I]`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum DenseMaps<'a> {
    /// 32-bit values.
    F32(&'a [f32]),
    /// 64-bit values.
    F64(&'a [f64]),
    /// 16-bit values.
    F16(&'a [f16]),
    /// 16-bit values with the range of `f32`.
    Bf16(&'a [bf16]),
    /// Masks of 0 and 1.
    U8(&'a [u8]),
}

impl DenseMaps<'_> {
    fn len(&self) -> usize {
        match self {
            Self::F32(maps) => maps.len(),
            Self::F64(maps) => maps.len(),
            Self::F16(maps) => maps.len(),
            Self::Bf16(maps) => maps.len(),
            Self::U8(maps) => maps.len(),
        }
    }

    pub(crate) fn get(&self, index: usize) -> f64 {
        match self {
            Self::F32(maps) => maps[index].to_f64(),
            Self::F64(maps) => maps[index],
            Self::F16(maps) => maps[index].to_f64(),
            Self::Bf16(maps) => maps[index].to_f64(),
            Self::U8(maps) => maps[index].into(),
        }
    }
}

macro_rules! from_slices {
    ($name:ident: $($variant:ident($type:ty)),*) => {$(
        impl<'a> From<&'a [$type]> for $name<'a> {
            fn from(values: &'a [$type]) -> Self {
                Self::$variant(values)
            }
        }

        impl<'a> From<&'a Vec<$type>> for $name<'a> {
            fn from(values: &'a Vec<$type>) -> Self {
                Self::$variant(values)
            }
        }

        impl<'a, const N: usize> From<&'a [$type; N]> for $name<'a> {
            fn from(values: &'a [$type; N]) -> Self {
                Self::$variant(values)
            }
        }
    )*};
}

from_slices!(LabelMap: U8(u8), U16(u16), I16(i16), I32(i32), I64(i64));
from_slices!(DenseMaps: F32(f32), F64(f64), F16(f16), Bf16(bf16), U8(u8));
