use dicewise::{
    Activation, ClassWeights, DiceLoss, Epsilon, InstructionSet, Partition, SegmentationLoss, Shape, Target,
};
use dicewise_oracle::{Phi, Problem};
use proptest::prelude::*;

use crate::cases::{assert_close, case, case_and_options, partition};

fn loss(partition: Partition, epsilon: f64) -> DiceLoss {
    DiceLoss::new(partition, Epsilon::uniform(epsilon).unwrap()).unwrap()
}

/// 16 million voxels predicted 0.1, where adding up in f32 stalls at 2²¹; a small object predicted 1e-4.
/// In closed form, with n voxels, m of them object: O = 1e-4·m, U = m + 0.1·(n − m) + 1e-4·m.
#[test]
fn tiny_contributions_to_a_large_volume_are_not_lost() {
    let (n, m) = (1_usize << 24, 1000_usize);
    let shape = Shape::new(1, 1, n).unwrap();
    let mut p = vec![0.1_f32; n];
    // The object at the end, when the sums are already large.
    p[n - m..].fill(1e-4);
    let mut y = vec![0.0_f32; n];
    y[n - m..].fill(1.0);
    let target = Target::dense(shape, &y).unwrap();
    let (tenth, small) = (f64::from(0.1_f32), f64::from(1e-4_f32));
    let overlap = small * m as f64;
    let union = m as f64 + tenth * (n - m) as f64 + overlap;
    let dice = (2.0 * overlap + 1e-7) / (union + 1e-7);

    let dice_loss = loss(Partition::ImageWise, 1e-7);
    let terms = dice_loss.terms(&dice_loss.sums(&p, &target).unwrap(), None).unwrap();
    assert_close(&[1.0 - terms.loss, terms.loss], &[dice, 1.0 - dice], 1e-6, 0.0);
    let mut gradient = vec![f32::NAN; n];
    terms.write_gradient(&target, &mut gradient).unwrap();
    let outside = dice / (union + 1e-7);
    let expected = [outside, outside - 2.0 / (union + 1e-7)];
    assert_close(&[gradient[0].into(), gradient[n - 1].into()], &expected, 1e-5, 0.0);
}

/// A volume of several chunks and blocks, whose sizes divide nothing, against the oracle.
#[test]
fn volumes_larger_than_a_chunk_equal_the_oracle() {
    let (batch, classes, voxels) = (2, 3, 70_001);
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 31)
    };
    let p: Vec<f32> = (0..batch * classes * voxels).map(|_| random() as f32).collect();
    let labels: Vec<u8> = (0..batch * voxels).map(|_| (random() * 3.0) as u8).collect();
    let shape = Shape::new(batch, classes, voxels).unwrap();
    let target = Target::labels(shape, &labels).unwrap();
    let y = dicewise_oracle::one_hot(batch, classes, &labels.iter().map(|&l| l.into()).collect::<Vec<_>>());
    let problem = Problem::new(batch, classes, p.iter().map(|&p| p.into()).collect(), y, Phi::BI, 1e-5);
    let mut gradient = vec![f32::NAN; p.len()];
    let value =
        loss(Partition::BatchWise, 1e-5).value_and_gradient(&p, &target, None, &mut gradient).unwrap();
    assert_close(&[value], &[problem.loss()], 1e-12, 0.0);
    let gradient: Vec<f64> = gradient.into_iter().map(f64::from).collect();
    assert_close(&gradient, &problem.gradient(), 1e-6, 0.0);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let shape = Shape::new(2, 3, 150_000).unwrap();
    let p: Vec<f32> = (0..shape.elements()).map(|k| ((k * 7919) % 10_007) as f32 / 10_007.0).collect();
    let labels: Vec<i16> = (0..300_000).map(|k| (k * 31 % 3) as i16).collect();
    let target = Target::labels(shape, &labels).unwrap();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut gradient = vec![f32::NAN; p.len()];
            let value =
                loss(Partition::AllWise, 1e-7).value_and_gradient(&p, &target, None, &mut gradient).unwrap();
            (value.to_bits(), gradient)
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(7));
}

proptest! {
    /// ε/ε = 1 as ε → 0: an empty subset at ε = 0 has Dice 1 and no gradient.
    #[test]
    fn epsilon_0_never_gives_nan((case, partition, empty) in (case(), partition(), any::<bool>())) {
        let mut case = case;
        if empty {
            case.p.fill(0.0);
            case.dense.fill(0.0);
            case.soft = true;
        }
        let mut gradient = vec![f64::NAN; case.p.len()];
        let value =
            loss(partition, 0.0).value_and_gradient(&case.p, &case.target(), None, &mut gradient).unwrap();
        prop_assert!((0.0..=1.0).contains(&value), "{}", value);
        prop_assert!(gradient.iter().all(|g| g.is_finite()));
        if empty {
            prop_assert_eq!(value, 0.0);
            prop_assert!(gradient.iter().all(|&g| g == 0.0));
        }
    }

    #[test]
    fn a_batch_masked_out_entirely_is_0_with_gradient_0((case, options) in case_and_options()) {
        let mut case = case;
        case.mask.fill(false);
        let mut options = options;
        options.eps.0 = options.eps.1.clone();
        options.normalised = true;
        let mut gradient = vec![f64::NAN; case.p.len()];
        let presence = case.presence();
        let value = options
            .loss()
            .value_and_gradient(&case.p, &case.target(), Some(&presence), &mut gradient)
            .unwrap();
        prop_assert!(value.abs() < 1e-15, "{}", value);
        prop_assert!(gradient.iter().all(|&g| g == 0.0));
    }
}

/// Probabilities near the smallest f32: 1/U overflows f32 but not the result, which saturates.
#[test]
fn gradients_saturate_instead_of_becoming_infinite() {
    let target = Target::dense(Shape::new(1, 1, 2).unwrap(), &[0.0_f32, 0.0]).unwrap();
    let mut gradient = [f32::NAN; 2];
    let smooth = DiceLoss::new(Partition::ImageWise, Epsilon::new(0.0, 0.0).unwrap()).unwrap();
    smooth.value_and_gradient(&[1e-45, 0.0], &target, None, &mut gradient).unwrap();
    assert_eq!(gradient, [0.0, 0.0]);
    let tiny = loss(Partition::ImageWise, 1e-60);
    tiny.value_and_gradient(&[0.0, 0.0], &target, None, &mut gradient).unwrap();
    assert_eq!(gradient, [f32::MAX; 2]);
}

/// Weights whose sum is no power of two still give exactly 0 on a perfect prediction.
#[test]
fn a_perfect_prediction_costs_nothing() {
    let shape = Shape::new(1, 3, 3).unwrap();
    let target = Target::labels(shape, &[0_u8, 1, 2]).unwrap();
    let p = [1.0_f32, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    let weights = ClassWeights::normalised(vec![0.1, 0.2, 0.7]).unwrap();
    let loss = loss(Partition::ImageWise, 1e-7).with_class_weights(weights).unwrap();
    assert_eq!(loss.value(&p, &target, None).unwrap(), 0.0);
}

/// A network that is sure: every voxel's cross-entropy is ln(1 + e⁻ᵗ), which 1 + e⁻ᵗ in `f32` knows to two digits only.
#[test]
fn binary_cross_entropy_of_sure_predictions_keeps_its_digits() {
    let shape = Shape::new(1, 1, 5000).unwrap();
    for sure in [3.0_f32, 9.7, 12.3, 15.1, 30.0] {
        for (x, y) in [(-sure, 0.0_f32), (sure, 1.0)] {
            let (input, truth) = (vec![x; shape.voxels()], vec![y; shape.voxels()]);
            let target = Target::dense(shape, &truth).unwrap();
            let dice = DiceLoss::new(Partition::BatchWise, Epsilon::uniform(1.0).unwrap()).unwrap();
            for set in InstructionSet::available() {
                let loss = SegmentationLoss::new(dice.clone(), Activation::Sigmoid).unwrap();
                let loss = loss.with_dice_weight(0.0).unwrap().with_cross_entropy(1.0).unwrap();
                let value = loss.with_instruction_set(set).value(&input, &target, None).unwrap();
                assert_close(&[value], &[(-f64::from(sure)).exp().ln_1p()], 1e-6, 0.0);
            }
        }
    }
}
