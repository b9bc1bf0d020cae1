//! The voxel passes one by one: `cargo bench -p dicewise --bench kernels [-- NAME]`.
//!
//! How they compare with the memory bandwidth is what `--bench bound` shows.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dicewise::{
    Activation, DiceLoss, Element, Epsilon, InstructionSet, Partition, SegmentationLoss, Shape, Target,
};
use half::{bf16, f16};

/// Sums, and gradient into a given buffer and over the input, with every instruction set of this machine.
fn passes<T: Element>(criterion: &mut Criterion, name: &str, activation: Activation, classes: usize) {
    let shape = Shape::new(1, classes, 64 * 64 * 64).expect("a valid shape");
    let values = (0..shape.elements()).map(|k| (k * 7919 % 10_007) as f64 / 10_007.0);
    let stretch = if activation == Activation::None { (1.0, 0.0) } else { (8.0, -4.0) };
    let input: Vec<T> = values.map(|value| T::from_f64(stretch.0 * value + stretch.1)).collect();
    let labels: Vec<u8> = (0..shape.voxels()).map(|i| (i / 37 % classes) as u8).collect();
    let target = Target::labels(shape, &labels).expect("as many labels as voxels");
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(shape.elements() as u64)).sample_size(20);
    for set in InstructionSet::available() {
        let dice = DiceLoss::new(Partition::BatchWise, Epsilon::uniform(1e-5).expect("a valid ε"));
        let mut loss = SegmentationLoss::new(dice.expect("a valid loss"), activation).expect("a valid loss");
        if activation != Activation::None {
            loss = loss.with_cross_entropy(1.0).expect("a valid weight");
        }
        let loss = loss.with_instruction_set(set);
        let sums = loss.sums(&input, &target, None).expect("valid data");
        let terms = loss.terms(&sums, None).expect("valid sums");
        group.bench_function(format!("{set}/sums"), |bencher| {
            bencher.iter(|| loss.sums(&input, &target, None).expect("valid data"));
        });
        let mut gradient = input.clone();
        group.bench_function(format!("{set}/gradient"), |bencher| {
            bencher.iter(|| {
                loss.write_gradient(&terms, &input, &target, 1.0, &mut gradient).expect("valid data")
            });
        });
    }
    group.finish();
}

fn kernels(criterion: &mut Criterion) {
    passes::<f32>(criterion, "softmax/4 classes/f32", Activation::Softmax, 4);
    passes::<f32>(criterion, "softmax/14 classes/f32", Activation::Softmax, 14);
    passes::<f32>(criterion, "softmax/105 classes/f32", Activation::Softmax, 105);
    passes::<f16>(criterion, "softmax/4 classes/f16", Activation::Softmax, 4);
    passes::<bf16>(criterion, "softmax/4 classes/bf16", Activation::Softmax, 4);
    passes::<f64>(criterion, "softmax/4 classes/f64", Activation::Softmax, 4);
    passes::<f32>(criterion, "sigmoid/1 class/f32", Activation::Sigmoid, 1);
    passes::<f32>(criterion, "none/1 class/f32", Activation::None, 1);
}

criterion_group!(benches, kernels);
criterion_main!(benches);
