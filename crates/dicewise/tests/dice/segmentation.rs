use dicewise::{
    Activation, DiceError, DiceLoss, Element, Epsilon, InstructionSet, MissingLabels, MissingRule, Partition,
    SegmentationLoss, SegmentationSums, Shape, Target,
};
use dicewise_oracle::Logits;
use half::{bf16, f16};
use proptest::prelude::*;

use crate::cases::{
    Case, IGNORED, Options, assert_close, at_least, case, case_of, family_options, small_case,
};

/// A batch of logits and a loss on them.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    case: Case,
    options: Options,
    activation: Activation,
    dice_weight: f64,
    cross_entropy: Option<f64>,
}

impl Setting {
    pub(crate) fn loss(&self) -> SegmentationLoss {
        let loss = SegmentationLoss::new(self.options.loss(), self.activation).unwrap();
        let loss = loss.with_dice_weight(self.dice_weight).unwrap();
        match self.cross_entropy {
            None => loss,
            Some(weight) => loss.with_cross_entropy(weight).unwrap(),
        }
    }

    /// p itself without activation; with one, logits between −4 and 4, rounded to a type.
    fn input<T: Element>(&self) -> Vec<T> {
        let logit = |&p: &f64| if self.activation == Activation::None { p } else { 8.0 * p - 4.0 };
        self.case.p.iter().map(|p| T::from_f64(logit(p))).collect()
    }

    /// The oracle on the rounded values: what is tested is the arithmetic.
    fn oracle<T: Element>(&self, input: &[T], dense: &[T]) -> Logits {
        let mut case = self.case.clone();
        case.dense = dense.iter().map(|y| y.to_f64()).collect();
        let x: Vec<f64> = input.iter().map(|x| x.to_f64()).collect();
        Logits {
            problem: case.problem(&self.options),
            x,
            activation: match self.activation {
                Activation::None => dicewise_oracle::Activation::None,
                Activation::Sigmoid => dicewise_oracle::Activation::Sigmoid,
                Activation::Softmax => dicewise_oracle::Activation::Softmax,
            },
            dice_weight: self.dice_weight,
            cross_entropy_weight: self.cross_entropy.unwrap_or(0.0),
        }
    }
}

fn setting_of(case: impl Strategy<Value = Case>) -> impl Strategy<Value = Setting> {
    let with_options = case.prop_flat_map(|case| {
        let classes = case.shape.classes();
        (Just(case), family_options(classes))
    });
    let activation = prop::sample::select(Activation::ALL.to_vec());
    let weight = prop_oneof![Just(None), (0.1..2.0_f64).prop_map(Some)];
    (with_options, activation, 0.0..2.0_f64, weight).prop_map(
        |((case, mut options), activation, dice_weight, cross_entropy)| {
            if options.missing.is_marginal() && activation != Activation::Softmax {
                options.missing = MissingLabels::Leaf(options.missing.rule().unwrap());
            }
            let cross_entropy = cross_entropy.filter(|_| activation != Activation::None);
            Setting { case, options, activation, dice_weight, cross_entropy }
        },
    )
}

/// Small batches, and batches with up to 20 classes and several blocks of voxels.
pub(crate) fn setting() -> impl Strategy<Value = Setting> {
    let many_classes = (1_usize..=2, 1_usize..=20, 1_usize..=80).prop_flat_map(|(b, c, i)| case_of(b, c, i));
    let many_voxels =
        (1_usize..=2, 1_usize..=3, 1000_usize..=1100).prop_flat_map(|(b, c, i)| case_of(b, c, i));
    setting_of(prop_oneof![8 => case(), 4 => many_classes, 1 => many_voxels])
}

/// Value and gradient of every instruction set, the gradient in a buffer and in place, against the oracle.
fn check<T>(setting: &Setting, tolerance: f64) -> Result<(), TestCaseError>
where
    T: Element + std::fmt::Debug,
    for<'a> &'a [T]: Into<dicewise::DenseMaps<'a>>,
{
    let case = &setting.case;
    let input: Vec<T> = setting.input();
    let dense: Vec<T> = case.dense.iter().map(|&y| T::from_f64(y)).collect();
    let target = match case.soft {
        true => Target::dense(case.shape, dense.as_slice()).unwrap().masked(&case.mask).unwrap(),
        false => case.target(),
    };
    let oracle = setting.oracle(&input, &dense);
    let (value, expected) = (oracle.loss(), oracle.gradient());
    let norm = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>().sqrt();
    // A scale as in mixed-precision training, or gradients of small maps would be subnormal in f16.
    let scale = 256.0;
    for set in InstructionSet::available() {
        let loss = setting.loss().with_instruction_set(set);
        let presence = case.presence();
        let sums = loss.sums(&input, &target, Some(&presence)).unwrap();
        let terms = loss.terms(&sums, Some(&presence)).unwrap();
        assert_close(&[terms.loss], &[value], tolerance, 1.0);
        let mut gradient = vec![T::from_f64(f64::NAN); input.len()];
        loss.write_gradient(&terms, &input, &target, scale, &mut gradient).unwrap();
        let found: Vec<f64> = gradient.iter().map(|g| g.to_f64() / scale).collect();
        let error: Vec<f64> = found.iter().zip(&expected).map(|(found, expected)| found - expected).collect();
        // The second term: what rounding leaves of p (g − Σ p g) and of w (p − y) where they cancel, three roundings of f32 for
        // a weight w of 2.
        prop_assert!(
            norm(&error) <= tolerance * (norm(&expected) + 0.12),
            "{set}: gradient is off by {} of {}",
            norm(&error),
            norm(&expected)
        );
        let mut in_place = input.clone();
        loss.gradient_in_place(&terms, &mut in_place, &target, scale).unwrap();
        prop_assert_eq!(in_place, gradient);
    }
    Ok(())
}

/// Masks as bytes are the same numbers as masks of the input's type, which [`check`] compares with the oracle.
fn check_bytes<T>(setting: &Setting) -> Result<(), TestCaseError>
where
    T: Element + std::fmt::Debug,
    for<'a> &'a [T]: Into<dicewise::DenseMaps<'a>>,
{
    let case = &setting.case;
    let input: Vec<T> = setting.input();
    let bytes: Vec<u8> = case.dense.iter().map(|&y| u8::from(y > 0.5)).collect();
    let values: Vec<T> = bytes.iter().map(|&y| T::from_f64(y.into())).collect();
    let (loss, presence) = (setting.loss(), case.presence());
    let [(of_bytes, from_bytes), (of_values, from_values)] =
        [Target::dense(case.shape, &bytes).unwrap(), Target::dense(case.shape, values.as_slice()).unwrap()]
            .map(|target| {
                let mut gradient = vec![T::ZERO; input.len()];
                let target = target.masked(&case.mask).unwrap();
                let sums = loss.sums(&input, &target, Some(&presence)).unwrap();
                let terms = loss.terms(&sums, Some(&presence)).unwrap();
                loss.write_gradient(&terms, &input, &target, 1.0, &mut gradient).unwrap();
                (terms.loss, gradient)
            });
    prop_assert_eq!(of_bytes, of_values);
    prop_assert_eq!(from_bytes, from_values);
    Ok(())
}

proptest! {
    #![proptest_config(at_least(500))]

    #[test]
    fn masks_may_be_bytes(setting in setting()) {
        check_bytes::<f32>(&setting)?;
        check_bytes::<f64>(&setting)?;
        check_bytes::<f16>(&setting)?;
    }

    #[test]
    fn value_and_gradient_in_f64_equal_the_oracle(setting in setting()) {
        check::<f64>(&setting, 1e-10)?;
    }

    #[test]
    fn value_and_gradient_in_f32_equal_the_oracle(setting in setting()) {
        check::<f32>(&setting, 2e-6)?;
    }

    #[test]
    fn value_and_gradient_in_f16_equal_the_oracle(setting in setting()) {
        check::<f16>(&setting, 1e-3)?;
    }

    #[test]
    fn value_and_gradient_in_bf16_equal_the_oracle(setting in setting()) {
        check::<bf16>(&setting, 5e-3)?;
    }
}

proptest! {
    /// Beside the oracle, whose chain rule could share a misunderstanding.
    #[test]
    fn gradients_equal_central_differences(setting in setting_of(small_case())) {
        let (loss, case) = (setting.loss(), &setting.case);
        let (target, presence) = (case.target(), case.presence());
        // Away from 0 and 1, which a step would leave.
        let x: Vec<f64> = setting.input::<f64>().into_iter().map(|x| 0.01 + 0.98 * x).collect();
        let terms = loss.terms(&loss.sums(&x, &target, Some(&presence)).unwrap(), Some(&presence)).unwrap();
        let mut gradient = vec![f64::NAN; x.len()];
        loss.write_gradient(&terms, &x, &target, 1.0, &mut gradient).unwrap();
        for k in 0..x.len() {
            let at = |step: f64| {
                let mut moved = x.clone();
                moved[k] += step;
                loss.value(&moved, &target, Some(&presence)).unwrap()
            };
            assert_close(&[gradient[k]], &[(at(1e-5) - at(-1e-5)) / 2e-5], 1e-5, 1e-3);
        }
    }

    /// MONAI#657: masking before the activation leaves a gradient behind.
    #[test]
    fn voxels_left_out_do_not_matter_and_get_exactly_0(setting in setting()) {
        let case = &setting.case;
        let counted = case.counted();
        let (classes, voxels) = (case.shape.classes(), case.shape.voxels());
        let left_out = |k: usize| !counted[k / (classes * voxels) * voxels + k % voxels];
        let clean: Vec<f32> = setting.input();
        let dirty: Vec<f32> = (0..clean.len()).map(|k| if left_out(k) { f32::NAN } else { clean[k] }).collect();
        let run = |input: &[f32]| {
            let (loss, target, presence) = (setting.loss(), case.target(), case.presence());
            let terms = loss.terms(&loss.sums(input, &target, Some(&presence)).unwrap(), Some(&presence)).unwrap();
            let mut gradient = vec![f32::NAN; input.len()];
            loss.write_gradient(&terms, input, &target, 1.0, &mut gradient).unwrap();
            (terms.loss, gradient)
        };
        let (value, gradient) = run(&dirty);
        prop_assert!((0..gradient.len()).all(|k| !left_out(k) || gradient[k] == 0.0));
        prop_assert_eq!((value, gradient), run(&clean));
    }

    /// The two documented ways of sharing sums, against one rank with the whole batch.
    #[test]
    fn ranks_that_share_their_sums_equal_one_rank(setting in setting_of(case())) {
        let (loss, case) = (setting.loss(), &setting.case);
        let (batch, classes, voxels) = (case.shape.batch(), case.shape.classes(), case.shape.voxels());
        let input: Vec<f32> = setting.input();
        let (presence, maps) = (case.presence(), classes * voxels);
        let whole = loss.sums(&input, &case.target(), Some(&presence)).unwrap();
        let terms = loss.terms(&whole, Some(&presence)).unwrap();
        let mut expected = vec![f32::NAN; input.len()];
        loss.write_gradient(&terms, &input, &case.target(), 1.0, &mut expected).unwrap();

        let ranks: Vec<Case> = (0..batch).map(|b| crate::ranks::rank(case, b)).collect();
        let own = |b: usize| &input[b * maps..(b + 1) * maps];
        let sums: Vec<_> = ranks
            .iter()
            .enumerate()
            .map(|(b, rank)| loss.sums(own(b), &rank.target(), Some(&rank.presence())).unwrap())
            .collect();
        prop_assert_eq!(&SegmentationSums::concat(&sums).unwrap(), &whole);
        let mut flat = vec![0.0; loss.sum_fields() * batch * classes];
        for (b, sums) in sums.iter().enumerate() {
            for (field, values) in sums.to_flat().chunks(classes).enumerate() {
                flat[(field * batch + b) * classes..][..classes].copy_from_slice(values);
            }
        }
        let all = loss.sums_from_flat(batch, classes, &flat).unwrap();
        prop_assert_eq!(&all, &whole);
        prop_assert_eq!(all.to_flat(), flat);
        let terms = loss.terms(&all, Some(&presence)).unwrap();
        for (b, rank) in ranks.iter().enumerate() {
            let mut gradient = vec![f32::NAN; maps];
            let rows = terms.rows(b..b + 1).unwrap();
            loss.write_gradient(&rows, own(b), &rank.target(), 1.0, &mut gradient).unwrap();
            prop_assert_eq!(&gradient[..], &expected[b * maps..(b + 1) * maps]);
        }
    }

    #[test]
    fn labels_of_every_width_give_the_same(setting in setting()) {
        let mut setting = setting;
        setting.case.soft = false;
        let (loss, case) = (setting.loss(), &setting.case);
        let (input, presence) = (setting.input::<f32>(), case.presence());
        let run = |target: Target<'_>| {
            let target = target.ignore_index(Some(IGNORED)).masked(&case.mask).unwrap();
            let terms = loss.terms(&loss.sums(&input, &target, Some(&presence)).unwrap(), Some(&presence)).unwrap();
            let mut gradient = vec![f32::NAN; input.len()];
            loss.write_gradient(&terms, &input, &target, 1.0, &mut gradient).unwrap();
            (terms.loss, gradient)
        };
        let expected = run(case.target());
        let u8s: Vec<u8> = case.labels.iter().map(|&l| l as u8).collect();
        let u16s: Vec<u16> = case.labels.iter().map(|&l| l as u16).collect();
        let i16s: Vec<i16> = case.labels.iter().map(|&l| l as i16).collect();
        let i32s: Vec<i32> = case.labels.iter().map(|&l| l as i32).collect();
        prop_assert_eq!(&run(Target::labels(case.shape, &u8s).unwrap()), &expected);
        prop_assert_eq!(&run(Target::labels(case.shape, &u16s).unwrap()), &expected);
        prop_assert_eq!(&run(Target::labels(case.shape, &i16s).unwrap()), &expected);
        prop_assert_eq!(&run(Target::labels(case.shape, &i32s).unwrap()), &expected);
    }
}

pub(crate) fn dice(partition: Partition) -> DiceLoss {
    DiceLoss::new(partition, Epsilon::uniform(1e-5).unwrap()).unwrap()
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    for (activation, classes) in
        [(Activation::Softmax, 3), (Activation::Softmax, 20), (Activation::Sigmoid, 3)]
    {
        let shape = Shape::new(2, classes, 70_001).unwrap();
        let x: Vec<f32> =
            (0..shape.elements()).map(|k| ((k * 7919) % 10_007) as f32 / 1000.0 - 5.0).collect();
        let labels: Vec<i16> = (0..140_002).map(|k| (k * 31 % 3) as i16).collect();
        let target = Target::labels(shape, &labels).unwrap();
        let loss = SegmentationLoss::new(dice(Partition::AllWise), activation).unwrap();
        let loss = loss.with_cross_entropy(1.0).unwrap();
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut gradient = vec![f32::NAN; x.len()];
                let terms = loss.terms(&loss.sums(&x, &target, None).unwrap(), None).unwrap();
                loss.write_gradient(&terms, &x, &target, 1.0, &mut gradient).unwrap();
                (terms.loss.to_bits(), gradient)
            })
        };
        let one = run(1);
        assert!(one == run(2) && one == run(7), "{activation} of {classes}");
    }
}

/// Logits as large as f32 holds are fine: the softmax of (3e38, −3e38) is (1, 0), CE of the wrong class 6e38.
#[test]
fn huge_logits_are_fine_and_infinite_ones_are_named() {
    let target = Target::labels(Shape::new(1, 2, 1).unwrap(), &[1_u8]).unwrap();
    for activation in [Activation::Softmax, Activation::Sigmoid] {
        let loss = SegmentationLoss::new(dice(Partition::ImageWise), activation).unwrap();
        let loss = loss.with_cross_entropy(1.0).unwrap();
        let terms = loss.terms(&loss.sums(&[1e38_f32, -1e38], &target, None).unwrap(), None).unwrap();
        let mut gradient = [f32::NAN; 2];
        loss.write_gradient(&terms, &[1e38, -1e38], &target, 1.0, &mut gradient).unwrap();
        assert!(terms.loss.is_finite() && terms.cross_entropy > 0.9e38, "{}", terms.cross_entropy);
        assert!(gradient[0] > 0.0 && gradient[1] < 0.0, "{gradient:?}");
        for value in [f32::NAN, f32::from_bits(0x7fc0_0001), f32::INFINITY, f32::NEG_INFINITY] {
            for place in 0..2 {
                let mut x = [0.5; 2];
                x[place] = value;
                let error = loss.sums(&x, &target, None).unwrap_err();
                assert!(
                    matches!(error, DiceError::PredictionNotFinite { batch: 0, class, voxel: 0, .. } if class == place),
                    "{error}"
                );
                let error = loss.write_gradient(&terms, &x, &target, 1.0, &mut gradient).unwrap_err();
                assert!(matches!(error, DiceError::PredictionNotFinite { .. }), "{error}");
            }
        }
    }
}

#[test]
fn settings_and_sums_that_do_not_fit_are_refused() {
    let marginal = dice(Partition::ImageWise)
        .with_missing_labels(MissingLabels::Marginal(MissingRule::Declared))
        .unwrap();
    let error = SegmentationLoss::new(marginal, Activation::Sigmoid).unwrap_err();
    assert_eq!(error, DiceError::MarginalWithSigmoid);
    let plain = SegmentationLoss::new(dice(Partition::ImageWise), Activation::None).unwrap();
    let error = plain.clone().with_cross_entropy(1.0).unwrap_err();
    assert_eq!(error, DiceError::CrossEntropyWithoutActivation);
    let softmax = SegmentationLoss::new(dice(Partition::ImageWise), Activation::Softmax).unwrap();
    for weight in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(softmax.clone().with_cross_entropy(weight), Err(DiceError::Domain { .. })));
        assert!(matches!(softmax.clone().with_dice_weight(weight), Err(DiceError::Domain { .. })));
    }
    let target = Target::labels(Shape::new(1, 2, 3).unwrap(), &[0_u8, 1, 1]).unwrap();
    let with = softmax.clone().with_cross_entropy(1.0).unwrap();
    let sums = softmax.sums(&[0.5_f32; 6], &target, None).unwrap();
    assert_eq!(with.terms(&sums, None).unwrap_err(), DiceError::CrossEntropySums);
    let others = with.sums(&[0.5_f32; 6], &target, None).unwrap();
    assert_eq!(softmax.terms(&others, None).unwrap_err(), DiceError::CrossEntropySums);
    assert_eq!(SegmentationSums::concat(&[sums.clone(), others]).unwrap_err(), DiceError::CrossEntropySums);
    assert!(matches!(
        with.sums_from_flat(1, 2, &[0.0; 6]),
        Err(DiceError::Length { argument: "flat sums", expected: 10, found: 6, .. })
    ));
    assert!(matches!(
        with.sums_from_flat(1, 2, &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, f64::NAN, 0.0, 0.0, 0.0]),
        Err(DiceError::SumNotFinite { argument: "cross-entropy", .. })
    ));
    let terms = softmax.terms(&sums, None).unwrap();
    let error = softmax.write_gradient(&terms, &[0.5_f32; 6], &target, f64::NAN, &mut [0.0; 6]).unwrap_err();
    assert!(matches!(error, DiceError::Domain { argument: "scale of the gradient", .. }));
    let other = Target::labels(Shape::new(2, 2, 3).unwrap(), &[0_u8; 6]).unwrap();
    let error = softmax.write_gradient(&terms, &[0.5_f32; 12], &other, 1.0, &mut [0.0; 12]).unwrap_err();
    assert!(matches!(error, DiceError::ShapeMismatch { argument: "target", .. }));
}
