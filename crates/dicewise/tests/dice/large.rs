//! Accuracy on volumes, against the oracle.
//!
//! The volume repeats K voxels n/K times. Its sums are those of one period times n/K, and Dice is a quotient of sums,
//! so its loss is that of one period with ε · K/n, and its gradient that of one period times K/n.

use dicewise::{
    Activation, DiceLoss, Element, Epsilon, LabelMap, Partition, SegmentationLoss, Shape, Target,
};
use dicewise_oracle::{Logits, Phi, Problem, one_hot};
use half::{bf16, f16};

use crate::{cases::assert_close, segmentation::dice};

struct Volume {
    batch: usize,
    classes: usize,
    voxels: usize,
    period: usize,
    activation: Activation,
}

/// The relative errors of the loss and, in the L2 norm, of the gradient.
fn errors<T: Element>(volume: &Volume) -> (f64, f64) {
    let &Volume { batch, classes, voxels, period, activation } = volume;
    assert_eq!(voxels % period, 0);
    let mut state = 7_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 31)
    };
    let x: Vec<T> = (0..batch * classes * period).map(|_| T::from_f64(12.0 * random() - 6.0)).collect();
    let labels: Vec<u8> = (0..batch * period).map(|_| (random() * classes as f64) as u8).collect();

    let epsilon = 1e-3;
    let exact: Vec<f64> = x.iter().map(|x| x.to_f64()).collect();
    let y = one_hot(batch, classes, &labels.iter().map(|&label| label.into()).collect::<Vec<_>>());
    let short = epsilon * period as f64 / voxels as f64;
    let (activation_of_oracle, repeats) = match activation {
        Activation::None => (dicewise_oracle::Activation::None, voxels / period),
        Activation::Sigmoid => (dicewise_oracle::Activation::Sigmoid, voxels / period),
        Activation::Softmax => (dicewise_oracle::Activation::Softmax, voxels / period),
    };
    let oracle = Logits {
        problem: Problem::new(batch, classes, exact.clone(), y, Phi::BI, short),
        x: exact,
        activation: activation_of_oracle,
        dice_weight: 1.0,
        cross_entropy_weight: 1.0,
    };
    let (value, expected) = (oracle.loss(), oracle.gradient());

    let dice = DiceLoss::new(Partition::BatchWise, Epsilon::uniform(epsilon).unwrap()).unwrap();
    let loss = SegmentationLoss::new(dice, activation).unwrap().with_cross_entropy(1.0).unwrap();
    let mut gradient: Vec<T> = x.chunks(period).flat_map(|map| map.repeat(repeats)).collect();
    let labels: Vec<u8> = labels.chunks(period).flat_map(|map| map.repeat(repeats)).collect();
    let shape = Shape::new(batch, classes, voxels).unwrap();
    let target = Target::labels(shape, LabelMap::U8(&labels)).unwrap();
    let terms = loss.terms(&loss.sums(&gradient, &target, None).unwrap(), None).unwrap();
    // As a gradient scaler does: the smallest f16 is 6e-8.
    let scale = 0.1 * voxels as f64;
    loss.gradient_in_place(&terms, &mut gradient, &target, scale).unwrap();
    let (mut error, mut norm) = (0.0, 0.0);
    for (map, expected) in gradient.chunks(voxels).zip(expected.chunks(period)) {
        for found in map.chunks(period) {
            for (found, expected) in found.iter().zip(expected) {
                let expected = expected * scale / repeats as f64;
                error += (found.to_f64() - expected).powi(2);
                norm += expected.powi(2);
            }
        }
    }
    ((terms.loss - value).abs() / value, (error / norm).sqrt())
}

fn assert_within(volume: &Volume, found: (f64, f64), loss: f64, gradient: f64) {
    let Volume { batch, classes, voxels, activation, .. } = volume;
    println!("[{batch}, {classes}, {voxels}] {activation}: loss {:.1e}, gradient {:.1e}", found.0, found.1);
    assert!(found.0 < loss && found.1 < gradient, "{found:?}");
}

#[test]
fn f32_keeps_1e_6_and_1e_5_on_a_batch_of_volumes() {
    for activation in [Activation::Softmax, Activation::Sigmoid] {
        let volume = Volume { batch: 2, classes: 4, voxels: 192 * 192 * 48, period: 6912, activation };
        assert_within(&volume, errors::<f32>(&volume), 1e-6, 1e-5);
    }
}

#[test]
fn f32_keeps_1e_6_and_1e_5_at_100_million_voxels() {
    let volume =
        Volume { batch: 1, classes: 1, voxels: 100_000_000, period: 5000, activation: Activation::Sigmoid };
    assert_within(&volume, errors::<f32>(&volume), 1e-6, 1e-5);
}

#[test]
fn half_precision_keeps_1e_3_and_5e_3_at_128_cubed_and_above() {
    for voxels in [128_usize.pow(3), 160_usize.pow(3)] {
        for (classes, activation) in [(3, Activation::Softmax), (1, Activation::Sigmoid)] {
            let volume = Volume { batch: 1, classes, voxels, period: 4096, activation };
            assert_within(&volume, errors::<f16>(&volume), 1e-3, 1e-3);
            assert_within(&volume, errors::<bf16>(&volume), 5e-3, 5e-3);
        }
    }
}

#[test]
fn a_large_gradient_is_the_same_wherever_it_lies_in_memory() {
    // Cache lines start at the same voxel of every map, or not.
    for voxels in [1 << 20, (1 << 20) + 5] {
        let shape = Shape::new(1, 3, voxels).unwrap();
        let x: Vec<f32> = (0..shape.elements()).map(|k| (k * 7919 % 1000) as f32 / 100.0 - 5.0).collect();
        let labels: Vec<u8> = (0..voxels).map(|i| (i / 23 % 3) as u8).collect();
        let target = Target::labels(shape, LabelMap::U8(&labels)).unwrap();
        let dice = DiceLoss::new(Partition::BatchWise, Epsilon::uniform(1e-5).unwrap()).unwrap();
        let loss = SegmentationLoss::new(dice, Activation::Softmax).unwrap().with_cross_entropy(1.0).unwrap();
        let terms = loss.terms(&loss.sums(&x, &target, None).unwrap(), None).unwrap();
        let mut room = vec![f32::NAN; shape.elements() + 64];
        let line = room.as_ptr().align_offset(64);
        let mut gradient_at = |offset: usize| {
            let gradient = &mut room[line + offset..][..shape.elements()];
            loss.write_gradient(&terms, &x, &target, 1.0, gradient).unwrap();
            let written = gradient.to_vec();
            room.fill(f32::NAN);
            written
        };
        let expected = gradient_at(0);
        assert!(expected.iter().all(|value| value.is_finite()));
        for offset in [1, 4, 15] {
            assert!(gradient_at(offset) == expected, "{voxels} voxels, {offset} values into a cache line");
        }
    }
}

/// p = ½ or ⅓ everywhere, in exact or nearly exact arithmetic, where a sum in f16 would stop at 65,504: 128³ voxels,
/// half of them object. Softmax of equal logits: O = n/4, U = n, D = ½, CE = ln 2.
#[test]
fn half_precision_does_not_overflow_at_128_cubed() {
    let n = 128_usize.pow(3);
    let shape = Shape::new(1, 2, n).unwrap();
    let labels: Vec<u8> = (0..n).map(|i| (i % 2) as u8).collect();
    let target = Target::labels(shape, &labels).unwrap();
    fn value<T: Element>(n: usize, target: &Target<'_>) -> f64 {
        let loss = SegmentationLoss::new(dice(Partition::ImageWise), Activation::Softmax).unwrap();
        let x = vec![T::from_f64(3.0); 2 * n];
        loss.with_cross_entropy(1.0).unwrap().value(&x, target, None).unwrap()
    }
    let expected = 0.5 + 2_f64.ln();
    assert_close(&[value::<f16>(n, &target)], &[expected], 1e-6, 0.0);
    assert_close(&[value::<bf16>(n, &target)], &[expected], 1e-6, 0.0);
}
