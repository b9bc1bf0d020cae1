use burn::tensor::{DType, Device};

use crate::settings::{Batch, Setting, assert_close, values};

/// Loss on the host, loss as a tensor and ∂DL/∂p, for tensors of rank `D`.
fn run<const D: usize>(setting: &Setting, batch: &Batch, dtype: DType) -> (f64, Vec<f64>, Vec<f64>) {
    let device = Device::flex().autodiff();
    let p = batch.tensor::<D>(&batch.p, &device, dtype).require_grad();
    let y = batch.tensor::<D>(&batch.y, &device, dtype);
    let value = setting.module().forward(p.clone(), y, Some(&batch.presence())).unwrap();
    assert_eq!(value.tensor.dtype(), dtype);
    let gradient = p.grad(&value.tensor.backward()).unwrap();
    assert_eq!(gradient.dims().to_vec(), batch.dims());
    (value.loss, values(value.tensor), values(gradient))
}

fn check<const D: usize>(voxels: &[usize]) {
    for batch in Batch::all(voxels) {
        for setting in Setting::all() {
            let problem = setting.problem(&batch);
            for (dtype, rounding) in [(DType::F32, 1e-7), (DType::F64, 1e-14)] {
                let what = (dtype, &setting);
                let (loss, tensor, gradient) = run::<D>(&setting, &batch, dtype);
                // Sums are f64 on both paths; only what leaves as a tensor is rounded.
                assert!((loss - problem.loss()).abs() < 1e-12, "{what:?}: {loss}, not {}", problem.loss());
                assert!((tensor[0] - loss).abs() <= rounding, "{what:?}: tensor {} of {loss}", tensor[0]);
                assert_close(&gradient, &problem.gradient(), 10.0 * rounding.max(1e-13), what);
            }
        }
    }
}

#[test]
fn maps_of_rank_3_have_the_oracles_loss_and_gradient() {
    check::<3>(&[23]);
}

#[test]
fn maps_of_rank_4_have_the_oracles_loss_and_gradient() {
    check::<4>(&[5, 4]);
}

#[test]
fn maps_of_rank_5_have_the_oracles_loss_and_gradient() {
    check::<5>(&[2, 3, 4]);
}

/// More voxels than one block of the fused voxel pass.
#[test]
fn large_maps_have_the_oracles_loss_and_gradient() {
    let batch = Batch::new(&[17, 20, 31], false, false);
    for setting in Setting::all().into_iter().step_by(7) {
        let problem = setting.problem(&batch);
        let (loss, _, gradient) = run::<5>(&setting, &batch, DType::F32);
        assert!((loss - problem.loss()).abs() < 1e-12, "{setting:?}");
        assert_close(&gradient, &problem.gradient(), 1e-6, setting);
    }
}

/// Without a declaration everything is annotated: the declared treatments then do what as-empty does.
#[test]
fn without_presence_every_label_counts_as_annotated() {
    let device = Device::flex();
    let mut batch = Batch::new(&[11], false, false);
    batch.annotated.fill(true);
    for setting in Setting::all() {
        let p = batch.tensor::<3>(&batch.p, &device, DType::F32);
        let y = batch.tensor::<3>(&batch.y, &device, DType::F32);
        let loss = setting.module().forward(p, y, None).unwrap().loss;
        let expected = setting.problem(&batch).loss();
        assert!((loss - expected).abs() < 1e-12, "{setting:?}: {loss}, not {expected}");
    }
}

/// The views of a permuted tensor are not contiguous in memory; the loss must not care.
#[test]
fn memory_layout_does_not_matter() {
    let device = Device::flex().autodiff();
    let batch = Batch::new(&[4, 6], true, false);
    let setting = &Setting::all()[0];
    for dtype in [DType::F32, DType::F64] {
        // [B, C, 6, 4] in memory, seen as [B, C, 4, 6].
        let shuffled = |values: &[f64]| {
            let there = batch.tensor::<4>(values, &device, dtype).swap_dims(2, 3).into_data();
            burn::tensor::Tensor::<4>::from_data(there, (&device, dtype)).swap_dims(2, 3)
        };
        let p = shuffled(&batch.p).detach().require_grad();
        let value = setting.module().forward(p.clone(), shuffled(&batch.y), Some(&batch.presence())).unwrap();
        let problem = setting.problem(&batch);
        assert!((value.loss - problem.loss()).abs() < 1e-12);
        let gradient = values(p.grad(&value.tensor.backward()).unwrap());
        assert_close(&gradient, &problem.gradient(), 1e-6, dtype);
    }
}
