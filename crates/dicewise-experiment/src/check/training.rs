//! Checks `[augmentation]`, `[patch]` and `[training]`.
use toml::Spanned;

use super::{Checker, Section};
use crate::file::{
    AugmentationTable, ExperimentFile, PatchTable, PlateauTable, TrainingTable, WarmUpValue, Word,
};
use crate::{
    Augmentation, Batches, Duration, MistakeKind, Patch, PatchPlace, PredictionExtent, Schedule, Scored,
    Training, WarmUp, WarmUpRule,
};

const POSITIVE: &str = "a number greater than 0";
const NOT_NEGATIVE: &str = "a number of 0 or more";

pub(super) fn augmentation(
    checker: &mut Checker<'_>,
    table: Option<&Spanned<AugmentationTable>>,
) -> Option<Augmentation> {
    let Some(table) = table else { return Some(Augmentation::default()) };
    let table = table.get_ref();
    let mistakes = checker.mistakes.len();
    let mut sigma = |value: &Option<Spanned<f64>>, what: &str| {
        value.as_ref().and_then(|value| checker.number(value, what, |v| v >= 0.0, NOT_NEGATIVE))
    };
    let intensity_shift = sigma(&table.intensity_shift, "intensity_shift");
    let intensity_scale = sigma(&table.intensity_scale, "intensity_scale");
    let noise = sigma(&table.noise, "noise");
    let rotate_z_sigma_degrees = sigma(&table.rotate_z_sigma_degrees, "rotate_z_sigma_degrees");
    let elastic_voxels = sigma(&table.elastic_voxels, "elastic_voxels");
    let translate_sigma_voxels = table.translate_sigma_voxels.as_ref().and_then(|sigmas| {
        let triple = checker.triple(sigmas, "translate_sigma_voxels")?;
        let [x, y, z] = triple
            .each_ref()
            .map(|sigma| checker.number(sigma, "translate_sigma_voxels", |s| s >= 0.0, NOT_NEGATIVE));
        Some([x?, y?, z?])
    });
    let scale_change = table.scale_change.as_ref().and_then(|value| {
        checker.number(
            value,
            "scale_change",
            |c| (0.0..0.9).contains(&c),
            "a number from 0 to 0.9; 0.05 is 5 %",
        )
    });
    if table.rotate_z_degrees.is_some() {
        let help = "keep one of the two";
        let message = "a rotation is uniform or normal, not both";
        checker.excluded(table.rotate_z_sigma_degrees.as_ref(), message, help);
    }
    let flip_x = table.flip_x.as_ref().and_then(|value| {
        checker.number(value, "flip_x", |p| (0.0..=1.0).contains(&p), "a probability from 0 to 1")
    });
    let rotate_z_degrees = table.rotate_z_degrees.as_ref().and_then(|value| {
        checker.number(value, "rotate_z_degrees", |a| (0.0..=180.0).contains(&a), "degrees from 0 to 180")
    });
    let shift_voxels =
        table.shift_voxels.as_ref().and_then(|value| checker.whole(value, "shift_voxels", 0..=4096));
    let augmentation = Augmentation {
        flip_x,
        shift_voxels,
        rotate_z_degrees,
        rotate_z_sigma_degrees,
        translate_sigma_voxels,
        scale_change,
        elastic_voxels,
        intensity_shift,
        intensity_scale,
        noise,
    };
    (checker.mistakes.len() == mistakes).then_some(augmentation)
}

pub(super) fn patch(checker: &mut Checker<'_>, table: &Spanned<PatchTable>, released: bool) -> Option<Patch> {
    let section = Section::of("[patch]", table);
    let table = table.get_ref();
    let size = checker.required(table.size.as_ref(), &section, "size", "size = [32, 48, 32]");
    let size = size.and_then(|size| checker.shape(size, "size", 1..=4096));
    let example = "training = \"centre\", \"random\" or \"image\"";
    let training = checker.required(table.training.as_ref(), &section, "training", example);
    // The authors' crops look at the truth where ours look at the image.
    let around = if released { PatchPlace::Oracle } else { PatchPlace::Image };
    let accepted = [
        ("centre", PatchPlace::Centre),
        ("random", PatchPlace::Random),
        ("image", around),
        ("oracle", PatchPlace::Oracle),
    ];
    let training = training.and_then(|word| checker.one_of(word, "place of a training patch", &accepted));
    let example = "prediction = \"centre\", \"whole\" or \"image\"";
    let prediction = checker.required(table.prediction.as_ref(), &section, "prediction", example);
    let around = if released { PredictionExtent::Oracle } else { PredictionExtent::Image };
    let accepted = [
        ("centre", PredictionExtent::Centre),
        ("whole", PredictionExtent::Whole),
        ("image", around),
        ("oracle", PredictionExtent::Oracle),
    ];
    let prediction = prediction.and_then(|word| checker.one_of(word, "extent of a prediction", &accepted));
    Some(Patch { size: size?, training: training?, prediction: prediction? })
}

/// A patch that is larger than the image it is cut from, or a random one that is shifted, is a slip.
pub(super) fn shift_fits(checker: &mut Checker<'_>, file: &ExperimentFile, augmentation: &Augmentation) {
    let Some(patch) = file.patch.as_ref().map(Spanned::get_ref) else { return };
    let random = patch.training.as_ref().is_some_and(|word| word.get_ref() == "random");
    if random && augmentation.shift_voxels.is_some_and(|shift| shift > 0) {
        let shift = file.augmentation.as_ref().and_then(|table| table.get_ref().shift_voxels.as_ref());
        let message = "`shift_voxels` has no effect on patches that lie anywhere";
        checker.excluded(shift, message, "remove it, or write training = \"centre\" in [patch]");
    }
    let image = file.preprocessing.as_ref().and_then(|table| table.get_ref().size.as_ref());
    let (Some(image), Some(size)) = (image, &patch.size) else { return };
    for (axis, (image, size)) in ["x", "y", "z"].iter().zip(image.get_ref().iter().zip(size.get_ref())) {
        if size.get_ref() > image.get_ref() {
            let message = format!(
                "the patch has {} voxels along {axis}, the image {}",
                size.get_ref(),
                image.get_ref()
            );
            let help = format!("at most {}, the `size` in [preprocessing]", image.get_ref());
            checker.add(MistakeKind::OutOfRange, size.span(), message, "larger than the image", help);
        }
    }
}

pub(super) fn training(
    checker: &mut Checker<'_>,
    table: &Spanned<TrainingTable>,
    released: bool,
) -> Option<Training> {
    let section = Section::of("[training]", table);
    let table = table.get_ref();
    let duration = duration(checker, table, &section);
    let rate = table.learning_rate.as_ref();
    let rate = checker.required(rate, &section, "learning_rate", "learning_rate = 1e-3");
    let learning_rate = rate.and_then(|rate| checker.number(rate, "learning_rate", |r| r > 0.0, POSITIVE));
    let l2 = match &table.l2 {
        None => Some(0.0),
        Some(l2) => checker.number(l2, "l2", |l2| l2 >= 0.0, NOT_NEGATIVE),
    };
    let every = table.validate_every.as_ref();
    let every = every.map(|every| checker.whole(every, "validate_every", 1..=usize::MAX));
    let warm_up = table.epsilon_warm_up.as_ref();
    let warm_up = warm_up.map(|warm_up| self::warm_up(checker, warm_up, duration));
    let batches = table.batches.as_ref().map_or(Some(Batches::Shuffled), |word| batches(checker, word));
    let schedule = schedule(checker, table);
    let evaluate_every = table.evaluate_every.as_ref();
    let evaluate_every = evaluate_every.map(|every| checker.whole(every, "evaluate_every", 1..=usize::MAX));
    let records = table.records.as_ref();
    let records = records.map(|records| checker.whole(records, "records", 1..=10_000_000));
    let scored = scored(checker, table, released);
    let validate_every = match every {
        Some(every) => Some(every?),
        None => None,
    };
    let epsilon_warm_up = match warm_up {
        Some(warm_up) => Some(warm_up?),
        None => None,
    };
    let evaluate_every = match evaluate_every {
        Some(every) => Some(every?),
        None => None,
    };
    let records = match records {
        Some(records) => Some(records?),
        None => None,
    };
    Some(Training {
        learning_rate: learning_rate?,
        l2: l2?,
        validate_every,
        epsilon_warm_up,
        batches: batches?,
        evaluate_every,
        scored: scored?,
        records,
        duration: duration?,
        schedule: schedule?,
    })
}

/// Which cases share a batch.
pub(super) fn batches(checker: &mut Checker<'_>, word: &Word) -> Option<Batches> {
    let accepted = [
        ("shuffled", Batches::Shuffled),
        ("stratified", Batches::Stratified),
        ("separated", Batches::Separated),
    ];
    checker.one_of(word, "composition of batches", &accepted)
}

/// How long no ε is large; `duration` is that of the training where it is known.
pub(super) fn warm_up(
    checker: &mut Checker<'_>,
    value: &Spanned<WarmUpValue>,
    duration: Option<Duration>,
) -> Option<WarmUp> {
    match (value.get_ref(), duration) {
        (WarmUpValue::Word(word), _) if word == "auto" => Some(WarmUp::When(WarmUpRule::Auto)),
        (WarmUpValue::Word(word), _) => {
            let accepted = ["auto", "a number of iterations"];
            checker.unknown_text(MistakeKind::UnknownWord, value.span(), word, "ε warm-up", &accepted);
            None
        }
        (&WarmUpValue::Iterations(n), Some(Duration::Iterations(iterations))) if n >= iterations => {
            let message =
                format!("ε warm-up of {n} iterations leaves nothing of the {iterations} of the training");
            let help = format!("fewer than {iterations} iterations, or \"auto\"");
            checker.add(MistakeKind::OutOfRange, value.span(), message, "too long", help);
            None
        }
        (&WarmUpValue::Iterations(n), _) => Some(WarmUp::Iterations(n)),
    }
}

/// Which network is scored. The authors took the last one that was evaluated where the best would be right.
fn scored(checker: &mut Checker<'_>, table: &TrainingTable, released: bool) -> Option<Scored> {
    let word = table.scored.as_ref();
    let accepted = [("final", Scored::Final), ("best", Scored::Best), ("periodic", Scored::Periodic)];
    let scored =
        word.map_or(Some(Scored::Final), |word| checker.one_of(word, "network to score", &accepted))?;
    let needs = match (scored, released) {
        (Scored::Final, _) => return Some(scored),
        (Scored::Best, false) => {
            (table.validate_every.is_none(), "validate_every", "validate_every = 1: the best at validation")
        }
        _ => (table.evaluate_every.is_none(), "evaluate_every", "evaluate_every = 30: the last evaluated"),
    };
    if let ((true, key, example), Some(word)) = (needs, word) {
        let section = Section { name: "this choice", span: word.span() };
        checker.required(None::<&()>, &section, key, example);
        return None;
    }
    Some(if scored == Scored::Best && released { Scored::Periodic } else { scored })
}

fn duration(checker: &mut Checker<'_>, table: &TrainingTable, section: &Section) -> Option<Duration> {
    match (&table.iterations, &table.epochs) {
        (Some(_), Some(epochs)) => {
            let message = "[training] has both `iterations` and `epochs`";
            checker.excluded(Some(epochs), message, "keep one of them");
            None
        }
        (Some(iterations), None) => {
            checker.whole(iterations, "iterations", 1..=usize::MAX).map(Duration::Iterations)
        }
        (None, epochs) => {
            let example = "iterations = 600, or epochs = 100";
            let epochs = checker.required(epochs.as_ref(), section, "iterations` or `epochs", example)?;
            checker.whole(epochs, "epochs", 1..=usize::MAX).map(Duration::Epochs)
        }
    }
}

fn schedule(checker: &mut Checker<'_>, table: &TrainingTable) -> Option<Schedule> {
    let Some(word) = &table.schedule else {
        let message = "a constant learning rate has no plateau";
        checker.excluded(table.plateau.as_ref(), message, "write schedule = \"plateau\", or remove it");
        return Some(Schedule::Constant);
    };
    let constant = Some(Schedule::Constant);
    let accepted = [("constant", constant), ("cosine", Some(Schedule::Cosine)), ("plateau", None)];
    if let Some(schedule) = checker.one_of(word, "schedule", &accepted)? {
        let message = format!("the schedule {} has no plateau", word.get_ref());
        checker.excluded(table.plateau.as_ref(), &message, "write schedule = \"plateau\", or remove it");
        return Some(schedule);
    }
    let here = Section { name: "schedule = \"plateau\"", span: word.span() };
    let every = table.validate_every.as_ref();
    let every = checker.required(
        every,
        &here,
        "validate_every",
        "validate_every = 20: a plateau is one of the validation loss",
    );
    let example = "plateau = { factor = 0.2, patience = 30, stop_patience = 60, min_delta = 1e-4 }";
    let plateau = checker.required(table.plateau.as_ref(), &here, "plateau", example);
    let plateau = plateau.and_then(|plateau| self::plateau(checker, plateau));
    every.and(plateau)
}

fn plateau(checker: &mut Checker<'_>, table: &Spanned<PlateauTable>) -> Option<Schedule> {
    let section = Section::of("`plateau`", table);
    let table = table.get_ref();
    let factor = checker.required(table.factor.as_ref(), &section, "factor", "factor = 0.2");
    let inside = |factor: f64| factor > 0.0 && factor < 1.0;
    let factor = factor.and_then(|f| checker.number(f, "factor", inside, "a number between 0 and 1"));
    let patience = checker.required(table.patience.as_ref(), &section, "patience", "patience = 30");
    let patience = patience.and_then(|p| checker.whole(p, "patience", 1..=usize::MAX));
    let stop =
        checker.required(table.stop_patience.as_ref(), &section, "stop_patience", "stop_patience = 60");
    let stop = stop.and_then(|p| checker.whole(p, "stop_patience", 1..=usize::MAX));
    let min_delta = match &table.min_delta {
        None => Some(0.0),
        Some(delta) => checker.number(delta, "min_delta", |d| d >= 0.0, NOT_NEGATIVE),
    };
    let (factor, min_delta) = (factor?, min_delta?);
    Some(Schedule::Plateau { factor, patience: patience?, stop_patience: stop?, min_delta })
}
