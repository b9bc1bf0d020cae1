//! p_c = e^(x_c) / Σ_k e^(x_k), over the classes of a voxel, with categorical cross-entropy.

use std::ops::Range;

use super::{
    Backward, Forward, Kernel, MapSums,
    block::{Truth, add_map, find_bad_value, fold, load_dense, load_logits},
    codes::{Codes, padded},
    lanes::LANES,
    tile::{Simd, Tile},
};
use crate::{DiceError, Element, Target, element::sealed::Lane, target::Kind};

/// The most voxels of a block, and about how many values its rows hold together: half of a first-level cache.
const LONGEST: usize = 1024;
const VALUES: usize = 1 << 12;

fn block_length(classes: usize) -> usize {
    (VALUES / classes / 16 * 16).clamp(64, LONGEST)
}

/// A row, which is whole tiles long.
#[inline(always)]
fn tiles<F>(row: &[F]) -> impl Iterator<Item = &[F; LANES]> {
    row.as_chunks().0.iter()
}

#[inline(always)]
fn tiles_mut<F>(row: &mut [F]) -> impl Iterator<Item = &mut [F; LANES]> {
    row.as_chunks_mut().0.iter_mut()
}

/// A block of a sample: `[C, length]` each, and rows of one value a voxel.
struct Block<F> {
    classes: usize,
    length: usize,
    /// Logits, then probabilities.
    p: Vec<F>,
    /// y, if dense.
    y: Vec<F>,
    /// Of the classes merged into one group: their share of the group's probability.
    shares: Vec<F>,
    max: Vec<F>,
    sum: Vec<F>,
    /// Σ_c y_c ln p'_c of the group of c, negated: the voxel's cross-entropy.
    loss: Vec<F>,
    scratch: Vec<F>,
}

impl<F: Lane> Block<F> {
    fn new(target: &Target<'_>, grouped: bool) -> Self {
        let classes = target.shape().classes();
        let voxels = block_length(classes);
        let zeros = |classes: usize| vec![F::ZERO; classes * voxels];
        let dense = matches!(target.kind(), Kind::Dense(_));
        Self {
            classes,
            length: voxels,
            p: zeros(classes),
            y: zeros(if dense { classes } else { 0 }),
            shares: zeros(if grouped { classes } else { 0 }),
            max: zeros(1),
            sum: zeros(1),
            loss: zeros(1),
            scratch: zeros(1),
        }
    }

    #[inline(always)]
    fn load<'a, T: Element<Lane = F> + 'a>(
        &mut self,
        row: impl Fn(usize) -> &'a [T],
        target: &Target<'_>,
        b: usize,
        voxels: &Range<usize>,
        codes: &[i32],
    ) -> Result<(), DiceError> {
        self.length = padded(voxels.len());
        for c in 0..self.classes {
            let here = c * self.length..(c + 1) * self.length;
            let mut accepted = load_logits(row(c), codes, true, &mut self.p[here.clone()]);
            if let Kind::Dense(maps) = target.kind() {
                accepted &= load_dense(maps, target, (b, c), voxels, codes, &mut self.y[here]);
            }
            if !accepted {
                find_bad_value(|j| row(c)[j].to_f64(), target, false, (b, c), voxels, codes)
                    .map_or(Ok(()), Err)?;
            }
        }
        Ok(())
    }

    fn here(&self, c: usize) -> Range<usize> {
        c * self.length..(c + 1) * self.length
    }

    fn truth<'a>(&'a self, c: usize, codes: &'a [i32]) -> Truth<'a, F> {
        match self.y.is_empty() {
            true => Truth::Class(c as i32, codes),
            false => Truth::Dense(&self.y[self.here(c)]),
        }
    }

    /// Logits to probabilities, 0 where left out. Leaves the maximum and Σ e^(x − max) in their rows.
    #[inline(always)]
    fn activate<S: Simd>(&mut self, codes: &[i32]) {
        let length = self.length;
        let (max, sum) = (&mut self.max[..length], &mut self.sum[..length]);
        max.copy_from_slice(&self.p[..length]);
        for row in self.p[..self.classes * length].chunks_exact(length).skip(1) {
            for (max, &x) in max.iter_mut().zip(row) {
                *max = if x > *max { x } else { *max };
            }
        }
        sum.fill(F::ZERO);
        for row in self.p[..self.classes * length].chunks_exact_mut(length) {
            for ((x, max), sum) in tiles_mut(row).zip(tiles(max)).zip(tiles_mut(sum)) {
                let power = F::Tile::<S>::load(x).minus(F::Tile::<S>::load(max)).exp();
                power.store(x);
                F::Tile::<S>::load(sum).plus(power).store(sum);
            }
        }
        let inverse = &mut self.scratch[..length];
        for ((inverse, &sum), &code) in inverse.iter_mut().zip(&*sum).zip(codes) {
            *inverse = if code >= 0 { F::ONE / sum } else { F::ZERO };
        }
        for row in self.p[..self.classes * length].chunks_exact_mut(length) {
            for (x, &inverse) in row.iter_mut().zip(&*inverse) {
                *x = *x * inverse;
            }
        }
    }

    /// Before the activation: −Σ_c y_c x_c, with the log-sum-exp of the group for classes that are merged, into
    /// `loss`; the shares of merged classes into `shares`.
    #[inline(always)]
    fn start_cross_entropy<S: Simd>(&mut self, groups: &[usize], codes: &[i32]) {
        let length = self.length;
        self.loss[..length].fill(F::ZERO);
        let merged = groups.iter().enumerate().any(|(c, &group)| c != group);
        if merged {
            self.merge::<S>(groups);
        }
        for (c, &group) in groups.iter().enumerate() {
            // The group's log-sum-exp is in `scratch`; all merged classes are in the group of class 0.
            let in_group = merged && group == 0;
            let x = if in_group { &self.scratch[..length] } else { &self.p[c * length..(c + 1) * length] };
            let loss = self.loss[..length].iter_mut();
            if self.y.is_empty() {
                for ((loss, &x), &code) in loss.zip(x).zip(codes) {
                    *loss = if code == c as i32 { -x } else { *loss };
                }
            } else {
                for ((loss, &x), &y) in loss.zip(x).zip(&self.y[c * length..(c + 1) * length]) {
                    *loss = *loss - x * y;
                }
            }
        }
    }

    /// For the classes in the group of class 0: softmax among themselves into `shares`, log-sum-exp into `scratch`.
    #[inline(always)]
    fn merge<S: Simd>(&mut self, groups: &[usize]) {
        let length = self.length;
        let members = || (0..self.classes).filter(|&c| groups[c] == 0);
        let (max, sum) = (&mut self.max[..length], &mut self.sum[..length]);
        max.copy_from_slice(&self.p[..length]);
        for c in members() {
            for (max, &x) in max.iter_mut().zip(&self.p[c * length..(c + 1) * length]) {
                *max = if x > *max { x } else { *max };
            }
        }
        sum.fill(F::ZERO);
        for c in members() {
            let here = c * length..(c + 1) * length;
            let shares = tiles_mut(&mut self.shares[here.clone()]).zip(tiles(&self.p[here]));
            for (((share, x), max), sum) in shares.zip(tiles(max)).zip(tiles_mut(sum)) {
                let power = F::Tile::<S>::load(x).minus(F::Tile::<S>::load(max)).exp();
                power.store(share);
                F::Tile::<S>::load(sum).plus(power).store(sum);
            }
        }
        for c in members() {
            for (share, &sum) in self.shares[c * length..(c + 1) * length].iter_mut().zip(&*sum) {
                *share = *share / sum;
            }
        }
        for ((lse, max), sum) in tiles_mut(&mut self.scratch[..length]).zip(tiles(max)).zip(tiles(sum)) {
            F::Tile::<S>::load(max).plus(F::Tile::<S>::load(sum).ln()).store(lse);
        }
    }

    /// Σ_c y_c of each voxel: 1 for labels.
    #[inline(always)]
    fn total_truth(&mut self, codes: &[i32]) -> &[F] {
        let total = &mut self.scratch[..self.length];
        if self.y.is_empty() {
            for (total, &code) in total.iter_mut().zip(codes) {
                *total = if code >= 0 { F::ONE } else { F::ZERO };
            }
        } else {
            total.fill(F::ZERO);
            for row in self.y[..self.classes * self.length].chunks_exact(self.length) {
                total.iter_mut().zip(row).for_each(|(total, &y)| *total += y);
            }
        }
        total
    }

    /// After the activation: adds (Σ_c y_c) · log-sum-exp to `loss`, 0 where left out, and returns the block's sum.
    #[inline(always)]
    fn finish_cross_entropy<S: Simd>(&mut self, codes: &[i32]) -> f64 {
        let length = self.length;
        self.total_truth(codes);
        for (max, sum) in tiles_mut(&mut self.max[..length]).zip(tiles(&self.sum[..length])) {
            F::Tile::<S>::load(max).plus(F::Tile::<S>::load(sum).ln()).store(max);
        }
        for ((loss, &lse), &total) in self.loss[..length].iter_mut().zip(&self.max).zip(&self.scratch) {
            *loss = if total > F::ZERO { *loss + lse * total } else { F::ZERO };
        }
        fold(&self.loss[..length], |_, loss| loss)
    }
}

pub(super) struct Measure<'a, T>(pub(super) Forward<'a, T>);

impl<T: Element> Kernel for Measure<'_, T> {
    type Output = Result<Vec<MapSums>, DiceError>;

    #[inline(always)]
    fn run<S: Simd>(self) -> Self::Output {
        let Forward { wanted, input, target, chunk } = self.0;
        let shape = target.shape();
        let groups = wanted.cross_entropy.groups(chunk.b, shape.classes());
        let mut sums = vec![MapSums::default(); shape.classes()];
        let mut codes = Codes::new();
        let mut block = Block::<T::Lane>::new(target, groups.is_some());
        for voxels in chunk.blocks(block_length(shape.classes())) {
            let codes = codes.read(target, chunk.b, &voxels)?;
            block.load(|c| &input[shape.map(chunk.b, c, &voxels)], target, chunk.b, &voxels, codes)?;
            if let Some(groups) = groups {
                block.start_cross_entropy::<S>(groups, codes);
            }
            block.activate::<S>(codes);
            if groups.is_some() {
                sums[0].cross_entropy += block.finish_cross_entropy::<S>(codes);
                sums[0].voxels += f64::from(codes.iter().map(|&code| i32::from(code >= 0)).sum::<i32>());
            }
            for (c, sums) in sums.iter_mut().enumerate() {
                let p = &block.p[block.here(c)];
                add_map(p, block.truth(c, codes), block.truth(0, codes), &wanted, sums);
            }
        }
        Ok(sums)
    }
}

pub(super) struct Differentiate<'a, T>(pub(super) Backward<'a, T>);

impl<T: Element> Kernel for Differentiate<'_, T> {
    type Output = Result<(), DiceError>;

    #[inline(always)]
    fn run<S: Simd>(self) -> Self::Output {
        let mut pass = self.0;
        let (target, of) = (pass.target, pass.coefficients);
        let (b, classes) = (pass.chunk.b, target.shape().classes());
        let maps = b * classes..(b + 1) * classes;
        let lanes = |values: &[f64]| -> Vec<T::Lane> {
            values[maps.clone()].iter().map(|&value| Lane::of(value)).collect()
        };
        let (a, slope, curvature) = (lanes(of.a), lanes(of.b), lanes(of.c));
        let row = &of.row[maps.clone()];
        let weight = <T::Lane as Lane>::of(of.cross_entropy[maps.start]);
        let groups = of.cross_entropy_of.groups(b, classes);
        let mut codes = Codes::new();
        let mut block = Block::<T::Lane>::new(target, groups.is_some());
        let mut mean = vec![T::Lane::ZERO; block_length(classes)];
        for voxels in pass.chunk.blocks(block_length(classes)) {
            let codes = codes.read(target, b, &voxels)?;
            block.load(|c| pass.input(c, &voxels), target, b, &voxels, codes)?;
            if let Some(groups) = groups {
                block.start_cross_entropy::<S>(groups, codes);
            }
            block.activate::<S>(codes);
            block.total_truth(codes);
            // Σ_k p_k ∂L/∂p_k.
            let mean = &mut mean[..block.length];
            mean.fill(T::Lane::ZERO);
            for c in 0..classes {
                let p = block.p[block.here(c)].iter();
                let derivative = derivative(&block, row[c], codes, a[c], slope[c], curvature[c]);
                for (j, (mean, &p)) in mean.iter_mut().zip(p).enumerate() {
                    *mean += p * derivative(j, p);
                }
            }
            let here = pass.chunk.within(&voxels);
            for c in 0..classes {
                let p = &block.p[block.here(c)];
                let derivative = derivative(&block, row[c], codes, a[c], slope[c], curvature[c]);
                let out = &mut pass.maps[c][here.clone()];
                for (j, out) in out.iter_mut().enumerate() {
                    let p = p[j];
                    let mut value = p * (derivative(j, p) - mean[j]);
                    if let Some(groups) = groups {
                        let merged = groups[c] == 0 && groups.iter().skip(1).any(|&group| group == 0);
                        let truth = |c: usize| match block.truth(c, codes) {
                            Truth::Class(class, codes) if codes[j] == class => T::Lane::ONE,
                            Truth::Class(..) => T::Lane::ZERO,
                            Truth::Dense(y) => y[j],
                        };
                        let expected = if merged {
                            let mut y = T::Lane::ZERO;
                            for k in (0..classes).filter(|&k| groups[k] == 0) {
                                y += truth(k);
                            }
                            y * block.shares[block.here(c)][j]
                        } else {
                            truth(c)
                        };
                        value += weight * (p * block.scratch[j] - expected);
                    }
                    *out = if codes[j] >= 0 { T::narrow(value) } else { T::ZERO };
                }
            }
        }
        Ok(())
    }
}

/// ∂L/∂p = a − b·y_row + c·p at voxel j.
#[inline(always)]
fn derivative<'a, F: Lane>(
    block: &'a Block<F>,
    row: usize,
    codes: &'a [i32],
    a: F,
    slope: F,
    curvature: F,
) -> impl Fn(usize, F) -> F + 'a {
    let truth = block.truth(row, codes);
    move |j, p| {
        let y = match truth {
            Truth::Class(class, codes) if codes[j] == class => F::ONE,
            Truth::Class(..) => F::ZERO,
            Truth::Dense(y) => y[j],
        };
        a - slope * y + curvature * p
    }
}
