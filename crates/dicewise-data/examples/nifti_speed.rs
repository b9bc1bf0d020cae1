//! Time to read a 240×240×155 volume of 16-bit voxels, the size of a BraTS image, as `f32`: here and with the crate
//! `nifti`, in turn, the same file and the same decompressor.
//!
//! ```text
//! cargo run --release -p dicewise-data --example nifti_speed
//! ```
//!
//! The volume is head-like, a noisy ellipsoid in zeros, and packs about as a real one does.
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use dicewise_data::nifti::{read_image, write};
use dicewise_data::{Grid, Volume};
use nifti::{NiftiObject, ReaderOptions};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const ROUNDS: usize = 15;
const SHAPE: [usize; 3] = [240, 240, 155];

fn main() {
    let folder = std::env::temp_dir().join(format!("dicewise-nifti-speed-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let path = folder.join("head.nii.gz");
    write(&path, &head()).expect("a volume that can be written");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(time(|| read_image(&path).expect("a readable file").data.len()));
        theirs.push(time(|| with_nifti(&path)));
    }
    println!("{} bytes", std::fs::metadata(&path).expect("the file just read").len());
    for (name, mut times) in [("dicewise-data", ours), ("nifti 0.18", theirs)] {
        times.sort();
        println!("{name:<14} least {:>6.1?}  median {:>6.1?}", times[0], times[ROUNDS / 2]);
    }
    // Nothing depends on whether the copy is gone.
    let _ = std::fs::remove_dir_all(folder);
}

/// Its shortest way: the stored numbers, each cast. It offers to scale them too, which takes longer.
fn with_nifti(path: &Path) -> usize {
    let object = ReaderOptions::new().read_file(path).expect("a readable file");
    let stored: Vec<i16> = object.into_volume().into_nifti_typed_data().expect("16-bit integers");
    let voxels: Vec<f32> = stored.into_iter().map(f32::from).collect();
    black_box(voxels).len()
}

fn time(read: impl Fn() -> usize) -> Duration {
    let started = Instant::now();
    black_box(read());
    started.elapsed()
}

fn head() -> Volume<i16> {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let grid = Grid::axis_aligned(SHAPE, [1.0; 3]);
    let mut data = Vec::with_capacity(grid.len());
    for z in 0..SHAPE[2] {
        for y in 0..SHAPE[1] {
            for x in 0..SHAPE[0] {
                let place = [(x, 120.0, 70.0), (y, 120.0, 85.0), (z, 77.0, 65.0)];
                let radius: f64 = place.iter().map(|&(i, c, r)| ((i as f64 - c) / r).powi(2)).sum();
                data.push(if radius < 1.0 { 300 + random.random_range(0..64_i16) } else { 0 });
            }
        }
    }
    Volume::new(grid, data)
}
