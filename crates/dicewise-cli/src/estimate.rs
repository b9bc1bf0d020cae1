//! What an experiment needs of memory, and if it is measured, of time: for `run --dry-run`.
use std::collections::BTreeSet;
use std::fmt::Write;
use std::io;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use dicewise_experiment::{Cell, CellConfig, Experiment, Split};
use dicewise_train::{
    EmptyClass, Observer, Sample, SampleSource, Step, Trainer, TrainingConfig, training_bytes,
    training_bytes_on_device,
};

use crate::args::DeviceName;
use crate::cases::{self, KEPT_IN_MEMORY, Survey};
use crate::devices;
use crate::network::{iterations, network, training_config, unet_config};
use crate::prepared_case::PreparedCase;
use crate::run_error::RunError;
use crate::source::CaseSource;

/// The program itself, its threads and small things.
const PROGRAM_BYTES: f64 = 30e6;
/// Steps that are timed, after one that is not.
const TIMED_STEPS: usize = 2;
const GIB: f64 = (1u64 << 30) as f64;

/// Memory and time in words. Where the data cannot be read, what can be said without them.
/// Looks at no device unless it is to be timed.
pub(crate) fn of(
    experiment: &Experiment,
    names: &[DeviceName],
    jobs: usize,
    probe: bool,
) -> Result<String, RunError> {
    devices::at_most(names, jobs)?;
    let cells = experiment.cells();
    let config = experiment.cell_config(&cells[0]);
    let mut text = String::new();
    let survey = match cases::survey(&config) {
        Ok(survey) => survey,
        Err(error) => return Ok(format!("memory and time: unknown, because of the data: {error}\n")),
    };
    let seen = experiment.patch.as_ref().map_or(survey.shape, |patch| patch.size);
    let held = (survey.cases * survey.bytes).min(KEPT_IN_MEMORY) as f64;
    let batches: BTreeSet<usize> = cells.iter().map(|cell| cell.batch_size).collect();
    let network = unet_config(&config, survey.channels);
    let jobs_of = |name: DeviceName| (0..jobs).filter(|job| names[job % names.len()] == name).count() as f64;
    let memory = |batch: usize| {
        let step = jobs_of(DeviceName::Cpu) * training_bytes(&network, batch, seen) as f64;
        PROGRAM_BYTES + held + step + jobs as f64 * batch_bytes(&config, &survey, batch, seen)
    };
    let each = |memory: &dyn Fn(usize) -> f64| {
        let of_batch = |&batch: &usize| format!("{:.2} GiB with B = {batch}", memory(batch) / GIB);
        batches.iter().map(of_batch).collect::<Vec<_>>().join(", ")
    };
    let [x, y, z] = survey.shape;
    let _ = writeln!(
        text,
        "data: {} cases, {x} × {y} × {z} voxels prepared, {:.2} GiB in all, {:.2} GiB of it in memory",
        survey.cases,
        (survey.cases * survey.bytes) as f64 / GIB,
        held / GIB
    );
    let _ = writeln!(text, "memory: {}", each(&memory));
    let graphics: BTreeSet<DeviceName> = names.iter().copied().filter(|&n| n != DeviceName::Cpu).collect();
    for name in graphics {
        let step = |batch| jobs_of(name) * training_bytes_on_device(&network, batch, seen) as f64;
        let _ = writeln!(text, "memory of {name}: {}", each(&step));
    }
    let steps: Vec<usize> = cells.iter().map(|cell| steps(experiment, cell, survey.cases)).collect();
    let (least, most) = (steps.iter().min().unwrap_or(&0), steps.iter().max().unwrap_or(&0));
    let at_most = match experiment.training.schedule {
        dicewise_experiment::Schedule::Plateau { .. } => "at most ",
        _ => "",
    };
    let _ = writeln!(text, "length: {at_most}{least} to {most} iterations a training");
    if probe {
        let Some(&smallest) = batches.first() else { return Ok(text) };
        let second = time_a_step(&config, &survey, smallest, seen, names[0])?.as_secs_f64();
        let total: f64 = cells
            .iter()
            .zip(&steps)
            .map(|(cell, &steps)| steps as f64 * second * cell.batch_size as f64 / smallest as f64)
            .sum();
        let _ = writeln!(
            text,
            "time: {second:.2} s an iteration with B = {smallest}, measured, and in proportion with more; {at_most}{} for \
             all trainings one after the other, without validation and prediction",
            duration(total)
        );
    } else {
        text += "time: not measured; --probe times a few iterations\n";
    }
    Ok(text)
}

/// A batch on its way to the network: the cases that it is made of, and augmentation's copies of one.
fn batch_bytes(config: &CellConfig, survey: &Survey, batch: usize, seen: [usize; 3]) -> f64 {
    let maps = survey.channels + config.target.channels();
    let whole = survey.shape.iter().product::<usize>();
    4.0 * maps as f64 * (batch * seen.iter().product::<usize>() + 2 * whole) as f64
}

/// Iterations of a cell, about.
fn steps(experiment: &Experiment, cell: &Cell, cases: usize) -> usize {
    let training = match &experiment.split {
        Split::Folds { folds, .. } => cases - cases / folds,
        Split::HoldOut { train, .. } => train.iter().map(|group| group.count).sum(),
    };
    iterations(&experiment.training, training.div_ceil(cell.batch_size))
}

/// What a training on a graphics processor will need of its memory, in words; nothing for the CPU.
pub(crate) fn on_device(
    config: &CellConfig,
    name: DeviceName,
    case: &PreparedCase,
) -> Result<Option<String>, RunError> {
    if name == DeviceName::Cpu {
        return Ok(None);
    }
    let source = CaseSource::validation(config, &[case])?;
    let channels = source.channels().map_err(RunError::io(&case.id))?;
    let bytes =
        training_bytes_on_device(&unet_config(config, channels), config.cell.batch_size, source.shape());
    Ok(Some(format!("a training step needs about {:.2} GiB of the memory of {name}", bytes as f64 / GIB)))
}

fn duration(seconds: f64) -> String {
    match seconds {
        ..=100.0 => format!("{seconds:.0} s"),
        ..=6000.0 => format!("{:.0} min", seconds / 60.0),
        ..=360_000.0 => format!("{:.1} h", seconds / 3600.0),
        _ => format!("{:.0} days", seconds / 86_400.0),
    }
}

/// The time of one training step on made-up images.
fn time_a_step(
    config: &CellConfig,
    survey: &Survey,
    batch_size: usize,
    seen: [usize; 3],
    name: DeviceName,
) -> Result<Duration, RunError> {
    let device = devices::device(name)?.autodiff();
    let classes = config.target.channels();
    let source = MadeUp { channels: survey.channels, classes, shape: seen };
    let mut config = config.clone();
    config.cell.batch_size = batch_size;
    let sizes = vec![vec![seen.iter().product::<usize>() as f64 / 2.0; classes]; source.cases()];
    let training = TrainingConfig {
        iterations: 1 + TIMED_STEPS,
        validate_every: 0,
        evaluate_every: 0,
        ..training_config(&config, &sizes)?
    };
    let mut trainer = Trainer::new(training, network(&config, survey.channels, &device), device);
    let mut times = Times(vec![Instant::now()]);
    trainer.run(&source, &source, &mut times, &AtomicBool::new(false))?;
    Ok(times.0[1 + TIMED_STEPS].duration_since(times.0[1]) / TIMED_STEPS as u32)
}

/// Images of half-way regular stripes, and targets that follow them.
struct MadeUp {
    channels: usize,
    classes: usize,
    shape: [usize; 3],
}

impl SampleSource for MadeUp {
    fn cases(&self) -> usize {
        64
    }

    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn draw(&self, case: usize, _epoch: u64) -> io::Result<Sample> {
        let voxels: usize = self.shape.iter().product();
        let value = |i: usize| ((i + case) * 37 % 101) as f32 / 50.0 - 1.0;
        let class = |i: usize| usize::from(value(i % voxels) > 0.0) == i / voxels;
        Ok(Sample {
            image: (0..self.channels * voxels).map(value).collect(),
            target: (0..self.classes * voxels).map(|i| f32::from(u8::from(class(i)))).collect(),
            annotated: vec![true; self.classes],
        })
    }
}

/// When each step ended.
struct Times(Vec<Instant>);

impl Observer for Times {
    fn step(&mut self, _step: &Step) {
        self.0.push(Instant::now());
    }
    fn empty_class(&mut self, _warning: &EmptyClass) {}
}
