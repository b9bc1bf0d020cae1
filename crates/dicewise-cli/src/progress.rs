//! What a run shows while it works: bars on a terminal, a line now and then elsewhere.
use std::time::Instant;

use dicewise_train::Step;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::cell::CellObserver;
use crate::stdout;

/// The bars of all cells being trained, under one of the whole grid.
pub(crate) struct Display {
    bars: MultiProgress,
    grid: ProgressBar,
    started: Instant,
}

impl Display {
    pub(crate) fn new(cells: usize) -> Self {
        let bars = MultiProgress::new();
        let style = ProgressStyle::with_template("{prefix:>24} {bar:30} {pos}/{len} cells  {elapsed} gone");
        let grid = bars.add(ProgressBar::new(cells as u64));
        grid.set_style(style.expect("a valid template"));
        grid.set_prefix("grid");
        grid.tick();
        Self { bars, grid, started: Instant::now() }
    }

    /// A line above the bars, or on standard error where there are none.
    pub(crate) fn line(&self, text: &str) {
        if self.bars.is_hidden() {
            stdout::note(text);
        } else {
            // Only fails when the terminal is gone, and then there is nobody to tell.
            let _ = self.bars.println(text);
        }
    }

    pub(crate) fn cell(&self, name: &str) -> CellBar<'_> {
        let style = ProgressStyle::with_template("{prefix:>24} {bar:30} {pos}/{len}  {msg}  {eta} left");
        let bar = self.bars.insert_before(&self.grid, ProgressBar::new(0));
        bar.set_style(style.expect("a valid template"));
        bar.set_prefix(name.to_owned());
        CellBar { display: self, bar, name: name.to_owned(), smooth: None }
    }

    pub(crate) fn cell_done(&self, bar: &CellBar<'_>, outcome: &str) {
        bar.bar.finish_and_clear();
        self.grid.inc(1);
        let done = format!("{}/{}", self.grid.position(), self.grid.length().unwrap_or(0));
        self.line(&format!("{done:>7}  {:<28} {outcome}  {:.0?}", bar.name, self.started.elapsed()));
    }

    pub(crate) fn close(&self) {
        self.grid.finish_and_clear();
    }
}

/// The bar of one cell.
pub(crate) struct CellBar<'a> {
    display: &'a Display,
    bar: ProgressBar,
    name: String,
    /// Training loss, exponentially averaged.
    smooth: Option<f64>,
}

impl CellObserver for CellBar<'_> {
    fn started(&mut self, done: usize, total: usize) {
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
        // The time left is estimated from what this process does.
        self.bar.reset_eta();
    }

    fn step(&mut self, step: &Step) {
        let smooth = self.smooth.map_or(step.loss, |old| 0.95 * old + 0.05 * step.loss);
        self.smooth = Some(smooth);
        self.bar.set_position(step.iteration as u64);
        self.bar.set_message(format!("loss {smooth:.3}"));
    }

    fn warn(&mut self, message: &str) {
        self.display.line(&format!("warning: {}: {message}", self.name));
    }

    fn predicting(&mut self, done: usize, total: usize) {
        self.bar.set_message(format!("predicting {}/{total}", done + 1));
    }
}
