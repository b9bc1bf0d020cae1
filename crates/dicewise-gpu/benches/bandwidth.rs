//! Forward and backward pass of the loss on the first graphics processor, against the bandwidth of a copy on it.
//!
//! ```text
//! cargo bench -p dicewise-gpu --features wgpu --bench bandwidth                 # the shapes of the benchmark
//! cargo bench -p dicewise-gpu --features wgpu --bench bandwidth -- 2,4,32,32,16 # another shape
//! ```
//!
//! The bytes that must move are those of logits and target twice and of the gradient once, the target being as many maps
//! as there are classes. Each round measures a copy, the sums, the gradient, and a whole step (sums, their way to the host,
//! the scalar mathematics there, gradient), so that what else the machine does meets all of them; printed are medians. The
//! whole step divided by the bytes is the figure to compare: it has the wait for the device in it.
use std::error::Error;
use std::time::Instant;

use cubecl::client::Client;
use cubecl::ir::{ElemType, FloatKind};
use cubecl::prelude::*;
use cubecl::server::Handle;
use dicewise::{Activation, DiceLoss, Epsilon, Partition, Shape};
use dicewise_gpu::VoxelPasses;

const SHAPES: [&str; 3] = ["2,4,192,192,48", "2,14,96,96,96", "1,105,96,96,96"];
/// Of one copy, if a buffer may be so large: more than any cache holds.
const COPIED_BYTES: u64 = 1 << 28;
/// The widest load that every device has.
const VECTOR: usize = 4;
const ROUNDS: usize = 15;

/// Each unit copies four values: consecutive units, consecutive memory.
#[cube(launch)]
fn copy<N: Size>(input: &[Vector<f32, N>], output: &mut [Vector<f32, N>]) {
    if ABSOLUTE_POS < output.len() {
        output[ABSOLUTE_POS] = input[ABSOLUTE_POS];
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let client = cubecl::Device::default().client();
    println!("{}", client.name());
    println!(
        "element  shape              copy GB/s  sums ms  gradient ms  step ms  step, of the copy's bandwidth"
    );
    // Cargo adds `--bench`.
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let shapes = if asked.is_empty() { SHAPES.map(str::to_owned).to_vec() } else { asked };
    for shape in &shapes {
        for kind in [FloatKind::F32, FloatKind::F16, FloatKind::BF16] {
            measure(&client, shape, kind)?;
        }
    }
    Ok(())
}

fn measure(client: &Client, name: &str, kind: FloatKind) -> Result<(), Box<dyn Error>> {
    let dims: Vec<usize> = name.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let [batch, classes, axes @ ..] = dims.as_slice() else { return Err("a shape is B,C,Z,Y,X".into()) };
    let shape = Shape::new(*batch, *classes, axes.iter().product())?;
    let element = ElemType::Float(kind);
    let Some(passes) = VoxelPasses::new(client.clone(), shape, Activation::Softmax, element) else {
        println!("{kind:?}: this device has none, or cannot count so many voxels");
        return Ok(());
    };
    let width = element.size();
    let array = |value: fn(usize) -> f32| -> Handle {
        let values = (0..shape.elements()).map(value);
        let bytes: Vec<u8> = values.flat_map(|x| encoded(x, kind)).collect();
        client.create_from_slice(&bytes)
    };
    let input = array(|k| (k * 37 % 101) as f32 / 25.0 - 2.0);
    let target = array(|k| f32::from(u8::from(k * 7 % 3 == 0)));
    let upstream = client.create_from_slice(f32::as_bytes(&[1.0]));
    let loss = DiceLoss::new(Partition::ImageWise, Epsilon::uniform(1e-5)?)?;
    let copied = COPIED_BYTES.min(client.properties().memory.max_page_size / 2) as usize / 4096 * 4096;
    let copies = [client.create_from_slice(&vec![7; copied]), client.empty(copied)];

    let sums = || passes.sums(input.clone(), target.clone(), false);
    let terms_of = |bytes: &[u8], dims| -> Result<_, Box<dyn Error>> {
        Ok(loss.terms(&VoxelPasses::add_up(f32::from_bytes(bytes), dims)?, None)?)
    };
    let step = || -> Result<_, Box<dyn Error>> {
        let parts = sums();
        let terms = terms_of(&client.read_one(parts.handle).map_err(|e| format!("{e:?}"))?, parts.dims)?;
        Ok((passes.gradient(input.clone(), target.clone(), &terms, upstream.clone()), terms))
    };
    let (_, terms) = step()?;
    copy_once(client, &copies, copied);
    // A kernel that cannot be run takes no time.
    let arrived = client.read_one(copies[1].clone()).map_err(|error| format!("{error:?}"))?;
    if arrived.len() != copied || arrived.iter().any(|&byte| byte != 7) {
        return Err("the copy did not arrive".into());
    }

    let mut times = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        let mut timed = |which: usize, work: &dyn Fn() -> Result<(), Box<dyn Error>>| {
            let start = Instant::now();
            work()?;
            wait(client)?;
            times[which].push(start.elapsed().as_secs_f64());
            Ok::<(), Box<dyn Error>>(())
        };
        timed(0, &|| {
            copy_once(client, &copies, copied);
            Ok(())
        })?;
        timed(1, &|| {
            sums();
            Ok(())
        })?;
        timed(2, &|| {
            passes.gradient(input.clone(), target.clone(), &terms, upstream.clone());
            Ok(())
        })?;
        timed(3, &|| step().map(drop))?;
    }
    let [copy, sums, gradient, step] = times.map(median);
    let bandwidth = 2.0 * copied as f64 / copy;
    let share = 5.0 * (shape.elements() * width) as f64 / step / bandwidth;
    println!(
        "{:<7}  {name:<17}  {:>9.1}  {:>7.3}  {:>11.3}  {:>7.3}  {:.0} %",
        format!("{kind:?}"),
        bandwidth / 1e9,
        sums * 1e3,
        gradient * 1e3,
        step * 1e3,
        share * 100.0
    );
    Ok(())
}

fn copy_once(client: &Client, [from, to]: &[Handle; 2], bytes: usize) {
    let vectors = bytes / size_of::<f32>() / VECTOR;
    let units = client.properties().hardware.max_units_per_cube.min(256);
    let side = vectors.div_ceil(units as usize * 65_535) as u32;
    let cubes = CubeCount::Static((vectors as u32).div_ceil(units * side), side, 1);
    #[allow(unsafe_code)]
    // SAFETY: both buffers were allocated with so many vectors, and nothing else is running on them.
    let argument = |handle: &Handle| unsafe { BufferArg::from_raw_parts(handle.clone(), vectors) };
    copy::launch(client, cubes, CubeDim::new_1d(units), VECTOR, argument(from), argument(to));
}

fn wait(client: &Client) -> Result<(), Box<dyn Error>> {
    cubecl::future::block_on(client.sync()).map_err(|error| format!("{error:?}").into())
}

/// Little-endian bytes; the values of this benchmark are exact enough in each type.
fn encoded(value: f32, kind: FloatKind) -> Vec<u8> {
    match kind {
        FloatKind::F16 => half::f16::from_f32(value).to_le_bytes().to_vec(),
        FloatKind::BF16 => half::bf16::from_f32(value).to_le_bytes().to_vec(),
        _ => value.to_le_bytes().to_vec(),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
