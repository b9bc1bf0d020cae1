//! Training samples a second, with all augmentations of an experiment: `loader brats|acdc WORKERS SAMPLES`.
//!
//! Cases lie in memory, as after preprocessing. A sample is what training draws: a copy of the case, its augmentation, and
//! channels and maps one after the other. Prints the seconds of every repetition, one for each line of standard input.
use std::hint::black_box;
use std::io::{BufRead, stdin};
use std::time::Instant;

use dicewise_data::augment::{AugmentStep, Augmentation, Axis, Patch, Spread, Target};
use rayon::prelude::*;

const CASES: usize = 4;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, workers, samples] = &arguments[..] else { panic!("loader brats|acdc WORKERS SAMPLES") };
    let samples: u64 = samples.parse().expect("a number of samples");
    let workers = workers.parse().expect("a number of workers");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(workers).build().expect("threads");
    let (cases, augmentation) = match name.as_str() {
        "brats" => (cases([120, 120, 78], 4), brats()),
        "acdc" => (cases([192, 192, 48], 1), acdc()),
        other => panic!("{other}: brats or acdc"),
    };
    let soft_labels: &[u16] = if name == "acdc" { &[0, 1, 2, 3] } else { &[] };
    let draw = |sample: u64| {
        let case = sample % CASES as u64;
        let mut patch = cases[case as usize].clone();
        if !soft_labels.is_empty() {
            patch.soften(soft_labels);
        }
        augmentation.apply(&mut patch, 0, case, sample);
        let Target::Soft { maps, .. } = &patch.target else { unreachable!("softened, or soft before") };
        black_box((patch.channels.concat(), maps.concat()));
    };
    for (repetition, _) in stdin().lock().lines().enumerate() {
        let first = repetition as u64 * samples;
        let started = Instant::now();
        pool.install(|| (first..first + samples).into_par_iter().for_each(draw));
        println!("{}", started.elapsed().as_secs_f64());
    }
}

/// As `experiments/brats2018.toml`.
fn brats() -> Augmentation {
    let steps = vec![
        AugmentStep::Affine {
            translation: Spread::Normal([6.0, 6.0, 4.0]),
            rotation: Spread::Normal([0.0, 0.0, 14.9924_f64.to_radians()]),
            scale: Spread::default(),
        },
        AugmentStep::Elastic { displacement: [1.0; 3] },
        AugmentStep::AnchorCrop { shape: [80, 80, 48], jitter: [0; 3] },
        AugmentStep::Flip { axis: Axis::X, probability: 0.5 },
        AugmentStep::Intensity { shift: 0.05, scale: 0.05 },
    ];
    Augmentation { steps }
}

/// As `experiments/acdc.toml`.
fn acdc() -> Augmentation {
    let steps = vec![
        AugmentStep::Affine {
            translation: Spread::default(),
            rotation: Spread::Uniform([0.0, 0.0, 2.0]),
            scale: Spread::Uniform([0.05; 3]),
        },
        AugmentStep::Noise { deviation: 0.1 },
    ];
    Augmentation { steps }
}

/// Cases of noise with a box of label 1, 2 or 3; BRATS has a soft map of one class instead.
fn cases(shape: [usize; 3], channels: usize) -> Vec<Patch> {
    let [nx, ny, nz] = shape;
    let voxels = nx * ny * nz;
    let noise =
        |seed: usize| (0..voxels).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 1009.0).collect();
    let label = |i: usize, case: usize| -> u16 {
        let [x, y, z] = [i % nx, i / nx % ny, i / (nx * ny)];
        let inside = |at: usize, n: usize| (n / 3..2 * n / 3).contains(&at);
        if inside(x, nx) && inside(y, ny) && inside(z, nz) { 1 + ((x + case) * 9 / nx) as u16 % 3 } else { 0 }
    };
    let case = |case: usize| {
        let labels: Vec<u16> = (0..voxels).map(|i| label(i, case)).collect();
        let target = match channels {
            4 => {
                let map = labels.iter().map(|&label| f32::from(label.min(1))).collect();
                Target::Soft { maps: vec![map], outside: vec![0.0] }
            }
            _ => Target::Labels(labels),
        };
        let channels = (0..channels).map(|channel| noise(case * 10 + channel)).collect();
        Patch { shape, channels, target, anchor: Some(shape.map(|n| n / 2)) }
    };
    (0..CASES).map(case).collect()
}
