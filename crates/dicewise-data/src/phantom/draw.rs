//! What both phantoms are drawn with: exact random numbers, smooth random fields, soft edges.

use rand_chacha::rand_core::RngCore;

/// A number in [low, high), uniform in steps of 2⁻²⁴ of the range.
pub(super) fn uniform(rng: &mut impl RngCore, low: f32, high: f32) -> f32 {
    low + (high - low) * ((rng.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0))
}

/// A nearly normal number with mean 0 and variance 1: the sum of twelve uniform ones (Irwin–Hall), which needs
/// no logarithm and is therefore the same on every machine. Never beyond ±6.
pub(super) fn normal(rng: &mut impl RngCore) -> f32 {
    let sum: u32 = (0..3)
        .flat_map(|_| {
            let bits = rng.next_u64();
            (0..4).map(move |part| (bits >> (16 * part)) as u32 & 0xffff)
        })
        .sum();
    // 12 · (2¹⁶ − 1) / 2 is the mean of the sum.
    (sum as f32 - 393_210.0) * (1.0 / 65_536.0)
}

/// 0 below `low`, 1 above `high`, 3t² − 2t³ between.
pub(super) fn smoothstep(low: f32, high: f32, value: f32) -> f32 {
    let t = ((value - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// `from` where `weight` is 0, `to` where it is 1.
pub(super) fn mix(from: f32, to: f32, weight: f32) -> f32 {
    from + (to - from) * weight
}

/// A rotation in a plane, from t = tan(θ/2): cos θ = (1 − t²)/(1 + t²), sin θ = 2t/(1 + t²).
#[derive(Clone, Copy, Debug)]
pub(super) struct Rotation {
    cos: f32,
    sin: f32,
}

impl Rotation {
    pub(super) fn from_half_tangent(t: f32) -> Self {
        let denominator = 1.0 + t * t;
        Self { cos: (1.0 - t * t) / denominator, sin: 2.0 * t / denominator }
    }

    pub(super) fn apply(self, a: f32, b: f32) -> (f32, f32) {
        (self.cos * a - self.sin * b, self.sin * a + self.cos * b)
    }
}

/// Length of a vector.
pub(super) fn norm(v: [f32; 3]) -> f32 {
    (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).sqrt()
}

/// The centre of each voxel in the field of view, −1 to 1 along each axis, x fastest.
pub(super) fn view_coordinates(shape: [usize; 3]) -> impl Iterator<Item = [f32; 3]> {
    let at = |i: usize, n: usize| (2 * i + 1) as f32 / n as f32 - 1.0;
    let [nx, ny, nz] = shape;
    (0..nz)
        .flat_map(move |z| (0..ny).flat_map(move |y| (0..nx).map(move |x| [at(x, nx), at(y, ny), at(z, nz)])))
}

/// A smooth random field of mean 0 and variance 1, one value a voxel, x fastest: a cubic B-spline with normal
/// coefficients, `cells` of them across the field of view (so its look does not depend on the shape).
pub(super) fn smooth_field(rng: &mut impl RngCore, shape: [usize; 3], cells: usize) -> Vec<f32> {
    let knots = cells + 3;
    let mut field: Vec<f32> = (0..knots * knots * knots).map(|_| normal(rng)).collect();
    let mut extent = [knots; 3];
    for axis in 0..3 {
        field = expand(&field, extent, axis, shape[axis], cells);
        extent[axis] = shape[axis];
    }
    // ∫ of the squared cubic B-spline is 151/315 along each axis: the mean variance of the sum of the terms.
    let scale = 1.0 / (151.0f32 / 315.0 * (151.0 / 315.0) * (151.0 / 315.0)).sqrt();
    field.iter_mut().for_each(|value| *value *= scale);
    field
}

/// Evaluates the B-spline along one axis at `length` voxel centres.
fn expand(field: &[f32], extent: [usize; 3], axis: usize, length: usize, cells: usize) -> Vec<f32> {
    let stride: usize = extent[..axis].iter().product();
    let outer: usize = extent[axis + 1..].iter().product();
    let mut expanded = vec![0.0; stride * length * outer];
    for i in 0..length {
        // Exact integers: position ((i + ½)/length)·cells = whole + fraction.
        let position = (2 * i + 1) * cells;
        let whole = position / (2 * length);
        let f = (position % (2 * length)) as f32 / (2 * length) as f32;
        let g = 1.0 - f;
        let weights = [
            g * g * g / 6.0,
            (3.0 * f * f * f - 6.0 * f * f + 4.0) / 6.0,
            (3.0 * g * g * g - 6.0 * g * g + 4.0) / 6.0,
            f * f * f / 6.0,
        ];
        for block in 0..outer {
            let target = stride * (i + length * block);
            for (knot, weight) in weights.iter().enumerate() {
                let source = stride * (whole + knot + extent[axis] * block);
                for inner in 0..stride {
                    expanded[target + inner] += weight * field[source + inner];
                }
            }
        }
    }
    expanded
}

/// The magnitude of a signal with noise in both of its parts, as a scanner gives it (Rician).
pub(super) fn magnitude(rng: &mut impl RngCore, signal: f32, noise: f32) -> f32 {
    let real = signal + noise * normal(rng);
    let imaginary = noise * normal(rng);
    (real * real + imaginary * imaginary).sqrt()
}
