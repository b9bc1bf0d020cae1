use rand_chacha::ChaCha8Rng;

use super::*;

fn rng(step: u64) -> ChaCha8Rng {
    stream(Purpose::Augmentation, 11, 0, step)
}

/// a = (7i² + 5j + 3k²i + jk) mod 11 in one channel, a mod 3 as labels.
fn example(shape: [usize; 3]) -> Patch {
    let [nx, ny, nz] = shape;
    let values: Vec<usize> = (0..nx * ny * nz)
        .map(|n| {
            let (i, j, k) = (n % nx, n / nx % ny, n / (nx * ny));
            (7 * i * i + 5 * j + 3 * k * k * i + j * k) % 11
        })
        .collect();
    Patch {
        shape,
        channels: vec![values.iter().map(|v| *v as f32).collect()],
        target: Target::Labels(values.iter().map(|v| (v % 3) as u16).collect()),
        anchor: None,
    }
}

fn labels(patch: &Patch) -> &[u16] {
    match &patch.target {
        Target::Labels(labels) => labels,
        Target::Soft { .. } => panic!("a label map was expected"),
    }
}

/// Mean and standard deviation.
fn moments(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let n = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / n;
    (mean, (values.map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt())
}

#[test]
fn an_affine_agrees_with_scipy() {
    // scipy 1.17.1: M = inv(inv(C) @ T @ S @ R @ C), C = translate(-shape / 2),
    // R = Rotation.from_euler("zyx", [.35, -.2, .1]), S = diag(1.1, .95, 1), T = translate(.7, -.4, .3);
    // ndimage.affine_transform(a, M[:3, :3], M[:3, 3], order=1, mode="constant", cval=0), planes z = 1 and 2
    let expected: [f32; 60] = [
        0.0, 0.0, 5.39179, 5.97399, 3.36964, 0.0, 0.0, 2.80436, 0.61415, 3.54965, 3.61324, 4.33214, 0.0,
        6.16103, 5.85191, 5.63448, 5.46574, 3.64958, 0.0, 0.0, 2.90169, 5.29629, 4.10943, 7.2434, 0.0, 0.0,
        0.0, 0.0, 0.0, 4.11576, 0.0, 0.0, 5.5398, 5.4339, 4.47564, 2.88294, 0.0, 3.97423, 1.12606, 1.65959,
        4.76283, 4.77058, 0.0, 6.31203, 6.35714, 5.1794, 5.52414, 6.39552, 0.0, 0.0, 3.36489, 6.26347,
        6.25583, 7.82252, 0.0, 0.0, 0.0, 0.0, 0.0, 5.61439,
    ];
    let mut patch = example([6, 5, 4]);
    let affine =
        Affine { translation: [0.7, -0.4, 0.3], rotation: [0.1, -0.2, 0.35], scale: [1.1, 0.95, 1.0] };
    affine.apply(&mut patch);
    for (i, (found, expected)) in patch.channels[0][30..90].iter().zip(expected).enumerate() {
        // The paper's code rounds coordinates to 1e-5 voxels; neighbours differ by up to 10.
        assert!((found - expected).abs() < 2e-4, "voxel {i}: {found} instead of {expected}");
    }
}

#[test]
fn doing_nothing_changes_nothing() {
    let original = example([6, 5, 4]);
    let mut patch = original.clone();
    Affine::IDENTITY.apply(&mut patch);
    Elastic::draw(&mut rng(0), patch.shape, [0.0; 3]).apply(&mut patch);
    Shift { voxels: [0; 3] }.apply(&mut patch);
    Flip { axis: None }.apply(&mut patch);
    Crop::centre(patch.shape, patch.shape).apply(&mut patch);
    IntensityChange { shift: 0.0, scale: 1.0 }.apply(&mut patch);
    Noise::draw(&mut rng(0), 0.0).apply(&mut patch);
    assert_eq!(patch, original);
}

#[test]
fn channels_and_labels_move_together() {
    // With whole voxels nothing is interpolated, so labels stay channel mod 3 wherever both come from inside.
    let steps: Augmentation = serde_json::from_str(
        r#"[{ "step": "flip", "axis": "y", "probability": 0.5 },
            { "step": "shift", "voxels": [2, 1, 1] },
            { "step": "random-crop", "shape": [4, 4, 3] }]"#,
    )
    .unwrap();
    for epoch in 0..20 {
        let mut patch = example([6, 5, 4]);
        steps.apply(&mut patch, 1, 2, epoch);
        assert_eq!(patch.shape, steps.shape([6, 5, 4]));
        let expected: Vec<u16> = patch.channels[0].iter().map(|v| *v as u16 % 3).collect();
        assert_eq!(labels(&patch), expected);
    }
}

#[test]
fn mirroring_twice_is_nothing_and_once_swaps_the_ends() {
    for axis in 0..3 {
        let original = example([6, 5, 4]);
        let mut patch = original.clone();
        Flip { axis: Some(axis) }.apply(&mut patch);
        let last = (original.shape[axis] - 1) * original.shape[..axis].iter().product::<usize>();
        assert_eq!(patch.channels[0][0], original.channels[0][last]);
        assert_ne!(patch, original);
        Flip { axis: Some(axis) }.apply(&mut patch);
        assert_eq!(patch, original);
    }
}

#[test]
fn flips_happen_as_often_as_asked() {
    let mut rng = rng(1);
    let count = |rng: &mut ChaCha8Rng, p| (0..2000).filter(|_| Flip::draw(rng, 0, p).axis.is_some()).count();
    assert_eq!((count(&mut rng, 0.0), count(&mut rng, 1.0)), (0, 2000));
    // 5 standard deviations of a binomial of 2000 with p = .3 are 102.
    assert!(count(&mut rng, 0.3).abs_diff(600) < 102);
}

#[test]
fn shifts_move_content_and_repeat_the_border() {
    let mut patch = example([4, 1, 1]);
    patch.channels[0] = vec![1.0, 2.0, 3.0, 4.0];
    Shift { voxels: [2, 0, 0] }.apply(&mut patch);
    assert_eq!(patch.channels[0], [1.0, 1.0, 1.0, 2.0]);
    Shift { voxels: [-1, 0, 0] }.apply(&mut patch);
    assert_eq!(patch.channels[0], [1.0, 1.0, 2.0, 2.0]);
}

#[test]
fn shifts_reach_both_ends_of_their_range() {
    let mut rng = rng(2);
    let drawn: std::collections::BTreeSet<isize> =
        (0..500).map(|_| Shift::draw(&mut rng, [3, 0, 1]).voxels[0]).collect();
    assert_eq!(drawn, (-3..=3).collect());
}

#[test]
fn random_crops_stay_inside_and_large_ones_are_padded() {
    let mut rng = rng(3);
    for _ in 0..200 {
        let [x, y, z] = Crop::draw_anywhere(&mut rng, [6, 5, 4], [4, 5, 6]).window.start;
        assert!((0..=2).contains(&x));
        assert_eq!((y, z), (0, -1));
    }
    let mut patch = example([6, 5, 4]);
    Crop::centre([6, 5, 4], [6, 5, 6]).apply(&mut patch);
    assert!(patch.channels[0][..30].iter().chain(&patch.channels[0][150..]).all(|v| *v == 0.0));
    assert_eq!(patch.channels[0][30..150], example([6, 5, 4]).channels[0]);
}

#[test]
fn a_jittered_crop_is_the_middle_moved() {
    let mut rng = rng(4);
    for _ in 0..100 {
        let window = Crop::draw_near_centre(&mut rng, [40, 56, 40], [32, 48, 32], [3, 3, 0]).window;
        assert!((1..=7).contains(&window.start[0]) && (1..=7).contains(&window.start[1]));
        assert_eq!(window.start[2], 4);
    }
}

#[test]
fn soft_targets_add_up_to_one_after_any_move() {
    let mut patch = example([12, 10, 8]);
    patch.soften(&[0, 1, 2]);
    Affine { translation: [1.3, 0.0, -0.6], rotation: [0.0, 0.0, 1.1], scale: [0.95, 1.05, 1.0] }
        .apply(&mut patch);
    Elastic::draw(&mut rng(5), patch.shape, [1.0; 3]).apply(&mut patch);
    Crop::centre(patch.shape, [14, 6, 9]).apply(&mut patch);
    let Target::Soft { maps, .. } = &patch.target else { panic!("the target stays soft") };
    for i in 0..patch.voxels() {
        let sum: f32 = maps.iter().map(|map| map[i]).sum();
        assert!((sum - 1.0).abs() < 1e-5, "voxel {i}: {sum}");
    }
    // Beyond the patch there is background only.
    assert_eq!((maps[0][0], maps[1][0], maps[2][0]), (1.0, 0.0, 0.0));
}

#[test]
fn elastic_displacements_have_the_asked_deviation_and_are_smooth() {
    // The deviation is computed from the points, without the voxels.
    for shape in [[60, 50, 40], [120, 9, 41], [1, 40, 7]] {
        let elastic = Elastic::draw(&mut rng(6), shape, [1.0, 2.0, 0.5]);
        for (axis, expected) in [1.0, 2.0, 0.5].into_iter().enumerate() {
            let (_, deviation) = moments(elastic.displacement(axis).iter().copied().map(f64::from));
            assert!((deviation - expected).abs() < 1e-4, "{shape:?}, axis {axis}: {deviation}");
        }
    }
    let elastic = Elastic::draw(&mut rng(6), [60, 50, 40], [1.0, 2.0, 0.5]);
    for (axis, expected) in [1.0, 2.0, 0.5].into_iter().enumerate() {
        let d = &elastic.displacement(axis);
        // The correlation of white noise blurred with σ is exp(−δ²/4σ²) at distance δ. One voxel along x is
        // 39/59 of a point of σ = 6 points, so the mean square of the difference is 2(1 − .9970) = .0061 of the
        // variance; the padding makes the variance uneven, hence the factor of 3.
        let steps = d.windows(2).enumerate().filter(|(i, _)| i % 60 != 59);
        let (_, step) = moments(steps.map(|(_, pair)| f64::from(pair[1] - pair[0])));
        assert!(step < 3.0 * expected * 0.0061_f64.sqrt(), "axis {axis}: {step}");
    }
}

#[test]
fn spreads_have_the_asked_widths() {
    let mut rng = rng(7);
    let mut drawn = Vec::new();
    for _ in 0..4000 {
        drawn.push(Affine::draw(
            &mut rng,
            Spread::Normal([6.0, 0.0, 4.0]),
            Spread::Uniform([0.0, 0.0, 2.0]),
            Spread::Uniform([0.05; 3]),
        ));
    }
    let (mean, deviation) = moments(drawn.iter().map(|a| a.translation[0]));
    // Five standard errors: 6/√4000 = .095 of the mean, 6/√8000 = .067 of the deviation.
    assert!(mean.abs() < 0.48 && (deviation - 6.0).abs() < 0.34, "{mean} {deviation}");
    assert!(drawn.iter().all(|a| a.translation[1] == 0.0 && a.rotation[0] == 0.0));
    // A uniform draw to both sides has a deviation of its half width/√3 = 1.155.
    let (_, deviation) = moments(drawn.iter().map(|a| a.rotation[2]));
    assert!((deviation - 1.155).abs() < 0.06 && drawn.iter().all(|a| a.rotation[2].abs() <= 2.0));
    assert!(drawn.iter().all(|a| a.scale.iter().all(|s| (0.95..=1.05).contains(s))));
}

#[test]
fn noise_has_the_asked_deviation_and_leaves_the_target() {
    let original = example([20, 20, 20]);
    let mut patch = original.clone();
    Noise::draw(&mut rng(8), 0.1).apply(&mut patch);
    let difference = patch.channels[0].iter().zip(&original.channels[0]).map(|(a, b)| f64::from(a - b));
    let (mean, deviation) = moments(difference);
    // Five standard errors of 8000 voxels.
    assert!(mean.abs() < 0.0056 && (deviation - 0.1).abs() < 0.004, "{mean} {deviation}");
    assert_eq!(patch.target, original.target);
}

#[test]
fn intensity_changes_are_the_formula_for_all_channels() {
    let mut patch = example([6, 5, 4]);
    patch.channels.push(vec![-1.0; 120]);
    IntensityChange { shift: 0.5, scale: 2.0 }.apply(&mut patch);
    let expected: Vec<f32> = example([6, 5, 4]).channels[0].iter().map(|x| (x + 0.5) * 2.0).collect();
    assert_eq!((&patch.channels[0], patch.channels[1][0]), (&expected, -1.0));
}

#[test]
fn an_epoch_looks_the_same_after_an_interruption() {
    let steps: Augmentation = serde_json::from_str(
        r#"[{ "step": "affine", "rotation": { "uniform": [0, 0, 2] }, "scale": { "normal": [0.05, 0.05, 0] } },
            { "step": "elastic", "displacement": [1, 1, 1] },
            { "step": "centre-crop", "shape": [8, 8, 4], "jitter": [1, 1, 0] },
            { "step": "flip", "axis": "x", "probability": 0.5 },
            { "step": "intensity", "shift": 0.05, "scale": 0.05 },
            { "step": "noise", "deviation": 0.1 }]"#,
    )
    .unwrap();
    steps.validate().unwrap();
    let seen = |seed, case, epoch| {
        let mut patch = example([10, 10, 6]);
        steps.apply(&mut patch, seed, case, epoch);
        patch
    };
    let uninterrupted: Vec<Patch> = (0..4).map(|epoch| seen(5, 3, epoch)).collect();
    assert_eq!(seen(5, 3, 3), uninterrupted[3]);
    assert_ne!(uninterrupted[2], uninterrupted[3]);
    assert_ne!(seen(5, 4, 3), uninterrupted[3]);
    assert_ne!(seen(6, 3, 3), uninterrupted[3]);
}

/// Each step of an augmentation by itself computes every voxel; together they leave out what a crop drops.
#[test]
fn what_a_crop_drops_does_not_matter_to_what_it_keeps() {
    let (shape, anchor) = ([40, 36, 30], Some([4, 30, 12]));
    let steps = |crop: &str| -> Augmentation {
        serde_json::from_str(&format!(
            r#"[{{ "step": "affine", "translation": {{ "normal": [3, 3, 2] }}, "rotation": {{ "uniform": [0.3, 0.3, 3] }},
                   "scale": {{ "uniform": [0.3, 0.3, 0.3] }} }},
                {{ "step": "elastic", "displacement": [2, 1, 3] }},
                {{ "step": "affine", "rotation": {{ "uniform": [0, 0, 1] }} }},
                {crop},
                {{ "step": "flip", "axis": "x", "probability": 0.5 }},
                {{ "step": "noise", "deviation": 0.1 }}]"#
        ))
        .unwrap()
    };
    for crop in [
        r#"{ "step": "anchor-crop", "shape": [16, 12, 10], "jitter": [2, 0, 1] }"#,
        r#"{ "step": "random-crop", "shape": [9, 8, 34] }"#,
        r#"{ "step": "centre-crop", "shape": [44, 10, 30], "jitter": [1, 1, 1] }"#,
    ] {
        for epoch in 0..5 {
            for soft in [false, true] {
                let mut start = Patch { anchor, ..example(shape) };
                if soft {
                    start.soften(&[0, 1, 2]);
                }
                let mut together = start.clone();
                let steps = steps(crop);
                steps.apply(&mut together, 1, 2, epoch);
                let mut one_by_one = start;
                let mut rng = stream(Purpose::Augmentation, 1, 2, epoch);
                for step in &steps.steps {
                    let drawn = Drawn::draw(step, one_by_one.shape, anchor, &mut rng);
                    let whole = Region::whole(one_by_one.shape);
                    drawn.apply(&mut one_by_one, whole);
                }
                assert!(together == one_by_one, "{crop}, epoch {epoch}");
            }
        }
    }
}

#[test]
fn a_patch_moved_out_of_sight_leaves_background() {
    let steps: Augmentation = serde_json::from_str(
        r#"[{ "step": "elastic", "displacement": [1, 1, 1] },
            { "step": "affine", "translation": { "uniform": [9000, 0, 0] } },
            { "step": "centre-crop", "shape": [4, 4, 4] }]"#,
    )
    .unwrap();
    for epoch in 0..4 {
        let mut patch = example([8, 9, 7]);
        steps.apply(&mut patch, 0, 0, epoch);
        assert!(patch.channels.iter().flatten().all(|x| *x == 0.0), "epoch {epoch}");
        assert_eq!(patch.target, Target::Labels(vec![0; 64]));
    }
}

#[test]
fn mistakes_name_the_step_the_field_and_the_value() {
    let parse = |json: &str| serde_json::from_str::<Augmentation>(json);
    assert!(parse(r#"[{ "step": "flip", "axis": "x", "probability": 0.5, "often": true }]"#).is_err());
    assert!(parse(r#"[{ "step": "mirror" }]"#).is_err());
    for (json, message) in [
        (r#"[{ "step": "flip", "axis": "x", "probability": 2 }]"#, "step 1 (`flip`): `probability` is 2"),
        (r#"[{ "step": "noise", "deviation": -1 }]"#, "`deviation` is -1"),
        (r#"[{ "step": "affine", "scale": { "uniform": [1, 1, 1] } }]"#, "`scale` is [1.0, 1.0, 1.0]"),
        (r#"[{ "step": "random-crop", "shape": [0, 1, 1] }]"#, "`shape` is [0, 1, 1]"),
    ] {
        let error = parse(json).unwrap().validate().unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}
