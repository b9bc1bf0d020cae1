//! ROC against scikit-learn and numpy.

use dicewise_eval::*;

#[test]
fn auc_agrees_with_scikit_learn_where_scores_are_tied() {
    // scikit-learn 1.9.1: roc_auc_score([1]*5 + [0]*4, positives + negatives) = 0.725 (Mann–Whitney U = 14.5 of 20)
    let roc = Roc::new(&[3.0, 5.5, 5.5, 8.0, 1.0], &[2.0, 5.5, 0.5, 3.0]).unwrap();
    assert_eq!(roc.auc(), 14.5 / 20.0);
}

#[test]
fn released_auc_agrees_with_the_rule_written_in_numpy() {
    // numpy 2.4.6: t = linspace(-1, 1000, 1002); rates (s >= t).sum() / (n + 1e-7); abs(trapezoid(tpr, fpr))
    // = 0.6458333064236119, while the exact area is 2/3 (scikit-learn): 0.2, 0.4, 0.6, 0.9 ml share a step.
    let (positives, negatives) = ([0.2, 0.9, 12.5, 13.0, 40.3, 1500.0], [0.4, 0.6, 12.1, 39.9]);
    let released = Roc::released(&positives, &negatives).unwrap();
    assert!((released.auc() - 0.6458333064236119).abs() < 1e-12, "{}", released.auc());
    assert_eq!(released.points().len(), 1002);
    assert!((Roc::new(&positives, &negatives).unwrap().auc() - 2.0 / 3.0).abs() < 1e-15);
}

#[test]
fn separated_groups_have_an_area_of_one_and_equal_groups_a_half() {
    assert_eq!(Roc::new(&[5.0, 6.0], &[1.0, 2.0]).unwrap().auc(), 1.0);
    assert_eq!(Roc::new(&[1.0, 2.0], &[5.0, 6.0]).unwrap().auc(), 0.0);
    assert_eq!(Roc::new(&[0.0, -0.0], &[-0.0, 0.0]).unwrap().auc(), 0.5);
}

#[test]
fn the_curve_runs_from_none_called_positive_to_all() {
    let roc = Roc::new(&[2.0, 1.0], &[1.0]).unwrap();
    let points: Vec<_> =
        roc.points().iter().map(|p| (p.threshold, p.false_positive_rate, p.true_positive_rate)).collect();
    assert_eq!(points, [(f64::INFINITY, 0.0, 0.0), (2.0, 0.0, 0.5), (1.0, 1.0, 1.0)]);
}

#[test]
fn groups_without_cases_and_scores_without_value_are_refused() {
    assert_eq!(Roc::new(&[], &[1.0]).unwrap_err(), RocError::EmptyGroup { group: "positive" });
    assert_eq!(Roc::released(&[1.0], &[]).unwrap_err(), RocError::EmptyGroup { group: "negative" });
    let error = Roc::new(&[1.0], &[0.0, f64::NAN]).unwrap_err();
    assert!(matches!(error, RocError::NotFinite { group: "negative", index: 1, .. }), "{error}");
    let error = Roc::at_thresholds(&[1.0], &[0.0], &[0.0, 0.0], 0.0).unwrap_err();
    assert!(matches!(error, RocError::Threshold { index: 1, .. }), "{error}");
    assert!(Roc::at_thresholds(&[1.0], &[0.0], &[], 0.0).is_err());
}
