//! Scratch memory that is used again: fresh pages cost more than the copies that fill them.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Buffers at rest. A training step needs few at a time.
static POOL: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());
const KEPT: usize = 4;

/// A slice with arbitrary contents, returned to the pool when dropped.
pub(super) struct Buffer {
    values: Vec<f32>,
    length: usize,
}

impl Buffer {
    /// `length` values that some earlier user may have written.
    pub(super) fn take(length: usize) -> Self {
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        // The pool is sorted by size: the smallest that suffices, or else the largest, to be grown.
        let fitting = pool.partition_point(|values| values.len() < length).min(pool.len().saturating_sub(1));
        let mut values = if pool.is_empty() { Vec::new() } else { pool.remove(fitting) };
        drop(pool);
        if values.len() < length {
            values = vec![0.0; length];
        }
        Self { values, length }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[..self.length]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        let values = std::mem::take(&mut self.values);
        let place = pool.partition_point(|other| other.len() < values.len());
        pool.insert(place, values);
        if pool.len() > KEPT {
            pool.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_have_the_length_that_was_asked_for_and_may_be_held_together() {
        let mut held: Vec<Buffer> = [7, 100, 3, 50, 9, 20].map(Buffer::take).into();
        for (i, buffer) in held.iter_mut().enumerate() {
            buffer.fill(i as f32);
        }
        let lengths: Vec<usize> = held.iter().map(|buffer| buffer.len()).collect();
        assert_eq!(lengths, [7, 100, 3, 50, 9, 20]);
        assert!(held.iter().enumerate().all(|(i, buffer)| buffer.iter().all(|v| *v == i as f32)));
    }
}
