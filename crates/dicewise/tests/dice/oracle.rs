use dicewise::{DiceLoss, Epsilon, Target};
use dicewise_oracle::Problem;
use proptest::{collection::vec, prelude::*};

use crate::cases::{Case, Options, assert_close, at_least, case_and_options};

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest, value| value.abs().max(largest))
}

proptest! {
    #![proptest_config(at_least(1000))]

    #[test]
    fn value_and_gradient_in_f64_equal_the_oracle((case, options) in case_and_options()) {
        let problem = case.problem(&options);
        let mut gradient = vec![f64::NAN; case.p.len()];
        let loss = options
            .loss()
            .value_and_gradient(&case.p, &case.target(), Some(&case.presence()), &mut gradient)
            .unwrap();
        assert_close(&[loss], &[problem.loss()], 1e-13, 1.0);
        let expected = problem.gradient();
        assert_close(&gradient, &expected, 1e-12, largest(&expected));
    }

    #[test]
    fn value_and_gradient_in_f32_equal_the_oracle((case, options) in case_and_options()) {
        let p: Vec<f32> = case.p.iter().map(|&p| p as f32).collect();
        let dense: Vec<f32> = case.dense.iter().map(|&y| y as f32).collect();
        // The oracle gets the rounded values: what is tested is the arithmetic.
        let rounded = Case {
            p: p.iter().map(|&p| p.into()).collect(),
            dense: dense.iter().map(|&y| y.into()).collect(),
            ..case.clone()
        };
        let problem = rounded.problem(&options);
        let target = match case.soft {
            true => Target::dense(case.shape, &dense).unwrap().masked(&case.mask).unwrap(),
            false => case.target(),
        };
        let mut gradient = vec![f32::NAN; p.len()];
        let loss =
            options.loss().value_and_gradient(&p, &target, Some(&case.presence()), &mut gradient).unwrap();
        assert_close(&[loss], &[problem.loss()], 1e-13, 1.0);
        let gradient: Vec<f64> = gradient.into_iter().map(f64::from).collect();
        let expected = problem.gradient();
        // Three roundings of f32: a − slope·y, its product where that is no part of it, and what f32 leaves of a and slope.
        assert_close(&gradient, &expected, 2e-7, largest(&expected));
    }

    #[test]
    fn masked_and_ignored_voxels_get_exactly_0_and_do_not_matter((case, options) in case_and_options()) {
        let counted = case.counted();
        let (classes, voxels) = (case.shape.classes(), case.shape.voxels());
        let left_out = |k: usize| !counted[k / (classes * voxels) * voxels + k % voxels];
        let mut other = case.clone();
        for k in 0..other.p.len() {
            if left_out(k) {
                other.p[k] = f64::NAN;
            }
        }
        let run = |case: &Case, options: &Options| {
            let mut gradient = vec![f64::NAN; case.p.len()];
            let presence = case.presence();
            let loss = options
                .loss()
                .value_and_gradient(&case.p, &case.target(), Some(&presence), &mut gradient)
                .unwrap();
            (loss, gradient)
        };
        let (loss, gradient) = run(&other, &options);
        prop_assert!((0..gradient.len()).all(|k| !left_out(k) || gradient[k] == 0.0));
        prop_assert_eq!((loss, gradient), run(&case, &options));
    }

    #[test]
    fn labels_of_every_width_give_the_same((case, options) in case_and_options()) {
        let case = Case { soft: false, ..case };
        let loss = options.loss();
        let presence = case.presence();
        let value = |target: dicewise::Target<'_>| {
            let target = target.ignore_index(Some(255)).masked(&case.mask).unwrap();
            loss.value(&case.p, &target, Some(&presence)).unwrap()
        };
        let expected = value(case.target());
        let u8s: Vec<u8> = case.labels.iter().map(|&l| l as u8).collect();
        let u16s: Vec<u16> = case.labels.iter().map(|&l| l as u16).collect();
        let i16s: Vec<i16> = case.labels.iter().map(|&l| l as i16).collect();
        let i32s: Vec<i32> = case.labels.iter().map(|&l| l as i32).collect();
        prop_assert_eq!(value(Target::labels(case.shape, &u8s).unwrap()), expected);
        prop_assert_eq!(value(Target::labels(case.shape, &u16s).unwrap()), expected);
        prop_assert_eq!(value(Target::labels(case.shape, &i16s).unwrap()), expected);
        prop_assert_eq!(value(Target::labels(case.shape, &i32s).unwrap()), expected);
    }

    #[test]
    fn averaged_epsilon_is_the_mean_over_the_losses_with_each(
        (case, options) in case_and_options(), epsilons in vec(1e-7..50.0_f64, 1..5)
    ) {
        let loss = DiceLoss::new(options.partition, Epsilon::averaged(&epsilons, &epsilons).unwrap()).unwrap();
        let mut gradient = vec![f64::NAN; case.p.len()];
        let target = Target::dense(case.shape, &case.dense).unwrap();
        let value = loss.value_and_gradient(&case.p, &target, None, &mut gradient).unwrap();
        let (batch, classes) = (case.shape.batch(), case.shape.classes());
        let problems: Vec<Problem> = epsilons
            .iter()
            .map(|&e| Problem::new(batch, classes, case.p.clone(), case.dense.clone(), options.phi(), e))
            .collect();
        let n = epsilons.len() as f64;
        assert_close(&[value], &[problems.iter().map(Problem::loss).sum::<f64>() / n], 1e-13, 1.0);
        let mut expected = vec![0.0; gradient.len()];
        for problem in &problems {
            expected.iter_mut().zip(problem.gradient()).for_each(|(sum, g)| *sum += g / n);
        }
        assert_close(&gradient, &expected, 1e-12, largest(&expected));
    }
}
