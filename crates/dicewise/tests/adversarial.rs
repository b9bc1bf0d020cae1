//! Input that no loss should be given, and input that is legal and extreme: every one for every type of element, for every
//! Φ. Bad input is an error that says where; whatever is legal has a loss in [0, 1] and a finite gradient, in `f16` and
//! `bf16` as far as the type can hold it.
//!
//! A type is added with one line at the end.

use dicewise::{
    Activation, ClassWeights, DiceError, DiceLoss, Epsilon, Partition, Presence, SegmentationLoss, Shape,
    Target,
};
use dicewise_oracle::{Phi, Problem};
use half::{bf16, f16};

const PARTITIONS: [(Partition, Phi); 4] = [
    (Partition::ImageWise, Phi::I),
    (Partition::ClassWise, Phi::CI),
    (Partition::BatchWise, Phi::BI),
    (Partition::AllWise, Phi::BCI),
];
const BATCH: usize = 2;
const CLASSES: usize = 3;
/// More than one block, and no multiple of anything.
const VOXELS: usize = 20_011;
/// Places in a map: the ends, and both sides of a power of two.
const PLACES: [usize; 5] = [0, 4095, 4096, 16_384, VOXELS - 1];

fn shape() -> Shape {
    Shape::new(BATCH, CLASSES, VOXELS).unwrap()
}

fn loss(partition: Partition, epsilon: f64) -> DiceLoss {
    DiceLoss::new(partition, Epsilon::uniform(epsilon).unwrap()).unwrap()
}

fn labels() -> Vec<u8> {
    (0..BATCH * VOXELS).map(|k| (k * 7919 % 10_007 % CLASSES) as u8).collect()
}

/// Pseudo-random in [0, 1).
fn noise(k: usize) -> f64 {
    (k.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / f64::from(1 << 24)
}

fn one_hot() -> Vec<f64> {
    dicewise_oracle::one_hot(BATCH, CLASSES, &labels().into_iter().map(usize::from).collect::<Vec<_>>())
}

/// The largest |∂L/∂p| that Eq. 4 allows, 2/(|Φ|(U + ε)), of the subset with the fewest voxels in it.
fn steepest(partition: Partition, epsilon: f64, shape: Shape, p: &[f64], y: &[f64]) -> f64 {
    let mut unions = vec![0.0; partition.subsets(shape.batch(), shape.classes())];
    for (map, (p, y)) in p.chunks(shape.voxels()).zip(y.chunks(shape.voxels())).enumerate() {
        let subset = partition.subset(map / shape.classes(), map % shape.classes(), shape.classes());
        unions[subset] += p.iter().chain(y).sum::<f64>();
    }
    let smallest = unions.iter().fold(f64::INFINITY, |smallest, &union| smallest.min(union));
    2.0 / (unions.len() as f64 * (smallest + epsilon))
}

macro_rules! adversarial {
    (
        $name:ident: $t:ty, from $from:expr, back $back:expr, smallest $smallest:expr, infinite above $largest:expr,
        loss within $tolerance:expr, gradient within $slope:expr
    ) => {
        mod $name {
            use super::*;

            fn of(value: f64) -> $t {
                ($from)(value)
            }

            fn back(value: $t) -> f64 {
                ($back)(value)
            }

            fn run(
                partition: Partition,
                epsilon: f64,
                p: &[$t],
                target: &Target<'_>,
            ) -> Result<(f64, Vec<f64>), DiceError> {
                let mut gradient = vec![of(f64::NAN); p.len()];
                let value = loss(partition, epsilon).value_and_gradient(p, target, None, &mut gradient)?;
                Ok((value, gradient.into_iter().map(back).collect()))
            }

            #[test]
            fn predictions_that_are_none_are_named_with_their_place() {
                let labels = labels();
                let target = Target::labels(shape(), &labels).unwrap();
                let infinite = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
                for value in infinite.into_iter().chain([1.01, -0.01, 7.5, -40.0, 3e4]) {
                    for (b, c) in [(0, 0), (1, 2)] {
                        for place in PLACES {
                            let mut p = vec![of(0.25); BATCH * CLASSES * VOXELS];
                            p[(b * CLASSES + c) * VOXELS + place] = of(value);
                            let error = run(Partition::ImageWise, 1e-7, &p, &target).unwrap_err();
                            let found = match (error, value.is_finite()) {
                                (DiceError::PredictionNotFinite { batch, class, voxel, .. }, false)
                                | (DiceError::PredictionNotProbability { batch, class, voxel, .. }, true) => {
                                    (batch, class, voxel)
                                }
                                (other, _) => panic!("{value} at {place}: {other}"),
                            };
                            assert_eq!(found, (b, c, place), "{value}");
                        }
                    }
                }
            }

            #[test]
            fn labels_outside_the_classes_are_named_in_every_type_of_label() {
                let p = vec![of(0.25); BATCH * CLASSES * VOXELS];
                let plain = labels();
                let judge = |target: Result<Target<'_>, DiceError>, label: i64, place: usize| {
                    let error =
                        target.and_then(|target| run(Partition::BatchWise, 1e-7, &p, &target)).unwrap_err();
                    let expected =
                        DiceError::LabelOutOfRange { label, batch: 1, voxel: place, classes: CLASSES };
                    assert_eq!(error, expected);
                };
                for place in PLACES {
                    let at = VOXELS + place;
                    let mut map = plain.clone();
                    map[at] = u8::MAX;
                    judge(Target::labels(shape(), &map), 255, place);
                    for label in [-1, 3, i16::MIN, i16::MAX] {
                        let mut map: Vec<i16> = plain.iter().map(|&l| l.into()).collect();
                        map[at] = label;
                        judge(Target::labels(shape(), &map), label.into(), place);
                    }
                    for label in [-1, 257, i32::MIN, i32::MAX] {
                        let mut map: Vec<i32> = plain.iter().map(|&l| l.into()).collect();
                        map[at] = label;
                        judge(Target::labels(shape(), &map), label.into(), place);
                    }
                    // The low byte, the low word and the low double word of these are classes.
                    for label in [-1, 1 << 8, 1 << 16, 1 << 32, i64::MIN, i64::MAX] {
                        let mut map: Vec<i64> = plain.iter().map(|&l| l.into()).collect();
                        map[at] = label;
                        judge(Target::labels(shape(), &map), label, place);
                    }
                }
            }

            #[test]
            fn soft_targets_outside_0_and_1_are_named() {
                let p = vec![of(0.25); BATCH * CLASSES * VOXELS];
                for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.5, 1.5, 1e30] {
                    for place in PLACES {
                        let mut y = one_hot();
                        y[(CLASSES + 1) * VOXELS + place] = value;
                        let target = Target::dense(shape(), &y).unwrap();
                        let error = run(Partition::AllWise, 1e-7, &p, &target).unwrap_err();
                        match error {
                            DiceError::TargetNotProbability { batch: 1, class: 1, voxel, .. } => {
                                assert_eq!(voxel, place);
                            }
                            other => panic!("{value} at {place}: {other}"),
                        }
                    }
                }
            }

            /// Empty, full and half maps, at ε from nothing to more than there are voxels.
            #[test]
            fn whatever_is_legal_has_a_loss_of_0_to_1_and_a_finite_gradient() {
                let shape = Shape::new(2, 2, 300).unwrap();
                let maps = |k: usize| [0.0, 1.0, 0.5, $smallest, noise(k)];
                for (partition, _) in PARTITIONS {
                    for epsilon in [0.0, 1e-300, 1e-7, 1.0, 1e9] {
                        for (i, j) in (0..5).flat_map(|i| (0..5).map(move |j| (i, j))) {
                            // The first sample has these maps; the second is always mixed.
                            let p: Vec<$t> =
                                (0..1200).map(|k| of(maps(k)[if k < 600 { i } else { 4 }])).collect();
                            let y: Vec<f64> =
                                (0..1200).map(|k| maps(k + 7)[if k < 600 { j } else { 4 }]).collect();
                            let target = Target::dense(shape, &y).unwrap();
                            let (value, gradient) = run(partition, epsilon, &p, &target).unwrap();
                            let case = format!("{partition:?}, ε {epsilon}, p {i}, y {j}");
                            assert!((0.0..=1.0).contains(&value), "{case}: {value}");
                            let exact: Vec<f64> = p.iter().map(|&v| back(v)).collect();
                            // What a gradient scaler looks for; a type of 32 bits and more holds the largest instead.
                            let beyond = steepest(partition, epsilon, shape, &exact, &y) > $largest;
                            let allowed = |g: &f64| g.is_finite() || beyond && g.is_infinite();
                            assert!(gradient.iter().all(allowed), "{case}: a gradient is not finite");
                        }
                    }
                }
            }

            /// A subset without prediction and truth has Dice ε/ε = 1 also at ε = 0, and pulls nowhere.
            #[test]
            fn an_empty_subset_without_smoothing_is_a_limit_and_not_nan() {
                let shape = Shape::new(2, 2, 300).unwrap();
                let (p, y) = (vec![of(0.0); 1200], vec![0.0_f64; 1200]);
                let target = Target::dense(shape, &y).unwrap();
                for (partition, _) in PARTITIONS {
                    let (value, gradient) = run(partition, 0.0, &p, &target).unwrap();
                    assert_eq!(value, 0.0, "{partition:?}");
                    assert!(gradient.iter().all(|&g| g == 0.0), "{partition:?}");
                }
            }

            /// The inputs are rounded to the type first, so that this is about the arithmetic.
            #[test]
            fn values_and_gradients_are_those_of_the_loops_in_double_precision() {
                let labels = labels();
                let target = Target::labels(shape(), &labels).unwrap();
                let p: Vec<$t> = (0..BATCH * CLASSES * VOXELS).map(|k| of(noise(k))).collect();
                for (partition, phi) in PARTITIONS {
                    for epsilon in [1e-7, 1.0, 1e4] {
                        let (value, gradient) = run(partition, epsilon, &p, &target).unwrap();
                        let exact: Vec<f64> = p.iter().map(|&v| back(v)).collect();
                        let problem = Problem::new(BATCH, CLASSES, exact, one_hot(), phi, epsilon);
                        let expected = problem.loss();
                        assert!(
                            (value - expected).abs() <= $tolerance * expected,
                            "{partition:?}: {value}, {expected}"
                        );
                        for (k, (found, expected)) in gradient.iter().zip(problem.gradient()).enumerate() {
                            let error = (found - expected).abs();
                            // The second term: where the type has no more digits.
                            assert!(
                                error <= $slope * expected.abs() + 0.51 * $smallest,
                                "{partition:?} at {k}: {found}, {expected}"
                            );
                        }
                    }
                }
            }

            #[test]
            fn logits_that_are_not_finite_are_named_and_large_ones_are_fine() {
                let labels = labels();
                let target = Target::labels(shape(), &labels).unwrap();
                for activation in [Activation::Softmax, Activation::Sigmoid] {
                    let loss = SegmentationLoss::new(loss(Partition::ImageWise, 1e-7), activation).unwrap();
                    let loss = loss.with_cross_entropy(1.0).unwrap();
                    let logit = |k: usize| of(if k % 2 == 0 { 6e4 } else { -6e4 });
                    let mut x: Vec<$t> = (0..BATCH * CLASSES * VOXELS).map(logit).collect();
                    let mut gradient = vec![of(f64::NAN); x.len()];
                    let terms = loss.terms(&loss.sums(&x, &target, None).unwrap(), None).unwrap();
                    loss.write_gradient(&terms, &x, &target, 1.0, &mut gradient).unwrap();
                    assert!(terms.loss.is_finite() && (0.0..=1.0).contains(&terms.dice.loss));
                    assert!(gradient.iter().all(|&g| back(g).is_finite()), "{activation}");
                    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                        for place in PLACES {
                            let at = (CLASSES + 2) * VOXELS + place;
                            let sound = std::mem::replace(&mut x[at], of(value));
                            let of_sums = loss.sums(&x, &target, None).unwrap_err();
                            let of_gradient = loss.write_gradient(&terms, &x, &target, 1.0, &mut gradient);
                            for error in [of_sums, of_gradient.unwrap_err()] {
                                match error {
                                    DiceError::PredictionNotFinite { batch: 1, class: 2, voxel, .. } => {
                                        assert_eq!(voxel, place);
                                    }
                                    other => panic!("{activation}, {value} at {place}: {other}"),
                                }
                            }
                            x[at] = sound;
                        }
                    }
                }
            }

            /// 2²⁴ voxels of 0.1 and of 1: sums of the type itself stall or overflow (2048 + 1 is 2048 in half precision,
            /// whose largest number is 65,504).
            #[test]
            fn sums_of_many_voxels_lose_nothing() {
                let n = 1_usize << 24;
                let shape = Shape::new(1, 1, n).unwrap();
                for value in [0.1, 1.0] {
                    let p = vec![of(value); n];
                    let y = vec![1.0_f32; n];
                    let target = Target::dense(shape, &y).unwrap();
                    let sums = loss(Partition::ImageWise, 1e-7).sums(&p, &target).unwrap();
                    let exact = n as f64 * back(of(value));
                    for found in [sums.prediction()[0], sums.overlap()[0]] {
                        assert!((found - exact).abs() <= 1e-9 * exact, "{found}, {exact}");
                    }
                    assert_eq!(sums.target()[0], n as f64);
                }
            }

            #[test]
            fn arrays_of_other_lengths_are_refused() {
                let labels = labels();
                let target = Target::labels(shape(), &labels).unwrap();
                let all = BATCH * CLASSES * VOXELS;
                for length in [0, 1, all - 1, all + 1] {
                    let error = run(Partition::ImageWise, 1e-7, &vec![of(0.5); length], &target).unwrap_err();
                    match error {
                        DiceError::Length { argument: "prediction", expected, found, .. } => {
                            assert_eq!((expected, found), (all, length));
                        }
                        other => panic!("{other}"),
                    }
                }
                let presence = Presence::new(BATCH, CLASSES + 1, vec![true; BATCH * (CLASSES + 1)]).unwrap();
                let found =
                    loss(Partition::ImageWise, 1e-7).value(&vec![of(0.5); all], &target, Some(&presence));
                assert!(
                    matches!(found, Err(DiceError::ShapeMismatch { argument: "presence", .. })),
                    "{found:?}"
                );
            }
        }
    };
}

/// What does not depend on the type of element is refused when it is built.
#[test]
fn parameters_that_are_none_are_refused() {
    for (b, c, i, dimension) in [(0, 1, 1, "batch"), (1, 0, 1, "classes"), (1, 1, 0, "voxels")] {
        assert_eq!(Shape::new(b, c, i).unwrap_err(), DiceError::ZeroDimension { dimension });
    }
    for epsilon in [-1.0, -f64::MIN_POSITIVE, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(Epsilon::uniform(epsilon).is_err(), "{epsilon}");
        assert!(Epsilon::new(epsilon, 1.0).is_err() && Epsilon::new(1.0, epsilon).is_err(), "{epsilon}");
        assert!(Epsilon::per_class(vec![1.0, epsilon]).is_err(), "{epsilon}");
    }
    for weights in [vec![], vec![0.0, 0.0], vec![1.0, -1.0], vec![1.0, f64::NAN], vec![f64::INFINITY, 1.0]] {
        assert!(ClassWeights::normalised(weights.clone()).is_err(), "{weights:?}");
        assert!(ClassWeights::unnormalised(weights.clone()).is_err(), "{weights:?}");
    }
    let labels = labels();
    let target = Target::labels(shape(), &labels).unwrap();
    let p = vec![0.25_f32; BATCH * CLASSES * VOXELS];
    for length in [1, CLASSES - 1, CLASSES + 1] {
        let per_class = DiceLoss::new(Partition::ImageWise, Epsilon::per_class(vec![1.0; length]).unwrap());
        assert!(per_class.and_then(|loss| loss.value(&p, &target, None)).is_err(), "{length} values of ε");
        let weights = ClassWeights::normalised(vec![1.0; length]).unwrap();
        let weighted = loss(Partition::ImageWise, 1.0).with_class_weights(weights);
        assert!(weighted.and_then(|loss| loss.value(&p, &target, None)).is_err(), "{length} weights");
    }
}

adversarial!(
    double: f64, from |v: f64| v, back |v: f64| v, smallest f64::MIN_POSITIVE, infinite above f64::INFINITY,
    loss within 1e-12, gradient within 1e-9
);
adversarial!(
    single: f32, from |v: f64| v as f32, back f64::from, smallest 1.5e-45, infinite above f64::INFINITY,
    loss within 1e-6, gradient within 1e-5
);
// Half a unit in the last of 11 and of 8 binary digits.
adversarial!(
    half_precision: f16, from f16::from_f64, back f16::to_f64, smallest 6e-8, infinite above 65_504.0,
    loss within 1e-6, gradient within 4.9e-4
);
adversarial!(
    brain_float: bf16, from bf16::from_f64, back bf16::to_f64, smallest 9.2e-41, infinite above 3.3e38,
    loss within 1e-6, gradient within 3.95e-3
);
