//! Time and size of the checkpoints of the paper's BRATS network:
//! `cargo run --release -p dicewise-train --example checkpoint_cost [FOLDER]`.
use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use dicewise_train::checkpoint::{self, Progress};
use dicewise_train::{Adam, UNetConfig, count_trainable};

const REPEATS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let [latest, previous] =
        ["latest", "previous"].map(|name| folder.join(format!("checkpoint_cost_{name}")));
    let device = Device::flex().autodiff();
    let config = UNetConfig::brats(4, 1);
    let network = config.init(1, &device);
    // One step on the smallest image, so that there are moments to save.
    let image = Tensor::<5>::ones([1, 4, 16, 16, 16], &device);
    let gradients = GradientsParams::from_grads(network.forward(image).sum().backward(), &network);
    let mut adam = Adam::new(1e-5);
    let network = adam.step(1e-3, network, gradients);

    let (mut saving, mut loading) = (Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        let started = Instant::now();
        checkpoint::save_keeping(&latest, &previous, &network, &adam, &Progress::default())?;
        saving.push(started.elapsed());
        let fresh = config.init(2, &device);
        let started = Instant::now();
        checkpoint::load(&latest, fresh, 1e-5, None)?;
        loading.push(started.elapsed());
    }
    println!(
        "{} trainable parameters, {:.1} MB a checkpoint; median of {REPEATS}: save {:.2} s, load {:.2} s",
        count_trainable(&network),
        std::fs::metadata(&latest)?.len() as f64 / 1e6,
        median(saving).as_secs_f64(),
        median(loading).as_secs_f64()
    );
    std::fs::remove_file(latest)?;
    std::fs::remove_file(previous)?;
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
