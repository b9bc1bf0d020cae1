use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, DeviceKind, Gradients, Tensor, TensorData};
use dicewise::Partition;
use dicewise_train::{
    Channels, Normalisation, Outcome, OutputActivation, Sample, Trainer, TrainingConfig, UNet, UNetConfig,
    predict, training_bytes_on_device,
};

use crate::child::{child, in_child};
use crate::setup::{Record, SHAPE, Source, VOXELS, balls, config, dice, noise};

/// The CPU, whose operations are tested against loops in f64, and the first that a graphics driver offers.
fn devices() -> [Device; 2] {
    [Device::flex(), Device::wgpu(DeviceKind::DefaultDevice)]
}

/// Both kinds of the paper's networks with few channels, and the small one, down to one voxel along z or almost.
fn networks() -> [UNetConfig; 3] {
    let few = |config: UNetConfig| {
        let config = config.widened(0.1);
        UNetConfig {
            encoder: config.encoder[..2].to_vec(),
            decoder: config.decoder[2..].to_vec(),
            pooling: config.pooling[..2].to_vec(),
            ..config
        }
    };
    [few(UNetConfig::brats(2, 1)), few(UNetConfig::acdc(1, 3)), UNetConfig::small(1, 2, 2, 2)]
}

/// Gradients of all parameters, in the network's order.
struct OfParameters<'a>(&'a Gradients, Vec<(String, Vec<f32>)>);

impl ModuleVisitor for OfParameters<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = param.val().grad(self.0) else { return };
        let name = format!("parameter {} {:?}", self.1.len(), gradient.dims());
        self.1.push((name, values(gradient)));
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

/// Logits, and the gradients of Σ r·logits with numbers r that look random.
fn forward_and_backward(config: &UNetConfig, device: &Device) -> Vec<(String, Vec<f32>)> {
    let device = device.clone().autodiff();
    let network: UNet = config.init(7, &device);
    let random = |channels: usize, seed: usize| {
        let shape = [2, channels, 4, 8, 12];
        let value = |k: usize| (noise(k + seed) - 0.5) as f32;
        let data: Vec<f32> = (0..shape.iter().product()).map(value).collect();
        Tensor::<5>::from_data(TensorData::new(data, shape), &device)
    };
    let logits = network.forward(random(config.in_channels, 0));
    let gradients = (logits.clone() * random(config.out_channels, 1_000_000)).sum().backward();
    let mut all = OfParameters(&gradients, vec![("logits".into(), values(logits.inner()))]);
    network.visit(&mut all);
    all.1
}

#[test]
fn networks_have_the_cpus_outputs_and_gradients() {
    let [cpu, gpu] = devices();
    for config in networks() {
        let expected = forward_and_backward(&config, &cpu);
        let found = forward_and_backward(&config, &gpu);
        assert!(expected.len() > 15 && found.len() == expected.len(), "{} {}", expected.len(), found.len());
        let of_all = expected[1..].iter().flat_map(|(_, values)| values).fold(0_f32, |m, v| m.max(v.abs()));
        for ((what, expected), (_, found)) in expected.iter().zip(&found) {
            // A bias before a normalisation has no influence: all that is in its gradient is the rounding of others.
            let largest = expected.iter().fold(0.05 * of_all, |m, v| m.max(v.abs()));
            for (expected, found) in expected.iter().zip(found) {
                let error = (expected - found).abs() / largest;
                assert!(error < 1e-4, "{what} of {config:?}: {found}, not {expected} ({error:.1e})");
            }
        }
    }
}

/// Everything that a training has: L2, cross-entropy, validation, running averages.
fn training(iterations: usize, normalisation: Normalisation) -> TrainingConfig {
    TrainingConfig {
        l2: 1e-3,
        loss: dice(Partition::BatchWise, 20.0),
        cross_entropy: if normalisation == Normalisation::Batch { 0.5 } else { 0.0 },
        validate_every: 5,
        ..config(iterations)
    }
}

fn trained(config: TrainingConfig, normalisation: Normalisation, device: &Device) -> (Record, Trainer) {
    let device = device.clone().autodiff();
    let unet = UNetConfig { normalisation, ..UNetConfig::small(1, 1, 3, 2) };
    let mut trainer = Trainer::resume(config, unet.init(1, &device), device).unwrap();
    let mut record = Record::default();
    let outcome = record.run(&mut trainer, &balls(4), &balls(2)).unwrap();
    assert_eq!(outcome, Outcome::Finished);
    (record, trainer)
}

fn assert_near(found: &[f64], expected: &[f64], tolerance: f64, what: impl std::fmt::Debug) {
    assert_eq!(found.len(), expected.len(), "{what:?}");
    for (k, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() < tolerance, "{what:?}, {k}: {found}, not {expected}");
    }
}

/// Every step follows from the derivatives before it, so errors would add up.
#[test]
fn a_training_has_the_cpus_losses_and_predictions() {
    let devices = devices();
    for normalisation in [Normalisation::Instance, Normalisation::Batch] {
        let [cpu, gpu] =
            devices.each_ref().map(|device| trained(training(20, normalisation), normalisation, device));
        let losses = cpu.0.losses();
        assert!(losses[19] < losses[0] - 0.1, "nothing was learnt: {losses:?}");
        assert_near(&gpu.0.losses(), &losses, 1e-3, normalisation);
        assert_near(&gpu.0.validation_losses(), &cpu.0.validation_losses(), 1e-3, normalisation);
        let image: Vec<f32> = (0..VOXELS).map(|k| noise(k) as f32).collect();
        let predicted = |(_, trainer): &(Record, Trainer), device| -> Vec<f64> {
            let volume = Channels { data: &image, channels: 1, shape: SHAPE };
            let p = predict(&trainer.network(), device, OutputActivation::Sigmoid, volume, [6, 4, 4]);
            p.into_iter().map(f64::from).collect()
        };
        let [on_cpu, on_gpu] = &devices;
        assert_near(&predicted(&gpu, on_gpu), &predicted(&cpu, on_cpu), 1e-2, normalisation);
    }
}

/// Also where the other device went on: a checkpoint does not know where it comes from.
#[test]
fn a_checkpoint_goes_on_as_if_nothing_had_been() {
    let [cpu, gpu] = devices();
    let norm = Normalisation::Batch;
    let (whole, _) = trained(training(10, norm), norm, &gpu);
    for (first, second, tolerance) in [(&gpu, &gpu, 1e-6), (&gpu, &cpu, 1e-3), (&cpu, &gpu, 1e-3)] {
        let folder = tempfile::tempdir().unwrap();
        let saving = |iterations| TrainingConfig {
            checkpoint: Some((folder.path().join("latest.safetensors"), 0)),
            ..training(iterations, norm)
        };
        let (before, _) = trained(saving(6), norm, first);
        let (after, _) = trained(saving(10), norm, second);
        let losses = [before.losses(), after.losses()].concat();
        assert_near(&losses, &whole.losses(), tolerance, (first, second));
    }
}

/// The most memory in use while a step is done, looked at again and again. In a process of its own, since a device counts
/// for all threads.
#[test]
fn a_step_takes_the_memory_that_was_estimated() {
    let name = "graphics::a_step_takes_the_memory_that_was_estimated";
    if in_child().is_none() {
        let folder = tempfile::tempdir().unwrap();
        let output = child(name, folder.path()).output().unwrap();
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        println!("{}", said[0]);
        assert!(output.status.success(), "{}", said[1]);
        return;
    }
    let [_, gpu] = devices();
    for unet in networks() {
        let (shape, maps) = ([24, 16, 8], [unet.in_channels, unet.out_channels]);
        let estimate = training_bytes_on_device(&unet, 2, shape) as f64;
        let voxels: usize = shape.iter().product();
        let draw = |case, _| {
            let [image, target] =
                maps.map(|maps| (0..maps * voxels).map(|k| noise(k + case) as f32).collect());
            Sample { image, target, annotated: vec![true; maps[1]] }
        };
        let source = Source { cases: 4, shape, draw };
        let device = gpu.clone().autodiff();
        let output = OutputActivation::Softmax;
        let mut trainer = Trainer::new(TrainingConfig { output, ..config(2) }, unet.init(1, &device), device);
        let (most, done) = (AtomicU64::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    most.fetch_max(gpu.memory_pool_usage().unwrap().bytes_in_use, Ordering::Relaxed);
                }
            });
            Record::default().run(&mut trainer, &source, &source).unwrap();
            done.store(true, Ordering::Relaxed);
        });
        drop(trainer);
        let (most, reserved) =
            (most.into_inner() as f64, gpu.memory_pool_usage().unwrap().bytes_reserved as f64);
        let [estimated, found, held] = [estimate, most, reserved].map(|bytes| bytes / f64::from(1 << 20));
        println!("{found:.2} MiB in use, {estimated:.2} estimated, {held:.2} reserved: {unet:?}");
        assert!((estimate / most - 1.0).abs() < 0.2, "{found} MiB, not {estimated}, of {unet:?}");
    }
}
