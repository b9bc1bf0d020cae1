//! Times one training step or one prediction of a network, for `benches/training_step.py`, which sets it against
//! PyTorch.
//!
//! `training_step NETWORK THREADS REPETITIONS` prints one line of JSON. NETWORK is the number of channels at the finest
//! resolution of the small U-Net, `brats` or `acdc` for the networks of the paper, or `predict` for a prediction of the
//! first of these. Time and memory of the process are read from Linux' `/proc`.

use std::error::Error;
use std::fs;
use std::time::Instant;

use burn::optim::GradientsParams;
use burn::tensor::{Device, Distribution, Tensor};
use dicewise::{DiceLoss, Epsilon, Partition};
use dicewise_burn::SoftDiceLoss;
use dicewise_train::{Adam, Channels, OutputActivation, UNetConfig, count_trainable, predict};
use serde_json::json;

const LEARNING_RATE: f64 = 1e-3;
/// Linux counts processor time in hundredths of a second wherever Rust runs.
const TICK_MS: f64 = 10.0;
/// A volume of 240 × 240 × 155 mm at 2 mm, and the window that covers it.
const VOLUME: [usize; 3] = [120, 120, 78];
const WINDOW: [usize; 3] = [128, 128, 80];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [network, threads, repetitions] = arguments.as_slice() else {
        return Err("usage: training_step BASE|brats|acdc|predict THREADS REPETITIONS".into());
    };
    rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build_global()?;
    dicewise_kernels::keep_freed_memory();
    let repetitions = repetitions.parse()?;
    let result = match network.as_str() {
        "predict" => prediction(repetitions)?,
        "brats" => training(&UNetConfig::brats(4, 1), [2, 4, 32, 48, 48], repetitions)?,
        "acdc" => training(&UNetConfig::acdc(1, 4), [2, 1, 32, 48, 48], repetitions)?,
        base => training(&UNetConfig::small(1, 1, base.parse()?, 3), [2, 1, 32, 48, 32], repetitions)?,
    };
    println!("{result}");
    Ok(())
}

/// Steps on one batch: sigmoid for one output channel, softmax for more.
fn training(
    config: &UNetConfig,
    input: [usize; 5],
    repetitions: usize,
) -> Result<serde_json::Value, Box<dyn Error>> {
    let device = Device::flex().autodiff();
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
    measure(repetitions, parameters, || {
        let present = network.as_ref().ok_or("the network is lost")?;
        let prediction = output.apply(present.forward(image.clone()));
        let value = dice.forward(prediction, target.clone(), None)?;
        let gradients = GradientsParams::from_grads(value.tensor.backward(), present);
        network = network.take().map(|network| adam.step(LEARNING_RATE, network, gradients));
        Ok(value.loss)
    })
}

fn prediction(repetitions: usize) -> Result<serde_json::Value, Box<dyn Error>> {
    let device = Device::flex();
    let network = UNetConfig::brats(4, 1).init(0, &device);
    let parameters = count_trainable(&UNetConfig::brats(4, 1).init(0, &device.clone().autodiff()));
    let voxels: usize = VOLUME.iter().product();
    let data: Vec<f32> = (0..4 * voxels).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect();
    measure(repetitions, parameters, || {
        let volume = Channels { data: &data, channels: 4, shape: VOLUME };
        let map = predict(&network, &device, OutputActivation::Sigmoid, volume, WINDOW);
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
    repetitions: usize,
    parameters: usize,
    mut step: impl FnMut() -> Result<f64, Box<dyn Error>>,
) -> Result<serde_json::Value, Box<dyn Error>> {
    let before_mib = memory_mib("VmRSS:")?;
    // Memory is being claimed and threads are being started.
    for _ in 0..repetitions.clamp(1, 3) {
        step()?;
    }
    let start = Usage::of_this_process()?;
    let mut steps_ms = Vec::with_capacity(repetitions);
    let mut loss = f64::NAN;
    for _ in 0..repetitions {
        let start = Instant::now();
        loss = step()?;
        steps_ms.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let end = Usage::of_this_process()?;
    let each = |total: f64| total / repetitions as f64;
    Ok(json!({
        "parameters": parameters,
        "loss": loss,
        "steps_ms": steps_ms,
        "cpu_ms": each(TICK_MS * (end.user + end.system - start.user - start.system)),
        "system_ms": each(TICK_MS * (end.system - start.system)),
        "page_faults": each(end.page_faults - start.page_faults),
        "before_mib": before_mib,
        "peak_mib": memory_mib("VmHWM:")?,
    }))
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
