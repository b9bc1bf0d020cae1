use dicewise::Activation;

use crate::problem::{Batch, Setting, assert_close, client};

/// The loss to 1e-6 and its derivative to 1e-5 of the largest.
fn check(batch: &Batch) {
    let client = client();
    for setting in Setting::all(batch) {
        let what = (batch.shape, batch.activation, setting);
        let (loss, gradient) = batch.run(&client, &setting.loss(), 1.0);
        let (expected, derivative) = batch.oracle(&setting);
        assert!((loss - expected).abs() < 1e-6, "{what:?}: {loss}, not {expected}");
        assert_close(&gradient, &derivative, 1e-5, what);
    }
}

/// One voxel, less than a cube has units, and sizes that nothing divides.
fn check_shapes(activation: Activation) {
    for (batch, classes) in [(1, 1), (1, 3), (2, 2), (2, 4), (3, 5), (3, 1)] {
        for voxels in [1, 37, 1031] {
            check(&Batch::new(batch, classes, voxels, activation));
        }
    }
}

#[test]
fn probabilities_have_the_oracles_loss_and_derivative() {
    check_shapes(Activation::None);
}

#[test]
fn sigmoid_has_the_oracles_loss_and_derivative() {
    check_shapes(Activation::Sigmoid);
}

#[test]
fn softmax_has_the_oracles_loss_and_derivative() {
    check_shapes(Activation::Softmax);
}

/// 16,384 voxels are a chunk: two whole ones and a part, and exactly two.
#[test]
fn several_chunks_have_the_oracles_loss_and_derivative() {
    for activation in Activation::ALL {
        check(&Batch::new(2, 3, 40_003, activation));
        check(&Batch::new(1, 2, 32_768, activation));
    }
}

/// Loops over more than 16 classes are not written out.
#[test]
fn many_classes_have_the_oracles_loss_and_derivative() {
    for activation in Activation::ALL {
        check(&Batch::new(2, 19, 301, activation));
    }
}
