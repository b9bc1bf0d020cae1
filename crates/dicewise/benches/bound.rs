//! The fused loss against the memory bandwidth: `cargo bench -p dicewise --bench bound [-- --json FILE]`.
//!
//! The bound is the time in which the bytes that must move can move: input and labels read once for the sums, once
//! more for the gradient, and the gradient written once. The bandwidth is the better of a read and a copy, by the same
//! threads and in turn with the loss, so that what else runs on the machine slows both. Processor time, summed over
//! threads, is what that disturbs least; it is compared with processor time.

use std::{hint::black_box, time::Instant};

use dicewise::{
    Activation, DiceLoss, Element, Epsilon, InstructionSet, LabelMap, MissingLabels, MissingRule, Partition,
    Presence, SegmentationLoss, Shape, Target,
};
use rayon::prelude::*;

/// A measurement is repeated for at least this long, in seconds.
const LEAST: f64 = 5.0;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let json = match (arguments.next().as_deref(), arguments.next()) {
        (Some("--json"), Some(path)) => Some(path),
        (Some(filter), None) => {
            table(Some(filter));
            return;
        }
        _ => None,
    };
    let rows = table(None);
    if let Some(path) = json {
        std::fs::write(&path, format!("[\n{}\n]\n", rows.join(",\n"))).expect("the JSON file can be written");
    }
}

fn table(filter: Option<&str>) -> Vec<String> {
    let mut memory = Memory::new();
    println!("{} threads, {}", rayon::current_num_threads(), InstructionSet::best());
    println!("| input | loss | sums, ms | gradient, ms | bound, ms | ratio | wall, ms | GB/s of a thread |");
    println!("|:--|:--|--:|--:|--:|--:|--:|--:|");
    let mut rows = Vec::new();
    let shapes = [[2, 4, 192 * 192 * 48], [2, 14, 96 * 96 * 96], [1, 105, 96 * 96 * 96]];
    let softmax = |shape, name, truth| {
        move |rows: &mut Vec<String>, memory: &mut Memory| {
            rows.push(case::<f32>(memory, name, shape, truth, Activation::Softmax, Some(1.0)));
        }
    };
    let mut run = |name: &str, case: &dyn Fn(&mut Vec<String>, &mut Memory)| {
        if filter.is_none_or(|filter| name.contains(filter)) {
            case(&mut rows, &mut memory);
        }
    };
    run("softmax4", &softmax(shapes[0], "softmax + Dice + CE", Truth::Labels));
    run("softmax14", &softmax(shapes[1], "softmax + Dice + CE", Truth::Labels));
    run("softmax105", &softmax(shapes[2], "softmax + Dice + CE", Truth::Labels));
    run("dense4", &softmax(shapes[0], "softmax + Dice + CE, one-hot f32", Truth::Dense));
    run("marginal4", &softmax(shapes[0], "softmax + Dice + CE, a class missing, marginal", Truth::Missing));
    let binary = [2, 1, 192 * 192 * 48];
    run("sigmoid1", &|rows, memory| {
        rows.push(case::<f32>(memory, "sigmoid + Dice", binary, Truth::Dense, Activation::Sigmoid, None));
    });
    run("sigmoidce1", &|rows, memory| {
        rows.push(case::<f32>(
            memory,
            "sigmoid + Dice + BCE",
            binary,
            Truth::Dense,
            Activation::Sigmoid,
            Some(1.0),
        ));
    });
    run("none1", &|rows, memory| {
        rows.push(case::<f32>(memory, "Dice of probabilities", binary, Truth::Dense, Activation::None, None));
    });
    run("none4", &|rows, memory| {
        rows.push(case::<f32>(
            memory,
            "Dice of probabilities",
            shapes[0],
            Truth::Labels,
            Activation::None,
            None,
        ));
    });
    run("half4", &|rows, memory| {
        rows.push(case::<half::f16>(
            memory,
            "softmax + Dice + CE, f16",
            shapes[0],
            Truth::Labels,
            Activation::Softmax,
            Some(1.0),
        ));
    });
    run("bfloat4", &|rows, memory| {
        rows.push(case::<half::bf16>(
            memory,
            "softmax + Dice + CE, bf16",
            shapes[0],
            Truth::Labels,
            Activation::Softmax,
            Some(1.0),
        ));
    });
    rows
}

/// Two arrays that no cache holds.
struct Memory {
    from: Vec<u64>,
    to: Vec<u64>,
}

impl Memory {
    const LENGTH: usize = 1 << 24;
    const PIECE: usize = 1 << 16;

    fn new() -> Self {
        Self { from: vec![1; Self::LENGTH], to: vec![0; Self::LENGTH] }
    }

    fn read(from: &[u64]) {
        let sum = |from: &[u64]| from.iter().fold(0_u64, |sum, x| sum.wrapping_add(*x));
        black_box(from.par_chunks(Self::PIECE).map(sum).reduce(|| 0, u64::wrapping_add));
    }

    fn copy(from: &[u64], to: &mut [u64]) {
        let pieces = to.par_chunks_mut(Self::PIECE).zip(from.par_chunks(Self::PIECE));
        pieces.for_each(|(to, from)| to.copy_from_slice(from));
        black_box(to);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Truth {
    /// `u8`.
    Labels,
    /// `f32`, `[B, C, I]`: one-hot, or a mask of one class.
    Dense,
    /// Labels, with the last class declared missing under marginal treatment.
    Missing,
}

fn case<T: Element>(
    memory: &mut Memory,
    name: &str,
    [batch, classes, voxels]: [usize; 3],
    truth: Truth,
    activation: Activation,
    cross_entropy: Option<f64>,
) -> String {
    let shape = Shape::new(batch, classes, voxels).expect("a valid shape");
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1_u32 << 24)
    };
    let scale = if activation == Activation::None { (1.0, 0.0) } else { (8.0, -4.0) };
    let input: Vec<T> = (0..shape.elements()).map(|_| T::from_f64(scale.0 * random() + scale.1)).collect();
    // Runs of equal labels, as in a segmentation.
    let present = if truth == Truth::Missing { classes - 1 } else { classes.max(2) };
    let labels: Vec<u8> = (0..batch * voxels).map(|i| (i / 37 % present) as u8).collect();
    let mut target = Target::labels(shape, LabelMap::U8(&labels)).expect("as many labels as voxels");
    let mut dense = Vec::new();
    if truth == Truth::Dense {
        let own = |b: usize| &labels[b * voxels..(b + 1) * voxels];
        let maps = (0..batch).flat_map(|b| (0..classes).map(move |c| (b, c)));
        // Of one class, the mask of label 1.
        let class = |c: usize| if classes == 1 { 1 } else { c };
        dense.extend(
            maps.flat_map(|(b, c)| own(b).iter().map(move |&l| f32::from(usize::from(l) == class(c)))),
        );
        target = Target::dense(shape, &dense).expect("as many values as voxels");
    }
    let target_bytes = if dense.is_empty() { labels.len() } else { 4 * dense.len() };
    let annotated = (0..batch * classes).map(|map| truth != Truth::Missing || map % classes != classes - 1);
    let presence = Presence::new(batch, classes, annotated.collect()).expect("as many as maps");
    let presence = (truth == Truth::Missing).then_some(&presence);
    let mut gradient = vec![T::ZERO; input.len()];
    let dice = DiceLoss::new(Partition::BatchWise, Epsilon::uniform(1e-5).expect("a valid ε"));
    let mut dice = dice.expect("a valid loss");
    if truth == Truth::Missing {
        dice =
            dice.with_missing_labels(MissingLabels::Marginal(MissingRule::Declared)).expect("a valid loss");
    }
    let mut loss = SegmentationLoss::new(dice, activation).expect("a valid loss");
    if let Some(weight) = cross_entropy {
        loss = loss.with_cross_entropy(weight).expect("a valid weight");
    }
    let terms = || {
        let sums = loss.sums(&input, &target, presence).expect("valid data");
        loss.terms(&sums, presence).expect("valid sums")
    };
    let first = terms();
    let Memory { from, to } = memory;
    let [of_read, of_copy, of_sums, of_gradient] = in_turn([
        &mut || Memory::read(from),
        &mut || Memory::copy(from, to),
        &mut || {
            black_box(terms());
        },
        &mut || {
            loss.write_gradient(&first, black_box(&input), &target, 1.0, &mut gradient).expect("valid data");
        },
    ]);
    let input_bytes = size_of_val(input.as_slice()) as f64;
    // Without activation, the gradient does not need the input.
    let again = if activation == Activation::None { 0.0 } else { input_bytes };
    let bytes = size_of_val(from.as_slice()) as f64;
    let best = (bytes / of_read.0).max(2.0 * bytes / of_copy.0);
    let bound = (2.0 * input_bytes + again + 2.0 * target_bytes as f64) / best;
    let total = of_sums.0 + of_gradient.0;
    let wall = of_sums.1 + of_gradient.1;
    let [sums, gradient, bound, wall] = [of_sums.0, of_gradient.0, bound, wall].map(|seconds| 1e3 * seconds);
    let ratio = 1e3 * total / bound;
    println!(
        "| [{batch}, {classes}, {voxels}] | {name} | {sums:.1} | {gradient:.1} | {bound:.1} | {ratio:.2} | {wall:.1} | {:.1} |",
        best / 1e9
    );
    format!(
        "  {{\"shape\": [{batch}, {classes}, {voxels}], \"loss\": \"{name}\", \"sums_ms\": {sums:.3}, \
         \"gradient_ms\": {gradient:.3}, \"bound_ms\": {bound:.3}, \"ratio\": {ratio:.3}, \"wall_ms\": {wall:.3}}}"
    )
}

/// Processor and wall time of a run of each in seconds, the medians of several rounds.
fn in_turn<const N: usize>(mut runs: [&mut dyn FnMut(); N]) -> [(f64, f64); N] {
    let mut times = [const { (Vec::new(), Vec::new()) }; N];
    let mut start = Instant::now();
    for round in 0.. {
        if round == 1 {
            // The first has filled caches and pages.
            start = Instant::now();
            times = [const { (Vec::new(), Vec::new()) }; N];
        }
        if round > 5 && start.elapsed().as_secs_f64() > LEAST {
            break;
        }
        for (run, (processor, wall)) in runs.iter_mut().zip(&mut times) {
            let (before, begin) = (processor_nanoseconds(), Instant::now());
            run();
            wall.push(begin.elapsed().as_secs_f64());
            processor.push(match (before, processor_nanoseconds()) {
                (Some(before), Some(after)) => (after - before) as f64 * 1e-9,
                _ => begin.elapsed().as_secs_f64() * rayon::current_num_threads() as f64,
            });
        }
    }
    times.map(|(processor, wall)| (median(processor), median(wall)))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What all threads of this process have run so far; Linux only.
fn processor_nanoseconds() -> Option<u64> {
    let threads = std::fs::read_dir("/proc/self/task").ok()?;
    let of_thread = |entry: std::io::Result<std::fs::DirEntry>| -> Option<u64> {
        let text = std::fs::read_to_string(entry.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    threads.map(of_thread).sum()
}
