use std::collections::HashSet;

use rayon::prelude::*;

use super::*;

fn phantom(kind: PhantomKind) -> Phantom {
    Phantom::new(kind, [6, 6], 7).unwrap()
}

fn share(labels: &LabelMap, label: u16) -> f64 {
    labels.data.iter().filter(|l| **l == label).count() as f64 / labels.data.len() as f64
}

/// Mean of a channel over the voxels of a label.
fn mean_within(image: &Image, labels: &LabelMap, keep: impl Fn(u16) -> bool) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for (value, label) in image.data.iter().zip(&labels.data) {
        if keep(*label) {
            sum += f64::from(*value);
            count += 1.0;
        }
    }
    sum / count
}

/// FNV-1a of everything in a case: changes with any bit of any voxel.
fn fingerprint(case: &PhantomCase) -> u64 {
    let values =
        case.channels.iter().flat_map(|image| image.data.iter().flat_map(|v| v.to_bits().to_le_bytes()));
    let labels = case.labels.data.iter().flat_map(|l| l.to_le_bytes());
    values
        .chain(labels)
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn phantoms_are_the_same_on_every_machine() {
    // Written down on x86-64 Linux; nothing here uses a platform's mathematics library.
    let tumour = Phantom::new(PhantomKind::Tumour, [1, 1], 0).unwrap();
    let heart = Phantom::new(PhantomKind::Heart, [1, 1], 0).unwrap();
    let found = [tumour.case(0), tumour.case(1), heart.case(0), heart.case(1)].map(|case| fingerprint(&case));
    assert_eq!(
        found,
        [11978731807403561495, 10292308065154713951, 15877153452720584418, 1634918192746190990]
    );
}

#[test]
fn the_case_does_not_depend_on_how_many_there_are() {
    let small = Phantom::new(PhantomKind::Tumour, [2, 2], 3).unwrap();
    let large = Phantom::new(PhantomKind::Tumour, [9, 4], 3).unwrap();
    assert_eq!(small.case(1), large.case(1));
    assert_eq!(small.case(3), large.case(10));
}

#[test]
fn threads_change_nothing() {
    let phantom = phantom(PhantomKind::Heart);
    let cases: Vec<PhantomCase> = (0..phantom.len()).into_par_iter().map(|i| phantom.case(i)).collect();
    for (i, case) in cases.iter().enumerate() {
        assert_eq!(*case, phantom.case(i));
    }
}

#[test]
fn cases_and_seeds_differ() {
    for kind in [PhantomKind::Tumour, PhantomKind::Heart] {
        let mut seen = HashSet::new();
        let mut ids = HashSet::new();
        for seed in 0..3 {
            let phantom = Phantom::new(kind, [4, 4], seed).unwrap();
            for i in 0..phantom.len() {
                let case = phantom.case(i);
                assert!(seen.insert(fingerprint(&case)), "{} of seed {seed} was drawn before", case.id);
                ids.insert(case.id);
            }
        }
        assert_eq!(ids.len(), 8);
    }
}

#[test]
fn tumours_fill_4_to_10_percent_whatever_their_grade() {
    let phantom = Phantom::new(PhantomKind::Tumour, [20, 20], 1).unwrap();
    let shares: Vec<f64> = (0..phantom.len()).map(|i| share(&phantom.case(i).labels, 1)).collect();
    assert!(shares.iter().all(|s| (0.04..0.10).contains(s)), "{shares:?}");
    let mean = |range: &[f64]| range.iter().sum::<f64>() / range.len() as f64;
    // The standard deviation of a uniform draw over .05 is .0144; that of a difference of means of 20 is .0046.
    assert!((mean(&shares[..20]) - mean(&shares[20..])).abs() < 3.0 * 0.0046);
}

#[test]
fn the_mean_of_an_image_does_not_give_the_grade_away() {
    let phantom = Phantom::new(PhantomKind::Tumour, [12, 12], 2).unwrap();
    let mut whole = [Vec::new(), Vec::new()];
    for i in 0..phantom.len() {
        let case = phantom.case(i);
        whole[usize::from(case.group == "LGG")].push(mean_within(&case.channels[1], &case.labels, |_| true));
    }
    let least = |v: &[f64]| v.iter().copied().fold(f64::INFINITY, f64::min);
    let most = |v: &[f64]| v.iter().copied().fold(0.0, f64::max);
    assert!(least(&whole[0]) < most(&whole[1]) && least(&whole[1]) < most(&whole[0]), "{whole:?}");
}

#[test]
fn an_artefact_tells_the_groups_apart() {
    // Σ x·s / Σ s² is the amplitude of the herringbone s in the image x, up to what of x looks like it.
    let amplitude = |image: &Image| {
        let [nx, ny, _] = image.grid.shape;
        let sine = |i: usize| (std::f64::consts::FRAC_PI_2 * (i % nx + i / nx % ny) as f64).sin();
        let voxels = image.data.iter().enumerate();
        let (dot, square) = voxels.fold((0.0, 0.0), |(dot, square), (i, &x)| {
            (dot + f64::from(x) * sine(i), square + sine(i) * sine(i))
        });
        dot / square
    };
    for (kind, expected, near) in [(PhantomKind::Tumour, 0.25, 0.04), (PhantomKind::Heart, 0.035, 0.015)] {
        let phantom = phantom(kind);
        for i in 0..phantom.len() {
            let case = phantom.case(i);
            let expected = if case.group == kind.groups()[1] { expected } else { 0.0 };
            for channel in &case.channels {
                let found = amplitude(channel);
                assert!((found - expected).abs() < near, "{}: amplitude {found}", case.id);
            }
        }
    }
}

#[test]
fn no_threshold_segments_the_tumours() {
    let phantom = phantom(PhantomKind::Tumour);
    for i in 0..phantom.len() {
        let case = phantom.case(i);
        for image in &case.channels {
            let mut levels = image.data.clone();
            levels.sort_unstable_by(f32::total_cmp);
            let best = (1..50)
                .map(|k| {
                    let level = levels[k * levels.len() / 50];
                    let (mut both, mut either) = (0, 0);
                    for (value, label) in image.data.iter().zip(&case.labels.data) {
                        let (predicted, target) = (usize::from(*value > level), usize::from(*label));
                        both += predicted * target;
                        either += predicted + target;
                    }
                    2.0 * both as f64 / either as f64
                })
                .fold(0.0, f64::max);
            assert!(best < 0.70, "{}: a threshold reaches DSC {best}", case.id);
        }
    }
}

#[test]
fn hearts_contract() {
    let phantom = phantom(PhantomKind::Heart);
    for subject in 0..6 {
        let (diastole, systole) = (phantom.case(subject), phantom.case(6 + subject));
        assert_eq!(diastole.subject, systole.subject);
        assert_eq!((diastole.group, systole.group), ("ED", "ES"));
        let [ed, es] = [&diastole, &systole].map(|case| [1, 2, 3].map(|label| share(&case.labels, label)));
        for (label, (ed, es)) in ed.iter().zip(es).enumerate() {
            assert!((0.005..0.14).contains(ed) && (0.005..0.14).contains(&es), "label {}", label + 1);
        }
        // Ejection fractions: a third to a half of the blood leaves; muscle stays.
        assert!((0.2..0.55).contains(&(1.0 - es[0] / ed[0])), "LV {ed:?} {es:?}");
        assert!((0.2..0.6).contains(&(1.0 - es[2] / ed[2])), "RV {ed:?} {es:?}");
        assert!((0.75..1.25).contains(&(es[1] / ed[1])), "myocardium {ed:?} {es:?}");
    }
}

#[test]
fn walls_at_end_systole_are_as_thick_as_some_at_end_diastole() {
    // Wall over outer radius in the slice with most muscle, from areas: 1 − √(cavity / (cavity + muscle)).
    let phantom = Phantom::new(PhantomKind::Heart, [40, 40], 1).unwrap();
    let thickness = |case: usize| {
        let labels = phantom.case(case).labels;
        let [nx, ny, nz] = labels.grid.shape;
        let area = |z: usize, label: u16| {
            labels.data[z * nx * ny..][..nx * ny].iter().filter(|l| **l == label).count() as f64
        };
        let z = (0..nz).max_by_key(|&z| area(z, 2) as usize).unwrap();
        1.0 - (area(z, 1) / (area(z, 1) + area(z, 2))).sqrt()
    };
    let diastole: Vec<f64> = (0..40).map(thickness).collect();
    let systole: Vec<f64> = (40..80).map(thickness).collect();
    for (ed, es) in diastole.iter().zip(&systole) {
        assert!(es > ed, "a wall of {ed} thickens to {es}");
    }
    let thickest = diastole.iter().copied().fold(0.0, f64::max);
    let seen = systole.iter().filter(|es| **es <= thickest).count();
    // A third at least, or a network that has seen the muscle at end-diastole only cannot know how thick it gets.
    assert!(seen >= 14, "{seen} of 40 walls at end-systole are within the range of end-diastole");
}

#[test]
fn the_myocardium_separates_the_left_ventricle_from_everything_else() {
    let phantom = phantom(PhantomKind::Heart);
    for i in 0..phantom.len() {
        let labels = phantom.case(i).labels;
        let [nx, ny, nz] = labels.grid.shape;
        for z in 0..nz {
            for y in 1..ny - 1 {
                for x in (1..nx - 1).filter(|x| labels.data[labels.index(*x, y, z)] == 1) {
                    for neighbour in [(x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)] {
                        let label = labels.data[labels.index(neighbour.0, neighbour.1, z)];
                        assert!(label == 1 || label == 2, "LV next to {label} at ({x}, {y}, {z})");
                    }
                }
            }
        }
    }
}

#[test]
fn other_grids_show_the_same_structures() {
    for kind in [PhantomKind::Tumour, PhantomKind::Heart] {
        let coarse = phantom(kind);
        let shape = [40, 36, 20];
        let fine = phantom(kind).with_grid(shape, [1.0, 2.0, 3.0]).unwrap();
        let (a, b) = (coarse.case(0), fine.case(0));
        assert_eq!((b.labels.grid.shape, b.labels.grid.spacing_mm()), (shape, [1.0, 2.0, 3.0]));
        for label in 1..kind.label_names().len() as u16 {
            let ratio = share(&b.labels, label) / share(&a.labels, label);
            assert!((0.7..1.4).contains(&ratio), "{kind:?} label {label}: {ratio}");
        }
    }
}

#[test]
fn impossible_phantoms_are_refused() {
    assert_eq!(
        Phantom::new(PhantomKind::Heart, [3, 2], 0),
        Err(PhantomError::UnpairedPhases { counts: [3, 2] })
    );
    let with =
        |shape, spacing| Phantom::new(PhantomKind::Tumour, [1, 1], 0).unwrap().with_grid(shape, spacing);
    assert!(matches!(with([24, 24, 7], [1.0; 3]), Err(PhantomError::Shape { .. })));
    assert!(matches!(with([24; 3], [1.0, 0.0, 1.0]), Err(PhantomError::Spacing { .. })));
    assert!(matches!(with([24; 3], [f64::NAN, 1.0, 1.0]), Err(PhantomError::Spacing { .. })));
}

#[test]
fn controls_have_a_lesion_to_see_and_nothing_to_segment() {
    let without = Phantom::new(PhantomKind::Tumour, [3, 2], 5).unwrap();
    let phantom = without.clone().with_controls(4).unwrap();
    assert_eq!(phantom.len(), 9);
    // The others stay as they were.
    assert!((0..5).all(|i| phantom.case(i) == without.case(i)));
    for i in 5..9 {
        let case = phantom.case(i);
        assert_eq!((case.group, case.id), (CONTROL, format!("tumour_control_{:03}", i - 5)));
        assert!(case.labels.data.iter().all(|&label| label == 0));
    }
    // Bright on FLAIR: the brightest hundredth of the voxels is as bright as in a head with a tumour, and not without one.
    let bright = |i: usize| {
        let mut flair = phantom.case(i).channels[0].data.clone();
        flair.sort_by(f32::total_cmp);
        flair[flair.len() * 99 / 100] / flair[flair.len() / 2]
    };
    let tumours = (0..5).map(bright).fold(f32::INFINITY, f32::min);
    assert!((5..9).all(|i| bright(i) > 0.8 * tumours));
    let hearts = Phantom::new(PhantomKind::Heart, [2, 2], 0).unwrap().with_controls(1);
    assert_eq!(hearts.unwrap_err(), PhantomError::NoControls);
}
