//! `dicewise train`: one network on a folder of images and label maps.
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use dicewise_data::dataset::Dataset;
use dicewise_experiment::{
    Alignment, Architecture, Augmentation, Batches, Cell, CellConfig, Centre, Data, Dealing, Duration,
    Epsilon, EpsilonLayout, HiddenActivation, LabelResampling, Labelling, Layout, Missing, MissingRule,
    Network, Norm, Normalise, OutputActivation, Partition, Patch, PatchPlace, PredictionExtent,
    Preprocessing, Restore, Schedule, Scored, Setting, Smoothing, Split, Target, TargetLabel, Training,
    WarmUp, Weighting, WindowOrder,
};

use crate::args;
use crate::cases;
use crate::cell::CellRun;
use crate::data_source::data_layout;
use crate::devices;
use crate::estimate;
use crate::progress::Display;
use crate::run::{INTERRUPTED, output_folder, summary};
use crate::run_error::RunError;
use crate::stdout;

/// ε of the paper's settings that ignore empty maps, and the largest ε during warm-up.
const EPSILON_TINY: f64 = 1e-7;

pub(crate) fn run(args: &args::Train, stop: &AtomicBool) -> Result<ExitCode, RunError> {
    let device = devices::device(args.device.device)?;
    let config = config(args)?;
    let lock = output_folder(&args.out, args.resume)?;
    let cases = cases::load(&config, &args.out)?;
    let split = cases::split(&config, &cases)?;
    if let Some(&case) = split.train.first() {
        estimate::on_device(&config, args.device.device, &cases[case])?
            .iter()
            .for_each(|memory| stdout::note(memory));
    }
    let display = Display::new("cells", [(config.cell.setting.name.clone(), 1.0)]);
    stdout::note(&format!(
        "training on {} cases, {} held out, writing to {}",
        split.train.len(),
        split.test.len(),
        args.out.display()
    ));
    if ignores_empty_patches(&config) {
        stdout::note(
            "note: many patches do not show every structure, and this loss learns nothing from the empty maps there: \
             it may find structures everywhere; BI with a batch of 2 or more, or I_eps, learns where there are none",
        );
    }
    let mut working = display.begin(0);
    let cell = CellRun {
        config: &config,
        folder: &args.out,
        lock: &lock,
        cases: &cases,
        split: &split,
        device: &device,
        loaders: args.loading.loaders(args.device.device),
        resume: args.resume,
    };
    let scores = cell.run(&mut working, stop)?;
    let outcome = scores.as_deref().map(summary);
    if let Some(outcome) = &outcome {
        display.done(0, outcome);
    }
    display.close();
    match outcome {
        Some(dsc) => {
            let out = args.out.display();
            stdout::write(&format!(
                "mean DSC of the held-out cases: {dsc}\npredict with: dicewise predict {out} IMAGES --out PREDICTIONS\n"
            ))
            .map_err(RunError::Stdout)?;
            Ok(ExitCode::SUCCESS)
        }
        None => {
            stdout::note(&format!("interrupted; saved in {}: go on with --resume", args.out.display()));
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}

/// Whether patches without a structure, whose labels are really empty, teach nothing: Φ = I with a small ε, or Φ = BI
/// with a batch of one.
fn ignores_empty_patches(config: &CellConfig) -> bool {
    let setting = &config.cell.setting;
    let alone = setting.partition == Partition::ImageWise
        || (setting.partition == Partition::BatchWise && config.cell.batch_size == 1);
    config.patch.is_some() && setting.missing == Missing::AsEmpty && !setting.epsilon.is_from_data() && alone
}

/// What the flags ask for, in the words of an experiment's cell.
fn config(args: &args::Train) -> Result<CellConfig, RunError> {
    let layout = match args.layout {
        args::Layout::Auto => Layout::Auto,
        args::Layout::NnUnet => Layout::NnUnet,
        args::Layout::Msd => Layout::Msd,
        args::Layout::Acdc => Layout::Acdc,
        args::Layout::Brats2018 => Layout::Brats2018,
    };
    let activation = match args.activation {
        args::Activation::Sigmoid => OutputActivation::Sigmoid,
        args::Activation::Softmax => OutputActivation::Softmax,
    };
    let labels = match args.labels.as_slice() {
        [] => declared_labels(args, layout)?,
        labels => labels
            .iter()
            .map(|label| TargetLabel { name: label.name.clone(), values: label.values.clone() })
            .collect(),
    };
    let architecture = match args.network {
        Some(args::Network::Brats) => Architecture::Brats,
        Some(args::Network::Acdc) => Architecture::Acdc,
        None => Architecture::Custom {
            base: args.base,
            levels: args.levels,
            norm: Norm::Instance,
            activation: HiddenActivation::LeakyRelu,
        },
    };
    let divisor = architecture.divisor();
    let patch = args.patch.map(|args::Shape(size)| size);
    if let Some(size) = patch.filter(|size| (0..3).any(|axis| !size[axis].is_multiple_of(divisor[axis]))) {
        return Err(RunError::Usage(format!(
            "--patch {},{},{}: the network halves images, so give multiples of {},{},{}",
            size[0], size[1], size[2], divisor[0], divisor[1], divisor[2]
        )));
    }
    if args.fold >= args.folds {
        return Err(RunError::Usage(format!(
            "--fold {}: there are {} folds, counted from 0; give a number below",
            args.fold, args.folds
        )));
    }
    let target = Target { activation, labels, soft: false };
    let setting = setting(args, &target)?;
    let seed = u64::from(args.seed);
    Ok(CellConfig {
        experiment: "train".to_owned(),
        epsilon_tiny: EPSILON_TINY,
        cell: Cell {
            repeat: Vec::new(),
            labelling: Labelling::Full,
            setting,
            batch_size: args.batch_size,
            seed,
            fold: args.fold,
        },
        data: Data::Folder { path: args.data.clone(), layout },
        target,
        groups: None,
        split: Split::Folds { folds: args.folds, run: vec![args.fold], seed, deal: Dealing::Stratified },
        partial: None,
        preprocessing: Preprocessing {
            spacing_mm: args.spacing_mm.map(|args::Spacing(spacing)| spacing),
            alignment: Alignment::Centre,
            labels: LabelResampling::Linear,
            encloses: Vec::new(),
            window: WindowOrder::Last,
            restore: Restore::Linear,
            clip_quantiles: None,
            normalise: Normalise::ZScore,
            size: None,
            centre: Centre::Volume,
        },
        augmentation: Augmentation {
            flip_x: None,
            intensity_shift: Some(0.1),
            intensity_scale: Some(0.1),
            ..Augmentation::default()
        },
        patch: patch.map(|size| Patch {
            size,
            training: PatchPlace::Random,
            prediction: PredictionExtent::Whole,
        }),
        network: Network { prior_bias: true, width: 1.0, architecture },
        training: Training {
            learning_rate: args.learning_rate,
            l2: 1e-5,
            validate_every: None,
            epsilon_warm_up: args.epsilon_warm_up.map(WarmUp::Iterations),
            batches: Batches::Shuffled,
            evaluate_every: None,
            scored: Scored::Final,
            records: None,
            duration: match (args.length.iterations, args.length.epochs) {
                (Some(iterations), _) => Duration::Iterations(iterations),
                (None, epochs) => Duration::Epochs(epochs.unwrap_or(1)),
            },
            schedule: match args.schedule {
                args::Schedule::Constant => Schedule::Constant,
                args::Schedule::Cosine => Schedule::Cosine,
            },
        },
    })
}

/// The labels that the dataset declares.
fn declared_labels(args: &args::Train, layout: Layout) -> Result<Vec<TargetLabel>, RunError> {
    let dataset = match data_layout(layout) {
        None => Dataset::open(&args.data)?,
        Some(layout) => Dataset::open_as(&args.data, layout)?,
    };
    let labels = dataset.foreground();
    Ok(labels.map(|label| TargetLabel { name: label.name.clone(), values: vec![label.value] }).collect())
}

fn setting(args: &args::Train, target: &Target) -> Result<Setting, RunError> {
    let softmax = target.activation == OutputActivation::Softmax;
    let setting = match (args.setting, args.partition) {
        (Some(named), _) => {
            let name = match named {
                args::Setting::I => "I",
                args::Setting::Bi => "BI",
                args::Setting::Ci => "CI",
                args::Setting::Bci => "BCI",
                args::Setting::IEps => "I_eps",
                args::Setting::Leaf => "leaf",
                args::Setting::Marginal => "marginal",
            };
            Setting::built_in(name, EPSILON_TINY, &Smoothing::FromData, false)
                .expect("the names of the command line are those of the experiments")
        }
        (None, partition) => {
            let missing = match args.missing {
                None | Some(args::Missing::AsEmpty) => Missing::AsEmpty,
                Some(args::Missing::Leaf) => Missing::Leaf,
                Some(args::Missing::Marginal) => Missing::Marginal,
            };
            Setting {
                name: "spelled-out".to_owned(),
                partition: match partition {
                    Some(args::Partition::Ci) => Partition::ClassWise,
                    Some(args::Partition::Bi) => Partition::BatchWise,
                    Some(args::Partition::Bci) => Partition::AllWise,
                    // clap refuses a line with neither a setting nor a partition.
                    Some(args::Partition::I) | None => Partition::ImageWise,
                },
                missing,
                rule: MissingRule::Declared,
                background: missing == Missing::Marginal,
                weights: None,
                weighting: Weighting::Normalised,
                epsilon_layout: EpsilonLayout::Paper,
                epsilon: Epsilon::both(match args.epsilon {
                    Some(args::Epsilon::Heuristic) => Smoothing::FromData,
                    Some(args::Epsilon::Voxels(voxels)) => Smoothing::Uniform(voxels),
                    None => Smoothing::Uniform(EPSILON_TINY),
                }),
                cross_entropy: 0.0,
                epsilon_warm_up: None,
                batches: None,
            }
        }
    };
    if setting.missing == Missing::Marginal && !softmax {
        return Err(RunError::Usage(
            "marginal Dice adds missing labels to the background, which only --activation softmax has"
                .to_owned(),
        ));
    }
    Ok(setting)
}
