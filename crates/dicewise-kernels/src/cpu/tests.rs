//! Every kernel under every instruction set that this machine has, against literal f64 loops.

use super::*;

#[path = "../../tests/oracle/mod.rs"]
#[allow(dead_code)] // shared with the tests of the public operations
mod oracle;

use oracle::Array;

fn f32s(array: &Array) -> Vec<f32> {
    array.values.iter().map(|v| *v as f32).collect()
}

#[track_caller]
fn assert_close(actual: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}: length");
    let scale = expected.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        let difference = (f64::from(*a) - e).abs() / scale;
        assert!(difference <= tolerance, "{what}[{i}]: {a} instead of {e} ({difference:.1e} of {scale:.2e})");
    }
}

/// Odd sizes, channel counts that fill no register, one-voxel axes, and volumes narrower and wider than a register.
fn shapes() -> Vec<ConvShape> {
    let shape = |[batch, inputs, outputs]: [usize; 3], size, kernel, stride| ConvShape {
        batch,
        inputs,
        outputs,
        size,
        kernel,
        stride,
    };
    vec![
        shape([1, 1, 8], [3, 4, 5], [3, 3, 3], [1, 1, 1]),
        shape([2, 3, 5], [2, 3, 33], [3, 3, 3], [1, 1, 1]),
        shape([1, 9, 17], [4, 3, 4], [3, 3, 3], [1, 1, 1]),
        shape([2, 5, 24], [3, 17, 16], [3, 3, 3], [1, 1, 1]),
        shape([1, 2, 3], [1, 1, 1], [3, 3, 3], [1, 1, 1]),
        shape([1, 2, 9], [1, 1, 50], [3, 3, 3], [1, 1, 1]),
        shape([1, 4, 10], [5, 7, 9], [3, 3, 3], [2, 2, 2]),
        shape([2, 3, 7], [4, 6, 34], [3, 3, 3], [2, 2, 2]),
        shape([1, 3, 7], [4, 6, 8], [3, 3, 3], [1, 2, 2]),
        shape([1, 3, 7], [4, 6, 8], [3, 3, 3], [2, 1, 1]),
        shape([1, 2, 4], [1, 1, 1], [3, 3, 3], [2, 2, 2]),
        shape([2, 3, 11], [3, 5, 12], [1, 3, 3], [1, 1, 1]),
        shape([1, 3, 4], [3, 5, 12], [1, 3, 3], [1, 2, 2]),
        shape([1, 3, 4], [5, 3, 6], [3, 1, 1], [1, 1, 1]),
        shape([2, 19, 3], [3, 5, 7], [1, 1, 1], [1, 1, 1]),
        shape([2, 4, 18], [3, 5, 7], [1, 1, 1], [2, 2, 2]),
        shape([1, 2, 3], [6, 7, 8], [5, 3, 1], [1, 1, 1]),
        shape([1, 2, 3], [6, 7, 8], [5, 5, 5], [2, 2, 2]),
        shape([1, 2, 3], [7, 8, 9], [7, 3, 5], [2, 1, 1]),
    ]
}

fn operands(shape: &ConvShape) -> (Array, Array, Array) {
    let ([sz, sy, sx], [kz, ky, kx]) = (shape.size, shape.kernel);
    (
        Array::random(&[shape.batch, shape.inputs, sz, sy, sx], 1),
        Array::random(&[shape.outputs, shape.inputs, kz, ky, kx], 2),
        Array::random(&[shape.outputs], 3),
    )
}

#[test]
fn convolution_matches_the_literal_sum_on_every_instruction_set() {
    for shape in shapes() {
        let (x, weight, bias) = operands(&shape);
        let expected = oracle::conv3d(&x, &weight, &bias, shape.stride);
        for level in Level::available() {
            let y = forward(level, shape, &f32s(&x), &f32s(&weight), Some(&f32s(&bias)));
            assert_close(&y, &expected.values, 1e-6, &format!("{level:?} {shape:?}"));
        }
    }
}

#[test]
fn convolution_gradients_match_the_literal_sum_on_every_instruction_set() {
    for shape in shapes() {
        let (x, weight, _) = operands(&shape);
        let [z, y, width] = shape.out();
        let r = Array::random(&[shape.batch, shape.outputs, z, y, width], 4);
        let (dx, dw) = oracle::conv3d_gradients(&x, &weight, &r, shape.stride);
        for level in Level::available() {
            let what = format!("{level:?} {shape:?}");
            let gradient = input_gradient(level, shape, &f32s(&r), &f32s(&weight));
            assert_close(&gradient, &dx.values, 1e-6, &format!("dx {what}"));
            let gradient = weight_gradient(level, shape, &f32s(&x), &f32s(&r));
            assert_close(&gradient, &dw.values, 1e-6, &format!("dw {what}"));
        }
        let sums: Vec<f64> = (0..shape.outputs)
            .map(|o| r.values.chunks(z * y * width).skip(o).step_by(shape.outputs).flatten().sum())
            .collect();
        assert_close(&bias_gradient(shape, &f32s(&r)), &sums, 1e-6, "db");
    }
}

#[test]
fn gradients_are_the_transpose_of_the_convolution_at_network_sizes() {
    // ⟨r, conv(x, w)⟩ = ⟨dx, x⟩ = ⟨dw, w⟩ for every r: a check that needs no oracle.
    for (channels, size, stride) in
        [([8, 16], [16, 24, 32], [1; 3]), ([32, 24], [6, 12, 8], [1; 3]), ([8, 16], [8, 12, 48], [2; 3])]
    {
        let shape =
            ConvShape { batch: 2, inputs: channels[0], outputs: channels[1], size, kernel: [3; 3], stride };
        let (x, weight, _) = operands(&shape);
        let (x, weight) = (f32s(&x), f32s(&weight));
        let [z, y, width] = shape.out();
        let r = f32s(&Array::random(&[2, channels[1], z, y, width], 5));
        let dot =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        for level in Level::available() {
            let forward = dot(&r, &forward(level, shape, &x, &weight, None));
            let norm = (dot(&r, &r) * dot(&x, &x)).sqrt();
            let by_x = dot(&input_gradient(level, shape, &r, &weight), &x);
            let by_weight = dot(&weight_gradient(level, shape, &x, &r), &weight);
            assert!((forward - by_x).abs() < 1e-6 * norm, "{level:?} {shape:?}: {forward} {by_x}");
            assert!((forward - by_weight).abs() < 1e-6 * norm, "{level:?} {shape:?}: {forward} {by_weight}");
        }
    }
}

#[test]
fn normalisation_matches_the_formula_on_every_instruction_set() {
    for [batch, channels, z, y, x] in [[2, 3, 3, 5, 7], [1, 1, 1, 1, 17], [3, 2, 5, 31, 33]] {
        let shape = NormShape { batch, channels, voxels: z * y * x };
        // A mean that is large beside the deviation is where a careless variance cancels.
        let array = Array::random(&[batch, channels, z, y, x], 6).map(|v| v + 30.0);
        let gamma = Array::random(&[channels], 7).map(|v| v + 1.5);
        let (beta, slope) =
            (Array::random(&[channels], 8), Array::random(&[channels], 9).map(|v| v * 0.1 + 0.2));
        let parameters = [f32s(&gamma), f32s(&beta), f32s(&slope)];
        for (over, norm) in [(Over::Instance, oracle::Norm::Instance), (Over::Batch, oracle::Norm::Batch)] {
            let expected = oracle::norm_act(&array, &gamma, &beta, &slope, &norm, 1e-5);
            for level in Level::available() {
                let input = f32s(&array);
                let (mean, variance) = moments(level, shape, over, &input);
                let statistics = Statistics::new(mean, &variance, 1e-5);
                let affine = Affine { gamma: &parameters[0], beta: &parameters[1], slope: &parameters[2] };
                let y = normalise(level, shape, &input, &statistics, affine);
                assert_close(&y, &expected.values, 2e-6, &format!("{level:?} {over:?} {shape:?}"));
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let shape =
        ConvShape { batch: 2, inputs: 7, outputs: 19, size: [9, 13, 11], kernel: [3; 3], stride: [1; 3] };
    let (x, weight, bias) = operands(&shape);
    let (x, weight, bias) = (f32s(&x), f32s(&weight), f32s(&bias));
    let norm = NormShape { batch: 2, channels: 19, voxels: 9 * 13 * 11 };
    let step = || {
        let y = forward(Level::best(), shape, &x, &weight, Some(&bias));
        let (mean, variance) = moments(Level::best(), norm, Over::Batch, &y);
        let statistics = Statistics::new(mean, &variance, 1e-5);
        let affine = Affine { gamma: &bias, beta: &bias, slope: &[0.01] };
        let mut dx = normalise(Level::best(), norm, &y, &statistics, affine);
        let parameters = gradients(Level::best(), norm, Some(Over::Batch), &y, &mut dx, &statistics, affine);
        let weights = weight_gradient(Level::best(), shape, &x, &dx);
        let inputs = input_gradient(Level::best(), shape, &dx, &weight);
        (y, dx, parameters, weights, inputs, bias_gradient(shape, &y_like(&x, shape)))
    };
    let on = |threads| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool").install(step)
    };
    let alone = on(1);
    for threads in [2, 3, 5] {
        assert!(alone == on(threads), "{threads} threads give another result");
    }
}

/// Any tensor of the output's size.
fn y_like(x: &[f32], shape: ConvShape) -> Vec<f32> {
    let voxels: usize = shape.out().iter().product();
    x.iter().cycle().take(shape.batch * shape.outputs * voxels).copied().collect()
}

#[test]
fn equal_maxima_are_told_apart_by_their_order() {
    // The window of 2 × 2 × 2, all ties between two places: the gradient goes to the earlier one.
    for (a, b) in (0..8).flat_map(|a| (a + 1..8).map(move |b| (a, b))) {
        let mut window = [0.0; 8];
        window[a] = 1.0;
        window[b] = 1.0;
        assert_eq!(max_pool(&window, [2; 3], [2; 3]), (vec![1.0], vec![a as u8]), "{a} {b}");
    }
}
