//! The only module with unsafe code: calls into functions compiled for instructions that the processor has, and
//! stores that go past the caches.

#![allow(unsafe_code)]

use std::fmt;

/// The vector instructions that voxel passes use; the best of the machine unless chosen otherwise.
///
/// A value exists only for instructions that this machine has. Every set runs the same source, compiled for it;
/// results differ between sets in the last bits (fused multiply-add rounds once).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InstructionSet(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl InstructionSet {
    /// What every machine has.
    pub const PORTABLE: Self = Self(Kind::Portable);

    /// The sets of this machine, the best first.
    pub fn available() -> Vec<Self> {
        let mut sets = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            if avx2 && avx512 {
                sets.push(Self(Kind::Avx512));
            }
            if avx2 {
                sets.push(Self(Kind::Avx2));
            }
        }
        sets.push(Self::PORTABLE);
        sets
    }

    /// The best set of this machine.
    pub fn best() -> Self {
        static BEST: std::sync::OnceLock<InstructionSet> = std::sync::OnceLock::new();
        *BEST.get_or_init(|| Self::available()[0])
    }

    /// Runs a kernel compiled for these instructions.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            // SAFETY: `available` makes these values only if the processor has the instructions.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => unsafe { with_avx512(kernel) },
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => unsafe { with_avx2(kernel) },
            Kind::Portable => portable(kernel),
        }
    }
}

/// Writes arrays that are too large for the caches past them, which saves reading what is overwritten.
///
/// Such stores are not ordered with others: dropping this orders them, before another thread can see them.
pub(crate) struct Streaming(InstructionSet);

impl InstructionSet {
    pub(crate) fn streaming(self) -> Streaming {
        Streaming(self)
    }
}

impl Streaming {
    /// Copies `from` to `to`, of the same length.
    #[inline]
    pub(crate) fn copy(&self, from: &[f32], to: &mut [f32]) {
        match self.0.0 {
            // SAFETY: `available` makes these values only if the processor has the instructions.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 | Kind::Avx2 => unsafe { stream_with_avx2(from, to) },
            Kind::Portable => to.copy_from_slice(from),
        }
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        #[cfg(target_arch = "x86_64")]
        if self.0 != InstructionSet::PORTABLE {
            // SAFETY: every x86-64 processor has SSE, which this is part of.
            unsafe { std::arch::x86_64::_mm_sfence() }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn stream_with_avx2(from: &[f32], to: &mut [f32]) {
    use std::arch::x86_64::{_mm256_loadu_ps, _mm256_stream_ps};

    // To the first address that 32 divides.
    let head = to.as_ptr().align_offset(32).min(to.len());
    let (to_head, to) = to.split_at_mut(head);
    let (from_head, from) = from.split_at(head);
    to_head.copy_from_slice(from_head);
    let ((to, to_tail), (from, from_tail)) = (to.as_chunks_mut::<8>(), from.as_chunks::<8>());
    for (to, from) in to.iter_mut().zip(from) {
        // SAFETY: both are eight `f32` long, and 32 divides the address of `to`.
        unsafe { _mm256_stream_ps(to.as_mut_ptr(), _mm256_loadu_ps(from.as_ptr())) }
    }
    to_tail.copy_from_slice(from_tail);
}

/// `avx512`, `avx2` or `portable`.
impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            Kind::Portable => "portable",
        })
    }
}

/// A piece of a voxel pass. It and all that it calls must be `#[inline(always)]`: what is inlined is compiled for
/// the instructions around it, and what is not, for the oldest processor.
pub(crate) trait Kernel {
    type Output;

    /// `FMA`: whether a fused multiply-add is one instruction here.
    fn run<const FMA: bool>(self) -> Self::Output;
}

/// Not inlined, so that a kernel is compiled once however many places run it.
#[inline(never)]
fn portable<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<{ cfg!(target_arch = "aarch64") }>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
fn with_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<true>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
fn with_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<true>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streaming_copies_from_and_to_any_address() {
        let from: Vec<f32> = (0..100).map(|k| k as f32).collect();
        for set in InstructionSet::available() {
            for (start, length) in [(0, 100), (1, 50), (3, 2), (7, 93), (5, 0), (8, 16)] {
                let mut to = vec![-1.0; 100];
                set.streaming().copy(&from[..length], &mut to[start..start + length]);
                assert_eq!(to[start..start + length], from[..length], "{set}");
                assert!(to[..start].iter().chain(&to[start + length..]).all(|&x| x == -1.0), "{set}");
            }
        }
    }
}
