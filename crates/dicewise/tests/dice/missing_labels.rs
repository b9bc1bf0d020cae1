use dicewise::{
    ClassWeights, DiceLoss, DiceSums, Epsilon, MissingLabels, MissingRule, Partition, Presence, Shape, Target,
};
use proptest::prelude::*;

use crate::cases::{Case, case, case_of, partition};

const LEAF: MissingLabels = MissingLabels::Leaf(MissingRule::Declared);
const MARGINAL: MissingLabels = MissingLabels::Marginal(MissingRule::Declared);

fn loss(partition: Partition, epsilon: f64, missing: MissingLabels) -> DiceLoss {
    DiceLoss::new(partition, Epsilon::uniform(epsilon).unwrap())
        .unwrap()
        .with_missing_labels(missing)
        .unwrap()
}

fn nothing_annotated(case: &Case) -> Presence {
    let (batch, classes) = (case.shape.batch(), case.shape.classes());
    Presence::new(batch, classes, vec![false; batch * classes]).unwrap()
}

proptest! {
    #[test]
    fn leaf_with_everything_missing_is_0_with_gradient_0(
        (case, partition, epsilon) in (case(), partition(), prop_oneof![Just(0.0), 1e-7..100.0_f64])
    ) {
        let mut gradient = vec![f64::NAN; case.p.len()];
        let value = loss(partition, epsilon, LEAF)
            .value_and_gradient(&case.p, &case.target(), Some(&nothing_annotated(&case)), &mut gradient)
            .unwrap();
        prop_assert_eq!(value, 0.0);
        prop_assert!(gradient.iter().all(|&g| g == 0.0));
    }

    #[test]
    fn leaf_does_not_look_at_missing_maps((case, partition) in (case(), partition())) {
        let size = case.shape.voxels();
        let mut other = case.clone();
        for (map, annotated) in case.annotated.iter().enumerate() {
            if !annotated {
                other.p[map * size..(map + 1) * size].iter_mut().for_each(|p| *p = 1.0 - *p);
            }
        }
        let leaf = loss(partition, 1e-3, LEAF);
        let value = |case: &Case| leaf.value(&case.p, &case.target(), Some(&case.presence())).unwrap();
        prop_assert_eq!(value(&other), value(&case));
    }

    #[test]
    fn without_a_declaration_everything_counts_as_annotated((case, partition) in (case(), partition())) {
        let value = |missing| loss(partition, 1e-3, missing).value(&case.p, &case.target(), None).unwrap();
        prop_assert_eq!(value(LEAF), value(MissingLabels::AsEmpty));
    }

    #[test]
    fn under_marginal_treatment_a_missing_class_and_the_background_are_one(
        (case, partition) in ((1_usize..=4, 2_usize..=4, 1_usize..=40).prop_flat_map(|(b, c, i)| case_of(b, c, i)), partition())
    ) {
        let (classes, size) = (case.shape.classes(), case.shape.voxels());
        let marginal = loss(partition, 1e-3, MARGINAL);
        let presence = case.presence();
        // Move half of the missing classes' probability to the background, in all voxels.
        let mut other = case.clone();
        for b in 0..case.shape.batch() {
            for c in 1..classes {
                for i in 0..size {
                    let (from, to) = ((b * classes + c) * size + i, b * classes * size + i);
                    if !case.annotated[b * classes + c] {
                        let moved = (other.p[from] / 2.0).min(1.0 - other.p[to]);
                        other.p[from] -= moved;
                        other.p[to] += moved;
                    }
                }
            }
        }
        let value = |case: &Case| marginal.value(&case.p, &case.target(), Some(&presence)).unwrap();
        prop_assert!((value(&other) - value(&case)).abs() < 1e-12);
        let terms = marginal.terms(&marginal.sums(&case.p, &case.target()).unwrap(), Some(&presence)).unwrap();
        for map in 0..case.annotated.len() {
            if !case.annotated[map] {
                let background = map - map % classes;
                prop_assert_eq!(terms.row[map], 0);
                prop_assert_eq!((terms.a[map], terms.b[map]), (terms.a[background], terms.b[background]));
            }
        }
    }
}

/// The recommended setting for data that mix both: in one batch, class 1 of image 1 is empty and of image 2
/// missing.
#[test]
fn declared_leaf_batch_wise_learns_empty_labels_and_ignores_missing_ones() {
    let shape = Shape::new(3, 2, 4).unwrap();
    let p = [0.5_f64; 24];
    let labels = [0_u8, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let target = Target::labels(shape, &labels).unwrap();
    let presence = Presence::new(3, 2, vec![true, true, true, true, true, false]).unwrap();
    let mut gradient = [f64::NAN; 24];
    loss(Partition::BatchWise, 1e-7, LEAF)
        .value_and_gradient(&p, &target, Some(&presence), &mut gradient)
        .unwrap();
    // Class 1 without image 2: O = 1, U = 2 + 4, |Φ| = 2: a = 2/(2·36).
    assert!((gradient[12] - 1.0 / 36.0).abs() < 1e-8, "empty: {}", gradient[12]);
    assert_eq!(gradient[20..], [0.0; 4], "missing");
}

/// Inferred leaf cannot tell empty from missing: it ignores both, also batch-wise.
#[test]
fn inferred_leaf_ignores_empty_labels_too() {
    let shape = Shape::new(2, 1, 2).unwrap();
    let target = Target::dense(shape, &[1.0_f64, 0.0, 0.0, 0.0]).unwrap();
    let mut gradient = [f64::NAN; 4];
    loss(Partition::BatchWise, 1.0, MissingLabels::Leaf(MissingRule::Inferred))
        .value_and_gradient(&[0.5, 0.5, 0.5, 0.5], &target, None, &mut gradient)
        .unwrap();
    assert_eq!(gradient[2..], [0.0, 0.0]);
    assert!(gradient[0] < 0.0 && gradient[1] > 0.0);
}

/// As the paper ran it: L = 1 − (1/(B(C−1))) Σ_present D, absent classes contributing D = 0. Ours counts them
/// as D = 1, so the losses differ by the share of absent maps and the gradients are equal.
#[test]
fn leaf_as_the_paper_ran_it_differs_by_a_constant() {
    let shape = Shape::new(1, 3, 4).unwrap();
    let p = [0.1, 0.2, 0.3, 0.4, 0.6, 0.5, 0.4, 0.3, 0.3, 0.3, 0.3, 0.3];
    let target = Target::labels(shape, &[1_u8, 1, 0, 0]).unwrap();
    let ours = DiceLoss::new(Partition::ImageWise, Epsilon::new(0.0, 1e-7).unwrap())
        .unwrap()
        .with_class_weights(ClassWeights::without_background(3).unwrap())
        .unwrap()
        .with_missing_labels(MissingLabels::Leaf(MissingRule::Inferred))
        .unwrap();
    let mut gradient = [f64::NAN; 12];
    let value = ours.value_and_gradient(&p, &target, None, &mut gradient).unwrap();
    // Class 1: O = 1.1, U = 2 + 1.8. Class 2 is absent.
    let released = 1.0 - 0.5 * (2.2 / (3.8 + 1e-7));
    assert!((value - (released - 0.5)).abs() < 1e-12);
    assert_eq!(gradient[8..], [0.0; 4]);
    let expected = -0.5 * (2.0 / (3.8 + 1e-7) - 2.2 / (3.8 + 1e-7_f64).powi(2));
    assert!((gradient[4] - expected).abs() < 1e-12);
}

/// ACDC in the paper: weights [0, 1, 1, 1] multiply D while the mean divides by 4.
#[test]
fn unnormalised_weights_shift_the_loss_and_scale_the_gradient_by_three_quarters() {
    let shape = Shape::new(1, 4, 4).unwrap();
    let p: Vec<f64> = (0..16).map(|k| 0.05 + 0.05 * f64::from(k)).collect();
    let target = Target::labels(shape, &[0_u8, 1, 2, 3]).unwrap();
    let run = |weights: ClassWeights| {
        let loss = DiceLoss::new(Partition::ImageWise, Epsilon::uniform(1e-7).unwrap()).unwrap();
        let loss = loss.with_class_weights(weights).unwrap();
        let mut gradient = vec![f64::NAN; 16];
        let value = loss.value_and_gradient(&p, &target, None, &mut gradient).unwrap();
        (value, gradient)
    };
    let (mean, mean_gradient) = run(ClassWeights::without_background(4).unwrap());
    let (paper, paper_gradient) = run(ClassWeights::unnormalised(vec![0.0, 1.0, 1.0, 1.0]).unwrap());
    assert!((paper - (0.25 + 0.75 * mean)).abs() < 1e-12);
    for (paper, mean) in paper_gradient.iter().zip(&mean_gradient) {
        assert!((paper - 0.75 * mean).abs() < 1e-15);
    }
}

#[test]
fn a_subset_left_with_nothing_has_no_dice() {
    let sums = DiceSums::from_parts(2, 1, vec![1.0, 0.0], vec![2.0, 0.0], vec![2.0, 3.0]).unwrap();
    let presence = Presence::new(2, 1, vec![true, false]).unwrap();
    let terms = loss(Partition::ImageWise, 0.0, LEAF).terms(&sums, Some(&presence)).unwrap();
    assert_eq!(terms.dice, [Some(0.5), None]);
    // |Φ| stays 2: (1 − ½)/2.
    assert_eq!(terms.loss, 0.25);
}
