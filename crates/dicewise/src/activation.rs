use rayon::prelude::*;

use crate::{DiceError, Real, Shape, shape::BLOCK};

/// Chains a gradient with respect to probabilities through softmax, in place.
///
/// ```text
/// ∂L/∂z_c = p_c (g_c − Σ_k p_k g_k)
/// ```
///
/// where g = ∂L/∂p is in `gradient` on entry, ∂L/∂z on return, and p = softmax(z); both `[B, C, I]`. A voxel
/// with g = 0 in all classes (masked) keeps exactly 0, whatever p is.
///
/// # Errors
/// A slice that is not B·C·I long.
pub fn softmax_gradient<T: Real>(shape: Shape, p: &[T], gradient: &mut [T]) -> Result<(), DiceError> {
    shape.check_maps("prediction", p.len())?;
    shape.check_maps("gradient", gradient.len())?;
    shape.chunks_mut(gradient).into_par_iter().for_each(|(chunk, mut maps)| {
        let mut mean = [0.0; BLOCK];
        for voxels in chunk.blocks() {
            let here = voxels.start - chunk.voxels.start..voxels.end - chunk.voxels.start;
            let mean = &mut mean[..voxels.len()];
            mean.fill(0.0);
            for (c, map) in maps.iter().enumerate() {
                let p = &p[shape.map(chunk.b, c, &voxels)];
                for ((mean, p), g) in mean.iter_mut().zip(p).zip(&map[here.clone()]) {
                    *mean += if *g == T::ZERO { 0.0 } else { p.to_f64() * g.to_f64() };
                }
            }
            for (c, map) in maps.iter_mut().enumerate() {
                let p = &p[shape.map(chunk.b, c, &voxels)];
                for ((mean, p), g) in mean.iter().zip(p).zip(&mut map[here.clone()]) {
                    let centred = g.to_f64() - mean;
                    *g = if centred == 0.0 { T::ZERO } else { T::from_f64(p.to_f64() * centred) };
                }
            }
        }
    });
    Ok(())
}

/// Chains a gradient with respect to probabilities through the sigmoid, in place.
///
/// ```text
/// ∂L/∂z = p (1 − p) ∂L/∂p
/// ```
///
/// where p = sigmoid(z); both slices hold the same elements. Where the gradient is 0 (masked) it stays 0,
/// whatever p is.
///
/// # Errors
/// Slices of different lengths.
pub fn sigmoid_gradient<T: Real>(p: &[T], gradient: &mut [T]) -> Result<(), DiceError> {
    if p.len() != gradient.len() {
        let shape = format!("[{}] of the prediction", p.len());
        return Err(DiceError::Length {
            argument: "gradient",
            shape,
            expected: p.len(),
            found: gradient.len(),
        });
    }
    let step = |(p, g): (&T, &mut T)| {
        let p = p.to_f64();
        *g = if *g == T::ZERO { T::ZERO } else { T::from_f64(g.to_f64() * p * (1.0 - p)) };
    };
    p.par_chunks(1 << 15)
        .zip(gradient.par_chunks_mut(1 << 15))
        .for_each(|(p, g)| p.iter().zip(g).for_each(step));
    Ok(())
}
