use burn::tensor::{DType, Device, Tensor, TensorData};
use dicewise::{DiceError, DiceLoss, Epsilon, Partition};
use dicewise_burn::SoftDiceLoss;

/// Types of tensors that the front is tried with: the fused path, that of every other backend, and those that are
/// widened first.
const TYPES: [DType; 4] = [DType::F32, DType::F64, DType::F16, DType::BF16];
const PARTITIONS: [Partition; 4] =
    [Partition::ImageWise, Partition::ClassWise, Partition::BatchWise, Partition::AllWise];
const SHAPE: [usize; 3] = [2, 2, 300];
const ELEMENTS: usize = 1200;

/// Value and gradient.
fn run(
    partition: Partition,
    epsilon: f64,
    p: Vec<f64>,
    y: Vec<f64>,
    dtype: DType,
) -> Result<(f64, Vec<f64>), DiceError> {
    let device = Device::flex().autodiff();
    let tensor = |values: Vec<f64>| Tensor::<3>::from_data(TensorData::new(values, SHAPE), (&device, dtype));
    let loss = DiceLoss::new(partition, Epsilon::uniform(epsilon).unwrap()).unwrap();
    let p = tensor(p).require_grad();
    let value = SoftDiceLoss::new(loss).forward(p.clone(), tensor(y), None)?;
    let gradients = value.tensor.backward();
    let gradient = p.grad(&gradients).expect("the prediction is tracked");
    Ok((value.loss, gradient.into_data().convert::<f64>().try_to_vec().unwrap()))
}

/// Pseudo-random in [0, 1).
fn noise(k: usize) -> f64 {
    (k.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / f64::from(1 << 24)
}

/// The first sample's maps are of one kind, the second's are mixed.
fn maps(kind: usize, shift: usize) -> Vec<f64> {
    (0..ELEMENTS)
        .map(|k| [0.0, 1.0, 0.5, 1e-38, noise(k + shift)][if k < ELEMENTS / 2 { kind } else { 4 }])
        .collect()
}

#[test]
fn whatever_is_legal_has_a_loss_of_0_to_1_and_a_finite_gradient() {
    for (dtype, partition) in TYPES.into_iter().flat_map(|t| PARTITIONS.map(|p| (t, p))) {
        for epsilon in [0.0, 1e-300, 1e-7, 1.0, 1e9] {
            for (i, j) in (0..5).flat_map(|i| (0..5).map(move |j| (i, j))) {
                let case = format!("{dtype:?}, {partition:?}, ε {epsilon}, p {i}, y {j}");
                let (value, gradient) = run(partition, epsilon, maps(i, 0), maps(j, 7), dtype)
                    .unwrap_or_else(|error| panic!("{case}: {error}"));
                assert!((0.0..=1.0).contains(&value), "{case}: {value}");
                // At most 2/(|Φ| (U + ε)): of a subset with nothing in it, more than these can hold.
                let beyond = match dtype {
                    DType::F16 => epsilon < 1e-4,
                    DType::BF16 => epsilon < 1e-38,
                    _ => false,
                };
                let allowed = |g: &f64| g.is_finite() || beyond && g.is_infinite();
                assert!(gradient.iter().all(allowed), "{case}: a gradient is not finite");
            }
        }
    }
}

#[test]
fn an_empty_subset_without_smoothing_is_a_limit_and_not_nan() {
    for (dtype, partition) in TYPES.into_iter().flat_map(|t| PARTITIONS.map(|p| (t, p))) {
        let nothing = || vec![0.0; ELEMENTS];
        let (value, gradient) = run(partition, 0.0, nothing(), nothing(), dtype).unwrap();
        assert_eq!(value, 0.0, "{dtype:?}, {partition:?}");
        assert!(gradient.iter().all(|&g| g == 0.0), "{dtype:?}, {partition:?}");
    }
}

#[test]
fn values_that_are_not_finite_are_refused_wherever_they_are() {
    for (dtype, partition) in TYPES.into_iter().flat_map(|t| PARTITIONS.map(|p| (t, p))) {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for place in [0, 299, 300, ELEMENTS - 1] {
                let with = |mut maps: Vec<f64>| {
                    maps[place] = value;
                    maps
                };
                for (p, y) in [(with(maps(4, 0)), maps(2, 0)), (maps(4, 0), with(maps(2, 0)))] {
                    assert!(run(partition, 1e-7, p, y, dtype).is_err(), "{dtype:?}, {value} at {place}");
                }
            }
        }
    }
}

/// 128³ voxels of ½, half of them object: Σp = 2²⁰, where f16 ends at 65,504. O = n/4, U = n, D = ½. Eq. 4 for one
/// subset: −2y/n + ½/n, which f16 holds only after it was scaled, as in mixed-precision training.
#[test]
fn half_precision_neither_overflows_nor_loses_the_sums() {
    let n = 128_usize.pow(3);
    let device = Device::flex().autodiff();
    for dtype in [DType::F16, DType::BF16] {
        let maps =
            |values: Vec<f32>| Tensor::<3>::from_data(TensorData::new(values, [1, 1, n]), (&device, dtype));
        let (p, y) = (maps(vec![0.5; n]).require_grad(), maps((0..n).map(|k| (k % 2) as f32).collect()));
        let loss = DiceLoss::new(Partition::ImageWise, Epsilon::uniform(1e-7).unwrap()).unwrap();
        let value = SoftDiceLoss::new(loss).forward(p.clone(), y, None).unwrap();
        assert!((value.loss - 0.5).abs() < 1e-6, "{dtype:?}: {}", value.loss);
        let scale = 32_768.0;
        let gradients = (value.tensor * scale).backward();
        let gradient = p.grad(&gradients).expect("the prediction is tracked");
        assert_eq!(gradient.dtype(), dtype);
        let gradient: Vec<f64> = gradient.into_data().convert::<f64>().try_to_vec().unwrap();
        for (k, expected) in [(0, 0.5), (1, -1.5), (n - 2, 0.5), (n - 1, -1.5)] {
            let expected = scale * expected / n as f64;
            assert!((gradient[k] - expected).abs() <= 4e-3 * expected.abs(), "{dtype:?}: {}", gradient[k]);
        }
    }
}
