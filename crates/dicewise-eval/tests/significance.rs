//! Resampling tests against enumeration by hand and scipy.
//!
//! The random tests have a fixed seed; 100,000 resamples put a p-value within 3·√(p(1−p)/N) < 0.005 of its limit.

use dicewise_eval::*;

/// Ten subjects scored by two methods.
const LEFT: [f64; 10] = [0.81, 0.74, 0.90, 0.66, 0.88, 0.79, 0.93, 0.70, 0.85, 0.77];
const RIGHT: [f64; 10] = [0.78, 0.75, 0.86, 0.61, 0.88, 0.80, 0.90, 0.66, 0.80, 0.79];

fn differences(d: &[f64]) -> PairedDifferences {
    PairedDifferences::new(d, &vec![0.0; d.len()]).unwrap()
}

fn assert_near(value: f64, expected: f64, tolerance: f64) {
    assert!((value - expected).abs() < tolerance, "{value} is not {expected} ± {tolerance}");
}

#[test]
fn bootstrap_agrees_with_enumeration() {
    // d = 1, 2, 6 centred: −2, −1, 3. Of the 27 ordered draws of three only 3 + 3 + 3 reaches |Σd| = 9.
    let test = paired_bootstrap(&differences(&[1.0, 2.0, 6.0]), Resampling::seeded(1));
    assert_eq!((test.mean_difference, test.n), (3.0, 3));
    assert_near(test.p_value, 1.0 / 27.0, 0.002);
}

#[test]
fn sign_flips_agree_with_enumeration() {
    // Of the 8 signs only +++ and −−− reach |Σd| = 9.
    let test = sign_flip_test(&differences(&[1.0, 2.0, 6.0]), Resampling::seeded(1));
    assert_near(test.p_value, 0.25, 0.005);
}

#[test]
fn both_tests_agree_with_numpy_and_scipy() {
    // scipy 1.17.1: permutation_test((d,), mean, permutation_type='samples', n_resamples=inf).pvalue = 0.0625
    // numpy 2.4.6: 2,000,000 × choice(d − mean(d), 10).mean(): share with |mean*| ≥ |mean(d)| = 0.01391
    let d = PairedDifferences::new(&LEFT, &RIGHT).unwrap();
    assert_near(d.mean(), 0.02, 1e-15);
    assert_near(sign_flip_test(&d, Resampling::seeded(3)).p_value, 0.0625, 0.003);
    assert_near(paired_bootstrap(&d, Resampling::seeded(3)).p_value, 0.01391, 0.0015);
}

#[test]
fn effect_intervals_agree_with_scipy() {
    // scipy 1.17.1: bootstrap((d,), statistic, n_resamples=1_000_000, method='percentile', rng=default_rng(1))
    //   mean            0.02      (0.0040, 0.0350)
    //   mean / std(n−1) 0.738549  (0.154406, 2.012461)
    let d = PairedDifferences::new(&LEFT, &RIGHT).unwrap();
    let mean = effect_size(&d, Effect::MeanDifference, 0.95, Resampling::seeded(5)).unwrap();
    assert_near(mean.estimate, 0.02, 1e-15);
    assert_near(mean.low, 0.004, 0.0011);
    assert_near(mean.high, 0.035, 0.0011);
    let dz = effect_size(&d, Effect::CohensDz, 0.95, Resampling::seeded(5)).unwrap();
    assert_near(dz.estimate, 0.7385489458759963, 1e-12);
    assert_near(dz.low, 0.1544, 0.01);
    assert_near(dz.high, 2.0125, 0.03);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let d = PairedDifferences::new(&LEFT, &RIGHT).unwrap();
    let all = || {
        let resampling = Resampling::new(4_321, 7).unwrap();
        let effect = effect_size(&d, Effect::CohensDz, 0.9, resampling).unwrap();
        (paired_bootstrap(&d, resampling), sign_flip_test(&d, resampling), effect)
    };
    let on = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(all);
    assert_eq!(on(1), on(4));
    assert_eq!(all(), on(3));
}

#[test]
fn another_seed_draws_other_resamples() {
    let d = PairedDifferences::new(&LEFT, &RIGHT).unwrap();
    let p = |seed| paired_bootstrap(&d, Resampling::seeded(seed)).p_value;
    assert_ne!(p(1), p(2));
}

#[test]
fn equal_methods_have_p_one_and_certain_ones_the_smallest_p() {
    let equal = differences(&[0.0; 5]);
    assert_eq!(paired_bootstrap(&equal, Resampling::seeded(1)).p_value, 1.0);
    assert_eq!(sign_flip_test(&equal, Resampling::seeded(1)).p_value, 1.0);
    let always = differences(&[0.1; 60]);
    let test = paired_bootstrap(&always, Resampling::new(999, 1).unwrap());
    assert_eq!((test.p_value, test.iterations), (0.001, 999));
    assert_eq!(sign_flip_test(&always, Resampling::new(999, 1).unwrap()).p_value, 0.001);
}

#[test]
fn resamples_past_one_word_of_coins_are_still_fair() {
    // 130 subjects, 65 in favour and 65 against, equally: |Σ±d| ≥ 0 always.
    let balanced: Vec<f64> = (0..130).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
    assert_eq!(sign_flip_test(&differences(&balanced), Resampling::seeded(1)).p_value, 1.0);
    // 75 of 130 in favour: P(|Bin(130, ½) − 65| ≥ 10) = 0.095253 (scipy 1.17.1: binomtest(75, 130).pvalue)
    let in_favour: Vec<f64> = (0..130).map(|i| if i < 75 { 1.0 } else { -1.0 }).collect();
    assert_near(sign_flip_test(&differences(&in_favour), Resampling::seeded(1)).p_value, 0.095253, 0.003);
}

#[test]
fn the_released_rank_test_leaves_out_equally_extreme_outcomes() {
    let scores = |wins: usize| -> Vec<Vec<Option<f64>>> {
        (0..4)
            .map(|i| if i < wins { vec![Some(0.9), Some(0.2)] } else { vec![Some(0.2), Some(0.9)] })
            .collect()
    };
    let test = |wins| {
        let ranks = Ranks::new(&scores(wins), BetterRank::Largest).unwrap();
        rank_test(&ranks, 0, 1, Resampling::seeded(1)).unwrap()
    };
    // 4 of 4 wins: nothing is more extreme. The exact sign test gives 2/16.
    assert_eq!((test(4).p_value, test(4).mean_rank_difference), (0.0, -1.0));
    // 3 of 4: only ++++ and −−−− are, 2/16; the exact sign test gives 10/16.
    assert_near(test(3).p_value, 0.125, 0.004);
    assert_eq!(test(3).mean_rank_difference, -0.5);
}

#[test]
fn ranks_share_ties_and_follow_the_direction() {
    // scipy 1.17.1: rankdata([-.9, -.8, -.9]) = [1.5, 3, 1.5]; rankdata([.9, .8, .9]) = [2.5, 1, 2.5]
    let row = vec![Some(0.9), Some(0.8), Some(0.9)];
    let ranks = |better| Ranks::new(&[row.clone(), row.clone()], better).unwrap().means();
    assert_eq!(ranks(BetterRank::Largest), [1.5, 3.0, 1.5]);
    assert_eq!(ranks(BetterRank::Smallest), [2.5, 1.0, 2.5]);
}

#[test]
fn subjects_without_any_score_are_dropped_and_half_scored_ones_refused() {
    let mut values = vec![vec![Some(0.9), Some(0.8)], vec![None, None], vec![Some(0.7), Some(0.6)]];
    assert_eq!(Ranks::new(&values, BetterRank::Largest).unwrap().n(), 2);
    values[1][0] = Some(0.5);
    let error = Ranks::new(&values, BetterRank::Largest).unwrap_err();
    assert!(matches!(error, SignificanceError::NotFinite { index: 1, .. }), "{error}");
    let error = rank_test(
        &Ranks::new(&vec![values[0].clone(); 2], BetterRank::Largest).unwrap(),
        0,
        2,
        Resampling::seeded(1),
    );
    assert!(matches!(error, Err(SignificanceError::Argument { argument: "b", .. })));
}

#[test]
fn data_that_cannot_be_tested_are_refused() {
    let unpaired = PairedDifferences::new(&[0.1, 0.2], &[0.1]).unwrap_err();
    assert_eq!(unpaired, SignificanceError::Unpaired { left: 2, right: 1 });
    assert_eq!(PairedDifferences::new(&[], &[]).unwrap_err(), SignificanceError::TooFew { n: 0 });
    assert_eq!(PairedDifferences::new(&[0.1], &[0.2]).unwrap_err(), SignificanceError::TooFew { n: 1 });
    let nan = PairedDifferences::new(&[0.1, 0.2], &[0.1, f64::NAN]).unwrap_err();
    assert!(matches!(&nan, SignificanceError::NotFinite { side, index: 1, .. } if side == "right"), "{nan}");
    assert!(Ranks::new(&[], BetterRank::Largest).is_err());
    assert!(Resampling::new(0, 1).is_err());
    let no_spread = effect_size(&differences(&[0.1; 3]), Effect::CohensDz, 0.95, Resampling::seeded(1));
    assert!(matches!(no_spread, Err(SignificanceError::NoSpread { n: 3, .. })));
    for level in [0.0, 1.0, 95.0, f64::NAN] {
        let error =
            effect_size(&differences(&[0.1, 0.2]), Effect::MeanDifference, level, Resampling::seeded(1));
        assert!(matches!(error, Err(SignificanceError::Argument { argument: "level", .. })));
    }
}
