//! `dicewise run --task K`: one training of the grid, beside others that share the output folder.
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use dicewise_experiment::{CellConfig, Experiment};
use dicewise_report::CaseScore;

use crate::args::DeviceName;
use crate::cases;
use crate::cell::{self, CellRun};
use crate::devices;
use crate::grid_file::GridFile;
use crate::lock::FolderLock;
use crate::progress::Display;
use crate::run::{INTERRUPTED, check_groups, summary, work};
use crate::run_error::RunError;
use crate::{args, stdout};

/// Trains cell number `task`, or goes on with it; does nothing if it is finished.
pub(crate) fn run(
    args: &args::Run,
    experiment: &Experiment,
    out: &Path,
    task: usize,
    stop: &AtomicBool,
) -> Result<ExitCode, RunError> {
    let device = devices::only(&args.devices)?;
    let cells = experiment.cells();
    let configs: Vec<CellConfig> = cells.iter().map(|cell| experiment.cell_config(cell)).collect();
    let Some(config) = configs.get(task) else {
        let trainings = configs.len();
        return Err(RunError::Usage(format!(
            "--task {task}: the grid has {trainings} trainings, counted from 0; give a number below {trainings}"
        )));
    };
    let _shared = FolderLock::share(out)?;
    let folder = cell::folder(out, config);
    // Before the data are read, so that nobody else prepares them for the same training.
    let lock = FolderLock::take(&folder)?;
    let loaders = args.loading.loaders(device);
    let done = train((device, loaders), experiment, (&configs, config), (out, &folder, &lock), stop);
    cell::remember_failure(&folder, &done);
    match done? {
        Some(scores) => {
            stdout::note(&format!("task {task}, {}: {}", config.cell.folder_name(), summary(&scores)));
            Ok(ExitCode::SUCCESS)
        }
        None => {
            stdout::note(&format!("interrupted; saved in {}: the same command goes on", folder.display()));
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}

fn train(
    (device, loaders): (DeviceName, usize),
    experiment: &Experiment,
    (configs, config): (&[CellConfig], &CellConfig),
    (out, folder, lock): (&Path, &Path, &FolderLock),
    stop: &AtomicBool,
) -> Result<Option<Vec<CaseScore>>, RunError> {
    if let Some(scores) = cell::finished(config, folder, lock)? {
        return Ok(Some(scores));
    }
    let device = devices::device(device)?;
    let cases = cases::load(&configs[0], out)?;
    check_groups(experiment, &cases)?;
    GridFile::new(configs, Some(&cases))?.write(out)?;
    let split = cases::split(config, &cases)?;
    let display = Display::new("cells", [(config.cell.folder_name(), work(config))]);
    let (cases, device) = (&cases, &device);
    let run = CellRun { config, folder, lock, cases, split: &split, device, loaders, resume: true };
    run.run(&mut display.begin(0), stop)
}
