//! DSC and volumes against closed forms and scikit-learn.

use dicewise_eval::*;

#[test]
fn dsc_agrees_with_the_f1_score() {
    // scikit-learn 1.9.1: f1_score(y, q, labels=[1, 2], average=None) = [0.66666667, 0.75]
    let y = [0u8, 1, 1, 2, 2, 2, 0, 1, 2, 0];
    let q = [0u8, 1, 2, 2, 2, 0, 0, 1, 2, 1];
    assert_eq!(dsc(&q, &y, &1).unwrap(), Dsc::Defined(2.0 / 3.0));
    assert_eq!(dsc(&q, &y, &2).unwrap(), Dsc::Defined(0.75));
}

#[test]
fn a_missed_structure_scores_zero_but_an_absent_one_has_no_score() {
    let (none, some) = ([false; 4], [true, true, false, false]);
    let dsc = |p: &[bool], y: &[bool]| VoxelCounts::of_masks(p, y).unwrap().dsc();
    assert_eq!(dsc(&none, &some), Dsc::Defined(0.0));
    assert_eq!(dsc(&none, &none), Dsc::BothEmpty);
    assert_eq!(dsc(&some, &none), Dsc::FalsePositives { voxels: 2 });
    assert_eq!(dsc(&[], &[]), Dsc::BothEmpty);
}

#[test]
fn the_policy_for_empty_truth_decides_the_mean_and_is_counted() {
    let cases = [Dsc::Defined(0.8), Dsc::BothEmpty, Dsc::FalsePositives { voxels: 7 }, Dsc::Defined(0.6)];
    let mean = |policy| mean_dsc(&cases, policy).unwrap();
    let skip = mean(EmptyTruth::Skip);
    assert_eq!((skip.mean, skip.scored), (Some(0.7), 2));
    assert_eq!((skip.defined, skip.both_empty, skip.false_positives), (2, 1, 1));
    // (0.8 + 0 + 0.6) / 3
    let formula = mean(EmptyTruth::Formula);
    assert!((formula.mean.unwrap() - 1.4 / 3.0).abs() < 1e-15 && formula.scored == 3);
    // (0.8 + 1 + 0.25 + 0.6) / 4
    let scored = mean(EmptyTruth::Score { both_empty: 1.0, false_positives: 0.25 });
    assert!((scored.mean.unwrap() - 2.65 / 4.0).abs() < 1e-15 && scored.scored == 4);
}

#[test]
fn no_scored_case_means_no_mean() {
    assert_eq!(mean_dsc(&[Dsc::BothEmpty], EmptyTruth::Formula).unwrap().mean, None);
    assert_eq!(mean_dsc(&[], EmptyTruth::Skip).unwrap().mean, None);
}

#[test]
fn scores_that_are_no_dsc_are_refused() {
    for value in [f64::NAN, -0.1, 1.5] {
        let policy = EmptyTruth::Score { both_empty: 1.0, false_positives: value };
        let error = mean_dsc(&[Dsc::BothEmpty], policy).unwrap_err();
        assert!(matches!(error, OverlapError::ScoreOutOfRange { case: "false_positives", .. }), "{error}");
    }
}

#[test]
fn grids_of_different_size_are_refused() {
    let error = dsc(&[1u8, 1], &[1u8], &1).unwrap_err();
    assert_eq!(error, OverlapError::LengthMismatch { prediction: 2, target: 1 });
}

#[test]
fn volume_difference_is_negative_where_the_prediction_is_too_small() {
    // 1 mm voxels: 12 000 − 100 000 voxels of 0.001 ml.
    assert!((volume_difference_ml(12_000.0, 100_000.0, 0.001).unwrap() + 88.0).abs() < 1e-12);
    assert_eq!(label_voxels(&[1u8, 2, 2, 0], &2), 2);
}

#[test]
fn a_large_sum_of_probabilities_loses_nothing() {
    // 2^25 × 0.1f32: in f32, one after the other, the sum would stop at 2^21 (its ulp then exceeds 2 × 0.1).
    let sum = probability_sum(&vec![0.1f32; 1 << 25]).unwrap();
    assert!((sum / (f64::from(0.1f32) * f64::from(1u32 << 25)) - 1.0).abs() < 1e-9);
}

#[test]
fn volumes_that_cannot_be_are_refused() {
    assert_eq!(volume_ml(1.0, 0.0).unwrap_err(), VolumeError::VoxelVolume { value: 0.0 });
    assert!(matches!(volume_ml(f64::NAN, 1.0).unwrap_err(), VolumeError::NotFinite { .. }));
    let error = probability_sum(&[0.5, f32::NAN]).unwrap_err().to_string();
    assert!(error.contains("voxel 1"), "{error}");
}
