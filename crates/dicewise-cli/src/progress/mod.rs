//! What a run shows while it works: on a terminal every cell that runs or waits, elsewhere a line now and then.
mod board;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dicewise_train::Step;
use indicatif::{ProgressBar, ProgressStyle};

use self::board::Board;
use crate::cell::CellObserver;
use crate::stdout;
use crate::terminal::Reader;

/// Between two drawings on a terminal.
const DRAW_EVERY: Duration = Duration::from_millis(100);
/// Between two lines about what is still at work, where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// All that a command works through: the cells of a grid, or the cases to predict.
pub(crate) struct Display {
    shown: Mutex<Shown>,
    started: Instant,
    /// Hidden where there is no terminal.
    bar: ProgressBar,
    reader: Reader,
}

struct Shown {
    board: Board,
    /// When it was drawn, or a line was printed about it.
    last: Instant,
}

impl Display {
    /// `noun` is what the items are called; each has a name, and a weight that says how much work it is, in any unit.
    pub(crate) fn new(noun: &'static str, items: impl IntoIterator<Item = (String, f64)>) -> Self {
        let bar = ProgressBar::no_length();
        bar.set_style(ProgressStyle::with_template("{msg}").expect("a valid template"));
        let moves = !bar.is_hidden();
        stdout::set_moving(moves.then(|| bar.clone()));
        let reader = if moves { Reader::of_stderr() } else { Reader::PROGRAM };
        let started = Instant::now();
        let shown = Shown { board: Board::new(noun, items), last: started };
        Self { shown: Mutex::new(shown), started, bar, reader }
    }

    /// Begins an item, by its place among those given to [`Display::new`].
    pub(crate) fn begin(&self, item: usize) -> Working<'_> {
        let mut shown = self.shown();
        shown.board.begin(item);
        self.draw(&mut shown);
        Working { display: self, item }
    }

    /// An item is done, with what came out.
    pub(crate) fn done(&self, item: usize, outcome: &str) {
        self.end(item, Ok(outcome));
    }

    /// An item cannot be done.
    pub(crate) fn failed(&self, item: usize, reason: &str) {
        self.end(item, Err(reason));
    }

    fn end(&self, item: usize, outcome: Result<&str, &str>) {
        let mut shown = self.shown();
        let line = shown.board.end(item, outcome, self.started.elapsed(), self.reader);
        stdout::note(&line);
        self.draw(&mut shown);
    }

    /// Takes away what moves.
    pub(crate) fn close(&self) {
        self.bar.finish_and_clear();
        stdout::set_moving(None);
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws, if there is a terminal and it is time.
    fn update(&self, change: impl FnOnce(&mut Board)) {
        let mut shown = self.shown();
        change(&mut shown.board);
        let since = shown.last.elapsed();
        if !self.bar.is_hidden() {
            if since >= DRAW_EVERY {
                self.draw(&mut shown);
            }
        } else if since >= LINE_EVERY {
            stdout::note(&shown.board.line(self.started.elapsed()));
            shown.last = Instant::now();
        }
    }

    fn draw(&self, shown: &mut Shown) {
        if self.bar.is_hidden() {
            return;
        }
        let (rows, columns) = console::Term::stderr().size();
        // The window may have changed since. A full last column would wrap on some terminals.
        let reader = self.reader.resized(usize::from(columns).saturating_sub(1));
        let rows = usize::from(rows).saturating_sub(2);
        self.bar.set_message(shown.board.draw(reader, rows, self.started.elapsed()));
        self.bar.force_draw();
        shown.last = Instant::now();
    }
}

impl Drop for Display {
    /// An error may end a command while something moves.
    fn drop(&mut self) {
        self.close();
    }
}

/// An item at work.
pub(crate) struct Working<'a> {
    display: &'a Display,
    item: usize,
}

impl CellObserver for Working<'_> {
    fn started(&mut self, done: usize, total: usize) {
        let elapsed = self.display.started.elapsed();
        self.display.update(|board| board.started(self.item, done, total, elapsed));
    }

    fn step(&mut self, step: &Step) {
        self.display.update(|board| board.step(self.item, step.iteration, step.loss));
    }

    fn warn(&mut self, message: &str) {
        let name = self.display.shown().board.name(self.item).to_owned();
        stdout::note(&format!("warning: {name}: {message}"));
    }

    fn predicting(&mut self, done: usize, total: usize) {
        self.display.update(|board| board.predicting(self.item, done + 1, total));
    }
}
