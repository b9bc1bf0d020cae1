//! Logits that the quick kernels must notice.
use dicewise::{
    Activation, DiceLoss, Epsilon, InstructionSet, MissingLabels, MissingRule, Partition, Presence,
    SegmentationLoss, Shape, Target,
};

use crate::cases::assert_close;

/// Logits far beyond what the quick kernels take, among moderate ones: each must be noticed, and the result is that of the
/// softmax all the same. Some are chosen so that rounding x / ln 2 near 1.5 · 2²³ leaves a power of two.
#[test]
fn logits_of_any_size_give_the_softmax() {
    for (classes, voxels) in [(4, 150), (9, 150)] {
        logits_far_from(classes, voxels);
    }
}

fn logits_far_from(classes: usize, voxels: usize) {
    let moderate = |i: usize| ((i * 37 % 101) as f32 - 50.0) / 12.0;
    let far = [-2_907_270.0, -7_267_800.0, -10.0e6, 43.9, 44.5, 60.0, -88.0, 1e4, -1e4, 3e38, -3e38, -8.72e6];
    for (k, far) in far.into_iter().enumerate() {
        let mut x: Vec<f32> = (0..classes * voxels).map(moderate).collect();
        let place = (k * 211 + 17) % x.len();
        x[place] = far;
        if far.abs() > 1e38 {
            // In the same voxel: their difference is beyond f32.
            x[(place + voxels) % (classes * voxels)] = -far;
        }
        let labels: Vec<u8> = (0..voxels).map(|i| (i * 7 % classes) as u8).collect();
        let target = Target::labels(Shape::new(1, classes, voxels).unwrap(), &labels).unwrap();
        let dice = DiceLoss::new(Partition::BatchWise, Epsilon::uniform(1e-5).unwrap()).unwrap();
        let loss = SegmentationLoss::new(dice, Activation::Softmax).unwrap();
        let wide: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
        let expected = loss.sums(&wide, &target, None).unwrap();
        let mut slope = vec![0.0_f64; x.len()];
        let terms = loss.terms(&expected, None).unwrap();
        loss.write_gradient(&terms, &wide, &target, 1.0, &mut slope).unwrap();
        // In f64 by literal loops: Σp of each class.
        let sum_of = |c: usize| -> f64 {
            (0..voxels)
                .map(|i| {
                    let at = |c: usize| wide[c * voxels + i];
                    let max = (0..classes).map(at).fold(f64::NEG_INFINITY, f64::max);
                    (at(c) - max).exp() / (0..classes).map(|k| (at(k) - max).exp()).sum::<f64>()
                })
                .sum()
        };
        for set in InstructionSet::available() {
            let loss = loss.clone().with_instruction_set(set);
            let sums = loss.sums(&x, &target, None).unwrap();
            for c in 0..classes {
                let found = sums.dice().prediction()[c];
                assert!((found - sum_of(c)).abs() < 2e-6 * sum_of(c), "{set}, {far}, class {c}: {found}");
            }
            let terms = loss.terms(&sums, None).unwrap();
            let mut gradient = vec![0.0_f32; x.len()];
            loss.write_gradient(&terms, &x, &target, 1.0, &mut gradient).unwrap();
            for (found, expected) in gradient.iter().zip(&slope) {
                assert!((f64::from(*found) - expected).abs() < 1e-8, "{set}, {far}: {found} {expected}");
            }
        }
    }
}

/// Value and gradient, in a buffer and in place, of every instruction set, as those of the same logits in `f64`.
fn equals_f64(loss: &SegmentationLoss, x: &[f32], target: &Target<'_>, presence: &Presence) {
    let wide: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
    let sums = loss.sums(&wide, target, Some(presence)).unwrap();
    let expected = loss.terms(&sums, Some(presence)).unwrap();
    let mut slope = vec![0.0_f64; x.len()];
    loss.write_gradient(&expected, &wide, target, 1.0, &mut slope).unwrap();
    for set in InstructionSet::available() {
        let loss = loss.clone().with_instruction_set(set);
        let sums = loss.sums(x, target, Some(presence)).unwrap();
        let terms = loss.terms(&sums, Some(presence)).unwrap();
        assert_close(&[terms.loss], &[expected.loss], 1e-6, 0.0);
        let mut gradient = vec![0.0_f32; x.len()];
        loss.write_gradient(&terms, x, target, 1.0, &mut gradient).unwrap();
        let mut in_place = x.to_vec();
        loss.gradient_in_place(&terms, &mut in_place, target, 1.0).unwrap();
        for found in [&gradient, &in_place] {
            let found: Vec<f64> = found.iter().map(|&g| g.into()).collect();
            // Of up to 2e-4 each.
            assert_close(&found, &slope, 1e-6, 2e-4);
        }
    }
}

/// Missing classes merged into the background, in blocks that the quick kernels take and in one that they refuse: as in
/// `f64`, which takes none of them. Some voxels have a label that is declared missing.
#[test]
fn merged_classes_are_the_same_in_quick_and_in_refused_blocks() {
    let (classes, voxels) = (5, 5003);
    let mut x: Vec<f32> = (0..2 * classes * voxels).map(|i| ((i * 37 % 101) as f32 - 50.0) / 12.0).collect();
    x[voxels + 4000] = 71.0;
    let labels: Vec<u8> = (0..2 * voxels).map(|i| if i < 3000 { i / 1000 } else { i % 5 } as u8).collect();
    let target = Target::labels(Shape::new(2, classes, voxels).unwrap(), &labels).unwrap();
    let target = target.ignore_index(Some(4));
    let annotated = [true, true, false, true, false, true, true, true, true, true];
    let presence = Presence::new(2, classes, annotated.to_vec()).unwrap();
    for missing in
        [MissingLabels::Leaf(MissingRule::Declared), MissingLabels::Marginal(MissingRule::Declared)]
    {
        let dice = DiceLoss::new(Partition::ImageWise, Epsilon::uniform(1e-5).unwrap()).unwrap();
        let dice = dice.with_missing_labels(missing).unwrap();
        let loss = SegmentationLoss::new(dice, Activation::Softmax).unwrap();
        for loss in [loss.clone(), loss.with_cross_entropy(0.7).unwrap()] {
            equals_f64(&loss, &x, &target, &presence);
        }
    }
}

/// Dense targets in blocks that the quick kernels take and in one that they refuse, as in `f64`, which takes none.
#[test]
fn dense_targets_are_the_same_in_quick_and_in_refused_blocks() {
    let (classes, voxels) = (5, 5003);
    let shape = Shape::new(2, classes, voxels).unwrap();
    let wave = |i: usize, period: usize| (i * 37 % period) as f32 / (period - 1) as f32;
    let mut x: Vec<f32> = (0..shape.elements()).map(|i| 8.0 * wave(i, 101) - 4.0).collect();
    x[voxels + 4000] = 71.0;
    let y: Vec<f32> = (0..shape.elements()).map(|i| wave(i, 89)).collect();
    let mask: Vec<bool> = (0..2 * voxels).map(|i| i < 4000 || i % 7 != 0).collect();
    for (missing, cross_entropy) in [
        (MissingLabels::AsEmpty, Some(0.7)),
        (MissingLabels::AsEmpty, None),
        (MissingLabels::Marginal(MissingRule::Declared), None),
    ] {
        let dice = DiceLoss::new(Partition::ImageWise, Epsilon::uniform(1e-5).unwrap()).unwrap();
        let mut loss =
            SegmentationLoss::new(dice.with_missing_labels(missing).unwrap(), Activation::Softmax).unwrap();
        if let Some(weight) = cross_entropy {
            loss = loss.with_cross_entropy(weight).unwrap();
        }
        let mut annotated = vec![true; 2 * classes];
        annotated[2] = false;
        let presence = Presence::new(2, classes, annotated).unwrap();
        for masked in [false, true] {
            let target = Target::dense(shape, &y).unwrap();
            let target = if masked { target.masked(&mask).unwrap() } else { target };
            equals_f64(&loss, &x, &target, &presence);
        }
    }
}
