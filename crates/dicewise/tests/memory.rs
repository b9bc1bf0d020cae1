//! What the loss allocates beside the caller's arrays, counted where memory is allocated.
#![allow(unsafe_code)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use dicewise::{
    Activation, DiceLoss, Epsilon, LabelMap, MissingLabels, MissingRule, Partition, SegmentationLoss, Shape,
    Target,
};

/// Bytes that are allocated now, and the most that were.
static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: all is done by the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        MOST.fetch_max(NOW.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The most bytes that were allocated during a call beside those before it.
fn most_beside(call: impl FnOnce()) -> usize {
    let before = NOW.load(Relaxed);
    MOST.store(before, Relaxed);
    call();
    MOST.load(Relaxed) - before
}

/// Sums, terms and gradient, in a buffer and over the input, on two threads: rows for each thread, and sums of each task. What
/// is allowed is less than a bit for each element.
#[test]
fn nothing_of_the_size_of_the_input_is_allocated() {
    let threads = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    threads.install(sums_and_gradients);
}

fn sums_and_gradients() {
    for [batch, classes, voxels] in
        [[2, 1, 1_769_472], [2, 4, 1_769_472], [2, 14, 884_736], [1, 105, 884_736]]
    {
        let shape = Shape::new(batch, classes, voxels).unwrap();
        let labels: Vec<u8> = (0..batch * voxels).map(|i| (i / 37 % classes) as u8).collect();
        let target = Target::labels(shape, LabelMap::U8(&labels)).unwrap();
        let x: Vec<f32> = (0..shape.elements()).map(|i| (i * 37 % 101) as f32 / 101.0).collect();
        let (mut gradient, mut in_place) = (vec![0.0_f32; x.len()], x.clone());
        for activation in Activation::ALL {
            for missing in [MissingLabels::AsEmpty, MissingLabels::Leaf(MissingRule::Inferred)] {
                let dice = DiceLoss::new(Partition::BatchWise, Epsilon::uniform(1e-5).unwrap()).unwrap();
                let dice = dice.with_missing_labels(missing).unwrap();
                let mut loss = SegmentationLoss::new(dice, activation).unwrap();
                if activation != Activation::None {
                    loss = loss.with_cross_entropy(1.0).unwrap();
                }
                let mut run = || {
                    let terms = loss.terms(&loss.sums(&x, &target, None).unwrap(), None).unwrap();
                    loss.write_gradient(&terms, &x, &target, 1.0, &mut gradient).unwrap();
                    // Times 0, so that what it leaves is input again.
                    loss.gradient_in_place(&terms, &mut in_place, &target, 0.0).unwrap();
                };
                // Threads are started once.
                run();
                let found = most_beside(run);
                let input = size_of_val(x.as_slice());
                println!("{shape}, {activation}, {missing:?}: {found} bytes beside {input}");
                assert!(found < input / 200 + 250_000, "{shape}, {activation}, {missing:?}: {found} bytes");
            }
        }
    }
}
