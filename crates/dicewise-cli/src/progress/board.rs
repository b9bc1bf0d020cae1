//! The state of everything that a command works through, and how it looks.
use std::fmt::Write;
use std::time::Duration;

use crate::terminal::{Reader, Tone, columns};

/// Names are padded to the longest, but not beyond.
const LONGEST_NAME: usize = 44;
/// Columns of a bar.
const BAR: usize = 20;

/// All items, in their order.
pub(super) struct Board {
    noun: &'static str,
    items: Vec<Item>,
}

struct Item {
    name: String,
    /// How much work it is.
    weight: f64,
    state: State,
    /// Share of the work that was there when this process began with it.
    before: f64,
    /// When it was begun.
    began: Duration,
    /// Iterations done, and all.
    iterations: Option<(usize, usize)>,
    /// Training loss, exponentially averaged.
    loss: Option<f64>,
    /// Case that is being predicted, and all.
    predicting: Option<(usize, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    Done,
    Failed,
}

impl Item {
    /// Share of the work that is done.
    fn share(&self) -> f64 {
        match (self.state, self.iterations) {
            (State::Done | State::Failed, _) => 1.0,
            (_, Some((done, total))) if total > 0 => done as f64 / total as f64,
            _ => 0.0,
        }
    }

    /// `312/600, loss 0.123`
    fn activity(&self) -> String {
        match (self.predicting, self.iterations, self.loss) {
            (Some((case, cases)), _, _) => format!("predicting {case}/{cases}"),
            (None, Some((done, total)), Some(loss)) => format!("{done}/{total}, loss {loss:.3}"),
            (None, Some((done, total)), None) => format!("{done}/{total}"),
            (None, None, _) => String::new(),
        }
    }

    /// At the pace of this process.
    fn left(&self, elapsed: Duration) -> Option<Duration> {
        let worked = self.share() - self.before;
        (worked > 0.0).then(|| elapsed.saturating_sub(self.began).mul_f64((1.0 - self.share()) / worked))
    }
}

impl Board {
    pub(super) fn new(noun: &'static str, items: impl IntoIterator<Item = (String, f64)>) -> Self {
        let item = |(name, weight)| Item {
            name,
            weight,
            state: State::Waiting,
            before: 1.0,
            began: Duration::ZERO,
            iterations: None,
            loss: None,
            predicting: None,
        };
        Self { noun, items: items.into_iter().map(item).collect() }
    }

    pub(super) fn name(&self, item: usize) -> &str {
        &self.items[item].name
    }

    pub(super) fn begin(&mut self, item: usize) {
        self.items[item].state = State::Running;
    }

    /// Work goes from `done` to `total`. What was done before this process says nothing about its pace, and neither do
    /// items of which this is never called: their results were there.
    pub(super) fn started(&mut self, item: usize, done: usize, total: usize, elapsed: Duration) {
        let item = &mut self.items[item];
        item.iterations = Some((done, total));
        item.before = item.share();
        item.began = elapsed;
    }

    pub(super) fn step(&mut self, item: usize, iteration: usize, loss: f64) {
        let item = &mut self.items[item];
        item.iterations = item.iterations.map(|(_, total)| (iteration, total));
        item.loss = Some(item.loss.map_or(loss, |old| 0.95 * old + 0.05 * loss));
    }

    pub(super) fn predicting(&mut self, item: usize, case: usize, cases: usize) {
        self.items[item].predicting = Some((case, cases));
    }

    /// Ends an item; returns the line about it that stays.
    pub(super) fn end(
        &mut self,
        item: usize,
        outcome: Result<&str, &str>,
        elapsed: Duration,
        reader: Reader,
    ) -> String {
        let width = self.name_width();
        let item = &mut self.items[item];
        item.state = if outcome.is_ok() { State::Done } else { State::Failed };
        let (sign, word, tone, what) = match outcome {
            Ok(what) => ("✓", "done", Tone::Good, what),
            Err(what) => ("✗", "failed", Tone::Bad, what),
        };
        let name = format!("{:<width$}", item.name);
        let took = time(elapsed.saturating_sub(item.began));
        let ended = self.items.iter().filter(|i| matches!(i.state, State::Done | State::Failed)).count();
        let rest =
            reader.cut(&format!("{sign} {name}  {word:<7}  {what}  ({took}; {ended}/{})", self.items.len()));
        // Painted last: colours have no width.
        match rest.strip_prefix(sign) {
            Some(rest) => reader.paint(tone, sign) + rest,
            None => rest,
        }
    }

    /// One line about all, for those who have no terminal.
    pub(super) fn line(&self, elapsed: Duration) -> String {
        let running = self.items.iter().filter(|item| item.state == State::Running);
        let running: Vec<String> = running.map(|item| format!("{} {}", item.name, item.activity())).collect();
        [vec![self.summary(elapsed)], running].concat().join("; ")
    }

    /// What moves on a terminal, in so many rows at most: all that runs, what waits, and the whole.
    pub(super) fn draw(&self, reader: Reader, rows: usize, elapsed: Duration) -> String {
        let in_state = |state| self.items.iter().filter(move |item| item.state == state);
        let mut lines: Vec<String> =
            in_state(State::Running).map(|item| self.running(item, reader, elapsed)).collect();
        let room = rows.saturating_sub(lines.len() + 1);
        let waiting: Vec<&Item> = in_state(State::Waiting).collect();
        let shown = if waiting.len() <= room { waiting.len() } else { room.saturating_sub(1) };
        let width = self.name_width();
        for item in &waiting[..shown] {
            let line = reader.cut(&format!("· {:<width$}  waiting", item.name));
            lines.push(reader.paint(Tone::Faint, &line));
        }
        if shown < waiting.len() {
            let line = reader.cut(&format!("· {} more {} waiting", waiting.len() - shown, self.noun));
            lines.push(reader.paint(Tone::Faint, &line));
        }
        if self.items.len() > 1 {
            lines.push(self.whole(reader, elapsed));
        }
        lines.join("\n")
    }

    fn running(&self, item: &Item, reader: Reader, elapsed: Duration) -> String {
        let width = self.name_width();
        let bar = reader.bar(item.share(), BAR);
        let left = item.left(elapsed).map_or(String::new(), |left| format!(", {} left", time(left)));
        let line = format!("▶ {:<width$}  running  {bar:░<BAR$}  {}{left}", item.name, item.activity());
        let line = reader.cut(&line);
        line.strip_prefix('▶').map_or_else(|| line.clone(), |rest| reader.paint(Tone::Active, "▶") + rest)
    }

    fn whole(&self, reader: Reader, elapsed: Duration) -> String {
        let bar = reader.bar(self.share(), BAR);
        reader.paint(Tone::Strong, &reader.cut(&format!("  {bar:░<BAR$}  {}", self.summary(elapsed))))
    }

    /// `3 of 8 cells done, 1 failed, 1 running, 3 waiting, 41 %, 5 min gone, 7 min left`
    fn summary(&self, elapsed: Duration) -> String {
        let count = |state| self.items.iter().filter(|item| item.state == state).count();
        let mut text = format!("{} of {} {} done", count(State::Done), self.items.len(), self.noun);
        for (state, word) in
            [(State::Failed, "failed"), (State::Running, "running"), (State::Waiting, "waiting")]
        {
            if count(state) > 0 {
                let _ = write!(text, ", {} {word}", count(state));
            }
        }
        let _ = write!(text, ", {:.0} %, {} gone", 100.0 * self.share(), time(elapsed));
        if let Some(left) = self.left(elapsed) {
            let _ = write!(text, ", {} left", time(left));
        }
        text
    }

    /// Share of all work that is done.
    fn share(&self) -> f64 {
        let all: f64 = self.items.iter().map(|item| item.weight).sum();
        let done: f64 = self.items.iter().map(|item| item.weight * item.share()).sum();
        if all > 0.0 { done / all } else { 0.0 }
    }

    /// Until the end, at the pace of this process, which has all jobs that run at a time in it.
    fn left(&self, elapsed: Duration) -> Option<Duration> {
        let succeeds = |item: &&Item| item.state != State::Failed;
        let here = |item: &Item| item.weight * (item.share() - item.before).max(0.0);
        let worked: f64 = self.items.iter().filter(succeeds).map(here).sum();
        let ahead: f64 = self.items.iter().map(|item| item.weight * (1.0 - item.share())).sum();
        (worked > 0.0).then(|| elapsed.mul_f64(ahead / worked))
    }

    fn name_width(&self) -> usize {
        self.items.iter().map(|item| columns(&item.name)).max().unwrap_or(0).min(LONGEST_NAME)
    }
}

/// `50 s`, `4 min`, `1 h 5 min`
fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes @ 1..10) => format!("{minutes} min {} s", seconds % 60),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn board(weights: &[f64]) -> Board {
        let name = |i: usize| ["full-I", "partial-I", "partial-BI", "partial-leaf"][i].to_owned();
        Board::new("cells", weights.iter().enumerate().map(|(i, &weight)| (name(i), weight)))
    }

    /// One of three done in 10 s, the next, twice the work, a quarter done in 5 s: 1.5 units in 15 s, 2.5 units ahead.
    #[test]
    fn every_cell_has_its_state_and_the_time_left_is_by_the_work_left() {
        let mut board = board(&[1.0, 2.0, 1.0]);
        board.begin(0);
        board.started(0, 0, 100, Duration::ZERO);
        board.step(0, 100, 0.5);
        let line = board.end(0, Ok("tumour 0.94"), 10 * SECOND, Reader::PROGRAM);
        assert_eq!(line, "✓ full-I      done     tumour 0.94  (10 s; 1/3)");
        board.begin(1);
        board.started(1, 0, 200, 10 * SECOND);
        board.step(1, 50, 0.25);
        let drawn = board.draw(Reader::columns(120), 20, 15 * SECOND);
        let expected = "\
▶ partial-I   running  █████░░░░░░░░░░░░░░░  50/200, loss 0.250, 15 s left
· partial-BI  waiting
  ███████▌░░░░░░░░░░░░  1 of 3 cells done, 1 running, 1 waiting, 38 %, 15 s gone, 25 s left";
        assert_eq!(drawn, expected);
        let line = board.line(15 * SECOND);
        let all = "1 of 3 cells done, 1 running, 1 waiting, 38 %, 15 s gone, 25 s left";
        assert_eq!(line, format!("{all}; partial-I 50/200, loss 0.250"));
    }

    /// A cell that was finished by an earlier process, and one that goes on at its middle: 0.25 done here in 5 s.
    #[test]
    fn what_an_earlier_process_did_says_nothing_about_the_pace() {
        let mut board = board(&[1.0, 1.0, 1.0]);
        board.begin(0);
        board.end(0, Ok(""), SECOND, Reader::PROGRAM);
        assert!(board.line(SECOND).ends_with("1 s gone"), "{}", board.line(SECOND));
        board.begin(1);
        board.started(1, 50, 100, SECOND);
        board.step(1, 75, 1.0);
        // 0.25 left of this cell and 1 of the next: five times what was done.
        assert!(board.line(5 * SECOND).contains("25 s left"), "{}", board.line(5 * SECOND));
        // The cell itself: 4 s for a quarter.
        assert!(board.draw(Reader::columns(120), 9, 5 * SECOND).contains("75/100, loss 1.000, 4 s left"));
    }

    #[test]
    fn a_failure_is_counted_and_does_not_have_to_be_waited_for() {
        let mut board = board(&[1.0, 1.0]);
        board.begin(0);
        board.started(0, 0, 10, Duration::ZERO);
        board.step(0, 5, 1.0);
        let line = board.end(0, Err("the loss is NaN"), SECOND, Reader::columns(40));
        assert_eq!(line, "✗ full-I     failed   the loss is NaN  …");
        assert!(board.line(SECOND).starts_with("0 of 2 cells done, 1 failed, 1 waiting, 50 %"));
    }

    #[test]
    fn a_low_window_shows_what_runs_and_counts_what_waits() {
        let board_of_four = || {
            let mut board = board(&[1.0; 4]);
            board.begin(0);
            board
        };
        let drawn = board_of_four().draw(Reader::columns(60), 4, SECOND);
        let lines: Vec<&str> = drawn.lines().collect();
        assert_eq!(lines.len(), 4, "{drawn}");
        assert!(lines[0].starts_with("▶ full-I"));
        assert!(lines[1].starts_with("· partial-I "));
        assert_eq!(lines[2], "· 2 more cells waiting");
        assert!(lines.iter().all(|line| columns(line) <= 60), "{drawn}");
        assert_eq!(board_of_four().draw(Reader::columns(60), 5, SECOND).lines().count(), 5);
    }

    #[test]
    fn times_are_as_exact_as_they_have_to_be() {
        for (seconds, text) in [(59, "59 s"), (61, "1 min 1 s"), (659, "10 min"), (3_900, "1 h 5 min")] {
            assert_eq!(time(Duration::from_secs(seconds)), text);
        }
    }
}
