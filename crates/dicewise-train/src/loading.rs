//! Samples for the training loop: drawn when they are needed, or ahead of it by threads of their own.
use std::io;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

use crate::batches::Batches;
use crate::trainer::{Sample, SampleSource};

/// Which samples make up each iteration's batch: a function of seed and iteration alone.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) batches: Batches,
    pub(crate) batch_size: usize,
    pub(crate) seed: u64,
}

impl Plan {
    /// The batch of an iteration, counted from 0.
    fn draw(&self, source: &dyn SampleSource, iteration: usize) -> io::Result<Vec<Sample>> {
        let (cases, size, seed) = (source.cases(), self.batch_size, self.seed);
        let epoch_length = self.batches.epoch(cases, size);
        let draw = |slot| {
            let drawn = iteration * size + slot;
            let (epoch, place) = ((drawn / epoch_length) as u64, drawn % epoch_length);
            source.draw(self.batches.order(cases, size, seed, epoch)[place], epoch)
        };
        (0..size).map(draw).collect()
    }
}

/// Batches in the order of their iterations.
pub(crate) enum Loading<'a> {
    /// Drawn by the thread that asks.
    Now(Plan, &'a dyn SampleSource),
    /// Thread k of n draws every nth batch from the kth on, and waits with it until it is taken. The order is the same
    /// however quick they are.
    Ahead(Vec<Receiver<io::Result<Vec<Sample>>>>),
}

impl<'a> Loading<'a> {
    /// Starts `threads` threads, or none, for the iterations from `start` on. They end soon after this is dropped.
    pub(crate) fn new<'scope>(
        plan: Plan,
        source: &'a dyn SampleSource,
        start: usize,
        threads: usize,
        scope: &'scope Scope<'scope, 'a>,
    ) -> Self {
        if threads == 0 {
            return Self::Now(plan, source);
        }
        let thread = |k| {
            let (plan, (sender, receiver)) = (plan.clone(), sync_channel(0));
            scope.spawn(move || {
                // Nobody takes it after the last iteration, or an interruption.
                let mut iterations = (start..).filter(|iteration| iteration % threads == k);
                while iterations.next().is_some_and(|i| sender.send(plan.draw(source, i)).is_ok()) {}
            });
            receiver
        };
        Self::Ahead((0..threads).map(thread).collect())
    }

    /// The batch of an iteration. Iterations are asked for one after the other.
    pub(crate) fn batch(&self, iteration: usize) -> io::Result<Vec<Sample>> {
        match self {
            Self::Now(plan, source) => plan.draw(*source, iteration),
            Self::Ahead(receivers) => receivers[iteration % receivers.len()]
                .recv()
                .expect("a thread that draws samples ends after this, or with a panic"),
        }
    }
}
