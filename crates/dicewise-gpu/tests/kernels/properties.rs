use cubecl::ir::{ElemType, FloatKind};
use dicewise::{Activation, DiceError, MissingLabels, Partition, Shape};
use dicewise_gpu::VoxelPasses;

use crate::problem::{Batch, F32, Setting, assert_close, client, download, upload};

const BATCH_WISE: Setting =
    Setting { partition: Partition::BatchWise, epsilon: 1.0, missing: MissingLabels::AsEmpty };

#[test]
fn the_same_input_gives_the_same_bits() {
    let (client, batch) = (client(), Batch::new(2, 4, 50_000, Activation::Softmax));
    let first = batch.run(&client, &BATCH_WISE.loss(), 1.0);
    for _ in 0..3 {
        assert_eq!(batch.run(&client, &BATCH_WISE.loss(), 1.0), first);
    }
}

/// Whatever the loss enters has a derivative of its own: the chain rule.
#[test]
fn the_derivative_is_multiplied_by_what_comes_from_upstream() {
    let client = client();
    for activation in Activation::ALL {
        let batch = Batch::new(2, 3, 401, activation);
        let (_, derivative) = batch.oracle(&BATCH_WISE);
        let expected: Vec<f64> = derivative.iter().map(|g| -0.25 * g).collect();
        assert_close(&batch.run(&client, &BATCH_WISE.loss(), -0.25).1, &expected, 1e-5, activation);
    }
}

/// Σ y p = Σ y = 300,000 of a map full of ones; in f16, where 2048 + 1 is 2048, and in f32.
#[test]
fn sums_of_many_voxels_lose_nothing() {
    let client = client();
    let shape = Shape::new(1, 1, 300_000).unwrap();
    let one = |element: ElemType| match element {
        F32 => 1.0_f32.to_le_bytes().to_vec(),
        ElemType::Float(FloatKind::F16) => 0x3C00_u16.to_le_bytes().to_vec(),
        _ => 0x3F80_u16.to_le_bytes().to_vec(),
    };
    let mut tried = 0;
    for kind in [FloatKind::F32, FloatKind::F16, FloatKind::BF16] {
        let element = ElemType::Float(kind);
        let Some(passes) = VoxelPasses::new(client.clone(), shape, Activation::None, element) else {
            println!("this device has no {element:?}");
            continue;
        };
        let ones = client.create_from_slice(&one(element).repeat(shape.elements()));
        let parts = passes.sums(ones.clone(), ones, false);
        let sums = VoxelPasses::add_up(&download(&client, parts.handle), parts.dims).unwrap();
        assert_eq!((sums.overlap(), sums.target()), (&[300_000.0][..], &[300_000.0][..]), "{element:?}");
        tried += 1;
    }
    assert!(tried > 0);
}

/// Probabilities of 0 and 1, and a sum in which no term overflows.
#[test]
fn logits_of_any_size_have_finite_sums_and_derivatives() {
    let client = client();
    for activation in [Activation::Sigmoid, Activation::Softmax] {
        let mut batch = Batch::new(1, 3, 90, activation);
        for (k, x) in batch.input.iter_mut().enumerate() {
            *x = [3e4, -3e4, 90.0, -90.0, 0.0][k % 5];
        }
        let (loss, gradient) = batch.run(&client, &BATCH_WISE.loss(), 1.0);
        let (expected, derivative) = batch.oracle(&BATCH_WISE);
        assert!((loss - expected).abs() < 1e-6, "{activation:?}: {loss}, not {expected}");
        assert_close(&gradient, &derivative, 1e-5, activation);
    }
}

#[test]
fn input_that_is_not_a_number_is_refused() {
    let client = client();
    for activation in Activation::ALL {
        let mut batch = Batch::new(2, 2, 700, activation);
        batch.input[1500] = f32::NAN;
        let (input, target) = (upload(&client, &batch.input), upload(&client, &batch.target));
        let parts = batch.passes(&client).sums(input, target, false);
        let sums = VoxelPasses::add_up(&download(&client, parts.handle), parts.dims);
        assert!(matches!(sums, Err(DiceError::SumNotFinite { batch: 1, .. })), "{activation:?}: {sums:?}");
    }
}

#[test]
fn what_the_kernels_cannot_do_is_not_offered() {
    let passes = |batch, classes, voxels, element| {
        let shape = Shape::new(batch, classes, voxels).unwrap();
        VoxelPasses::new(client(), shape, Activation::None, element)
    };
    assert!(passes(2, 256, 8, F32).is_some());
    assert!(passes(2, 257, 8, F32).is_none(), "classes");
    assert!(passes(70_000, 1, 8, F32).is_none(), "samples");
    assert!(passes(1, 2, 1 << 31, F32).is_none(), "voxels");
    assert!(passes(2, 2, 8, ElemType::Float(FloatKind::E4M3)).is_none(), "precision");
}
