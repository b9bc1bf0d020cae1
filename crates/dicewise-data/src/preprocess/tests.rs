use super::*;
use crate::Volume;

fn oblique(shape: [usize; 3]) -> Grid {
    // Rotated about z by a 3-4-5 triangle, mirrored along y; spacing 1.5 × 2 × 4 mm.
    let affine = [[1.2, 1.2, 0.0, -20.0], [0.9, -1.6, 0.0, 30.0], [0.0, 0.0, 4.0, -8.0], [0., 0., 0., 1.]];
    Grid { shape, affine }
}

fn world(grid: &Grid, i: usize) -> [f64; 3] {
    let [nx, ny, _] = grid.shape;
    let index = [i % nx, i / nx % ny, i / (nx * ny)];
    std::array::from_fn(|row| {
        grid.affine[row][3] + (0..3).map(|axis| grid.affine[row][axis] * index[axis] as f64).sum::<f64>()
    })
}

/// A smooth blob about a place in the world, and its label map.
fn blob(grid: &Grid, at: [f64; 3], radius_mm: f64) -> (Image, LabelMap) {
    let distance = |i: usize| {
        world(grid, i).iter().zip(at).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt() / radius_mm
    };
    let image = (0..grid.len()).map(|i| (1.5 - distance(i)).clamp(0.0, 1.0) as f32).collect();
    let labels = (0..grid.len()).map(|i| u16::from(distance(i) <= 1.0)).collect();
    (Volume::new(grid.clone(), image), Volume::new(grid.clone(), labels))
}

fn parse(json: &str) -> Result<Preprocessing, serde_json::Error> {
    serde_json::from_str(json)
}

fn dsc(a: &LabelMap, b: &LabelMap) -> f64 {
    let both = a.data.iter().zip(&b.data).filter(|(a, b)| **a == 1 && **b == 1).count();
    let count = |v: &LabelMap| v.data.iter().filter(|l| **l == 1).count();
    2.0 * both as f64 / (count(a) + count(b)) as f64
}

#[test]
fn nothing_to_do_leaves_everything_as_it_was() {
    let (image, labels) = blob(&oblique([9, 8, 7]), [0.0, 22.0, 4.0], 6.0);
    let prepared = Preprocessing::default().prepare(std::slice::from_ref(&image), Some(&labels)).unwrap();
    assert_eq!((&prepared.channels[0], prepared.labels.as_ref()), (&image, Some(&labels)));
    assert_eq!(
        prepared.restore_probabilities(std::slice::from_ref(&image), None, Restoring::Linear).unwrap(),
        [image]
    );
}

#[test]
fn cropping_and_padding_are_undone_to_the_bit() {
    let (image, labels) = blob(&oblique([9, 8, 7]), [0.0, 22.0, 4.0], 6.0);
    for (shape, about) in
        [([12, 13, 10], "volume"), ([12, 8, 20], "labels"), ([30, 30, 30], "volume"), ([9, 11, 7], "volume")]
    {
        let steps = format!(r#"[{{ "step": "fit", "shape": {shape:?}, "about": "{about}" }}]"#);
        let prepared = parse(&steps).unwrap().prepare(std::slice::from_ref(&image), Some(&labels)).unwrap();
        assert_eq!(prepared.working_grid().shape, shape);
        let back = prepared.restore_probabilities(&prepared.channels, None, Restoring::Linear).unwrap();
        assert_eq!(back[0].grid, image.grid);
        for (i, (found, expected)) in back[0].data.iter().zip(&image.data).enumerate() {
            assert!(found == expected || *found == 0.0, "voxel {i}");
        }
        if shape.iter().zip(image.grid.shape).all(|(n, m)| *n >= m) && about == "volume" {
            assert_eq!(back[0].data, image.data);
        }
    }
}

#[test]
fn a_prediction_comes_back_to_where_the_structure_is() {
    // Truth drawn on the working grid in world coordinates, restored, against truth drawn on the original grid.
    for shape in [[31, 24, 11], [30, 25, 12]] {
        let original = oblique(shape);
        let at = world(&original, 15 + shape[0] * (12 + shape[1] * 5));
        let (image, labels) = blob(&original, at, 11.0);
        for steps in [
            r#"[{ "step": "resample", "spacing": [1.0, 1.0, 2.0], "alignment": "centre", "labels": "linear" },
                { "step": "fit", "shape": [33, 41, 25], "about": "labels" }]"#,
            r#"[{ "step": "resample", "spacing": [2.0, 2.0, 2.0], "alignment": "corners", "labels": "nearest" },
                { "step": "z-score", "over": "volume" },
                { "step": "fit", "shape": [20, 20, 20], "about": { "label": 1 } }]"#,
        ] {
            let prepared =
                parse(steps).unwrap().prepare(std::slice::from_ref(&image), Some(&labels)).unwrap();
            let (_, drawn) = blob(prepared.working_grid(), at, 11.0);
            assert!(dsc(&drawn, prepared.labels.as_ref().unwrap()) > 0.9);
            let back = prepared
                .restore_probabilities(&[drawn.map(|l| f32::from(*l))], None, Restoring::Linear)
                .unwrap();
            let restored = back[0].map(|p| u16::from(*p > 0.5));
            assert!(dsc(&restored, &labels) > 0.9, "{steps}: {}", dsc(&restored, &labels));
        }
    }
}

#[test]
fn classes_still_add_up_to_one_where_the_network_saw_nothing() {
    let (image, _) = blob(&oblique([9, 8, 7]), [0.0, 22.0, 4.0], 6.0);
    let steps = r#"[{ "step": "resample", "spacing": [1.0, 2.0, 3.0], "alignment": "centre", "labels": "nearest" },
                    { "step": "fit", "shape": [4, 4, 4], "about": "volume" }]"#;
    let prepared = parse(steps).unwrap().prepare(&[image], None).unwrap();
    let foreground = prepared.channels[0].map(|v| 0.5 * v);
    let background = foreground.map(|p| 1.0 - p);
    let back = prepared.restore_probabilities(&[background, foreground], Some(0), Restoring::Linear).unwrap();
    assert!(back[0].data.iter().zip(&back[1].data).all(|(a, b)| (a + b - 1.0).abs() < 1e-6));
    assert!(back[0].data.contains(&1.0));
}

#[test]
fn channels_and_labels_stay_together() {
    let grid = oblique([9, 8, 7]);
    let (image, labels) = blob(&grid, [0.0, 22.0, 4.0], 6.0);
    let mut rounded = image.clone();
    rounded.grid.affine[0][3] += 1e-5;
    let steps = r#"[{ "step": "resample", "spacing": [1.0, 1.0, 1.0], "alignment": "corners", "labels": "nearest" },
                    { "step": "fit", "shape": [8, 9, 10], "about": "labels" }]"#;
    let prepared = parse(steps).unwrap().prepare(&[image, rounded], Some(&labels)).unwrap();
    assert_eq!(prepared.channels[0], prepared.channels[1]);
    assert_eq!(prepared.labels.unwrap().grid, prepared.channels[0].grid);
}

#[test]
fn unknown_steps_and_fields_are_refused() {
    assert!(parse(r#"[{ "step": "blur" }]"#).is_err());
    let unknown = parse(r#"[{ "step": "z-score", "over": "volume", "mean": 0 }]"#).unwrap_err();
    assert!(unknown.to_string().contains("mean"), "{unknown}");
    assert!(parse(r#"[{ "step": "fit", "shape": [1, 2], "about": "volume" }]"#).is_err());
}

#[test]
fn parameters_out_of_range_name_step_field_and_value() {
    for (steps, message) in [
        (
            r#"[{ "step": "resample", "spacing": [1, 0, 1], "alignment": "centre", "labels": "nearest" }]"#,
            "`spacing`",
        ),
        (r#"[{ "step": "clip", "quantiles": [0.9, 0.1] }]"#, "[0.9, 0.1]"),
        (r#"[{ "step": "fit", "shape": [0, 1, 1], "about": "volume" }]"#, "[0, 1, 1]"),
    ] {
        let error = parse(steps).unwrap().validate().unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn cases_that_cannot_be_prepared_are_refused() {
    let (image, labels) = blob(&oblique([9, 8, 7]), [0.0, 22.0, 4.0], 6.0);
    let other = Volume::new(oblique([9, 8, 6]), vec![0.0; 9 * 8 * 6]);
    let none = Preprocessing::default();
    assert_eq!(none.prepare(&[], None), Err(PreprocessError::NoChannels));
    assert!(matches!(
        none.prepare(&[image.clone(), other], None),
        Err(PreprocessError::ShapeMismatch { channel: 1, .. })
    ));
    let oracle = parse(r#"[{ "step": "fit", "shape": [4, 4, 4], "about": { "label": 2 } }]"#).unwrap();
    assert_eq!(oracle.prepare(std::slice::from_ref(&image), None), Err(PreprocessError::NeedsLabels));
    assert_eq!(
        oracle.prepare(std::slice::from_ref(&image), Some(&labels)),
        Err(PreprocessError::NothingToCentreOn { label: Some(2) })
    );
}

#[test]
fn soft_labels_follow_the_image_that_shows_them() {
    // An image that is the label's indicator is resampled and cropped to the soft label itself.
    let (_, labels) = blob(&oblique([21, 18, 13]), [2.0, 30.0, 16.0], 9.0);
    let indicator = labels.map(|label| f32::from(*label));
    let steps = parse(
        r#"[{ "step": "resample", "spacing": [3.0, 3.0, 3.0], "alignment": "corners", "labels": "linear" },
            { "step": "fit", "shape": [9, 14, 12], "about": "labels" }]"#,
    )
    .unwrap();
    let prepared = steps.prepare(std::slice::from_ref(&indicator), Some(&labels)).unwrap();
    let soft = steps.soft_labels(&labels, &[&[0], &[1]], &prepared).unwrap();
    assert_eq!(soft[1], prepared.channels[0]);
    assert!(soft[1].data.iter().any(|p| *p > 0.1 && *p < 0.9), "some voxels are shared");
    let covered = prepared.coverage().unwrap();
    for (i, covered) in covered.iter().enumerate() {
        let expected = f32::from(u8::from(*covered));
        assert!((soft[0].data[i] + soft[1].data[i] - expected).abs() < 1e-5);
    }
    assert!(covered.contains(&true) && covered.contains(&false));
    let other = labels.map(|_| 0u16);
    let wrong = LabelMap::new(oblique([21, 18, 1]), other.data[..21 * 18].to_vec());
    assert!(matches!(
        steps.soft_labels(&wrong, &[&[1]], &prepared),
        Err(PreprocessError::ShapeMismatch { channel: 1, .. })
    ));
}
