//! Times one training step or one prediction of a network, for `benches/training_step.py`, which sets it against
//! PyTorch.
//!
//! `training_step NETWORK THREADS REPETITIONS [DEVICE]` prints one line of JSON. NETWORK is the number of channels at the
//! finest resolution of the small U-Net, `brats` or `acdc` for the networks of the paper (`brats-full`, `acdc-full`: on its
//! batches), or `predict` for a prediction of the first of these. DEVICE is `cpu`, or `gpu` (built with the feature `wgpu`)
//! or `cuda` (with `cuda`): the first there is. Time and memory of the process are read from Linux' `/proc`, a graphics
//! processor's memory from its allocator: the most in use at a time and what it has reserved for that, beside the estimate
//! that the program makes before it starts.

use std::error::Error;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use burn::optim::GradientsParams;
use burn::tensor::{Device, Distribution, Tensor};
use dicewise::{DiceLoss, Epsilon, Partition};
use dicewise_burn::SoftDiceLoss;
use dicewise_train::{
    Adam, Channels, OutputActivation, UNetConfig, count_trainable, predict, training_bytes_on_device,
};
use serde_json::json;

const LEARNING_RATE: f64 = 1e-3;
/// Linux counts processor time in hundredths of a second wherever Rust runs.
const TICK_MS: f64 = 10.0;
/// A volume of 240 × 240 × 155 mm at 2 mm, and the window that covers it.
const VOLUME: [usize; 3] = [120, 120, 78];
const WINDOW: [usize; 3] = [128, 128, 80];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (network, threads, repetitions, device) = match arguments.as_slice() {
        [network, threads, repetitions] => (network, threads, repetitions, "cpu"),
        [network, threads, repetitions, device] => (network, threads, repetitions, device.as_str()),
        _ => {
            return Err(
                "usage: training_step BASE|brats|acdc|predict THREADS REPETITIONS [cpu|gpu|cuda]".into()
            );
        }
    };
    let device = &match device {
        "cpu" => Device::flex(),
        #[cfg(feature = "wgpu")]
        "gpu" => Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
        #[cfg(feature = "cuda")]
        "cuda" => Device::cuda(0),
        other => return Err(format!("{other}: not built for it").into()),
    };
    rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build_global()?;
    dicewise_kernels::keep_freed_memory();
    let repetitions = repetitions.parse()?;
    let result = match network.as_str() {
        "predict" => prediction(device, repetitions)?,
        "brats" => training(device, &UNetConfig::brats(4, 1), [2, 4, 32, 48, 48], repetitions)?,
        "brats-full" => training(device, &UNetConfig::brats(4, 1), [8, 4, 48, 80, 80], repetitions)?,
        "acdc-full" => training(device, &UNetConfig::acdc(1, 4), [2, 1, 48, 192, 192], repetitions)?,
        "acdc" => training(device, &UNetConfig::acdc(1, 4), [2, 1, 32, 48, 48], repetitions)?,
        base => {
            let config = UNetConfig::small(1, 1, base.parse()?, 3);
            training(device, &config, [2, 1, 32, 48, 32], repetitions)?
        }
    };
    println!("{result}");
    Ok(())
}

/// Steps on one batch: sigmoid for one output channel, softmax for more.
fn training(
    plain: &Device,
    config: &UNetConfig,
    input: [usize; 5],
    repetitions: usize,
) -> Result<serde_json::Value, Box<dyn Error>> {
    let device = plain.clone().autodiff();
    let network = config.init(0, &device);
    let parameters = count_trainable(&network);
    // The optimiser gets the only handle, so that it can work in place.
    let mut network = Some(network);
    let mut adam = Adam::new(0.0);
    let dice = SoftDiceLoss::new(DiceLoss::new(Partition::ImageWise, Epsilon::uniform(1e-7)?)?);
    let image = Tensor::<5>::random(input, Distribution::Normal(0.0, 1.0), &device);
    let first = image.clone().narrow(1, 0, 1);
    let (output, target) = match config.out_channels {
        1 => (OutputActivation::Sigmoid, above(&first, 0.0)),
        _ => (OutputActivation::Softmax, quartiles(&first)),
    };
    let [batch, _, z, y, x] = input;
    let estimate = training_bytes_on_device(config, batch, [x, y, z]);
    measure(plain, repetitions, [parameters, estimate], || {
        let present = network.as_ref().ok_or("the network is lost")?;
        let logits = present.forward(image.clone());
        let value = dice.forward_logits(logits, target.clone(), output.into(), None)?;
        let gradients = GradientsParams::from_grads(value.tensor.backward(), present);
        network = network.take().map(|network| adam.step(LEARNING_RATE, network, gradients));
        Ok(value.loss)
    })
}

fn prediction(device: &Device, repetitions: usize) -> Result<serde_json::Value, Box<dyn Error>> {
    let network = UNetConfig::brats(4, 1).init(0, device);
    let parameters = count_trainable(&UNetConfig::brats(4, 1).init(0, &device.clone().autodiff()));
    let voxels: usize = VOLUME.iter().product();
    let data: Vec<f32> = (0..4 * voxels).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect();
    measure(device, repetitions, [parameters, 0], || {
        let volume = Channels { data: &data, channels: 4, shape: VOLUME };
        let map = predict(&network, device, OutputActivation::Sigmoid, volume, WINDOW);
        Ok(map.iter().map(|p| f64::from(*p)).sum::<f64>() / voxels as f64)
    })
}

/// 1 where the image is above `threshold`: a target that can be learnt.
fn above(image: &Tensor<5>, threshold: f64) -> Tensor<5> {
    ((image.clone() - threshold).sign() + 1.0) * 0.5
}

/// Four maps that sum to one: which of −⅔, 0 and ⅔ the image exceeds.
fn quartiles(image: &Tensor<5>) -> Tensor<5> {
    let [low, middle, high] = [-2.0 / 3.0, 0.0, 2.0 / 3.0].map(|threshold| above(image, threshold));
    let background = low.clone().neg() + 1.0;
    Tensor::cat(vec![background, low - middle.clone(), middle - high.clone(), high], 1)
}

fn measure(
    device: &Device,
    repetitions: usize,
    [parameters, estimate]: [usize; 2],
    mut step: impl FnMut() -> Result<f64, Box<dyn Error>>,
) -> Result<serde_json::Value, Box<dyn Error>> {
    let before_mib = memory_mib("VmRSS:")?;
    // Memory is being claimed and threads are being started.
    let in_use = most_in_use(device, || (0..repetitions.clamp(1, 3)).try_for_each(|_| step().map(drop)))?;
    device.sync()?;
    let start = Usage::of_this_process()?;
    let mut steps_ms = Vec::with_capacity(repetitions);
    let mut loss = f64::NAN;
    for _ in 0..repetitions {
        let start = Instant::now();
        loss = step()?;
        device.sync()?;
        steps_ms.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let end = Usage::of_this_process()?;
    let each = |total: f64| total / repetitions as f64;
    let mut result = json!({
        "parameters": parameters,
        "loss": loss,
        "steps_ms": steps_ms,
        "cpu_ms": each(TICK_MS * (end.user + end.system - start.user - start.system)),
        "system_ms": each(TICK_MS * (end.system - start.system)),
        "page_faults": each(end.page_faults - start.page_faults),
        "before_mib": before_mib,
        "peak_mib": memory_mib("VmHWM:")?,
    });
    if let Some(usage) = device.memory_pool_usage() {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        result["device_estimate_mib"] = json!(mib(estimate as u64));
        result["device_in_use_mib"] = json!(mib(in_use));
        result["device_reserved_mib"] = json!(mib(usage.bytes_reserved));
    }
    Ok(result)
}

/// The most bytes of a graphics processor's memory in use at a time, looked at again and again while `work` is done.
fn most_in_use(
    device: &Device,
    work: impl FnOnce() -> Result<(), Box<dyn Error>>,
) -> Result<u64, Box<dyn Error>> {
    let (most, done) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while let (false, Some(usage)) = (done.load(Ordering::Relaxed), device.memory_pool_usage()) {
                most.fetch_max(usage.bytes_in_use, Ordering::Relaxed);
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        let outcome = work();
        done.store(true, Ordering::Relaxed);
        outcome
    })?;
    Ok(most.into_inner())
}

/// A field of `/proc/self/status` that is given in KiB.
fn memory_mib(field: &str) -> Result<f64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(field)).ok_or("no such field")?;
    let kib: f64 = line.split_whitespace().nth(1).ok_or("no value")?.parse()?;
    Ok(kib / 1024.0)
}

/// Processor time in ticks and page faults so far, of all threads.
struct Usage {
    user: f64,
    system: f64,
    page_faults: f64,
}

impl Usage {
    fn of_this_process() -> Result<Self, Box<dyn Error>> {
        let stat = fs::read_to_string("/proc/self/stat")?;
        // The program's name is in parentheses and may hold blanks: fields 3 (state) and on follow it.
        let (_, fields) = stat.rsplit_once(')').ok_or("no program name in /proc/self/stat")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let field = |number: usize| fields[number - 3].parse::<f64>();
        Ok(Self { user: field(14)?, system: field(15)?, page_faults: field(10)? })
    }
}
