//! Forward and backward pass of the loss as a share of the device's copy bandwidth:
//! `cargo run --release -p dicewise-gpu --features wgpu --example bandwidth [-- SHARE]`, or `--features cuda`.
//!
//! The shapes are those of `benches/peers`, softmax, `f32`. The bound is the bytes that must move: logits and target
//! twice and the gradient once, at the bandwidth of a copy that is measured in the same rounds. SHARE, 1 unless given,
//! scales the number of voxels, for devices that are slow.
use std::error::Error;
use std::time::Instant;

use cubecl::client::Client;
use cubecl::ir::{ElemType, FloatKind};
use cubecl::prelude::*;
use cubecl::server::Handle;
use dicewise::{Activation, DiceLoss, Epsilon, Partition, Shape};
use dicewise_gpu::VoxelPasses;

const SHAPES: [(usize, usize, usize); 3] =
    [(2, 4, 192 * 192 * 48), (2, 14, 96 * 96 * 96), (1, 105, 96 * 96 * 96)];
const ROUNDS: usize = 21;
const UNITS: u32 = 256;
const MAX_CUBES: usize = 65_535;

#[cube(launch)]
fn copy(from: &[f32], to: &mut [f32]) {
    let mut i = ABSOLUTE_POS;
    while i < to.len() {
        to[i] = from[i];
        i += CUBE_COUNT_X as usize * CUBE_DIM_X as usize;
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let share: f64 = std::env::args().nth(1).map_or(Ok(1.0), |text| text.parse())?;
    let client = cubecl::Device::default().client();
    println!("{}", client.properties().identity.name);
    println!("shape                 loss ms   bound ms   share of the copy's bandwidth");
    for (batch, classes, voxels) in SHAPES {
        let voxels = ((voxels as f64 * share) as usize).max(1);
        let shape = Shape::new(batch, classes, voxels)?;
        let element = ElemType::Float(FloatKind::F32);
        let passes = VoxelPasses::new(client.clone(), shape, Activation::Softmax, element)
            .ok_or("this device cannot run the kernels")?;
        let loss = DiceLoss::new(Partition::BatchWise, Epsilon::uniform(1e-5)?)?;
        let length = shape.elements();
        let logits: Vec<f32> = (0..length).map(|k| (k * 37 % 101) as f32 / 25.0 - 2.0).collect();
        let of_class = |k: usize| k % voxels * 7 % classes == k / voxels % classes;
        let target: Vec<f32> = (0..length).map(|k| f32::from(u8::from(of_class(k)))).collect();
        let [logits, target] =
            [logits, target].map(|values| client.create_from_slice(f32::as_bytes(&values)));
        let one = client.create_from_slice(f32::as_bytes(&[1.0]));
        let mut step = || -> Result<(), Box<dyn Error>> {
            let parts = passes.sums(logits.clone(), target.clone(), false);
            let values = client.read_one(parts.handle)?;
            let sums = VoxelPasses::add_up(f32::from_bytes(&values), parts.dims)?;
            let terms = loss.terms(&sums, None)?;
            passes.gradient(logits.clone(), target.clone(), &terms, one.clone());
            Ok(())
        };
        // The first of each compiles the kernels.
        let (mut steps, mut copies) = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let started = Instant::now();
            step()?;
            settle(&client)?;
            let took = started.elapsed().as_secs_f64();
            let started = Instant::now();
            copied(&client, &logits, length);
            settle(&client)?;
            if round > 0 {
                steps.push(took);
                copies.push(started.elapsed().as_secs_f64());
            }
        }
        let bandwidth = 2.0 * 4.0 * length as f64 / median(&mut copies);
        let (took, bound) = (median(&mut steps), 5.0 * 4.0 * length as f64 / bandwidth);
        let shape = format!("[{batch}, {classes}, {voxels}]");
        let percent = 100.0 * bound / took;
        println!(
            "{shape:20} {:8.3}   {:8.3}   {percent:.0} % of {:.0} GB/s",
            took * 1e3,
            bound * 1e3,
            bandwidth / 1e9
        );
    }
    Ok(())
}

/// Copies an array into a new one.
#[allow(unsafe_code)]
fn copied(client: &Client, from: &Handle, length: usize) {
    let to = client.empty(4 * length);
    let cubes = length.div_ceil(UNITS as usize).min(MAX_CUBES);
    // SAFETY: both have this many elements.
    let [from, to] = [from.clone(), to].map(|handle| unsafe { BufferArg::from_raw_parts(handle, length) });
    copy::launch(client, CubeCount::Static(cubes as u32, 1, 1), CubeDim::new_1d(UNITS), from, to);
}

/// Waits until everything is done.
fn settle(client: &Client) -> Result<(), Box<dyn Error>> {
    Ok(cubecl::future::block_on(client.sync())?)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
