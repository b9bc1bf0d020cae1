//! The innermost loop of convolution and of its input's gradient, written in registers.
//!
//! The public function checks every length before it enters the unchecked loops.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::{__m256, __m512};

#[cfg(target_arch = "x86_64")]
use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use super::vector::Vector;
use super::{Level, portable};

/// Bytes of inputs and weights between which the innermost loop goes back and forth.
#[cfg(target_arch = "x86_64")]
const FIRST_LEVEL: usize = 20 << 10;

/// Where one position of the kernel reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tap {
    /// Distance of the input from its output.
    pub(super) input: usize,
    /// Distance of the weight from the first of its channel.
    pub(super) weight: usize,
}

/// A run of correlations between padded channels and one block of kernels.
pub(super) struct Strip<'a> {
    /// Begins at the strip's first output, in the first channel.
    pub(super) input: &'a [f32],
    pub(super) channels: usize,
    /// Distance between channels in `input`.
    pub(super) channel: usize,
    pub(super) taps: &'a [Tap],
    /// Weights of the block, where they lie in the tensor.
    pub(super) weights: &'a [f32],
    /// Distance in `weights` between the channels of the result, and between those of `input`.
    pub(super) strides: [usize; 2],
    /// One for each channel of the block: 1 to [`Strip::block`].
    pub(super) bias: &'a [f32],
    /// Outputs, a multiple of [`Strip::lanes`].
    pub(super) length: usize,
}

impl Strip<'_> {
    /// Channels of the result that can be computed together.
    pub(super) fn block(level: Level) -> usize {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => 8,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => 6,
            Level::Portable => 4,
        }
    }

    /// Outputs in a register.
    pub(super) fn lanes(level: Level) -> usize {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => 16,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => 8,
            Level::Portable => 8,
        }
    }

    /// Writes `[block][length]` sums.
    ///
    /// ```text
    /// out[c][q] = bias[c] + Σ_{i, t} weights[c · strides[0] + i · strides[1] + t.weight] · input[i · channel + t.input + q]
    /// ```
    pub(super) fn correlate(&self, level: Level, out: &mut [f32]) {
        let block = self.bias.len();
        assert!((1..=Self::block(level)).contains(&block));
        assert!(self.length.is_multiple_of(Self::lanes(level)) && out.len() >= block * self.length);
        let last = |place: fn(&Tap) -> usize| self.taps.iter().map(place).max();
        if let (Some(input), Some(weight), 1..) = (last(|t| t.input), last(|t| t.weight), self.channels) {
            let channels = self.channels - 1;
            assert!(self.input.len() >= channels * self.channel + input + self.length);
            assert!(self.weights.len() > (block - 1) * self.strides[0] + channels * self.strides[1] + weight);
        }
        // SAFETY: the lengths were just checked; `level` was detected on this processor.
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { self.avx512(out) },
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { self.avx2(out) },
            Level::Portable => portable::correlate(self, out),
        }
    }

    /// Up to 8 × 3 sums, 3 inputs and a weight: 28 of 32 registers. Narrow blocks take more inputs at once, so that
    /// there are enough sums to hide the latency of an addition.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
    unsafe fn avx512(&self, out: &mut [f32]) {
        unsafe {
            match self.bias.len() {
                1 => self.run::<__m512, 1, 8>(out),
                2 => self.run::<__m512, 2, 8>(out),
                3 => self.run::<__m512, 3, 6>(out),
                4 => self.run::<__m512, 4, 4>(out),
                5 => self.run::<__m512, 5, 4>(out),
                6 => self.run::<__m512, 6, 3>(out),
                7 => self.run::<__m512, 7, 3>(out),
                _ => self.run::<__m512, 8, 3>(out),
            }
        }
    }

    /// Up to 6 × 2 sums, 2 inputs and a weight: 15 of 16 registers.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2(&self, out: &mut [f32]) {
        unsafe {
            match self.bias.len() {
                1 => self.run::<__m256, 1, 8>(out),
                2 => self.run::<__m256, 2, 4>(out),
                3 => self.run::<__m256, 3, 3>(out),
                4 => self.run::<__m256, 4, 2>(out),
                5 => self.run::<__m256, 5, 2>(out),
                _ => self.run::<__m256, 6, 2>(out),
            }
        }
    }

    /// Tile by tile for a few channels at a time, whose inputs and weights then stay in the first-level cache.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn run<V: Vector, const C: usize, const T: usize>(&self, out: &mut [f32]) {
        for (c, out) in out.chunks_exact_mut(self.length).take(C).enumerate() {
            out.fill(self.bias[c]);
        }
        // Of each channel: the lines that a row of registers touches for every row of taps, and its weights.
        let bytes = self.taps.len() * (48 + 4 * C);
        let step = (FIRST_LEVEL / bytes.max(1)).max(1);
        for first in (0..self.channels).step_by(step) {
            let channels = first..self.channels.min(first + step);
            let mut q = 0;
            while q + T * V::LANES <= self.length {
                unsafe { self.tile::<V, C, T>(channels.clone(), q, out.as_mut_ptr()) };
                q += T * V::LANES;
            }
            while q < self.length {
                unsafe { self.tile::<V, C, 1>(channels.clone(), q, out.as_mut_ptr()) };
                q += V::LANES;
            }
        }
    }

    /// Adds `channels` to `C` channels of `T` registers of outputs from output `q` on.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn tile<V: Vector, const C: usize, const T: usize>(
        &self,
        channels: Range<usize>,
        q: usize,
        out: *mut f32,
    ) {
        unsafe {
            let place = |c: usize, t: usize| out.add(c * self.length + q + t * V::LANES);
            let mut sums = [[V::splat(0.0); T]; C];
            for (c, sums) in sums.iter_mut().enumerate() {
                for (t, sum) in sums.iter_mut().enumerate() {
                    *sum = V::load(place(c, t));
                }
            }
            let start = self.weights.as_ptr().wrapping_add(channels.start * self.strides[1]);
            let mut weights: [*const f32; C] =
                core::array::from_fn(|c| start.wrapping_add(c * self.strides[0]));
            let mut input = self.input.as_ptr().wrapping_add(channels.start * self.channel + q);
            for _ in channels {
                for tap in self.taps {
                    let from = input.add(tap.input);
                    let mut values = [V::splat(0.0); T];
                    for (t, value) in values.iter_mut().enumerate() {
                        *value = V::load(from.add(t * V::LANES));
                    }
                    for (weights, sums) in weights.iter().zip(&mut sums) {
                        let weight = V::splat(*weights.add(tap.weight));
                        for t in 0..T {
                            sums[t] = weight.mul_add(values[t], sums[t]);
                        }
                    }
                }
                input = input.wrapping_add(self.channel);
                for weights in &mut weights {
                    *weights = weights.wrapping_add(self.strides[1]);
                }
            }
            for (c, sums) in sums.iter().enumerate() {
                for (t, sum) in sums.iter().enumerate() {
                    sum.store(place(c, t));
                }
            }
        }
    }
}
