//! Memory of Python arrays, borrowed for the time of one call.
//!
//! The only unsafe code of this crate. What the compiler cannot check is a promise of the fronts in
//! `python/dicewise`: an array they pass is C-contiguous, has `length` elements of the type they name, is referenced
//! until the call returns, and what is to be written overlaps nothing else. `_core` is private for this reason.
#![allow(unsafe_code)]

use std::slice;

use pyo3::{PyResult, prelude::*};

use crate::value_error;

/// An array of Python's: address of the first element, type of the elements (`"float32"`), number of elements.
#[derive(FromPyObject)]
pub(crate) struct Memory(usize, String, usize);

/// A type of elements with the name that NumPy and PyTorch give it.
pub(crate) trait Element: Copy {
    const NAME: &'static str;
}

macro_rules! elements {
    ($($type:ty: $name:literal),* $(,)?) => {$(
        impl Element for $type {
            const NAME: &'static str = $name;
        }
    )*};
}

elements! {
    f32: "float32", f64: "float64", half::f16: "float16", half::bf16: "bfloat16",
    u8: "uint8", u16: "uint16", i16: "int16", i32: "int32", i64: "int64",
}

impl Memory {
    /// The type of the elements.
    pub(crate) fn element(&self) -> &str {
        &self.1
    }

    /// The number of elements.
    pub(crate) fn len(&self) -> usize {
        self.2
    }

    /// The elements, to be read.
    pub(crate) fn read<T: Element>(&self, argument: &str) -> PyResult<&[T]> {
        let start = self.start::<T>(argument)?;
        // SAFETY: not null and aligned (`start`); the front keeps `length` elements of type T alive and unwritten.
        Ok(unsafe { slice::from_raw_parts(start, self.2) })
    }

    /// The elements, to be written.
    pub(crate) fn write<T: Element>(&mut self, argument: &str) -> PyResult<&mut [T]> {
        let start = self.start::<T>(argument)?;
        // SAFETY: as above, and the front passes nothing else that overlaps these elements.
        Ok(unsafe { slice::from_raw_parts_mut(start, self.2) })
    }

    /// Asks for large pages where the elements are about to be written for the first time: a fresh array of 4 KiB
    /// pages costs more in page faults than in the kernel that fills it. A hint; without effect elsewhere.
    pub(crate) fn expect_huge_pages(&self, element_size: usize) {
        #[cfg(target_os = "linux")]
        {
            const HUGE: usize = 2 << 20;
            let (start, end) = (self.0.next_multiple_of(HUGE), self.0 + self.2 * element_size);
            let length = end.saturating_sub(start) / HUGE * HUGE;
            if length > 0 {
                // SAFETY: whole pages within the array; the advice does not change what they hold.
                unsafe { libc::madvise(start as *mut libc::c_void, length, libc::MADV_HUGEPAGE) };
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _ = element_size;
    }

    /// Truth values, one byte each.
    pub(crate) fn read_bool(&self, argument: &str) -> PyResult<&[bool]> {
        if self.1 != "bool" {
            return Err(value_error(format!("{argument} is of type {}: it must be bool", self.1)));
        }
        let start = self.start_of::<u8>(argument)?;
        // SAFETY: as above.
        let bytes = unsafe { slice::from_raw_parts(start, self.2) };
        if bytes.iter().any(|&byte| byte > 1) {
            return Err(value_error(format!("{argument} holds bytes that are neither True nor False")));
        }
        // SAFETY: a `bool` is one byte that is 0 or 1, and all are.
        Ok(unsafe { slice::from_raw_parts(start.cast(), self.2) })
    }

    fn start<T: Element>(&self, argument: &str) -> PyResult<*mut T> {
        if self.1 != T::NAME {
            return Err(value_error(format!("{argument} is of type {}: it must be {}", self.1, T::NAME)));
        }
        self.start_of(argument)
    }

    fn start_of<T>(&self, argument: &str) -> PyResult<*mut T> {
        let start = self.0 as *mut T;
        match !start.is_null() && start.is_aligned() && self.2 <= isize::MAX as usize / size_of::<T>() {
            true => Ok(start),
            false => Err(value_error(format!("{argument} has no elements, or they are not aligned"))),
        }
    }
}
