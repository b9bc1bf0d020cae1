use dicewise::{DiceLoss, Epsilon, Partition, Shape, Target};
use proptest::prelude::*;

use crate::cases::{
    Case, assert_close, case, case_and_options, case_of, partition, small_case, with_options,
};

fn loss(partition: Partition, epsilon: f64) -> DiceLoss {
    DiceLoss::new(partition, Epsilon::uniform(epsilon).unwrap()).unwrap()
}

fn run(loss: &DiceLoss, case: &Case) -> (f64, Vec<f64>) {
    let mut gradient = vec![f64::NAN; case.p.len()];
    let presence = case.presence();
    let value = loss.value_and_gradient(&case.p, &case.target(), Some(&presence), &mut gradient).unwrap();
    (value, gradient)
}

/// The case with its samples in this order; a sample may come twice.
fn samples(case: &Case, order: &[usize]) -> Case {
    let (c, i) = (case.shape.classes(), case.shape.voxels());
    fn pick<T: Clone>(values: &[T], size: usize, order: &[usize]) -> Vec<T> {
        order.iter().flat_map(|&b| values[b * size..(b + 1) * size].iter().cloned()).collect()
    }
    Case {
        shape: Shape::new(order.len(), c, i).unwrap(),
        p: pick(&case.p, c * i, order),
        labels: pick(&case.labels, i, order),
        dense: pick(&case.dense, c * i, order),
        soft: case.soft,
        mask: pick(&case.mask, i, order),
        annotated: pick(&case.annotated, c, order),
    }
}

/// The case with its voxels in this order, in all maps.
fn voxels(case: &Case, order: &[usize]) -> Case {
    fn pick<T: Clone>(values: &[T], order: &[usize]) -> Vec<T> {
        values.chunks(order.len()).flat_map(|map| order.iter().map(|&i| map[i].clone())).collect()
    }
    Case {
        p: pick(&case.p, order),
        labels: pick(&case.labels, order),
        dense: pick(&case.dense, order),
        mask: pick(&case.mask, order),
        ..case.clone()
    }
}

proptest! {
    #[test]
    fn batch_wise_with_one_image_is_image_wise(case in (1_usize..=4, 1_usize..=40).prop_flat_map(|(c, i)| case_of(1, c, i))) {
        prop_assert_eq!(run(&loss(Partition::BatchWise, 0.1), &case), run(&loss(Partition::ImageWise, 0.1), &case));
    }

    #[test]
    fn class_wise_with_one_class_is_image_wise(case in (1_usize..=4, 1_usize..=40).prop_flat_map(|(b, i)| case_of(b, 1, i))) {
        prop_assert_eq!(run(&loss(Partition::ClassWise, 0.1), &case), run(&loss(Partition::ImageWise, 0.1), &case));
    }

    #[test]
    fn all_wise_of_one_map_is_image_wise(case in (1_usize..=40).prop_flat_map(|i| case_of(1, 1, i))) {
        prop_assert_eq!(run(&loss(Partition::AllWise, 0.1), &case), run(&loss(Partition::ImageWise, 0.1), &case));
    }

    #[test]
    fn relabelling_voxels_permutes_the_gradient_and_nothing_else(
        ((case, options), seed) in (case_and_options(), any::<u64>())
    ) {
        let count = case.shape.voxels();
        // Any permutation serves: i ↦ i·s + seed mod n with s coprime to n.
        let stride = (1..=count).rev().find(|s| gcd(*s, count) == 1).unwrap();
        let order: Vec<_> = (0..count).map(|i| (i * stride + (seed % 1000) as usize) % count).collect();
        let (value, gradient) = run(&options.loss(), &case);
        let (moved_value, moved_gradient) = run(&options.loss(), &voxels(&case, &order));
        assert_close(&[moved_value], &[value], 1e-13, 1.0);
        let expected: Vec<f64> =
            gradient.chunks(count).flat_map(|map| order.iter().map(|&i| map[i])).collect();
        assert_close(&moved_gradient, &expected, 1e-12, 1e-3);
    }

    #[test]
    fn permuting_the_batch_permutes_the_gradient((case, options) in case_and_options()) {
        let order: Vec<_> = (0..case.shape.batch()).rev().collect();
        let (value, gradient) = run(&options.loss(), &case);
        let (moved_value, moved_gradient) = run(&options.loss(), &samples(&case, &order));
        assert_close(&[moved_value], &[value], 1e-13, 1.0);
        let size = case.shape.classes() * case.shape.voxels();
        let expected: Vec<f64> =
            order.iter().flat_map(|&b| gradient[b * size..(b + 1) * size].to_vec()).collect();
        assert_close(&moved_gradient, &expected, 1e-12, 1e-3);
    }

    /// At ε = 0, O and U double: D stays, and the derivative of each copy is half.
    #[test]
    fn duplicating_the_batch_leaves_batch_wise_dice_unchanged(case in case()) {
        let twice: Vec<_> = (0..case.shape.batch()).chain(0..case.shape.batch()).collect();
        let (value, gradient) = run(&loss(Partition::BatchWise, 0.0), &case);
        let (twice_value, twice_gradient) = run(&loss(Partition::BatchWise, 0.0), &samples(&case, &twice));
        assert_close(&[twice_value], &[value], 1e-13, 1.0);
        let halves: Vec<_> = gradient.iter().chain(&gradient).map(|g| g / 2.0).collect();
        // a − b·y cancels where both are nearly equal, and b is at least 2/(C·U) > 1e-3 here.
        assert_close(&twice_gradient, &halves, 1e-12, 1e-3);
    }

    #[test]
    fn the_gradient_equals_central_differences(
        (case, options) in with_options(small_case())
    ) {
        let mut case = case;
        // Probabilities at the border could not be moved.
        case.p.iter_mut().for_each(|p| *p = p.clamp(1e-4, 1.0 - 1e-4));
        let loss = options.loss();
        let (_, gradient) = run(&loss, &case);
        let presence = case.presence();
        for k in 0..gradient.len() {
            let at = |step: f64| {
                let mut p = case.p.clone();
                p[k] += step;
                loss.value(&p, &case.target(), Some(&presence)).unwrap()
            };
            let slope = (at(1e-6) - at(-1e-6)) / 2e-6;
            assert_close(&[gradient[k]], &[slope], 1e-4, 1e-4);
        }
    }

    #[test]
    fn with_hard_labels_the_derivative_takes_two_values_in_a_subset(
        (case, partition, epsilon) in (case(), partition(), 1e-7..10.0_f64)
    ) {
        let case = Case { soft: false, ..case };
        let (_, gradient) = run(&loss(partition, epsilon), &case);
        let (classes, count) = (case.shape.classes(), case.shape.voxels());
        let (y, counted) = (case.y(), case.counted());
        let mut seen = std::collections::HashMap::new();
        for k in 0..gradient.len() {
            let (b, c, i) = (k / (classes * count), k / count % classes, k % count);
            if counted[b * count + i] {
                let key = (partition.subset(b, c, classes), y[k] == 1.0);
                let first = *seen.entry(key).or_insert(gradient[k]);
                prop_assert_eq!(gradient[k], first);
            }
        }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Eq. 4 at Σy = 0: a = ε/(|Φ|(Σp + ε)²). Here |Φ| = 2, Σp = 2, so 1e-7/8 up to 1e-7 relative.
#[test]
fn image_wise_ignores_maps_without_ground_truth_and_batch_wise_does_not() {
    let shape = Shape::new(2, 1, 4).unwrap();
    let (p, labels) = ([0.5; 8], [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    let target = Target::dense(shape, &labels).unwrap();
    let mut gradient = [0.0; 8];
    loss(Partition::ImageWise, 1e-7).value_and_gradient(&p, &target, None, &mut gradient).unwrap();
    assert_close(&[gradient[7]], &[1e-7 / 8.0], 1e-6, 0.0);
    // Batch-wise: O = 1, U = 2 + 4, |Φ| = 1: a = 2/36.
    loss(Partition::BatchWise, 1e-7).value_and_gradient(&p, &target, None, &mut gradient).unwrap();
    assert_close(&[gradient[7]], &[2.0 / 36.0], 1e-6, 0.0);
}
