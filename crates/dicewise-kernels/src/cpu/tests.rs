//! Every kernel under every instruction set that this machine has, against literal f64 loops.

use proptest::prelude::*;

use super::convolution::{forward_within, input_gradient_within};
use super::weight_gradient::weight_gradient_within;
use super::*;

#[path = "../../tests/oracle/mod.rs"]
#[allow(dead_code)] // shared with the tests of the public operations
mod oracle;

use oracle::Array;

fn f32s(array: &Array) -> Vec<f32> {
    array.values.iter().map(|v| *v as f32).collect()
}

fn plain(x: &[f32], shape: ConvShape) -> Source<'_> {
    Source::plain(x, shape.inputs, shape.size)
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
            let y = forward(level, shape, &plain(&f32s(&x), shape), &f32s(&weight), Some(&f32s(&bias)));
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
            let gradient = input_gradient(level, shape, &f32s(&r), &f32s(&weight), 0..shape.inputs);
            assert_close(&gradient, &dx.values, 1e-6, &format!("dx {what}"));
            let gradient = weight_gradient(level, shape, &plain(&f32s(&x), shape), &f32s(&r));
            assert_close(&gradient, &dw.values, 1e-6, &format!("dw {what}"));
        }
        let sums: Vec<f64> = (0..shape.outputs)
            .map(|o| r.values.chunks(z * y * width).skip(o).step_by(shape.outputs).flatten().sum())
            .collect();
        assert_close(&bias_gradient(shape, &f32s(&r)), &sums, 1e-6, "db");
    }
}

/// Budgets that no volume fits, so that every slab is a plane and every strip a row.
const TIGHT: Budget = Budget { shared: 0, slab: 1, strip: 1 };

/// Up to 1,330 products are added (the weight gradient: twice 5·7·19 voxels), and the square root of as many roundings by up to
/// 6e-8 each is 2.2e-6.
const ROUNDING: f64 = 4e-6;

/// Forward, input gradient and weight gradient against the literal sums.
#[track_caller]
fn check_convolution(shape: ConvShape, budget: Budget) {
    let (x, weight, bias) = operands(&shape);
    let [z, y, width] = shape.out();
    let r = Array::random(&[shape.batch, shape.outputs, z, y, width], 4);
    let expected = oracle::conv3d(&x, &weight, &bias, shape.stride);
    let (dx, dw) = oracle::conv3d_gradients(&x, &weight, &r, shape.stride);
    let (x, weight, bias, r) = (f32s(&x), f32s(&weight), f32s(&bias), f32s(&r));
    for level in Level::available() {
        let what = |of: &str| format!("{of} {level:?} {shape:?} {budget:?}");
        let actual = forward_within(budget, level, shape, &plain(&x, shape), &weight, Some(&bias));
        assert_close(&actual, &expected.values, ROUNDING, &what("y"));
        let actual = weight_gradient_within(budget, level, shape, &plain(&x, shape), &r);
        assert_close(&actual, &dw.values, ROUNDING, &what("dw"));
        // Channels can be asked for in any portions.
        let half = shape.inputs / 2;
        for range in [0..half, half..shape.inputs].into_iter().filter(|range| !range.is_empty()) {
            let actual = input_gradient_within(budget, level, shape, &r, &weight, range.clone());
            let expected = oracle::channels(&dx, range.start, range.end);
            // The scale is that of the whole, lest a portion of small values looks inaccurate.
            assert_close(&actual, &expected.values, ROUNDING, &what("dx"));
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "too slow")]
fn convolution_in_single_planes_and_rows_matches_the_literal_sum() {
    for shape in shapes() {
        check_convolution(shape, TIGHT);
    }
}

prop_compose! {
    fn any_shape()(
        batch in 1..3usize,
        inputs in 1..14usize,
        outputs in 1..20usize,
        size in [1..6usize, 1..8usize, 1..20usize],
        kernel in [0..2usize, 0..2usize, 0..3usize],
        stride in [1..3usize, 1..3usize, 1..3usize],
    ) -> ConvShape {
        ConvShape { batch, inputs, outputs, size, kernel: kernel.map(|k| 2 * k + 1), stride }
    }
}

prop_compose! {
    fn any_budget()(shared in 0..20_000usize, slab in 1..20_000usize, strip in 1..2_000usize) -> Budget {
        Budget { shared, slab, strip }
    }
}

fn cases() -> ProptestConfig {
    if cfg!(miri) {
        // Miri is some thousand times slower, and allows no files.
        return ProptestConfig { cases: 2, failure_persistence: None, ..ProptestConfig::default() };
    }
    ProptestConfig::with_cases(64)
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_convolution_matches_the_literal_sum_within_any_budget(
        shape in any_shape(), budget in any_budget()
    ) {
        check_convolution(shape, budget);
    }

    #[test]
    fn a_budget_changes_no_bit_of_a_convolution(shape in any_shape(), budget in any_budget()) {
        let (x, weight, bias) = operands(&shape);
        let (x, weight, bias) = (f32s(&x), f32s(&weight), f32s(&bias));
        let r = y_like(&x, shape);
        for level in Level::available() {
            let source = plain(&x, shape);
            prop_assert_eq!(
                forward_within(budget, level, shape, &source, &weight, Some(&bias)),
                forward(level, shape, &source, &weight, Some(&bias))
            );
            prop_assert_eq!(
                input_gradient_within(budget, level, shape, &r, &weight, 0..shape.inputs),
                input_gradient(level, shape, &r, &weight, 0..shape.inputs)
            );
            prop_assert_eq!(
                weight_gradient_within(budget, level, shape, &source, &r),
                weight_gradient(level, shape, &source, &r)
            );
        }
    }

    #[test]
    fn upsampling_and_its_gradient_are_transposes(
        size in [1..5usize, 1..5usize, 1..9usize], factor in [1..4usize, 1..4usize, 1..4usize], seed in 0..99u64
    ) {
        let fine: [usize; 3] = core::array::from_fn(|a| size[a] * factor[a]);
        let x = f32s(&Array::random(&[2, 3, size[0], size[1], size[2]], seed));
        let r = f32s(&Array::random(&[2, 3, fine[0], fine[1], fine[2]], seed + 1));
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let norm = (dot(&r, &r) * dot(&x, &x)).sqrt();
        let (up, down) = (dot(&r, &nearest(&x, size, factor)), dot(&nearest_gradient(&r, size, factor), &x));
        prop_assert!((up - down).abs() < 1e-6 * norm, "nearest: {} {}", up, down);
        let (up, down) = (dot(&r, &trilinear(&x, size, factor)), dot(&trilinear_gradient(&r, size, factor), &x));
        prop_assert!((up - down).abs() < 1e-6 * norm, "trilinear: {} {}", up, down);
    }

    #[test]
    fn pooling_keeps_maxima_and_returns_every_gradient(
        pooled in [1..4usize, 1..4usize, 1..6usize], window in [1..4usize, 1..4usize, 1..4usize], seed in 0..99u64
    ) {
        let size: [usize; 3] = core::array::from_fn(|a| pooled[a] * window[a]);
        let x = Array::random(&[1, 2, size[0], size[1], size[2]], seed);
        let (values, places) = max_pool(&f32s(&x), size, window);
        assert_close(&values, &oracle::max_pool3d(&x, window).values, 0.0, "maximum");
        let gradient: Vec<f32> = (0..values.len()).map(|i| i as f32 + 1.0).collect();
        let sent = max_pool_gradient(&gradient, &places, size, window);
        prop_assert_eq!(sent.iter().sum::<f32>(), gradient.iter().sum::<f32>());
        // Each gradient arrives where the input is the maximum.
        let product: f64 = sent.iter().zip(f32s(&x)).map(|(g, x)| f64::from(*g) * f64::from(x)).sum();
        let expected: f64 = gradient.iter().zip(&values).map(|(g, y)| f64::from(*g) * f64::from(*y)).sum();
        prop_assert!((product - expected).abs() <= 1e-9 * expected.abs().max(1.0));
    }
}

#[test]
fn what_a_convolution_reads_is_normalised_activated_upsampled_and_joined() {
    for (factor, stride, size) in
        [([2, 2, 2], [1; 3], [4, 6, 10]), ([1, 2, 3], [1; 3], [3, 4, 9]), ([1, 1, 1], [2; 3], [3, 4, 9])]
    {
        let coarse_size: [usize; 3] = core::array::from_fn(|a| size[a] / factor[a]);
        let volume = |channels, [z, y, x]: [usize; 3], seed| Array::random(&[2, channels, z, y, x], seed);
        let (fine, coarse) = (volume(3, size, 1), volume(2, coarse_size, 2));
        let vector = |seed| Array::random(&[5], seed);
        let (gamma, beta, slope) = (vector(3).map(|v| v + 1.5), vector(4), vector(5).map(|v| 0.2 * v + 0.3));
        let weight = Array::random(&[7, 5, 3, 3, 3], 6);
        let bias = Array::random(&[7], 7);

        let joined = oracle::concat_channels(&[fine.clone(), oracle::upsample_nearest3d(&coarse, factor)]);
        let activated = oracle::norm_act(&joined, &gamma, &beta, &slope, &oracle::Norm::Instance, 1e-3);
        let expected = oracle::conv3d(&activated, &weight, &bias, stride);
        let r = Array::random(&expected.shape, 8);
        let (_, dw) = oracle::conv3d_gradients(&activated, &weight, &r, stride);

        let [gamma, beta, slope] = [gamma, beta, slope].map(|a| f32s(&a));
        let (fine, coarse) = (f32s(&fine), f32s(&coarse));
        for (level, budget) in Level::available().into_iter().flat_map(|l| [(l, TIGHT), (l, Budget::CACHES)])
        {
            let part = |values, range: std::ops::Range<usize>, factor, size: [usize; 3]| {
                let shape = NormShape { batch: 2, channels: range.len(), voxels: size.iter().product() };
                let (mean, variance) = moments(level, shape, Over::Instance, values);
                let affine = Affine {
                    gamma: &gamma[range.clone()],
                    beta: &beta[range.clone()],
                    slope: &slope[range.clone()],
                };
                let transforms = Some(Statistics::new(mean, &variance, 1e-3).channels(2, affine));
                Part { values, channels: range.len(), factor, transforms }
            };
            let parts = vec![part(&fine, 0..3, [1; 3], size), part(&coarse, 3..5, factor, coarse_size)];
            let source = Source { parts, size };
            let shape = ConvShape { batch: 2, inputs: 5, outputs: 7, size, kernel: [3; 3], stride };
            let what = format!("{level:?} {factor:?} {budget:?}");
            let y = forward_within(budget, level, shape, &source, &f32s(&weight), Some(&f32s(&bias)));
            assert_close(&y, &expected.values, 2e-6, &format!("y {what}"));
            let gradient = weight_gradient_within(budget, level, shape, &source, &f32s(&r));
            assert_close(&gradient, &dw.values, 2e-6, &format!("dw {what}"));
        }
    }
}

#[test]
fn normalisation_gradients_match_central_differences_on_every_instruction_set() {
    // 37 voxels fill no register.
    let [batch, channels] = [2, 3];
    let shape = NormShape { batch, channels, voxels: 37 };
    let parameters = [
        Array::random(&[batch, channels, 1, 1, 37], 1).map(|v| 2.0 * v + 1.0),
        Array::random(&[channels], 2).map(|v| v + 1.5),
        Array::random(&[channels], 3),
        Array::random(&[channels], 4).map(|v| 0.2 * v + 0.3),
    ];
    let r = Array::random(&[batch, channels, 1, 1, 37], 5);
    for over in [Over::Instance, Over::Batch] {
        let norm = match over {
            Over::Instance => oracle::Norm::Instance,
            Over::Batch => oracle::Norm::Batch,
        };
        let formula = |p: &[Array]| oracle::norm_act(&p[0], &p[1], &p[2], &p[3], &norm, 1e-3);
        let expected: Vec<Vec<f64>> = (0..4)
            .map(|which| oracle::central_differences(&formula, &parameters, which, &r.values, 1e-5))
            .collect();
        let [x, gamma, beta, slope] = parameters.each_ref().map(f32s);
        for level in Level::available() {
            let (mean, variance) = moments(level, shape, over, &x);
            let statistics = Statistics::new(mean, &variance, 1e-3);
            let mut dx = f32s(&r);
            let affine = Affine { gamma: &gamma, beta: &beta, slope: &slope };
            let [dgamma, dbeta, dslope] =
                gradients(level, shape, Some(over), &x, &mut dx, &statistics, affine);
            for (actual, (expected, name)) in
                [dx, dgamma, dbeta, dslope].iter().zip(expected.iter().zip(["x", "gamma", "beta", "slope"]))
            {
                assert_close(actual, expected, 1e-5, &format!("{level:?} {over:?} {name}"));
            }
        }
    }
}

#[test]
fn adam_matches_the_formula_on_every_instruction_set() {
    let adam = Adam { betas: [0.9, 0.999], rate: 1e-2, epsilon: 1e-7, decay: 0.02 };
    let vector = |seed| Array::random(&[1037], seed);
    let (w, g, m, v) = (vector(1), vector(2), vector(3), vector(4).map(f64::abs));
    let expected: Vec<[f64; 3]> = (0..1037)
        .map(|i| {
            let g = g.values[i] + 0.02 * w.values[i];
            let m = 0.9 * m.values[i] + 0.1 * g;
            let v = 0.999 * v.values[i] + 0.001 * g * g;
            [w.values[i] - 1e-2 * m / (v.sqrt() + 1e-7), m, v]
        })
        .collect();
    for level in Level::available() {
        let (mut w, mut m, mut v) = (f32s(&w), f32s(&m), f32s(&v));
        adam_step(level, &adam, &mut w, &f32s(&g), &mut m, &mut v);
        for (which, actual) in [w, m, v].iter().enumerate() {
            let expected: Vec<f64> = expected.iter().map(|e| e[which]).collect();
            assert_close(actual, &expected, 1e-6, &format!("{level:?} {which}"));
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "too slow")]
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
            let forward = dot(&r, &forward(level, shape, &plain(&x, shape), &weight, None));
            let norm = (dot(&r, &r) * dot(&x, &x)).sqrt();
            let by_x = dot(&input_gradient(level, shape, &r, &weight, 0..shape.inputs), &x);
            let by_weight = dot(&weight_gradient(level, shape, &plain(&x, shape), &r), &weight);
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
        let y = forward(Level::best(), shape, &plain(&x, shape), &weight, Some(&bias));
        let (mean, variance) = moments(Level::best(), norm, Over::Batch, &y);
        let statistics = Statistics::new(mean, &variance, 1e-5);
        let affine = Affine { gamma: &bias, beta: &bias, slope: &[0.01] };
        let mut dx = normalise(Level::best(), norm, &y, &statistics, affine);
        let parameters = gradients(Level::best(), norm, Some(Over::Batch), &y, &mut dx, &statistics, affine);
        let weights = weight_gradient(Level::best(), shape, &plain(&x, shape), &dx);
        let inputs = input_gradient(Level::best(), shape, &dx, &weight, 0..shape.inputs);
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
