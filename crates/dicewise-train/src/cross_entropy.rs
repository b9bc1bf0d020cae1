//! Cross-entropy beside the Dice loss, by tensor operations: what nnU-Net's users train with.
use burn::tensor::{Tensor, TensorData, activation};
use dicewise::{DiceSums, MissingLabels, MissingRule, Presence};

use crate::predict::OutputActivation;

/// A probability below this counts as this, so that its logarithm stays finite.
const SMALLEST: f32 = 1e-30;

/// The mean cross-entropy of logits `[B, C, Z, Y, X]`, shape `[1]`, as [`dicewise::SegmentationLoss`] defines it.
///
/// ```text
/// softmax:  −(1/N) Σ_{b,i} Σ_c y_bci ln p'_bci, missing classes merged into the background in p' and y
/// sigmoid:  −(1/N) Σ_{b,c,i} [y ln p + (1 − y) ln (1 − p)] over maps that are not missing
/// ```
///
/// N counts voxels for softmax, voxels of all those maps for sigmoid; without any, it is 0.
pub(crate) fn cross_entropy(
    logits: Tensor<5>,
    target: Tensor<5>,
    output: OutputActivation,
    missing: &[bool],
) -> Tensor<1> {
    let [batch, classes, depth, height, width] = logits.dims();
    let voxels = depth * height * width;
    let mask: Vec<f32> = missing.iter().map(|&missing| f32::from(u8::from(missing))).collect();
    let mask = TensorData::new(mask, [batch, classes, 1, 1, 1]);
    let mask = Tensor::<5>::from_data(mask, &logits.device());
    match output {
        OutputActivation::Sigmoid => {
            let counted = missing.iter().filter(|&&missing| !missing).count() * voxels;
            let positive = target.clone() * activation::log_sigmoid(logits.clone());
            let negative = (target.neg() + 1.0) * activation::log_sigmoid(logits.neg());
            ((positive + negative) * (mask.neg() + 1.0)).sum().neg() / counted.max(1) as f32
        }
        OutputActivation::Softmax => {
            let merged = |maps: Tensor<5>| {
                let foreground = maps.clone() * (mask.clone().neg() + 1.0);
                let background = maps.clone().slice([0..batch, 0..1]) + (maps * mask.clone()).sum_dim(1);
                match classes {
                    1 => background,
                    _ => Tensor::cat(vec![background, foreground.slice([0..batch, 1..classes])], 1),
                }
            };
            let prediction = merged(activation::softmax(logits, 1)).clamp_min(SMALLEST);
            (merged(target) * prediction.log()).sum().neg() / (batch * voxels) as f32
        }
    }
}

/// Which maps the loss treats as missing, by its rule.
pub(crate) fn missing_maps(treatment: MissingLabels, sums: &DiceSums, presence: &Presence) -> Vec<bool> {
    let maps = 0..sums.batch() * sums.classes();
    match treatment {
        MissingLabels::AsEmpty => maps.map(|_| false).collect(),
        MissingLabels::Leaf(rule) | MissingLabels::Marginal(rule) => maps
            .map(|map| match rule {
                MissingRule::Declared => !presence.is_annotated(map / sums.classes(), map % sums.classes()),
                MissingRule::Inferred => sums.target()[map] == 0.0,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use dicewise::{Activation, DiceLoss, Epsilon, Partition, SegmentationLoss, Shape, Target};

    use super::*;

    const DIMS: [usize; 5] = [2, 3, 2, 3, 5];

    fn logits() -> Vec<f32> {
        (0..180).map(|i| ((i * 37 % 101) as f32 - 50.0) / 12.0).collect()
    }

    /// One-hot; class 2 occurs in the first sample only.
    fn target() -> Vec<f32> {
        let mut target = vec![0.0; 180];
        for b in 0..2 {
            for i in 0..30 {
                let class = i * 7 % (3 - b);
                target[(b * 3 + class) * 30 + i] = 1.0;
            }
        }
        target
    }

    /// The crate's own loss, which is tested against an oracle in f64, with the Dice part switched off.
    fn expected(activation: Activation, treatment: MissingLabels, presence: &Presence) -> (f64, Vec<f32>) {
        let dice = DiceLoss::new(Partition::ImageWise, Epsilon::uniform(1e-5).unwrap()).unwrap();
        let loss = SegmentationLoss::new(dice.with_missing_labels(treatment).unwrap(), activation).unwrap();
        let loss = loss.with_cross_entropy(1.0).unwrap().with_dice_weight(0.0).unwrap();
        let (logits, maps) = (logits(), target());
        let target = Target::dense(Shape::new(2, 3, 30).unwrap(), &maps).unwrap();
        let sums = loss.sums(&logits, &target, Some(presence)).unwrap();
        let terms = loss.terms(&sums, Some(presence)).unwrap();
        let mut gradient = vec![0.0; 180];
        loss.write_gradient(&terms, &logits, &target, 1.0, &mut gradient).unwrap();
        (terms.loss, gradient)
    }

    #[test]
    fn value_and_gradient_are_those_of_the_segmentation_loss() {
        let declared = [true, true, true, true, true, false];
        let presence = Presence::new(2, 3, declared.to_vec()).unwrap();
        let device = Device::flex().autodiff();
        let tensor = |values: Vec<f32>| Tensor::<5>::from_data(TensorData::new(values, DIMS), &device);
        let sums = DiceSums::from_parts(
            2,
            3,
            vec![0.0; 6],
            target().chunks(30).map(|map| map.iter().map(|&y| f64::from(y)).sum()).collect(),
            vec![1.0; 6],
        )
        .unwrap();
        for (output, activation) in [
            (OutputActivation::Sigmoid, Activation::Sigmoid),
            (OutputActivation::Softmax, Activation::Softmax),
        ] {
            for treatment in [
                MissingLabels::AsEmpty,
                MissingLabels::Leaf(MissingRule::Declared),
                MissingLabels::Leaf(MissingRule::Inferred),
            ] {
                let (value, gradient) = expected(activation, treatment, &presence);
                let x = tensor(logits()).require_grad();
                let missing = missing_maps(treatment, &sums, &presence);
                let found = cross_entropy(x.clone(), tensor(target()), output, &missing);
                let gradients = found.backward();
                let found: f32 = found.into_scalar();
                assert!((f64::from(found) - value).abs() < 1e-6, "{output:?} {treatment:?}: {found} {value}");
                let of_x: Vec<f32> = x.grad(&gradients).unwrap().into_data().try_to_vec().unwrap();
                for (found, expected) in of_x.iter().zip(&gradient) {
                    assert!((found - expected).abs() < 1e-6, "{output:?} {treatment:?}: {found} {expected}");
                }
            }
        }
    }

    #[test]
    fn without_an_annotated_map_there_is_nothing_to_learn() {
        let device = Device::flex();
        let tensor = |values: Vec<f32>| Tensor::<5>::from_data(TensorData::new(values, DIMS), &device);
        let output = OutputActivation::Sigmoid;
        let loss = cross_entropy(tensor(logits()), tensor(target()), output, &[true; 6]);
        assert_eq!(loss.into_scalar::<f32>(), 0.0);
    }
}
