//! Upsampling and its transpose, the gradient.

use rayon::prelude::*;

/// Repeats every voxel of `[volumes, z, y, x]`.
pub(crate) fn nearest(x: &[f32], [size_z, size_y, size_x]: [usize; 3], factor: [usize; 3]) -> Vec<f32> {
    let [factor_z, factor_y, factor_x] = factor;
    let (voxels, row) = (size_z * size_y * size_x, size_x * factor_x);
    let repeats = factor_z * factor_y * factor_x;
    let mut result = vec![0.0; x.len() * repeats];
    result.par_chunks_mut(voxels * repeats).zip(x.par_chunks(voxels)).for_each(|(result, x)| {
        let planes = result.chunks_exact_mut(size_y * factor_y * row).zip(0..);
        for (plane, z) in planes {
            if z % factor_z > 0 {
                continue;
            }
            let source = &x[z / factor_z * size_y * size_x..];
            for (rows, source) in plane.chunks_exact_mut(factor_y * row).zip(source.chunks_exact(size_x)) {
                let (first, others) = rows.split_at_mut(row);
                for (to, from) in first.chunks_exact_mut(factor_x).zip(source) {
                    to.fill(*from);
                }
                others.chunks_exact_mut(row).for_each(|other| other.copy_from_slice(first));
            }
        }
        let slab = size_y * factor_y * row;
        for slabs in result.chunks_exact_mut(factor_z * slab) {
            let (first, others) = slabs.split_at_mut(slab);
            others.chunks_exact_mut(slab).for_each(|other| other.copy_from_slice(first));
        }
    });
    result
}

/// Adds up the gradients of every voxel's repetitions; `size` is the size before upsampling.
pub(crate) fn nearest_gradient(gradient: &[f32], size: [usize; 3], factor: [usize; 3]) -> Vec<f32> {
    let ([size_z, size_y, size_x], [factor_z, factor_y, factor_x]) = (size, factor);
    let (voxels, row) = (size_z * size_y * size_x, size_x * factor_x);
    let repeats = factor_z * factor_y * factor_x;
    let mut result = vec![0.0; gradient.len() / repeats];
    result.par_chunks_mut(voxels).zip(gradient.par_chunks(voxels * repeats)).for_each_init(
        || vec![0.0f32; row],
        |sums, (result, gradient)| {
            for (i, result) in result.chunks_exact_mut(size_x).enumerate() {
                let (z, y) = (i / size_y * factor_z, i % size_y * factor_y);
                sums.fill(0.0);
                for k in 0..factor_z * factor_y {
                    let source = ((z + k / factor_y) * size_y * factor_y + y + k % factor_y) * row;
                    sums.iter_mut().zip(&gradient[source..][..row]).for_each(|(sum, value)| *sum += value);
                }
                for (to, from) in result.iter_mut().zip(sums.chunks_exact(factor_x)) {
                    *to = from.iter().sum();
                }
            }
        },
    );
    result
}

/// Interpolates linearly along z, y and x.
pub(crate) fn trilinear(x: &[f32], size: [usize; 3], factor: [usize; 3]) -> Vec<f32> {
    let [size_z, size_y, size_x] = size;
    let widened = interpolate(x, size_x, 1, factor[2]);
    let widened = interpolate(&widened, size_y, size_x * factor[2], factor[1]);
    interpolate(&widened, size_z, size_y * factor[1] * size_x * factor[2], factor[0])
}

/// The transpose of [`trilinear`]; `size` is the size before upsampling.
pub(crate) fn trilinear_gradient(gradient: &[f32], size: [usize; 3], factor: [usize; 3]) -> Vec<f32> {
    let [size_z, size_y, size_x] = size;
    let gathered = gather(gradient, size_z, size_y * factor[1] * size_x * factor[2], factor[0]);
    let gathered = gather(&gathered, size_y, size_x * factor[2], factor[1]);
    gather(&gathered, size_x, 1, factor[2])
}

/// `[…, size, inner]` to `[…, factor · size, inner]`.
fn interpolate(x: &[f32], size: usize, inner: usize, factor: usize) -> Vec<f32> {
    let mut result = vec![0.0; x.len() * factor];
    result.par_chunks_mut(size * inner * factor).zip(x.par_chunks(size * inner)).for_each(|(result, x)| {
        for (j, result) in result.chunks_exact_mut(inner).enumerate() {
            let (low, high, t) = linear_taps(j, size, factor);
            let pairs = x[low * inner..][..inner].iter().zip(&x[high * inner..][..inner]);
            result.iter_mut().zip(pairs).for_each(|(to, (low, high))| *to = low + t * (high - low));
        }
    });
    result
}

/// The transpose of [`interpolate`].
fn gather(gradient: &[f32], size: usize, inner: usize, factor: usize) -> Vec<f32> {
    let mut result = vec![0.0; gradient.len() / factor];
    result.par_chunks_mut(size * inner).zip(gradient.par_chunks(size * inner * factor)).for_each(
        |(result, gradient)| {
            for (j, gradient) in gradient.chunks_exact(inner).enumerate() {
                let (low, high, t) = linear_taps(j, size, factor);
                for (i, value) in gradient.iter().enumerate() {
                    result[low * inner + i] += (1.0 - t) * value;
                    result[high * inner + i] += t * value;
                }
            }
        },
    );
    result
}

/// The two voxels between which output voxel `j` lies, and the weight of the second.
pub(crate) fn linear_taps(j: usize, size: usize, factor: usize) -> (usize, usize, f32) {
    let position = ((j as f32 + 0.5) / factor as f32 - 0.5).max(0.0);
    let low = (position as usize).min(size - 1);
    (low, (low + 1).min(size - 1), position - low as f32)
}
