use dicewise::{DiceError, EpsilonSolutions, heuristic_epsilon, solve_epsilon};
use proptest::prelude::*;

/// h(ε) = ε/(v̂ + ε)²: the push on an empty map under image-wise Dice when Σp = v̂, times |Φ|.
fn push(epsilon: f64, size: f64) -> f64 {
    epsilon / (size + epsilon).powi(2)
}

proptest! {
    #[test]
    fn the_heuristic_pushes_empty_maps_the_hardest((size, factor) in (1.0..1e6_f64, 1e-6..1e6_f64)) {
        let best = heuristic_epsilon(size).unwrap();
        prop_assert!((push(best, size) * 4.0 * size - 1.0).abs() < 1e-12);
        prop_assert!(push(best * factor, size) <= push(best, size) * (1.0 + 1e-12));
    }

    /// The only maximum: h rises strictly before v̂ and falls strictly after it.
    #[test]
    fn the_push_has_no_other_maximum((size, low, step) in (1.0..1e6_f64, 1e-6..0.98_f64, 1.001..1.02_f64)) {
        prop_assert!(push(low * size, size) < push(low * step * size, size));
        prop_assert!(push(size / low, size) < push(size / (low * step), size));
    }

    #[test]
    fn solutions_solve_eq_5((size, a, excess) in (1.0..1e7_f64, 1e-9..=1.0_f64, 0.0..1e4_f64)) {
        let b = 1.0 + a + excess;
        let left = 2.0 * a * size / (b * size).powi(2);
        match solve_epsilon(size, a, b).unwrap() {
            EpsilonSolutions::Two { lo, hi } => {
                prop_assert!(lo < size && size < hi);
                prop_assert!((lo * hi / (size * size) - 1.0).abs() < 1e-12);
                for epsilon in [lo, hi] {
                    prop_assert!((push(epsilon, size) / left - 1.0).abs() < 1e-12);
                }
            }
            EpsilonSolutions::One(epsilon) => prop_assert_eq!(epsilon, size),
            EpsilonSolutions::None => prop_assert!(left > push(size, size) * (1.0 - 1e-12)),
        }
    }
}

#[test]
fn half_overlap_and_a_prediction_of_the_objects_size_give_the_heuristic() {
    assert_eq!(solve_epsilon(8789.0, 0.5, 2.0).unwrap(), EpsilonSolutions::One(8789.0));
}

#[test]
fn a_better_overlap_has_no_solution_and_a_worse_one_has_two() {
    assert_eq!(solve_epsilon(100.0, 0.6, 2.0).unwrap(), EpsilonSolutions::None);
    // k = 2·0.25/4 = 1/8: x² − 6x + 1 = 0, so x = 3 ± √8.
    let EpsilonSolutions::Two { lo, hi } = solve_epsilon(100.0, 0.25, 2.0).unwrap() else { panic!() };
    assert!((hi / 100.0 - (3.0 + 8.0_f64.sqrt())).abs() < 1e-12);
    assert!((lo / 100.0 - (3.0 - 8.0_f64.sqrt())).abs() < 1e-12);
}

#[test]
fn sizes_and_overlaps_out_of_domain_are_named() {
    for size in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(
            heuristic_epsilon(size),
            Err(DiceError::Domain { argument: "mean target size", .. })
        ));
    }
    assert!(matches!(solve_epsilon(1.0, 0.0, 2.0), Err(DiceError::Domain { argument: "overlap", .. })));
    assert!(matches!(solve_epsilon(1.0, 0.5, 1.4), Err(DiceError::Domain { argument: "union", .. })));
}
