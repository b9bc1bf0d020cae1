//! The innermost loop of the weights' gradient, written in registers.
//!
//! The public function checks every length before it enters the unchecked loops.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::{__m256, __m512};

#[cfg(target_arch = "x86_64")]
use super::vector::Vector;
use super::{Level, portable};

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
    /// Channels of `gradient`, one of [`Rows::lanes`].
    pub(super) lanes: usize,
}

impl Rows<'_> {
    /// The numbers of output channels that can be taken together, most first.
    pub(super) fn lanes(level: Level) -> &'static [usize] {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => &[32, 16, 8],
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => &[16, 8],
            Level::Portable => &[8],
        }
    }

    /// Adds to `[taps][run][lanes]` sums.
    ///
    /// ```text
    /// sums[t][k][c] += Σ_{y, x} input[taps[t] + k + y · pitch + x] · gradient[y][x][c]
    /// ```
    pub(super) fn accumulate(&self, level: Level, sums: &mut [f32]) {
        assert!(self.run == 1 || self.run == 3);
        let reach = (self.rows - 1) * self.pitch + self.width + self.run - 1;
        assert!(self.taps.iter().max().is_none_or(|tap| self.input.len() >= tap + reach));
        assert!(self.gradient.len() >= self.rows * self.width * self.lanes);
        assert!(sums.len() >= self.taps.len() * self.run * self.lanes);
        // SAFETY: the lengths were just checked; `level` was detected on this processor.
        match (level, self.lanes) {
            #[cfg(target_arch = "x86_64")]
            (Level::Avx512, 32) => unsafe { self.avx512::<2>(sums) },
            #[cfg(target_arch = "x86_64")]
            (Level::Avx512, 16) => unsafe { self.avx512::<1>(sums) },
            #[cfg(target_arch = "x86_64")]
            (Level::Avx512, 8) => unsafe { self.avx512_half(sums) },
            #[cfg(target_arch = "x86_64")]
            (Level::Avx2, 16) => unsafe { self.avx2_pair(sums) },
            #[cfg(target_arch = "x86_64")]
            (Level::Avx2, 8) => unsafe { self.avx2(sums) },
            (Level::Portable, 8) => portable::accumulate(self, sums),
            _ => unreachable!("{level:?} has no {} lanes", self.lanes),
        }
    }

    /// 4 × 3 × 2 sums or 8 × 3 × 1.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
    unsafe fn avx512<const N: usize>(&self, sums: &mut [f32]) {
        unsafe {
            match N {
                1 => self.sweep::<__m512, 8, 16, 1>(sums),
                _ => self.sweep::<__m512, 4, 12, 2>(sums),
            }
        }
    }

    /// Half a register, yet twice as many of them in a cycle, and all 32 names.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
    unsafe fn avx512_half(&self, sums: &mut [f32]) {
        unsafe { self.sweep::<__m256, 8, 16, 1>(sums) }
    }

    /// 2 × 3 × 2 sums, 2 gradients and an input: 15 of 16 registers.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2_pair(&self, sums: &mut [f32]) {
        unsafe { self.sweep::<__m256, 2, 6, 2>(sums) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2(&self, sums: &mut [f32]) {
        unsafe { self.sweep::<__m256, 4, 12, 1>(sums) }
    }

    /// As many rows of taps at once as registers allow: `R3` rows of three, or `R1` single taps, of `N` registers each.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn sweep<V: Vector, const R3: usize, const R1: usize, const N: usize>(&self, sums: &mut [f32]) {
        let mut t = 0;
        unsafe {
            if self.run == 3 {
                while t + R3 <= self.taps.len() {
                    self.taps::<V, R3, 3, N>(t, sums);
                    t += R3;
                }
                while t < self.taps.len() {
                    self.taps::<V, 1, 3, N>(t, sums);
                    t += 1;
                }
            } else {
                while t + R1 <= self.taps.len() {
                    self.taps::<V, R1, 1, N>(t, sums);
                    t += R1;
                }
                while t < self.taps.len() {
                    self.taps::<V, 1, 1, N>(t, sums);
                    t += 1;
                }
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn taps<V: Vector, const R: usize, const K: usize, const N: usize>(
        &self,
        first: usize,
        sums: &mut [f32],
    ) {
        unsafe {
            let mut totals = [[[V::splat(0.0); N]; K]; R];
            for y in 0..self.rows {
                let base = self.input.as_ptr().add(y * self.pitch);
                let rows: [*const f32; R] =
                    core::array::from_fn(|r| base.add(*self.taps.get_unchecked(first + r)));
                let mut gradient = self.gradient.as_ptr().add(y * self.width * V::LANES * N);
                for x in 0..self.width {
                    let mut values = [V::splat(0.0); N];
                    for (n, value) in values.iter_mut().enumerate() {
                        *value = V::load(gradient.add(n * V::LANES));
                    }
                    for (row, totals) in rows.iter().zip(&mut totals) {
                        for (k, totals) in totals.iter_mut().enumerate() {
                            let input = V::splat(*row.add(x + k));
                            for n in 0..N {
                                totals[n] = input.mul_add(values[n], totals[n]);
                            }
                        }
                    }
                    gradient = gradient.add(V::LANES * N);
                }
            }
            let sums = sums.as_mut_ptr().add(first * K * N * V::LANES);
            for (i, total) in totals.iter().flatten().flatten().enumerate() {
                let sum = sums.add(i * V::LANES);
                V::splat(1.0).mul_add(*total, V::load(sum)).store(sum);
            }
        }
    }
}
