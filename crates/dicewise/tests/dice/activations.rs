use dicewise::{sigmoid_gradient, softmax_gradient};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::cases::{Case, assert_close, case_and_options};

fn softmax(case: &Case, z: &[f64]) -> Vec<f64> {
    let (classes, voxels) = (case.shape.classes(), case.shape.voxels());
    let mut p = vec![0.0; z.len()];
    for b in 0..case.shape.batch() {
        for i in 0..voxels {
            let at = |c: usize| (b * classes + c) * voxels + i;
            let sum: f64 = (0..classes).map(|c| z[at(c)].exp()).sum();
            (0..classes).for_each(|c| p[at(c)] = z[at(c)].exp() / sum);
        }
    }
    p
}

fn sigmoid(_: &Case, z: &[f64]) -> Vec<f64> {
    z.iter().map(|z| 1.0 / (1.0 + (-z).exp())).collect()
}

proptest! {
    #[test]
    fn gradients_with_respect_to_logits_equal_central_differences(
        ((case, options), exclusive, elements) in (case_and_options(), any::<bool>(), vec(any::<Index>(), 8))
    ) {
        let activation = if exclusive { softmax } else { sigmoid };
        let z: Vec<f64> = case.p.iter().map(|p| 4.0 * p - 2.0).collect();
        let p = activation(&case, &z);
        let (loss, presence) = (options.loss(), case.presence());
        let mut gradient = vec![f64::NAN; z.len()];
        loss.value_and_gradient(&p, &case.target(), Some(&presence), &mut gradient).unwrap();
        match exclusive {
            true => softmax_gradient(case.shape, &p, &mut gradient).unwrap(),
            false => sigmoid_gradient(&p, &mut gradient).unwrap(),
        }
        for k in elements.into_iter().map(|element| element.index(z.len())) {
            let at = |step: f64| {
                let mut moved = z.clone();
                moved[k] += step;
                loss.value(&activation(&case, &moved), &case.target(), Some(&presence)).unwrap()
            };
            assert_close(&[gradient[k]], &[(at(1e-5) - at(-1e-5)) / 2e-5], 1e-5, 1e-4);
        }
    }

    /// MONAI#657: masking before the activation leaves a gradient behind.
    #[test]
    fn voxels_left_out_keep_a_gradient_of_0_through_the_activation((case, options) in case_and_options()) {
        let counted = case.counted();
        let (classes, voxels) = (case.shape.classes(), case.shape.voxels());
        let left_out = |k: usize| !counted[k / (classes * voxels) * voxels + k % voxels];
        let p: Vec<f64> = (0..case.p.len()).map(|k| if left_out(k) { f64::NAN } else { case.p[k] }).collect();
        let mut gradient = vec![f64::NAN; p.len()];
        let presence = case.presence();
        options.loss().value_and_gradient(&p, &case.target(), Some(&presence), &mut gradient).unwrap();
        let mut by_sigmoid = gradient.clone();
        softmax_gradient(case.shape, &p, &mut gradient).unwrap();
        sigmoid_gradient(&p, &mut by_sigmoid).unwrap();
        for k in 0..p.len() {
            prop_assert!(gradient[k].is_finite() && by_sigmoid[k].is_finite());
            prop_assert!(!left_out(k) || (gradient[k] == 0.0 && by_sigmoid[k] == 0.0));
        }
    }
}
