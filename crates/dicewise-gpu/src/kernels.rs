//! The kernels: what each unit of the device does.
//!
//! Arrays are `[B, C, I]`, and a unit works on voxels of one sample, for all its classes. Whatever the arrays' type is,
//! sums, exponentials and coefficients are `f32`. A unit reads a class's values of consecutive voxels together with its
//! neighbours, which is how memory is read at its full rate.
use cubecl::prelude::*;
use dicewise::Activation;

/// Loops over so many classes are written out, which keeps a voxel's values in registers.
const UNROLLED: usize = 16;

/// p of all classes of one voxel; `at` is the voxel in class 0.
#[cube]
fn probabilities<F: Float>(
    input: &[F],
    at: usize,
    voxels: usize,
    p: &mut Array<f32>,
    #[comptime] classes: usize,
    #[comptime] activation: Activation,
) {
    #[unroll(classes <= UNROLLED)]
    for c in 0..classes {
        p[c] = f32::cast_from(input[at + c * voxels]);
    }
    if comptime!(activation == Activation::Sigmoid) {
        #[unroll(classes <= UNROLLED)]
        for c in 0..classes {
            let x = p[c];
            // Not above 1: devices do not promise what they make of an overflow.
            let e = (-x.abs()).exp();
            p[c] = select(x < 0.0f32, e, 1.0f32) / (1.0f32 + e);
        }
    }
    if comptime!(activation == Activation::Softmax) {
        let mut greatest = p[0];
        #[unroll(classes <= UNROLLED)]
        for c in 1..classes {
            greatest = greatest.max(p[c]);
        }
        let mut total = 0.0f32;
        #[unroll(classes <= UNROLLED)]
        for c in 0..classes {
            // No exponential is above 1, and one of them is 1.
            let e = (p[c] - greatest).exp();
            p[c] = e;
            total += e;
        }
        #[unroll(classes <= UNROLLED)]
        for c in 0..classes {
            p[c] /= total;
        }
    }
}

/// Adds the values of all units of the cube, in an order that depends on their number alone; the sums of the `fields`
/// stand at `shared[field · units]` then. `units` is a power of two.
#[cube]
fn add_up(shared: &mut Shared<[f32]>, #[comptime] fields: usize, #[comptime] units: usize) {
    let unit = UNIT_POS as usize;
    sync_cube();
    let mut half = comptime!(units / 2).runtime();
    while half > 0 {
        if unit < half {
            #[unroll]
            for field in 0..fields {
                let other = shared[field * units + unit + half];
                shared[field * units + unit] += other;
            }
        }
        sync_cube();
        half /= 2;
    }
}

/// Step 1. Σ y p, Σ y, Σ p and, as a fourth field, Σ y₀ p of one chunk of voxels of one sample for each of its classes:
/// `parts` is `[chunks, B, C, fields]`. Cube (x, y) has chunk x of sample y.
#[cube(launch)]
pub(crate) fn sums<F: Float>(
    input: &[F],
    target: &[F],
    parts: &mut [f32],
    voxels: u32,
    chunk: u32,
    #[comptime] classes: usize,
    #[comptime] fields: usize,
    #[comptime] activation: Activation,
    #[comptime] units: usize,
    #[define(F)] _element: ElemType,
) {
    let unit = UNIT_POS as usize;
    let voxels = voxels as usize;
    let sample = CUBE_POS_Y as usize;
    let first = sample * classes * voxels;

    let mut p = Array::<f32>::new(classes);
    let mut sums = Array::<f32>::new(comptime!(classes * fields));
    #[unroll(classes * fields <= UNROLLED * 4)]
    for k in 0..comptime!(classes * fields) {
        sums[k] = 0.0f32;
    }

    let start = CUBE_POS_X as usize * chunk as usize;
    let end = (start + chunk as usize).min(voxels);
    let mut voxel = start + unit;
    while voxel < end {
        let at = first + voxel;
        probabilities::<F>(input, at, voxels, &mut p, classes, activation);
        #[unroll(classes <= UNROLLED)]
        for c in 0..classes {
            let y = f32::cast_from(target[at + c * voxels]);
            sums[c * fields] += y * p[c];
            sums[c * fields + 1] += y;
            sums[c * fields + 2] += p[c];
            if comptime!(fields == 4) {
                sums[c * fields + 3] += f32::cast_from(target[at]) * p[c];
            }
        }
        voxel += units;
    }

    let mut shared = Shared::<[f32]>::new_slice(comptime!(fields * units));
    let map = (CUBE_POS_X as usize * CUBE_COUNT_Y as usize + sample) * classes;
    #[unroll(classes <= UNROLLED)]
    for c in 0..classes {
        #[unroll]
        for field in 0..fields {
            shared[field * units + unit] = sums[c * fields + field];
        }
        add_up(&mut shared, fields, units);
        if unit == 0 {
            #[unroll]
            for field in 0..fields {
                parts[(map + c) * fields + field] = shared[field * units];
            }
        }
        sync_cube();
    }
}

/// Step 3 for probabilities: `upstream` · (a − b·y), Eq. 4. Cube (x, y) takes every so many voxels of sample y.
///
/// `coefficients` is `[B, C, 2]`, a and b; `rows` is `[B, C]`, the class whose y stands in the derivative.
#[cube(launch)]
pub(crate) fn gradient_of_probabilities<F: Float>(
    target: &[F],
    coefficients: &[f32],
    rows: &[u32],
    upstream: &[f32],
    gradient: &mut [F],
    voxels: u32,
    #[comptime] classes: usize,
    #[define(F)] _element: ElemType,
) {
    let voxels = voxels as usize;
    let sample = CUBE_POS_Y as usize;
    let first = sample * classes * voxels;
    let mut voxel = CUBE_POS_X as usize * CUBE_DIM_X as usize + UNIT_POS as usize;
    while voxel < voxels {
        let at = first + voxel;
        #[unroll(classes <= UNROLLED)]
        for c in 0..classes {
            let map = sample * classes + c;
            let y = f32::cast_from(target[at + rows[map] as usize * voxels]);
            let derivative = coefficients[2 * map] - coefficients[2 * map + 1] * y;
            gradient[at + c * voxels] = F::cast_from(upstream[0] * derivative);
        }
        voxel += CUBE_COUNT_X as usize * CUBE_DIM_X as usize;
    }
}

/// Step 3 through the sigmoid, with g = a − b·y, Eq. 4:
///
/// ```text
/// ∂L/∂x_c = p_c (1 − p_c) g_c,    p (1 − p) = e / (1 + e)²,    e = exp(−|x|)
/// ```
///
/// where 1 − p itself would lose its digits.
#[cube(launch)]
pub(crate) fn gradient_through_sigmoid<F: Float>(
    input: &[F],
    target: &[F],
    coefficients: &[f32],
    rows: &[u32],
    upstream: &[f32],
    gradient: &mut [F],
    voxels: u32,
    #[comptime] classes: usize,
    #[define(F)] _element: ElemType,
) {
    let voxels = voxels as usize;
    let sample = CUBE_POS_Y as usize;
    let first = sample * classes * voxels;
    let mut voxel = CUBE_POS_X as usize * CUBE_DIM_X as usize + UNIT_POS as usize;
    while voxel < voxels {
        let at = first + voxel;
        #[unroll(classes <= UNROLLED)]
        for c in 0..classes {
            let map = sample * classes + c;
            let y = f32::cast_from(target[at + rows[map] as usize * voxels]);
            let g = coefficients[2 * map] - coefficients[2 * map + 1] * y;
            let x = f32::cast_from(input[at + c * voxels]);
            let e = (-x.abs()).exp();
            let derivative = e / ((1.0f32 + e) * (1.0f32 + e)) * g;
            gradient[at + c * voxels] = F::cast_from(upstream[0] * derivative);
        }
        voxel += CUBE_COUNT_X as usize * CUBE_DIM_X as usize;
    }
}

/// Step 3 through the softmax, with g = a − b·y, Eq. 4:
///
/// ```text
/// ∂L/∂x_c = p_c (g_c − Σ_k p_k g_k) = p_c (h_c − Σ_k p_k h_k),    h = g − g_r
/// ```
///
/// where r is the likeliest class: where p_r is almost 1, the first form would be a difference of almost equal numbers.
#[cube(launch)]
pub(crate) fn gradient_through_softmax<F: Float>(
    input: &[F],
    target: &[F],
    coefficients: &[f32],
    rows: &[u32],
    upstream: &[f32],
    gradient: &mut [F],
    voxels: u32,
    #[comptime] classes: usize,
    #[define(F)] _element: ElemType,
) {
    let voxels = voxels as usize;
    let sample = CUBE_POS_Y as usize;
    let first = sample * classes * voxels;
    let mut p = Array::<f32>::new(classes);
    let mut g = Array::<f32>::new(classes);
    let mut voxel = CUBE_POS_X as usize * CUBE_DIM_X as usize + UNIT_POS as usize;
    while voxel < voxels {
        let at = first + voxel;
        probabilities::<F>(input, at, voxels, &mut p, classes, Activation::Softmax);
        let mut greatest = 0.0f32;
        let mut of_likeliest = 0.0f32;
        #[unroll(classes <= UNROLLED)]
        for c in 0..classes {
            let map = sample * classes + c;
            let y = f32::cast_from(target[at + rows[map] as usize * voxels]);
            g[c] = coefficients[2 * map] - coefficients[2 * map + 1] * y;
            if p[c] > greatest {
                greatest = p[c];
                of_likeliest = g[c];
            }
        }
        let mut mean = 0.0f32;
        #[unroll(classes <= UNROLLED)]
        for c in 0..classes {
            mean += p[c] * (g[c] - of_likeliest);
        }
        #[unroll(classes <= UNROLLED)]
        for c in 0..classes {
            let derivative = p[c] * (g[c] - of_likeliest - mean);
            gradient[at + c * voxels] = F::cast_from(upstream[0] * derivative);
        }
        voxel += CUBE_COUNT_X as usize * CUBE_DIM_X as usize;
    }
}
