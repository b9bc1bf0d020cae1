use dicewise::{
    DiceError, DiceLoss, DiceSums, Epsilon, MissingLabels, MissingRule, Partition, Shape, Similarity, Target,
    VolumeWeight,
};
use dicewise_oracle::{Member, Phi, Problem};
use proptest::prelude::*;

use crate::cases::{assert_close, at_least, case, family_options};

fn loss(partition: Partition, similarity: Similarity) -> DiceLoss {
    let loss = DiceLoss::new(partition, Epsilon::uniform(1e-3).unwrap()).unwrap();
    loss.with_similarity(similarity).unwrap()
}

proptest! {
    #![proptest_config(at_least(1000))]

    #[test]
    fn every_relative_equals_the_oracle(
        (case, mut options) in case().prop_flat_map(|case| {
            let classes = case.shape.classes();
            (Just(case), family_options(classes))
        })
    ) {
        if options.missing.is_marginal() {
            // Probabilities of independent maps add up to more than 1, where 1 − D is negative.
            options.gamma = 1.0;
        }
        let problem = case.problem(&options);
        let mut gradient = vec![f64::NAN; case.p.len()];
        let loss = options
            .loss()
            .value_and_gradient(&case.p, &case.target(), Some(&case.presence()), &mut gradient)
            .unwrap();
        assert_close(&[loss], &[problem.loss()], 1e-12, 1.0);
        let expected = problem.gradient();
        let largest = expected.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        assert_close(&gradient, &expected, 1e-11, largest);
    }

    #[test]
    fn tversky_with_one_half_is_dice_and_with_one_is_jaccard(case in case()) {
        let value = |similarity| {
            loss(Partition::ImageWise, similarity).value(&case.p, &case.target(), None).unwrap()
        };
        let tversky = |weight: f64| value(Similarity::Tversky { alpha: weight, beta: weight });
        assert_close(&[tversky(0.5)], &[value(Similarity::Dice)], 1e-14, 1.0);
        assert_close(&[tversky(1.0)], &[value(Similarity::Jaccard)], 1e-14, 1.0);
    }

    /// J = D / (2 − D) holds for the sums of one subset, soft or hard, where ε = 0.
    #[test]
    fn jaccard_is_dice_over_two_minus_dice(case in case()) {
        let value = |similarity| {
            let loss = DiceLoss::new(Partition::AllWise, Epsilon::uniform(0.0).unwrap()).unwrap();
            let loss = loss.with_similarity(similarity).unwrap();
            1.0 - loss.value(&case.p, &case.target(), None).unwrap()
        };
        let dice = value(Similarity::Dice);
        assert_close(&[value(Similarity::Jaccard)], &[dice / (2.0 - dice)], 1e-12, 1e-12);
    }
}

/// γ < 1, away from D = 1.
#[test]
fn a_focal_exponent_below_one_equals_the_oracle() {
    let p: Vec<f64> = (0..24).map(|i| 0.1 + 0.8 * f64::from(i * 7 % 11) / 11.0).collect();
    let y: Vec<f64> = (0..24).map(|i| f64::from(i * 5 % 3) / 2.0).collect();
    let mut problem = Problem::new(2, 3, p.clone(), y.clone(), Phi::BI, 1e-3);
    (problem.member, problem.gamma) = (Member::Tversky(0.7, 0.3), 0.75);
    let loss = loss(Partition::BatchWise, Similarity::Tversky { alpha: 0.7, beta: 0.3 });
    let mut gradient = vec![f64::NAN; 24];
    let target = Target::dense(Shape::new(2, 3, 4).unwrap(), &y).unwrap();
    let value =
        loss.with_focal_exponent(0.75).unwrap().value_and_gradient(&p, &target, None, &mut gradient).unwrap();
    assert_close(&[value], &[problem.loss()], 1e-13, 0.0);
    assert_close(&gradient, &problem.gradient(), 1e-12, 0.0);
}

/// The weights of image 0 come from class 1 alone, and class 0, without ground truth, gets the same: by hand
/// D = 2·O₁w/(w(U₀ + U₁)) = 2·1/(1 + (2 + 1½)).
#[test]
fn a_class_without_ground_truth_weighs_as_much_as_the_smallest() {
    let (p, y) = ([0.5, 0.25, 0.25, 0.5, 0.5, 0.5], [0.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
    let target = Target::dense(Shape::new(1, 2, 3).unwrap(), &y).unwrap();
    for kind in [VolumeWeight::InverseSquare, VolumeWeight::Inverse] {
        let loss = DiceLoss::new(Partition::ClassWise, Epsilon::uniform(0.0).unwrap()).unwrap();
        let loss = loss.with_similarity(Similarity::GeneralizedDice(kind)).unwrap();
        let value = loss.value(&p, &target, None).unwrap();
        assert_close(&[1.0 - value], &[2.0 / (1.0 + 3.5)], 1e-15, 1.0);
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let dice = |partition| DiceLoss::new(partition, Epsilon::uniform(1e-3).unwrap()).unwrap();
    for (alpha, beta) in [(-0.1, 0.5), (0.5, f64::NAN), (0.0, 0.0), (f64::INFINITY, 1.0)] {
        let tversky = Similarity::Tversky { alpha, beta };
        assert!(matches!(dice(Partition::ImageWise).with_similarity(tversky), Err(DiceError::Domain { .. })));
    }
    let generalized = Similarity::GeneralizedDice(VolumeWeight::InverseSquare);
    for partition in [Partition::ImageWise, Partition::BatchWise] {
        assert_eq!(
            dice(partition).with_similarity(generalized).unwrap_err(),
            DiceError::GeneralizedNeedsClasses { partition }
        );
    }
    for gamma in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let result = dice(Partition::ImageWise).with_focal_exponent(gamma);
        assert!(matches!(result, Err(DiceError::Domain { argument: "focal exponent γ", .. })));
    }
    let marginal = MissingLabels::Marginal(MissingRule::Declared);
    let squared = dice(Partition::ImageWise).with_similarity(Similarity::SquaredDice).unwrap();
    assert_eq!(squared.with_missing_labels(marginal).unwrap_err(), DiceError::MarginalWithSquares);
    let marginal = dice(Partition::ImageWise).with_missing_labels(marginal).unwrap();
    assert_eq!(
        marginal.with_similarity(Similarity::SquaredDice).unwrap_err(),
        DiceError::MarginalWithSquares
    );
}

#[test]
fn squared_dice_names_the_sums_and_the_prediction_that_it_lacks() {
    let squared = loss(Partition::ImageWise, Similarity::SquaredDice);
    let target = Target::labels(Shape::new(1, 1, 2).unwrap(), &[0_u8, 0]).unwrap();
    let plain = DiceSums::measure(&[0.5_f32, 0.25], &target).unwrap();
    assert_eq!(squared.terms(&plain, None).unwrap_err(), DiceError::SquaresMissing);
    let sums = squared.sums(&[0.5_f32, 0.25], &target).unwrap();
    assert_eq!(sums.prediction_square(), Some([0.3125].as_slice()));
    let terms = squared.terms(&sums, None).unwrap();
    let error = terms.write_gradient(&target, &mut [0.0_f32; 2]).unwrap_err();
    assert_eq!(error, DiceError::DerivativeNeedsPrediction);
}
