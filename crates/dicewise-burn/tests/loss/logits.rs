use burn::tensor::{DType, Device};
use dicewise::Activation;
use dicewise_oracle::{Activation as OracleActivation, Logits};

use crate::settings::{Batch, Setting, assert_close, values};

/// Loss and derivative with respect to logits for every Φ, ε, weighting and treatment, and with a derivative of what
/// the loss enters. The loss to 1e-6, also where logits are in a shorter type: what comes after reading them is not.
pub(crate) fn check(device: &Device, dtype: DType, tolerance: f64) {
    for (activation, reference) in
        [(Activation::Sigmoid, OracleActivation::Sigmoid), (Activation::Softmax, OracleActivation::Softmax)]
    {
        let mut batch = Batch::new(&[4, 7], false, true);
        // Exact in f16, too.
        batch.p.iter_mut().for_each(|x| *x = (512.0 * (*x - 0.4)).round() / 64.0);
        for setting in Setting::all() {
            if setting.missing.is_marginal() && activation == Activation::Sigmoid {
                continue;
            }
            let oracle = Logits {
                problem: setting.problem(&batch),
                x: batch.p.clone(),
                activation: reference,
                dice_weight: 1.0,
                cross_entropy_weight: 0.0,
            };
            let x = batch.tensor::<4>(&batch.p, device, dtype).require_grad();
            let y = batch.tensor::<4>(&batch.y, device, dtype);
            let module = setting.module();
            let value = module.forward_logits(x.clone(), y, activation, Some(&batch.presence())).unwrap();
            assert!((value.loss - oracle.loss()).abs() < 1e-6, "{activation:?}, {setting:?}: {}", value.loss);
            let gradient = x.grad(&(value.tensor * -3.0).backward()).unwrap();
            let expected: Vec<f64> = oracle.gradient().iter().map(|g| -3.0 * g).collect();
            assert_close(&values(gradient), &expected, tolerance, (activation, &setting));
        }
    }
}

#[test]
fn logits_have_the_oracles_loss_and_derivative() {
    check(&Device::flex().autodiff(), DType::F32, 1e-6);
}
