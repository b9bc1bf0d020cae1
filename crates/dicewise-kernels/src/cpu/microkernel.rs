//! The two innermost loops of convolution, written in registers.
//!
//! Both public functions check every length before they enter the unchecked loops.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::{__m256, __m512};

use super::Level;
use super::vector::{Plain, Vector};

/// A plane of correlations between padded channels and one block of kernels.
pub(super) struct Plane<'a> {
    /// Begins at the plane's first output, in the first channel.
    pub(super) input: &'a [f32],
    pub(super) channels: usize,
    /// Distance between channels in `input`.
    pub(super) channel: usize,
    /// Distance of each tap from its output.
    pub(super) taps: &'a [usize],
    /// `[channels][taps][block]`
    pub(super) weights: &'a [f32],
    /// `[block]`
    pub(super) bias: &'a [f32],
    /// Outputs, a multiple of [`Plane::lanes`].
    pub(super) length: usize,
}

impl Plane<'_> {
    /// Output channels that are computed together.
    pub(super) fn block(level: Level) -> usize {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => 8,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => 4,
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
    /// out[c][q] = bias[c] + Σ_{i, t} weights[i][t][c] · input[i · channel + taps[t] + q]
    /// ```
    pub(super) fn correlate(&self, level: Level, out: &mut [f32]) {
        let block = Self::block(level);
        let reach =
            self.taps.iter().max().map_or(0, |tap| (self.channels - 1) * self.channel + tap + self.length);
        assert!(self.length.is_multiple_of(Self::lanes(level)) && self.input.len() >= reach);
        assert!(self.weights.len() >= self.channels * self.taps.len() * block);
        assert!(self.bias.len() >= block && out.len() >= block * self.length);
        // SAFETY: the lengths were just checked; `level` was detected on this processor.
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { self.avx512(out) },
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { self.avx2(out) },
            Level::Portable => unsafe { self.run::<Plain, 4, 1>(out) },
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
    unsafe fn avx512(&self, out: &mut [f32]) {
        // 8 × 3 sums, 3 inputs and a weight: 28 of 32 registers.
        unsafe { self.run::<__m512, 8, 3>(out) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2(&self, out: &mut [f32]) {
        // 4 × 2 sums, 2 inputs and a weight. With 4 × 3 the compiler keeps a sum on the stack, at a quarter of the speed.
        unsafe { self.run::<__m256, 4, 2>(out) }
    }

    #[inline(always)]
    unsafe fn run<V: Vector, const C: usize, const T: usize>(&self, out: &mut [f32]) {
        let mut q = 0;
        while q + T * V::LANES <= self.length {
            unsafe { self.tile::<V, C, T>(q, out.as_mut_ptr()) };
            q += T * V::LANES;
        }
        while q < self.length {
            unsafe { self.tile::<V, C, 1>(q, out.as_mut_ptr()) };
            q += V::LANES;
        }
    }

    /// `C` channels of `T` registers of outputs from output `q` on.
    #[inline(always)]
    unsafe fn tile<V: Vector, const C: usize, const T: usize>(&self, q: usize, out: *mut f32) {
        unsafe {
            let mut sums = [[V::splat(0.0); T]; C];
            for (c, sums) in sums.iter_mut().enumerate() {
                *sums = [V::splat(*self.bias.as_ptr().add(c)); T];
            }
            let mut weight = self.weights.as_ptr();
            for channel in 0..self.channels {
                let channel = self.input.as_ptr().add(channel * self.channel + q);
                for &tap in self.taps {
                    let from = channel.add(tap);
                    let mut input = [V::splat(0.0); T];
                    for (t, input) in input.iter_mut().enumerate() {
                        *input = V::load(from.add(t * V::LANES));
                    }
                    for (c, sums) in sums.iter_mut().enumerate() {
                        let weight = V::splat(*weight.add(c));
                        for t in 0..T {
                            sums[t] = weight.mul_add(input[t], sums[t]);
                        }
                    }
                    weight = weight.add(C);
                }
            }
            for (c, sums) in sums.iter().enumerate() {
                for (t, sum) in sums.iter().enumerate() {
                    sum.store(out.add(c * self.length + q + t * V::LANES));
                }
            }
        }
    }
}

/// A few rows of one plane, for the gradient of the weights.
pub(super) struct Rows<'a> {
    /// Begins at the first of the rows, in the first channel.
    pub(super) input: &'a [f32],
    /// Distance of each row of taps from its output: `run` taps follow each other from there.
    pub(super) taps: &'a [usize],
    /// Neighbouring taps in a row of taps, 1 or 3.
    pub(super) run: usize,
    /// Distance between rows in `input`.
    pub(super) pitch: usize,
    /// `[rows][width][lanes]`: output gradients of `lanes` channels.
    pub(super) gradient: &'a [f32],
    pub(super) rows: usize,
    pub(super) width: usize,
    /// Channels of `gradient`, 8 or (AVX-512 only) 16.
    pub(super) lanes: usize,
}

impl Rows<'_> {
    /// Adds to `[taps][run][lanes]` sums.
    ///
    /// ```text
    /// sums[t][k][c] += Σ_{y, x} input[taps[t] + k + y · pitch + x] · gradient[y][x][c]
    /// ```
    pub(super) fn accumulate(&self, level: Level, sums: &mut [f32]) {
        let reach = (self.rows - 1) * self.pitch + self.width + self.run - 1;
        assert!(self.taps.iter().max().is_none_or(|tap| self.input.len() >= tap + reach));
        assert!(self.gradient.len() >= self.rows * self.width * self.lanes);
        assert!(sums.len() >= self.taps.len() * self.run * self.lanes);
        // SAFETY: the lengths were just checked; `level` was detected on this processor.
        match (level, self.lanes, self.run) {
            #[cfg(target_arch = "x86_64")]
            (Level::Avx512, 16, _) => unsafe { self.avx512(sums) },
            #[cfg(target_arch = "x86_64")]
            (Level::Avx512, 8, _) => unsafe { self.avx512_half(sums) },
            #[cfg(target_arch = "x86_64")]
            (Level::Avx2, 8, _) => unsafe { self.avx2(sums) },
            (Level::Portable, 8, _) => unsafe { self.sweep::<Plain, 1, 4>(sums) },
            _ => unreachable!("{level:?} has no {} lanes", self.lanes),
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
    unsafe fn avx512(&self, sums: &mut [f32]) {
        unsafe { self.sweep::<__m512, 9, 8>(sums) }
    }

    /// Half a register, yet twice as many of them in a cycle, and all 32 names.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
    unsafe fn avx512_half(&self, sums: &mut [f32]) {
        unsafe { self.sweep::<__m256, 9, 8>(sums) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2(&self, sums: &mut [f32]) {
        unsafe { self.sweep::<__m256, 3, 8>(sums) }
    }

    /// As many rows of taps at once as registers allow: `R3` rows of three, or `R1` single taps.
    #[inline(always)]
    unsafe fn sweep<V: Vector, const R3: usize, const R1: usize>(&self, sums: &mut [f32]) {
        let mut t = 0;
        unsafe {
            if self.run == 3 {
                while t + R3 <= self.taps.len() {
                    self.taps::<V, R3, 3>(t, sums);
                    t += R3;
                }
                while t + 3 <= self.taps.len() {
                    self.taps::<V, 3, 3>(t, sums);
                    t += 3;
                }
                while t < self.taps.len() {
                    self.taps::<V, 1, 3>(t, sums);
                    t += 1;
                }
            } else {
                while t + R1 <= self.taps.len() {
                    self.taps::<V, R1, 1>(t, sums);
                    t += R1;
                }
                while t < self.taps.len() {
                    self.taps::<V, 1, 1>(t, sums);
                    t += 1;
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn taps<V: Vector, const R: usize, const K: usize>(&self, first: usize, sums: &mut [f32]) {
        unsafe {
            let mut totals = [[V::splat(0.0); K]; R];
            for y in 0..self.rows {
                let base = self.input.as_ptr().add(y * self.pitch);
                let rows: [*const f32; R] =
                    core::array::from_fn(|r| base.add(*self.taps.get_unchecked(first + r)));
                let mut gradient = self.gradient.as_ptr().add(y * self.width * V::LANES);
                for x in 0..self.width {
                    let value = V::load(gradient);
                    for (row, totals) in rows.iter().zip(&mut totals) {
                        for (k, total) in totals.iter_mut().enumerate() {
                            *total = V::splat(*row.add(x + k)).mul_add(value, *total);
                        }
                    }
                    gradient = gradient.add(V::LANES);
                }
            }
            for (r, totals) in totals.iter().enumerate() {
                for (k, total) in totals.iter().enumerate() {
                    let sum = sums.as_mut_ptr().add(((first + r) * K + k) * V::LANES);
                    V::splat(1.0).mul_add(*total, V::load(sum)).store(sum);
                }
            }
        }
    }
}
