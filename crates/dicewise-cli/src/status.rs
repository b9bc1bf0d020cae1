//! `dicewise status`: how far the trainings of a folder are, whoever does them.
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::process::ExitCode;

use dicewise_report::read_cases;
use serde::Serialize;

use crate::cell;
use crate::grid_file::{GridFile, PlannedTraining};
use crate::lock::FolderLock;
use crate::metrics;
use crate::owner::Owner;
use crate::run::summary;
use crate::run_error::RunError;
use crate::table::Table;
use crate::terminal::{Reader, Tone};
use crate::utc::utc;
use crate::{args, stdout};

pub(crate) fn run(args: &args::Status) -> miette::Result<ExitCode> {
    let status = Status::of(&args.results)?;
    match args.json {
        true => stdout::print_json(&status)?,
        false => stdout::print(&status.text(&args.results, Reader::of_stdout()))?,
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Serialize)]
struct Status {
    experiment: String,
    /// How many there are in each state.
    counts: BTreeMap<State, usize>,
    trainings: Vec<Training>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Done,
    Running,
    Failed,
    Interrupted,
    Waiting,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::Running => "running",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Waiting => "waiting",
        })
    }
}

#[derive(Debug, Serialize)]
struct Training {
    task: usize,
    training: String,
    state: State,
    /// Iterations done.
    iteration: usize,
    /// Iterations at most.
    iterations: Option<usize>,
    /// When the last one was done, in UTC.
    last_iteration: Option<String>,
    /// Who is at it, or was when it was killed.
    who: Option<String>,
    since: Option<String>,
    /// Mean DSC where it is done, the reason where it failed.
    outcome: Option<String>,
}

impl Status {
    fn of(out: &Path) -> Result<Self, RunError> {
        let grid = GridFile::read(out)?;
        let trainings = grid.trainings.iter().enumerate();
        let trainings: Vec<Training> =
            trainings.map(|(task, planned)| Training::of(out, task, planned)).collect::<Result<_, _>>()?;
        let mut counts = BTreeMap::new();
        trainings.iter().for_each(|training| *counts.entry(training.state).or_default() += 1);
        Ok(Self { experiment: grid.experiment, counts, trainings })
    }

    fn text(&self, out: &Path, reader: Reader) -> String {
        let counts: Vec<String> =
            self.counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
        let (all, counts) = (self.trainings.len(), counts.join(", "));
        let head = format!("{} in {}: {counts}, of {all} trainings", self.experiment, out.display());
        let mut table = Table::new(["task", "training", "state", ">iteration", "", ""]);
        for training in &self.trainings {
            let iteration = match (training.iteration, training.iterations) {
                (0, None) => String::new(),
                (done, None) => done.to_string(),
                (done, Some(total)) => format!("{done}/{total}"),
            };
            let name = if training.training.is_empty() { "." } else { &training.training };
            let state = training.state.to_string();
            let [first, second] = training.notes();
            table.row(vec![training.task.to_string(), name.to_owned(), state, iteration, first, second]);
        }
        format!("{}\n\n{}", reader.paint(Tone::Strong, &head), table.fitted(reader))
    }
}

impl Training {
    fn of(out: &Path, task: usize, planned: &PlannedTraining) -> Result<Self, RunError> {
        let folder = out.join(&planned.folder);
        let failed = |error: io::Error| RunError::io(&folder)(error);
        let owner = FolderLock::owner(&folder).map_err(failed)?;
        let (iteration, last_iteration) = metrics::last(&folder).map_err(failed)?;
        let failure = cell::failure(&folder).map_err(failed)?;
        let state = match &owner {
            Some((_, true)) => State::Running,
            _ if cell::is_done(&folder) => State::Done,
            _ if failure.is_some() => State::Failed,
            _ if begun(&folder).map_err(failed)? => State::Interrupted,
            _ => State::Waiting,
        };
        let outcome = match state {
            State::Done => Some(summary(&read_cases(&folder.join(cell::SCORES))?)),
            State::Failed => failure,
            _ => None,
        };
        let owner = owner.filter(|_| matches!(state, State::Running | State::Interrupted));
        let owner = owner.map(|(owner, _)| Owner::parse(&owner));
        Ok(Self {
            task,
            training: planned.folder.clone(),
            state,
            iteration,
            iterations: planned.iterations,
            last_iteration: last_iteration.map(utc),
            who: owner.as_ref().map(|owner| owner.who.clone()),
            since: owner.map(|owner| owner.since),
            outcome,
        })
    }

    /// What there is to say, and who did it.
    fn notes(&self) -> [String; 2] {
        let who = || self.who.clone().unwrap_or_default();
        let since = || self.since.clone().unwrap_or_default();
        let last = || self.last_iteration.clone().unwrap_or_default();
        match self.state {
            State::Running => [format!("since {}", since()), who()],
            // Where locks do not reach another machine, a training there looks like this.
            State::Interrupted => [format!("last {}", last()), who()],
            State::Done | State::Failed => [self.outcome.clone().unwrap_or_default(), String::new()],
            State::Waiting => [String::new(), String::new()],
        }
    }
}

/// Whether anything was done in a folder.
fn begun(folder: &Path) -> io::Result<bool> {
    match fs::metadata(folder.join(cell::CONFIG)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        found => Ok(found.is_ok()),
    }
}
