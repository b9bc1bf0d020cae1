//! Times one training step of a small U-Net: forward, image-wise Dice on sigmoid outputs, backward, Adam.
//!
//! `training_step BASE THREADS REPETITIONS` prints one line of JSON, for `benches/training_step.py`, which sets it
//! against PyTorch. Time and memory of the process are read from Linux' `/proc`.

use std::error::Error;
use std::fs;
use std::time::Instant;

use burn::optim::GradientsParams;
use burn::tensor::{Device, Distribution, Tensor};
use dicewise::{DiceLoss, Epsilon, Partition};
use dicewise_burn::SoftDiceLoss;
use dicewise_train::{Adam, OutputActivation, UNetConfig, count_trainable};
use serde_json::json;

/// `[B, C, Z, Y, X]` of the image.
const INPUT: [usize; 5] = [2, 1, 32, 48, 32];
const LEVELS: usize = 3;
const LEARNING_RATE: f64 = 1e-3;
/// Steps before the clock starts: memory is being claimed and threads are being started.
const WARM_UP: usize = 3;
/// Linux counts processor time in hundredths of a second wherever Rust runs.
const TICK_MS: f64 = 10.0;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = std::env::args().skip(1).map(|a| a.parse()).collect::<Result<Vec<usize>, _>>()?;
    let &[base, threads, repetitions] = arguments.as_slice() else {
        return Err("usage: training_step BASE THREADS REPETITIONS".into());
    };
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let device = Device::flex().autodiff();
    let mut network = UNetConfig::small(INPUT[1], 1, base, LEVELS).init(0, &device);
    let parameters = count_trainable(&network);
    let mut adam = Adam::new(0.0);
    let dice = SoftDiceLoss::new(DiceLoss::new(Partition::ImageWise, Epsilon::uniform(1e-7)?)?);
    let image = Tensor::<5>::random(INPUT, Distribution::Normal(0.0, 1.0), &device);
    let target = bright_voxels(&image);
    let before_mib = memory_mib("VmRSS:")?;

    let mut step = || -> Result<f64, Box<dyn Error>> {
        let prediction = OutputActivation::Sigmoid.apply(network.forward(image.clone()));
        let value = dice.forward(prediction, target.clone(), None)?;
        let gradients = GradientsParams::from_grads(value.tensor.backward(), &network);
        network = adam.step(LEARNING_RATE, network.clone(), gradients);
        Ok(value.loss)
    };
    for _ in 0..WARM_UP {
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
    let result = json!({
        "parameters": parameters,
        "loss": loss,
        "median_ms": median(&steps_ms),
        "steps_ms": steps_ms,
        "cpu_ms": each(TICK_MS * (end.user + end.system - start.user - start.system)),
        "system_ms": each(TICK_MS * (end.system - start.system)),
        "page_faults": each(end.page_faults - start.page_faults),
        "before_mib": before_mib,
        "peak_mib": memory_mib("VmHWM:")?,
    });
    println!("{result}");
    Ok(())
}

/// A target that can be learnt: where the image is above its mean.
fn bright_voxels(image: &Tensor<5>) -> Tensor<5> {
    (image.clone().sign() + 1.0) * 0.5
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.get(sorted.len().saturating_sub(1) / 2), sorted.get(sorted.len() / 2)) {
        (Some(low), Some(high)) => (low + high) / 2.0,
        _ => f64::NAN,
    }
}

/// A field of `/proc/self/status`, which is in kB: `VmRSS:` is the resident memory now, `VmHWM:` its peak.
fn memory_mib(field: &str) -> Result<f64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.split_whitespace().next()).ok_or("no memory in /proc/self/status")?;
    Ok(kib.parse::<f64>()? / 1024.0)
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
