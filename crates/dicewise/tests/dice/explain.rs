use dicewise::{
    DiceLoss, Epsilon, EpsilonSolutions, MissingLabels, MissingRule, Partition, Shape,
    explain::{Preset, Scenario, Verdict, explain, over_epsilon},
};

/// B = 2, C = 3, 64² voxels, class 1 of 400 voxels in image 0 and empty in image 1, class 2 of 200 voxels in
/// both, and softmax of logits that know nothing: p = 1/3 on average, so Σp = 1365 on the empty map.
fn measured_scenario() -> Scenario {
    Scenario::new(Shape::new(2, 3, 64 * 64).unwrap(), 400.0)
        .unwrap()
        .with_object_sizes(vec![400.0, 200.0])
        .unwrap()
}

/// Mean derivatives on the empty map measured on the released packages: monai 1.6.1, smp 0.6.0,
/// nnU-Net 0e49508, Keras.
#[test]
fn presets_have_the_derivative_that_was_measured_on_the_packages() {
    for (preset, measured, verdict) in [
        (Preset::MonaiDefault, 9e-13, Verdict::Ignores),
        (Preset::NnunetBatchDiceOff, 1.3e-12, Verdict::Ignores),
        (Preset::NnunetSoftDiceConstructor, 8.8e-8, Verdict::InBetween),
        (Preset::MonaiBatch, 9.1e-6, Verdict::Learns),
        (Preset::NnunetBatchDice, 1.3e-5, Verdict::Learns),
        (Preset::Smp, 9.0e-6, Verdict::Learns),
        (Preset::MonaiGeneralized, 8.0e-6, Verdict::Learns),
        (Preset::Keras, 2.1e-5, Verdict::Learns),
        (Preset::PaperIEps, 2.1e-5, Verdict::Learns),
    ] {
        let explanation = preset.explain(&measured_scenario()).unwrap();
        let error = (explanation.empty / measured - 1.0).abs();
        assert!(error < 0.1, "{preset}: {:e} computed, {measured:e} measured", explanation.empty);
        assert_eq!(explanation.on_empty, verdict, "{preset}");
        // None of them knows of missing labels.
        assert_eq!(explanation.missing, explanation.empty, "{preset}");
    }
}

#[test]
fn without_a_numerator_epsilon_an_empty_map_gets_exactly_0() {
    for preset in [Preset::MonaiNumeratorZero, Preset::PaperLeaf] {
        let explanation = preset.explain(&measured_scenario()).unwrap();
        assert_eq!((explanation.empty, explanation.on_empty), (0.0, Verdict::Ignores), "{preset}");
    }
}

#[test]
fn a_present_map_has_about_1e_5_at_y_0() {
    let present = Preset::MonaiDefault.explain(&measured_scenario()).unwrap().present;
    assert!((0.5e-5..2e-5).contains(&present.outside), "{:e}", present.outside);
    assert!(present.inside < 0.0);
}

/// Kornia's micro average puts all classes of an image in one subset: O = I/3, U = 2I, B = 2, so
/// a = (2I/3)/(2·4I²) = 1/(12 I).
#[test]
fn class_wise_dice_learns_empty_maps_from_the_other_classes() {
    let explanation = Preset::Kornia.explain(&measured_scenario()).unwrap();
    assert!((explanation.empty * 12.0 * 4096.0 - 1.0).abs() < 1e-6);
    assert_eq!(explanation.on_empty, Verdict::Learns);
}

#[test]
fn only_declared_leaf_is_right_for_empty_and_missing_labels_at_once() {
    let both_right: Vec<_> = Preset::ALL
        .into_iter()
        .filter(|preset| {
            let explanation = preset.explain(&measured_scenario()).unwrap();
            (explanation.on_empty, explanation.on_missing) == (Verdict::Learns, Verdict::Ignores)
        })
        .collect();
    assert_eq!(both_right, [Preset::DeclaredLeafBatch]);
}

#[test]
fn batch_wise_dice_with_one_image_ignores_empty_maps() {
    let scenario = Scenario::new(Shape::new(1, 3, 4096).unwrap(), 400.0).unwrap();
    assert_eq!(Preset::MonaiBatch.explain(&scenario).unwrap().on_empty, Verdict::Ignores);
    assert_eq!(Preset::PaperIEps.explain(&scenario).unwrap().on_empty, Verdict::Learns);
}

/// The background's derivative is a_0 − b_0·y_0; class 2 of 200 voxels is the only other label in image 1.
#[test]
fn marginal_treatment_gives_a_missing_class_the_derivative_of_the_background() {
    let loss = DiceLoss::new(Partition::ImageWise, Epsilon::uniform(1e-7).unwrap())
        .unwrap()
        .with_missing_labels(MissingLabels::Marginal(MissingRule::Declared))
        .unwrap();
    let explanation = explain(&loss, &measured_scenario()).unwrap();
    let size = 4096.0 - 200.0;
    let (overlap, union) = (size * 2.0 / 3.0, size + 4096.0 * 2.0 / 3.0);
    let background = (2.0 * overlap / (union * union) - 2.0 / union * size / 4096.0) / 6.0;
    assert!((explanation.missing / background - 1.0).abs() < 1e-9);
    assert!(explanation.missing_is_background);
    assert_eq!((explanation.on_empty, explanation.on_missing), (Verdict::Ignores, Verdict::Ignores));
}

#[test]
fn the_explanation_reads_as_text() {
    let text = Preset::NnunetBatchDice.explain(&measured_scenario()).unwrap().to_string();
    assert!(text.contains("DL_BI, ε = 1e-5"), "{text}");
    assert!(text.contains("label missing (nobody looked)"), "{text}");
    assert!(text.contains("learns that it is empty"), "{text}");
    assert!(text.contains("the network unlearns the structure"), "{text}");
}

/// Φ = I on the empty map, where O = 0 and U = Σp = I/3: a = ε/(|Φ| (Σp + ε)²) with |Φ| = 6; 0 without ε_n.
#[test]
fn another_epsilon_changes_the_push_as_eq_4_says() {
    let scenario = Scenario::new(Shape::new(2, 3, 64 * 64).unwrap(), 400.0).unwrap();
    let epsilons = [1e-7, 1.0, 400.0, 4096.0 / 3.0, 1e6];
    let found = |numerator: f64| {
        let loss = DiceLoss::new(Partition::ImageWise, Epsilon::new(numerator, 1e-5).unwrap()).unwrap();
        over_epsilon(&loss, &scenario, &epsilons).unwrap().into_iter().map(|e| e.empty).collect::<Vec<_>>()
    };
    for (found, epsilon) in found(1e-5).into_iter().zip(epsilons) {
        let expected = epsilon / (6.0 * (4096.0 / 3.0 + epsilon).powi(2));
        assert!((found / expected - 1.0).abs() < 1e-9, "ε = {epsilon}: {found:e}, not {expected:e}");
    }
    assert_eq!(found(0.0), [0.0; 5]);
    let loss = DiceLoss::new(Partition::ImageWise, Epsilon::uniform(1.0).unwrap()).unwrap();
    assert!(over_epsilon(&loss, &scenario, &[-1.0]).is_err());
}

/// a = ½ and Σp = 200 + 400, so b = 2.5, k = 2a/b² = 0.16 and ε/v̂ = ((1 − 2k) ± √(1 − 4k))/(2k) = 1/4 and 4.
#[test]
fn eq_5_takes_overlap_and_union_from_the_scenario() {
    let scenario = Scenario::new(Shape::new(2, 2, 4096).unwrap(), 400.0).unwrap();
    let solutions = scenario.with_prediction(0.5, 400.0 / 3696.0).unwrap().solve_epsilon().unwrap();
    let EpsilonSolutions::Two { lo, hi } = solutions else { panic!("{solutions:?}") };
    assert!((lo - 100.0).abs() < 1e-9 && (hi - 1600.0).abs() < 1e-9, "{lo} and {hi}");
}
