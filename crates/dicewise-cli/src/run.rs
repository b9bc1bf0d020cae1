//! `dicewise run`: every cell of an experiment, then its tables.
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Instant, SystemTime};

use burn::tensor::Device;
use dicewise_experiment::{CellConfig, Duration, Experiment, Grid, Overrides, Setting, Smoothing};
use dicewise_report::{
    CaseScore, ReportOptions, Table1, Table1Options, TerminalStyle, roc_table, write_atomically, write_cases,
    write_epsilon_figure, write_report, write_roc,
};

use crate::args;
use crate::cases;
use crate::cell::{self, CellRun};
use crate::devices;
use crate::estimate;
use crate::grid_file::GridFile;
use crate::lock::{FolderLock, holds_files};
use crate::overlay;
use crate::prepared_case::PreparedCase;
use crate::progress::Display;
use crate::record::Record;
use crate::run_error::{CellFailure, RunError};
use crate::terminal::Reader;
use crate::{slurm, stdout, task};

/// Exit code after Ctrl-C, once everything is saved.
pub(crate) const INTERRUPTED: u8 = 130;

pub(crate) fn run(args: &args::Run, stop: &AtomicBool) -> Result<ExitCode, RunError> {
    let overrides = Overrides { data: args.data.clone(), seeds: args.seeds.clone(), scale: args.scale };
    let experiment = Experiment::load(&args.experiment, &overrides)?;
    let out = args.out.clone().unwrap_or_else(|| Path::new("results").join(&experiment.name));
    if args.slurm.slurm {
        return slurm::run(args, &experiment, &out);
    }
    if let Some(task) = args.task {
        return task::run(args, &experiment, &out, task, stop);
    }
    if args.dry_run {
        let estimate = estimate::of(&experiment, &args.devices.names, args.jobs, args.probe)?;
        stdout::write(&format!("{}\n{estimate}", Grid(&experiment))).map_err(RunError::Stdout)?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = fs::read_to_string(&args.experiment).map_err(RunError::io(&args.experiment))?;
    let devices = devices::of_jobs(&args.devices.names, args.jobs)?;
    let _lock = output_folder(&out, args.resume)?;
    let configs: Vec<CellConfig> =
        experiment.cells().iter().map(|cell| experiment.cell_config(cell)).collect();
    let cases = cases::load(&configs[0], &out)?;
    check_groups(&experiment, &cases)?;
    GridFile::new(&configs, Some(&cases))?.write(&out)?;

    let (started, began) = (Instant::now(), SystemTime::now());
    let display = Display::new("cells", configs.iter().map(|c| (c.cell.folder_name(), work(c))));
    stdout::note(&format!(
        "{}: {} cells on {} cases, writing to {}",
        experiment.name,
        configs.len(),
        cases.len(),
        out.display()
    ));
    let scores = Mutex::new(Vec::new());
    let failures = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    let work = |device: &Device, loaders: usize| {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(config) = configs.get(place) else { return };
            let mut working = display.begin(place);
            let folder = cell::folder(&out, config);
            let done = cases::split(config, &cases).and_then(|split| {
                let lock = FolderLock::take(&folder)?;
                let run = CellRun {
                    config,
                    folder: &folder,
                    lock: &lock,
                    cases: &cases,
                    split: &split,
                    device,
                    loaders,
                    resume: args.resume,
                };
                let done = run.run(&mut working, stop);
                cell::remember_failure(&folder, &done);
                done
            });
            match done {
                Ok(Some(rows)) => {
                    display.done(place, &summary(&rows));
                    scores.lock().expect("no worker panics while it holds the scores").extend(rows);
                }
                Ok(None) => return,
                Err(error) => {
                    display.failed(place, &error.to_string());
                    // The other workers save and stop, unless it is this one training that went wrong.
                    let alone = error.is_of_one_training();
                    let failure = CellFailure { cell: config.cell.folder_name(), error };
                    failures.lock().expect("no worker panics while it holds the failures").push(failure);
                    if !alone {
                        stop.store(true, Ordering::Relaxed);
                        return;
                    }
                }
            }
        }
    };
    let threads = (rayon::current_num_threads() / args.jobs).max(1);
    std::thread::scope(|scope| {
        let work = &work;
        for (name, device) in &devices {
            let loaders = args.loading.loaders(*name);
            scope.spawn(move || match rayon::ThreadPoolBuilder::new().num_threads(threads).build() {
                Ok(pool) => pool.install(|| work(device, loaders)),
                Err(_) => work(device, loaders),
            });
        }
    });
    display.close();
    let mut failures = failures.into_inner().expect("all workers have ended");
    failures.sort_by(|a, b| a.cell.cmp(&b.cell));
    if !failures.is_empty() {
        return Err(RunError::Cells { out, cells: configs.len(), failures });
    }
    if stop.load(Ordering::Relaxed) {
        stdout::note(&format!(
            "interrupted; everything so far is saved in {}: go on with --resume",
            out.display()
        ));
        return Ok(ExitCode::from(INTERRUPTED));
    }
    let scores = scores.into_inner().expect("all workers have ended");
    let table = write_results(&experiment, &scores, &out)?;
    overlay::write(&experiment, &configs, &cases, &scores, &out)?;
    let record =
        Record { experiment: &experiment, text: &text, configs: &configs, cases: &cases, scores: &scores };
    record.write(&out, began, started.elapsed())?;
    let report = write_report(&out, ReportOptions::default())?;
    let reader = Reader::of_stdout();
    let table = table.to_terminal(TerminalStyle { colour: reader.has_colour(), width: reader.width });
    let (cells, elapsed) = (configs.len(), started.elapsed());
    stdout::write(&format!("\n{table}\n{cells} cells in {elapsed:.0?}; report in {}\n", report.display()))
        .map_err(RunError::Stdout)?;
    Ok(ExitCode::SUCCESS)
}

/// How much work a cell is, in a unit that all cells of an experiment share: images that are trained on, or epochs.
pub(crate) fn work(config: &CellConfig) -> f64 {
    match config.training.duration {
        Duration::Iterations(iterations) => (iterations * config.cell.batch_size) as f64,
        Duration::Epochs(epochs) => epochs as f64,
    }
}

/// The folder to write to, taken: empty, or to be gone on with.
pub(crate) fn output_folder(out: &Path, resume: bool) -> Result<FolderLock, RunError> {
    let refuse_results = || match !resume && holds_files(out)? {
        true => Err(RunError::WouldOverwrite { folder: out.to_owned() }),
        false => Ok(()),
    };
    refuse_results()?;
    let lock = FolderLock::take(out)?;
    // Another process may have come and gone in between.
    refuse_results()?;
    Ok(lock)
}

/// A misspelt group would otherwise leave the labels complete in silence.
pub(crate) fn check_groups(experiment: &Experiment, cases: &[PreparedCase]) -> Result<(), RunError> {
    let Some(partial) = &experiment.partial else { return Ok(()) };
    let found: BTreeSet<&str> = cases.iter().map(|case| case.group.as_str()).collect();
    if found.contains(partial.group.as_str()) {
        return Ok(());
    }
    let found = found.into_iter().map(str::to_owned).collect();
    Err(RunError::NoSuchGroup { group: partial.group.clone(), found })
}

/// The groups of the scores, the always-labelled one first.
pub(crate) fn groups(experiment: &Experiment, scores: &[CaseScore]) -> Vec<String> {
    let emptied = experiment.partial.as_ref().map(|partial| partial.group.as_str());
    let mut groups: Vec<String> =
        scores.iter().map(|score| score.group.clone()).collect::<BTreeSet<_>>().into_iter().collect();
    groups.sort_by_key(|group| Some(group.as_str()) == emptied);
    groups
}

fn write_results(experiment: &Experiment, scores: &[CaseScore], out: &Path) -> Result<Table1, RunError> {
    let file = |name: &str| -> PathBuf { out.join(name) };
    write_cases(&file("cases.csv"), scores)?;
    let mut options = Table1Options::new(0);
    options.order.groups = groups(experiment, scores);
    let roc = match options.order.groups.first() {
        Some(positive) if options.order.groups.len() > 1 => roc_table(scores, positive, &options.order)?,
        _ => Vec::new(),
    };
    let table = Table1::new(scores, options)?;
    table.write_csv(&file("table1.csv"))?;
    write_atomically(&file("table1.md"), table.to_markdown().as_bytes())?;
    write_roc(&file("roc.csv"), &roc)?;
    for label in &experiment.target.labels {
        let name = &label.name;
        table.write_dsc_figure(name, &file(&format!("dsc_{name}.png")))?;
        if scores.iter().any(|score| score.label == *name && score.target_volume_ml == 0.0) {
            table.write_volume_figure(name, &file(&format!("volume_{name}.png")))?;
        }
    }
    let groups = groups(experiment, scores);
    for block in &experiment.blocks {
        let multiples = multiples_of_the_heuristic(&block.settings);
        if multiples.len() < 3 {
            continue;
        }
        let labelling = block.labelling.to_string();
        for label in &experiment.target.labels {
            let path = file(&format!("epsilon_{labelling}_{}.png", label.name));
            write_epsilon_figure(scores, (&labelling, &label.name), &multiples, &groups, &path)?;
        }
    }
    Ok(table)
}

/// Name and ε, as a multiple of the data's E Σy, of settings that differ in ε only.
fn multiples_of_the_heuristic(settings: &[Setting]) -> Vec<(String, f64)> {
    let multiple = |setting: &Setting| match (&setting.epsilon.numerator, &setting.epsilon.denominator) {
        (above, below) if above != below => None,
        (Smoothing::FromData, _) => Some(1.0),
        (Smoothing::TimesFromData(times), _) => Some(*times),
        (Smoothing::Uniform(_) | Smoothing::PerClass(_), _) => None,
    };
    let found: Vec<_> = settings.iter().filter_map(|s| Some((s, multiple(s)?))).collect();
    let Some(&(first, _)) = found.first() else { return Vec::new() };
    let like_the_first = |setting: &Setting| {
        let named = Setting { name: first.name.clone(), epsilon: first.epsilon.clone(), ..setting.clone() };
        named == *first
    };
    found.into_iter().filter(|(s, _)| like_the_first(s)).map(|(s, x)| (s.name.clone(), x)).collect()
}

/// Mean DSC of each group and label, for the line of a finished cell.
pub(crate) fn summary(scores: &[CaseScore]) -> String {
    let keys: BTreeSet<(&str, &str)> = scores.iter().map(|s| (s.label.as_str(), s.group.as_str())).collect();
    let means = keys.into_iter().map(|(label, group)| {
        let dsc: Vec<f64> =
            scores.iter().filter(|s| s.label == label && s.group == group).filter_map(|s| s.dsc).collect();
        match dsc.len() {
            0 => format!("{label} {group} –"),
            n => format!("{label} {group} {:.2}", dsc.iter().sum::<f64>() / n as f64),
        }
    });
    means.collect::<Vec<_>>().join("  ")
}
