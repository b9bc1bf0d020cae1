use burn::tensor::{Tensor, TensorData};
use dicewise::{MissingRule, Partition};

use crate::settings::{Batch, Setting, values};

/// DL of tensors `[B, C, I]`, Eq. 3 as one would write it without a backward of one's own.
///
/// A subset left with nothing has Dice 1, as the paper's φ ← ∅.
pub(crate) fn dice_loss(p: Tensor<3>, y: Tensor<3>, setting: &Setting, batch: &Batch) -> Tensor<1> {
    let [samples, classes, _] = p.dims();
    let (device, dtype) = (p.device(), p.dtype());
    let tensor = |values: Vec<f64>, shape: [usize; 3]| {
        Tensor::<3>::from_data(TensorData::new(values, shape), (&device, dtype))
    };
    let mixed = setting.partition.mixes_classes();

    let annotated = annotated(&y, setting, batch);
    let annotated: Vec<f64> = annotated.into_iter().map(|a| f64::from(u8::from(a))).collect();
    let annotated = tensor(annotated, [samples, classes, 1]);
    let p = if setting.missing.is_marginal() {
        let missing = annotated.clone().neg() + 1.0;
        let background = p.clone().slice([0..samples, 0..1]) + (p.clone() * missing).sum_dim(1);
        let others = (p * annotated.clone()).slice([0..samples, 1..classes]);
        Tensor::cat(vec![background, others], 1)
    } else {
        p
    };

    let switched_on = setting.weights.iter().map(|&w| if mixed && w == 0.0 { 0.0 } else { 1.0 }).collect();
    let keep = annotated * tensor(switched_on, [1, classes, 1]);
    let over_subsets = |maps: Tensor<3>| match setting.partition {
        Partition::ImageWise => maps,
        Partition::ClassWise => maps.sum_dim(1),
        Partition::BatchWise => maps.sum_dim(0),
        Partition::AllWise => maps.sum_dim(0).sum_dim(1),
    };
    let overlap = over_subsets((y.clone() * p.clone() * keep.clone()).sum_dim(2));
    let union = over_subsets(((y + p) * keep.clone()).sum_dim(2));
    let not_empty = over_subsets(keep).greater_elem(0.0).float().cast(dtype);

    let of_class = |values: &[f64]| {
        if mixed { tensor(vec![values[0]], [1, 1, 1]) } else { tensor(values.to_vec(), [1, classes, 1]) }
    };
    let dice = (overlap * 2.0 + of_class(&setting.eps.0)) / (union + of_class(&setting.eps.1));
    let dice = dice * not_empty.clone() + (not_empty.neg() + 1.0);

    let weights = if mixed { of_class(&[1.0]) } else { of_class(&setting.weights) };
    let subsets = dice.dims().iter().product::<usize>() as f64;
    let total = match setting.normalised {
        true => (dice.ones_like() * weights.clone()).sum(),
        false => Tensor::from_data([subsets], (&device, dtype)),
    };
    ((dice * weights).sum() / total).neg() + 1.0
}

fn annotated(y: &Tensor<3>, setting: &Setting, batch: &Batch) -> Vec<bool> {
    let mut annotated = match setting.missing.rule() {
        None => vec![true; batch.annotated.len()],
        Some(MissingRule::Declared) => batch.annotated.clone(),
        Some(MissingRule::Inferred) => {
            values(y.clone().sum_dim(2)).into_iter().map(|size| size > 0.0).collect()
        }
    };
    if setting.missing.is_marginal() {
        annotated.iter_mut().step_by(3).for_each(|background| *background = true);
    }
    annotated
}
