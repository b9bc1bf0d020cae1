//! Literal f64 loops for every operation, written from the formulas in the crate's documentation and nothing else.

#![allow(unreachable_pub)] // a module of a test, public only so that the test sees it

/// A dense array in C order.
#[derive(Clone, Debug)]
pub struct Array {
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

impl Array {
    pub fn zeros(shape: &[usize]) -> Self {
        Self { shape: shape.to_vec(), values: vec![0.0; shape.iter().product()] }
    }

    /// Values between −1 and 1 that are exact in f32, from a fixed sequence (SplitMix64).
    pub fn random(shape: &[usize], seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut array = Self::zeros(shape);
        for value in &mut array.values {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^= z >> 31;
            *value = f64::from((z >> 40) as u32) / f64::from(1u32 << 23) - 1.0;
        }
        array
    }

    pub fn map(mut self, f: impl Fn(f64) -> f64) -> Self {
        self.values.iter_mut().for_each(|v| *v = f64::from(f(*v) as f32));
        self
    }

    fn index(&self, i: [usize; 5]) -> usize {
        i.iter().zip(&self.shape).fold(0, |offset, (i, n)| offset * n + i)
    }

    fn at(&self, i: [usize; 5]) -> f64 {
        self.values[self.index(i)]
    }

    fn dims(&self) -> [usize; 5] {
        core::array::from_fn(|i| self.shape[i])
    }
}

fn positions(dims: [usize; 5]) -> impl Iterator<Item = [usize; 5]> {
    let [a, b, c, d, e] = dims;
    (0..a * b * c * d * e)
        .map(move |i| [i / e / d / c / b, i / e / d / c % b, i / e / d % c, i / e % d, i % e])
}

/// Calls `term(output, weight, input)` with the index of each factor of every product in the convolution's sum.
fn conv3d_terms(
    x: &Array,
    weight: &Array,
    stride: [usize; 3],
    mut term: impl FnMut([usize; 5], [usize; 5], [usize; 5]),
) {
    let ([batch, _, size @ ..], kernel) = (x.dims(), weight.dims());
    let out: [usize; 3] = core::array::from_fn(|a| size[a].div_ceil(stride[a]));
    for k in positions(kernel) {
        for i in positions([batch, 1, out[0], out[1], out[2]]) {
            let at: [isize; 3] = core::array::from_fn(|a| {
                (i[a + 2] * stride[a] + k[a + 2]) as isize - (kernel[a + 2] / 2) as isize
            });
            if (0..3).all(|a| at[a] >= 0 && at[a] < size[a] as isize) {
                let [z, y, x] = at.map(|v| v as usize);
                term([i[0], k[0], i[2], i[3], i[4]], k, [i[0], k[1], z, y, x]);
            }
        }
    }
}

pub fn conv3d(x: &Array, weight: &Array, bias: &Array, stride: [usize; 3]) -> Array {
    let ([batch, _, size @ ..], outputs) = (x.dims(), weight.shape[0]);
    let out: [usize; 3] = core::array::from_fn(|a| size[a].div_ceil(stride[a]));
    let mut y = Array::zeros(&[batch, outputs, out[0], out[1], out[2]]);
    for i in positions(y.dims()) {
        let index = y.index(i);
        y.values[index] = bias.values[i[1]];
    }
    conv3d_terms(x, weight, stride, |o, k, i| {
        let index = y.index(o);
        y.values[index] += weight.at(k) * x.at(i);
    });
    y
}

/// Derivatives of Σ r·conv3d(x, weight) by x and by weight, product by product.
pub fn conv3d_gradients(x: &Array, weight: &Array, r: &Array, stride: [usize; 3]) -> (Array, Array) {
    let (mut dx, mut dw) = (Array::zeros(&x.shape), Array::zeros(&weight.shape));
    conv3d_terms(x, weight, stride, |o, k, i| {
        dx.values[x.index(i)] += r.at(o) * weight.at(k);
        dw.values[weight.index(k)] += r.at(o) * x.at(i);
    });
    (dx, dw)
}

/// Mean and variance of channel `c`, of batch element `b` alone or of all.
pub fn moments(x: &Array, b: Option<usize>, c: usize) -> (f64, f64) {
    let values: Vec<f64> =
        positions(x.dims()).filter(|i| i[1] == c && b.is_none_or(|b| i[0] == b)).map(|i| x.at(i)).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64)
}

pub enum Norm {
    Instance,
    Batch,
    Fixed(Array, Array),
}

pub fn norm_act(x: &Array, gamma: &Array, beta: &Array, slope: &Array, norm: &Norm, epsilon: f64) -> Array {
    let [batch, channels, ..] = x.dims();
    let mut y = x.clone();
    for (b, c) in (0..batch).flat_map(|b| (0..channels).map(move |c| (b, c))) {
        let (mean, variance) = match norm {
            Norm::Instance => moments(x, Some(b), c),
            Norm::Batch => moments(x, None, c),
            Norm::Fixed(mean, variance) => (mean.values[c], variance.values[c]),
        };
        for i in positions(x.dims()).filter(|i| i[0] == b && i[1] == c) {
            let v = gamma.values[c] * (x.at(i) - mean) / (variance + epsilon).sqrt() + beta.values[c];
            let index = y.index(i);
            y.values[index] = if v > 0.0 { v } else { v * slope.values[c % slope.values.len()] };
        }
    }
    y
}

pub fn max_pool3d(x: &Array, window: [usize; 3]) -> Array {
    let [batch, channels, z, y, w] = x.dims();
    let mut out = Array::zeros(&[batch, channels, z / window[0], y / window[1], w / window[2]]);
    for i in positions(out.dims()) {
        let index = out.index(i);
        out.values[index] = positions([1, 1, window[0], window[1], window[2]])
            .map(|k| {
                x.at([i[0], i[1], i[2] * window[0] + k[2], i[3] * window[1] + k[3], i[4] * window[2] + k[4]])
            })
            .fold(f64::NEG_INFINITY, f64::max);
    }
    out
}

fn upsampled(x: &Array, factor: [usize; 3], value: impl Fn([usize; 5]) -> f64) -> Array {
    let [batch, channels, z, y, w] = x.dims();
    let mut out = Array::zeros(&[batch, channels, z * factor[0], y * factor[1], w * factor[2]]);
    for i in positions(out.dims()) {
        let index = out.index(i);
        out.values[index] = value(i);
    }
    out
}

pub fn upsample_nearest3d(x: &Array, f: [usize; 3]) -> Array {
    upsampled(x, f, |i| x.at([i[0], i[1], i[2] / f[0], i[3] / f[1], i[4] / f[2]]))
}

pub fn upsample_trilinear3d(x: &Array, f: [usize; 3]) -> Array {
    let border = |p: isize, axis: usize| p.clamp(0, x.shape[axis] as isize - 1) as usize;
    upsampled(x, f, |i| {
        let position: [f64; 3] = core::array::from_fn(|a| (i[a + 2] as f64 + 0.5) / f[a] as f64 - 0.5);
        let mut sum = 0.0;
        for corner in 0..8usize {
            let high = [corner >> 2 & 1, corner >> 1 & 1, corner & 1];
            let t: [f64; 3] = core::array::from_fn(|a| position[a] - position[a].floor());
            let weight: f64 = (0..3).map(|a| if high[a] == 1 { t[a] } else { 1.0 - t[a] }).product();
            let at: [usize; 3] =
                core::array::from_fn(|a| border(position[a].floor() as isize + high[a] as isize, a + 2));
            sum += weight * x.at([i[0], i[1], at[0], at[1], at[2]]);
        }
        sum
    })
}

pub fn concat_channels(parts: &[Array]) -> Array {
    let channels = parts.iter().map(|part| part.shape[1]).sum();
    let [batch, _, z, y, x] = parts[0].dims();
    let mut out = Array::zeros(&[batch, channels, z, y, x]);
    let mut first = 0;
    for part in parts {
        for i in positions(part.dims()) {
            let index = out.index([i[0], first + i[1], i[2], i[3], i[4]]);
            out.values[index] = part.at(i);
        }
        first += part.shape[1];
    }
    out
}

/// Channels `from..to`.
pub fn channels(x: &Array, from: usize, to: usize) -> Array {
    let [batch, _, z, y, w] = x.dims();
    let mut out = Array::zeros(&[batch, to - from, z, y, w]);
    for i in positions(out.dims()) {
        let index = out.index(i);
        out.values[index] = x.at([i[0], from + i[1], i[2], i[3], i[4]]);
    }
    out
}

/// d(Σ r·f)/dp by central differences of the f64 loops, for parameter number `which`.
pub fn central_differences(
    f: &dyn Fn(&[Array]) -> Array,
    parameters: &[Array],
    which: usize,
    r: &[f64],
    step: f64,
) -> Vec<f64> {
    let loss = |p: &[Array]| f(p).values.iter().zip(r).map(|(y, r)| y * r).sum::<f64>();
    let mut moved = parameters.to_vec();
    (0..parameters[which].values.len())
        .map(|i| {
            let at = parameters[which].values[i];
            let mut side = |value: f64| {
                moved[which].values[i] = value;
                loss(&moved)
            };
            let slope = (side(at + step) - side(at - step)) / (2.0 * step);
            moved[which].values[i] = at;
            slope
        })
        .collect()
}
