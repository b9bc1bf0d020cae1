//! Every operation against literal f64 loops, and its gradients against central differences of those loops.

#[allow(dead_code)] // shared with the tests of the kernels
mod oracle;

use burn::tensor::{DType, Device, Tensor, TensorData};
use dicewise_kernels as kernels;
use oracle::Array;

/// The largest difference, relative to the largest value of the expectation.
#[track_caller]
fn assert_close(actual: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}: length");
    let scale = expected.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        let difference = (f64::from(*a) - e).abs() / scale;
        assert!(difference <= tolerance, "{what}[{i}]: {a} instead of {e} ({difference:.1e} of {scale:.2e})");
    }
}

fn tensor<const D: usize>(array: &Array, device: &Device) -> Tensor<D> {
    let values: Vec<f32> = array.values.iter().map(|v| *v as f32).collect();
    Tensor::from_data(TensorData::new(values, array.shape.clone()), device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.cast(DType::F32).into_data().try_into_vec().expect("just cast")
}

/// The operation under test: a 5-D tensor, more 5-D tensors, then vectors.
struct Case<'a> {
    volumes: Vec<Array>,
    vectors: Vec<Array>,
    operation: &'a dyn Fn(Vec<Tensor<5>>, Vec<Tensor<1>>) -> Tensor<5>,
    oracle: &'a dyn Fn(&[Array]) -> Array,
}

impl Case<'_> {
    /// Forward and all gradients, the loss being Σ r·y with random r: in f32, which has kernels of its own, and in f64,
    /// which takes the path of every other backend.
    #[track_caller]
    fn check(&self) {
        let parameters: Vec<Array> = self.volumes.iter().chain(&self.vectors).cloned().collect();
        let expected = (self.oracle)(&parameters);
        let r = Array::random(&expected.shape, 99);
        let slopes: Vec<Vec<f64>> = (0..parameters.len())
            .map(|which| oracle::central_differences(self.oracle, &parameters, which, &r.values, 1e-5))
            .collect();
        for dtype in [DType::F32, DType::F64] {
            let device = Device::flex().autodiff();
            let volumes: Vec<Tensor<5>> =
                self.volumes.iter().map(|a| tensor(a, &device).cast(dtype).require_grad()).collect();
            let vectors: Vec<Tensor<1>> =
                self.vectors.iter().map(|a| tensor(a, &device).cast(dtype).require_grad()).collect();
            let y = (self.operation)(volumes.clone(), vectors.clone());
            assert_eq!(y.dims().to_vec(), expected.shape);
            assert_close(&values(y.clone().inner()), &expected.values, 2e-6, &format!("{dtype:?} forward"));

            let gradients = (y * tensor(&r, &device).cast(dtype)).sum().backward();
            for (which, (parameter, slopes)) in parameters.iter().zip(&slopes).enumerate() {
                let gradient = if which < volumes.len() {
                    values(volumes[which].grad(&gradients).expect("tracked"))
                } else {
                    values(vectors[which - volumes.len()].grad(&gradients).expect("tracked"))
                };
                let what = format!("{dtype:?} gradient {which} {:?}", parameter.shape);
                assert_close(&gradient, slopes, 1e-5, &what);
            }
        }
    }
}

#[track_caller]
fn check_conv([batch, ci, co]: [usize; 3], size: [usize; 3], kernel: [usize; 3], stride: [usize; 3]) {
    let seed = (size[2] * 7 + co) as u64;
    Case {
        volumes: vec![
            Array::random(&[batch, ci, size[0], size[1], size[2]], seed),
            Array::random(&[co, ci, kernel[0], kernel[1], kernel[2]], seed + 1),
        ],
        vectors: vec![Array::random(&[co], seed + 2)],
        operation: &|v, b| kernels::conv3d(v[0].clone(), v[1].clone(), Some(b[0].clone()), stride),
        oracle: &|p| oracle::conv3d(&p[0], &p[1], &p[2], stride),
    }
    .check();
}

#[test]
fn convolution_matches_the_literal_sum_for_every_kernel_shape() {
    for kernel in [[3, 3, 3], [1, 3, 3], [3, 1, 1], [1, 1, 1], [5, 3, 1]] {
        check_conv([2, 2, 3], [3, 4, 5], kernel, [1; 3]);
    }
}

#[test]
fn convolution_matches_the_literal_sum_for_every_stride() {
    for stride in [[2, 2, 2], [1, 2, 2], [2, 1, 1], [1, 1, 2]] {
        check_conv([1, 2, 3], [4, 4, 6], [3, 3, 3], stride);
        check_conv([1, 2, 2], [3, 5, 7], [3, 3, 3], stride);
    }
    check_conv([1, 2, 2], [4, 5, 6], [1, 1, 1], [2, 2, 2]);
    check_conv([1, 2, 2], [4, 5, 6], [1, 3, 3], [1, 2, 2]);
}

#[test]
fn convolution_without_bias_adds_nothing() {
    let device = Device::flex();
    let x = Tensor::<5>::ones([1, 1, 1, 1, 4], &device);
    let y = kernels::conv3d(x, Tensor::ones([1, 1, 3, 3, 3], &device), None, [1; 3]);
    assert_eq!(values(y), [2.0, 3.0, 3.0, 2.0]);
}

#[test]
fn convolution_gives_an_untracked_input_no_gradient() {
    let device = Device::flex().autodiff();
    let x = Tensor::<5>::ones([1, 1, 2, 2, 2], &device);
    let weight = Tensor::<5>::ones([1, 1, 1, 1, 1], &device).require_grad();
    let gradients = kernels::conv3d(x.clone(), weight.clone(), None, [1; 3]).sum().backward();
    assert!(x.grad(&gradients).is_none());
    assert_eq!(values(weight.grad(&gradients).expect("tracked")), [8.0]);
}

#[track_caller]
fn check_norm(shape: [usize; 5], slopes: usize, norm: kernels::Norm, expected: oracle::Norm) {
    let channels = shape[1];
    Case {
        volumes: vec![Array::random(&shape, 5).map(|v| v * 3.0 + 1.0)],
        vectors: vec![
            Array::random(&[channels], 6).map(|v| v + 1.5),
            Array::random(&[channels], 7),
            Array::random(&[slopes], 8).map(|v| 0.2 * v + 0.3),
        ],
        operation: &|v, p| {
            let [gamma, beta, slope] = [0, 1, 2].map(|i: usize| p[i].clone());
            let norm = match norm.clone() {
                kernels::Norm::Fixed { mean, variance } => {
                    let dtype = v[0].dtype();
                    kernels::Norm::Fixed { mean: mean.cast(dtype), variance: variance.cast(dtype) }
                }
                other => other,
            };
            kernels::norm_act(v[0].clone(), gamma, beta, slope, norm, 1e-3)
        },
        oracle: &|p| oracle::norm_act(&p[0], &p[1], &p[2], &p[3], &expected, 1e-3),
    }
    .check();
}

#[test]
fn instance_norm_and_leaky_relu_match_the_formula() {
    check_norm([2, 3, 3, 2, 5], 1, kernels::Norm::Instance, oracle::Norm::Instance);
    check_norm([1, 2, 2, 3, 4], 2, kernels::Norm::Instance, oracle::Norm::Instance);
}

#[test]
fn batch_norm_and_prelu_match_the_formula() {
    check_norm([2, 3, 3, 2, 5], 3, kernels::Norm::Batch, oracle::Norm::Batch);
    check_norm([3, 2, 1, 3, 7], 1, kernels::Norm::Batch, oracle::Norm::Batch);
}

/// Fine and coarse channels, or fine ones alone, through normalisation, activation and convolution.
#[track_caller]
fn check_block(joined: bool, slopes: usize, norm: BlockNorm, kernel: [usize; 3], stride: [usize; 3]) {
    let (size, factor) = ([2, 4, 6], [1, 2, 2]);
    let channels = if joined { 3 } else { 2 };
    let mut volumes = vec![Array::random(&[2, 2, size[0], size[1], size[2]], 51).map(|v| v * 2.0 + 0.5)];
    if joined {
        let [z, y, x]: [usize; 3] = core::array::from_fn(|a| size[a] / factor[a]);
        volumes.push(Array::random(&[2, 1, z, y, x], 52).map(|v| v - 0.5));
    }
    volumes.push(Array::random(&[3, channels, kernel[0], kernel[1], kernel[2]], 53));
    let vectors = vec![
        Array::random(&[channels], 54).map(|v| v + 1.5),
        Array::random(&[channels], 55),
        Array::random(&[slopes], 56).map(|v| 0.2 * v + 0.3),
        Array::random(&[3], 57),
    ];
    let (mean, variance) = (Array::random(&[channels], 58), Array::random(&[channels], 59).map(|v| v + 1.5));
    let expected = match norm {
        BlockNorm::Instance => oracle::Norm::Instance,
        BlockNorm::Batch | BlockNorm::Measured => oracle::Norm::Batch,
        BlockNorm::Fixed => oracle::Norm::Fixed(mean.clone(), variance.clone()),
    };
    Case {
        volumes,
        vectors,
        operation: &|v, p| {
            let [gamma, beta, slope, bias] = [0, 1, 2, 3].map(|i: usize| p[i].clone());
            let features = match v.as_slice() {
                [fine, coarse, _] => {
                    kernels::Features::Joined { fine: fine.clone(), coarse: coarse.clone(), factor }
                }
                [x, ..] => kernels::Features::One(x.clone()),
                [] => unreachable!("there are volumes"),
            };
            let norm = match norm {
                BlockNorm::Instance => kernels::Norm::Instance,
                BlockNorm::Batch => kernels::Norm::Batch,
                BlockNorm::Measured => {
                    let (mean, variance) = features.batch_statistics();
                    kernels::Norm::Measured { mean, variance }
                }
                BlockNorm::Fixed => {
                    let like = |a: &Array| tensor(a, &v[0].device()).cast(v[0].dtype());
                    kernels::Norm::Fixed { mean: like(&mean), variance: like(&variance) }
                }
            };
            let norm_act = kernels::NormAct { gamma, beta, slope, norm, epsilon: 1e-3 };
            kernels::norm_act_conv3d(features, norm_act, v[v.len() - 1].clone(), Some(bias), stride)
        },
        oracle: &|p| {
            let (volumes, vectors) = p.split_at(p.len() - 4);
            let x = match volumes {
                [fine, coarse, _] => {
                    oracle::concat_channels(&[fine.clone(), oracle::upsample_nearest3d(coarse, factor)])
                }
                _ => volumes[0].clone(),
            };
            let x = oracle::norm_act(&x, &vectors[0], &vectors[1], &vectors[2], &expected, 1e-3);
            oracle::conv3d(&x, &volumes[volumes.len() - 1], &vectors[3], stride)
        },
    }
    .check();
}

#[derive(Clone, Copy)]
enum BlockNorm {
    Instance,
    Batch,
    Measured,
    Fixed,
}

#[test]
fn a_block_in_one_operation_matches_its_parts() {
    check_block(false, 1, BlockNorm::Instance, [3, 3, 3], [1; 3]);
    check_block(false, 2, BlockNorm::Batch, [1, 3, 3], [1; 3]);
    check_block(false, 2, BlockNorm::Measured, [1, 1, 1], [1; 3]);
    check_block(false, 1, BlockNorm::Fixed, [3, 3, 3], [2; 3]);
}

#[test]
fn a_block_over_joined_channels_matches_its_parts() {
    check_block(true, 1, BlockNorm::Instance, [3, 3, 3], [1; 3]);
    check_block(true, 3, BlockNorm::Batch, [1, 3, 3], [1; 3]);
    check_block(true, 3, BlockNorm::Measured, [3, 3, 3], [1; 3]);
    check_block(true, 3, BlockNorm::Fixed, [1, 1, 1], [1; 3]);
    check_block(true, 1, BlockNorm::Instance, [3, 3, 3], [1, 2, 2]);
}

#[test]
fn adam_works_in_place_and_agrees_with_every_other_backend() {
    let adam = kernels::Adam { betas: [0.9, 0.99], rate: 0.01, epsilon: 1e-7, decay: 0.1 };
    let device = Device::flex();
    let run = |dtype| {
        let mut weights: Tensor<1> = tensor(&Array::random(&[50], 61), &device).cast(dtype);
        let mut moments = None;
        for seed in 62..65 {
            let gradient = tensor(&Array::random(&[50], seed), &device).cast(dtype);
            let (next, present) = kernels::adam_step(&adam, weights, gradient, moments);
            (weights, moments) = (next, Some(present));
        }
        let moments = moments.expect("steps were taken");
        [values(weights), values(moments.first), values(moments.second)]
    };
    for (kernels, primitives) in run(DType::F32).iter().zip(run(DType::F64)) {
        let expected: Vec<f64> = primitives.iter().map(|v| f64::from(*v)).collect();
        assert_close(kernels, &expected, 1e-6, "adam");
    }
}

#[test]
fn fixed_statistics_are_constants() {
    let (mean, variance) = (Array::random(&[3], 11), Array::random(&[3], 12).map(|v| v + 1.5));
    let device = Device::flex();
    let norm = kernels::Norm::Fixed { mean: tensor(&mean, &device), variance: tensor(&variance, &device) };
    check_norm([2, 3, 2, 3, 5], 3, norm, oracle::Norm::Fixed(mean, variance));
}

#[test]
fn batch_statistics_are_mean_and_biased_variance() {
    let array = Array::random(&[3, 4, 3, 5, 7], 13).map(|v| v + 10.0);
    let expected: Vec<(f64, f64)> = (0..4).map(|c| oracle::moments(&array, None, c)).collect();
    for (dtype, device) in
        [DType::F32, DType::F64].into_iter().zip([Device::flex(), Device::flex().autodiff()])
    {
        let (mean, variance) = kernels::batch_statistics(&tensor(&array, &device).cast(dtype));
        assert_close(&values(mean), &expected.iter().map(|m| m.0).collect::<Vec<_>>(), 1e-6, "mean");
        assert_close(&values(variance), &expected.iter().map(|m| m.1).collect::<Vec<_>>(), 1e-5, "variance");
    }
}

#[test]
fn max_pooling_matches_the_literal_maximum() {
    for window in [[2, 2, 2], [1, 2, 2], [2, 1, 3], [1, 1, 1]] {
        Case {
            volumes: vec![Array::random(&[2, 3, 4, 4, 6], 21)],
            vectors: vec![],
            operation: &|v, _| kernels::max_pool3d(v[0].clone(), window),
            oracle: &|p| oracle::max_pool3d(&p[0], window),
        }
        .check();
    }
}

#[test]
fn the_first_of_equal_maxima_receives_the_gradient() {
    for dtype in [DType::F32, DType::F64] {
        let device = Device::flex().autodiff();
        let x = Tensor::<5>::ones([1, 1, 2, 2, 2], &device).cast(dtype).require_grad();
        let gradients = kernels::max_pool3d(x.clone(), [2; 3]).sum().backward();
        assert_eq!(values(x.grad(&gradients).expect("tracked")), [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }
}

#[test]
fn max_pooling_passes_nan_on() {
    for (position, dtype) in (0..8).flat_map(|p| [(p, DType::F32), (p, DType::F64)]) {
        let mut window = [0.5f32; 8];
        window[position] = f32::NAN;
        let x = Tensor::<5>::from_data(TensorData::new(window.to_vec(), [1, 1, 2, 2, 2]), &Device::flex());
        let pooled = values(kernels::max_pool3d(x.cast(dtype), [2; 3]));
        assert!(pooled[0].is_nan(), "{dtype:?}: NaN at {position}");
    }
}

#[test]
fn upsampling_matches_the_formula() {
    for factor in [[2, 2, 2], [1, 2, 2], [3, 1, 2]] {
        let volumes = vec![Array::random(&[2, 2, 2, 3, 5], 31)];
        Case {
            volumes: volumes.clone(),
            vectors: vec![],
            operation: &|v, _| kernels::upsample_nearest3d(v[0].clone(), factor),
            oracle: &|p| oracle::upsample_nearest3d(&p[0], factor),
        }
        .check();
        Case {
            volumes,
            vectors: vec![],
            operation: &|v, _| kernels::upsample_trilinear3d(v[0].clone(), factor),
            oracle: &|p| oracle::upsample_trilinear3d(&p[0], factor),
        }
        .check();
    }
}

#[test]
fn concatenation_keeps_the_order_of_the_channels() {
    let device = Device::flex();
    let volume = |value: f32, channels| Tensor::<5>::full([2, channels, 1, 1, 2], value, &device);
    let joined = kernels::concat_channels(vec![volume(1.0, 1), volume(2.0, 2)]);
    assert_eq!(values(joined), [1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0]);
}

#[test]
fn mistakes_in_a_network_are_named() {
    let device = Device::flex();
    let x = || Tensor::<5>::ones([1, 2, 4, 6, 9], &device);
    let message = |call: &dyn Fn() -> Tensor<5>| {
        let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).expect_err("a panic");
        payload.downcast_ref::<String>().expect("a formatted message").clone()
    };
    let even = message(&|| kernels::conv3d(x(), Tensor::ones([1, 2, 3, 2, 3], &device), None, [1; 3]));
    assert!(even.contains("kernel [3, 2, 3] [z, y, x] must be odd"), "{even}");
    let channels = message(&|| kernels::conv3d(x(), Tensor::ones([1, 3, 1, 1, 1], &device), None, [1; 3]));
    assert!(channels.contains("the input has 2 channels, the weight expects 3"), "{channels}");
    let window = message(&|| kernels::max_pool3d(x(), [2, 2, 2]));
    assert!(window.contains("window [2, 2, 2] does not divide the volume [4, 6, 9]"), "{window}");
    let empty = message(&|| kernels::upsample_nearest3d(x().narrow(2, 0, 1).repeat_dim(2, 0), [1; 3]));
    assert!(empty.contains("is empty"), "{empty}");
}
