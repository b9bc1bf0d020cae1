//! Two cells compared subject by subject; expected numbers are derived beside them.

mod scores;

use dicewise_eval::Resampling;
use dicewise_report::{
    CaseScore, Measure, PairedComparison, ReportError, Table1, Table1Options, compare_cells,
};

use scores::{experiment, score};

fn compare(left: &[CaseScore], right: &[CaseScore]) -> Vec<PairedComparison> {
    compare_cells(left, right, Resampling::new(20_000, 0).unwrap()).unwrap()
}

/// A score of group G1 with the ΔV that `score` derives from the DSC: −10 ml · (1 − DSC).
fn of(case: &str, dsc: f64) -> CaseScore {
    score("full", "I", 2, "G1", case, dsc)
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12, "{found} instead of {expected}");
}

#[test]
fn differences_are_left_minus_right_over_the_subjects_of_both() {
    // Case d is on the left only.
    let left = [of("a", 0.5), of("b", 0.6), of("c", 0.7), of("d", 0.1)];
    let right = [of("a", 0.8), of("b", 0.8), of("c", 0.8)];
    let rows = compare(&left, &right);
    assert_eq!(
        rows.iter().map(|row| row.measure).collect::<Vec<_>>(),
        [Measure::Dsc, Measure::AbsoluteVolumeDifference]
    );
    let dsc = &rows[0];
    assert_eq!((&*dsc.label, &*dsc.group, dsc.n), ("whole", "G1", 3));
    close(dsc.means[0], 0.6);
    close(dsc.means[1], 0.8);
    let tests = dsc.tests.unwrap();
    close(tests.mean_difference.estimate, -0.2);
    // Resamples of {−0.3, −0.2, −0.1} lie between the extremes, and 1 in 27 is each extreme: more than 2.5 %.
    close(tests.mean_difference.low, -0.3);
    close(tests.mean_difference.high, -0.1);
    // Centred differences of at most 0.1 never reach a mean of 0.2.
    close(tests.bootstrap_p, 1.0 / 20_001.0);
    // Of 2³ sign patterns the two without a change of sign are as extreme: p = 2/8, with a standard error of 0.003.
    assert!((tests.sign_flip_p - 0.25).abs() < 0.015, "{}", tests.sign_flip_p);
    // The released test counts strictly more extreme outcomes: none, as one side wins everywhere.
    assert_eq!(tests.released_rank_p, 0.0);
}

#[test]
fn volume_differences_of_opposite_sign_do_not_cancel() {
    let with = |case: &str, ml: f64| CaseScore { volume_difference_ml: ml, ..of(case, 0.5) };
    let rows = compare(&[with("a", 4.0), with("b", -4.0)], &[with("a", 1.0), with("b", 1.0)]);
    let volume = &rows[1];
    assert_eq!((volume.measure, volume.means), (Measure::AbsoluteVolumeDifference, [4.0, 1.0]));
    close(volume.tests.unwrap().mean_difference.estimate, 3.0);
}

#[test]
fn a_subject_counts_once_whatever_its_cases_and_seeds() {
    let of_subject =
        |case: &str, subject: &str, seed, dsc| CaseScore { subject: subject.into(), seed, ..of(case, dsc) };
    // Subject s: cases a (seeds 0 and 1: −0.2, −0.4) and b (−0.1): (−0.3 − 0.1)/2 = −0.2. Subject t: −0.4.
    let left = [("a", "s", 0, 0.6), ("a", "s", 1, 0.4), ("b", "s", 0, 0.7), ("c", "t", 0, 0.4)]
        .map(|(c, s, seed, dsc)| of_subject(c, s, seed, dsc));
    let right = [("a", "s", 0, 0.8), ("a", "s", 1, 0.8), ("b", "s", 0, 0.8), ("c", "t", 0, 0.8)]
        .map(|(c, s, seed, dsc)| of_subject(c, s, seed, dsc));
    let rows = compare(&left, &right);
    assert_eq!(rows[0].n, 2);
    close(rows[0].tests.unwrap().mean_difference.estimate, -0.3);
}

#[test]
fn shared_runs_are_paired_and_foreign_ones_averaged() {
    let run = |case: &str, seed, dsc| CaseScore { seed, ..of(case, dsc) };
    // Seed 0 is shared, so seed 1 of the left has no partner and does not count.
    let rows = compare(
        &[run("a", 0, 0.5), run("a", 1, 0.9), run("b", 0, 0.5)],
        &[run("a", 0, 0.6), run("b", 0, 0.6)],
    );
    close(rows[0].means[0], 0.5);
    // No seed in common: (0.5 + 0.9)/2 against 0.6.
    let rows = compare(&[run("a", 0, 0.5), run("a", 1, 0.9)], &[run("a", 7, 0.6)]);
    close(rows[0].means[0], 0.7);
    close(rows[0].means[1], 0.6);
}

#[test]
fn one_subject_has_means_and_no_tests() {
    let rows = compare(&[of("a", 0.5)], &[of("a", 0.6)]);
    assert_eq!((rows[0].n, rows[0].tests), (1, None));
}

#[test]
fn cells_without_a_case_in_common_are_refused() {
    let resampling = Resampling::seeded(0);
    let error = compare_cells(&[of("a", 0.5)], &[of("b", 0.6)], resampling).unwrap_err();
    assert!(matches!(error, ReportError::NothingToCompare), "{error}");
    // Two cells on one side are a mistake of the caller's.
    let twice = [of("a", 0.5), score("full", "BI", 2, "G1", "a", 0.5)];
    let error = compare_cells(&twice, &twice, resampling).unwrap_err();
    assert!(matches!(error, ReportError::ScoredTwice { .. }), "{error}");
}

#[test]
fn the_bootstrap_is_that_of_table_1() {
    let scores = experiment();
    let table = Table1::new(&scores, Table1Options::new(0)).unwrap();
    let cell = |labelling: &str, setting: &str| -> Vec<CaseScore> {
        let of_cell = |s: &&CaseScore| (&*s.labelling, &*s.setting, s.batch_size) == (labelling, setting, 2);
        scores.iter().filter(of_cell).cloned().collect()
    };
    let rows = compare_cells(&cell("partial", "BI"), &cell("full", "BI"), Resampling::seeded(0)).unwrap();
    let mut compared = 0;
    for row in table.rows().iter().filter(|row| row.cell.labelling == "partial" && row.cell.setting == "BI") {
        let expected = row.comparison.as_ref().unwrap();
        let found = rows.iter().find(|r| r.group == row.group && r.measure == Measure::Dsc).unwrap();
        let tests = found.tests.unwrap();
        assert_eq!((tests.bootstrap_p, found.n), (expected.p_value, expected.n));
        close(tests.mean_difference.estimate, expected.mean_difference);
        compared += 1;
    }
    assert_eq!(compared, 2);
}
