//! The only module with unsafe code: calls into functions compiled for instructions that the processor has, and
//! these instructions.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use std::fmt;

use super::{lanes::Lanes, tile::Simd};

/// What the compiler makes of loops over arrays.
struct Portable;

impl Simd for Portable {
    type Singles = Lanes<f32>;
}

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
                && is_x86_feature_detected!("f16c")
                && is_x86_feature_detected!("popcnt")
                && is_x86_feature_detected!("bmi1");
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
pub struct Streaming(InstructionSet);

impl InstructionSet {
    pub(crate) fn streaming(self) -> Streaming {
        Streaming(self)
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

/// Asks for the cache line of an address that will be read soon, whatever lies there; no more than a hint.
#[inline(always)]
pub(super) fn prefetch<T>(address: *const T) {
    // Miri knows no hints.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch reads nothing: no address makes it fail.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
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

    fn run<S: Simd>(self) -> Self::Output;
}

/// Not inlined, so that a kernel is compiled once however many places run it.
#[inline(never)]
fn portable<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Portable>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,popcnt,bmi1")]
fn with_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<avx512::Avx512>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c,popcnt,bmi1")]
fn with_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<avx2::Avx2>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{
        lanes::LANES,
        tile::{Simd, Tile},
    };

    #[test]
    fn tiles_are_streamed_to_any_address() {
        struct Stream<'a>(&'a [f32; LANES], &'a mut [f32; LANES], Streaming);
        impl Kernel for Stream<'_> {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd>(self) {
                S::Singles::load(self.0).stream(self.1, &self.2);
            }
        }
        let from: [f32; LANES] = std::array::from_fn(|k| k as f32);
        for set in InstructionSet::available() {
            for start in 0..=LANES {
                let mut to = [-1.0; 3 * LANES];
                let out = to[start..].first_chunk_mut().expect("it is longer");
                set.run(Stream(&from, out, set.streaming()));
                assert_eq!(to[start..start + LANES], from, "{set}");
                assert!(to[..start].iter().chain(&to[start + LANES..]).all(|&x| x == -1.0), "{set}");
            }
        }
    }
}
