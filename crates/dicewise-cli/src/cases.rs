//! The cases of an experiment, loaded and prepared.
use std::path::Path;

use dicewise_data::augment::{Cue, Patch, Target, hide};
use dicewise_data::dataset::CaseError;
use dicewise_data::folds::{Dealing, HoldOut, Split, hold_out, k_folds_dealt};
use dicewise_data::groups::deal_groups;
use dicewise_data::preprocess::{
    About, Alignment, LabelRule, Prepared, PreprocessError, Preprocessing, Step, Window, ZScoreOver,
};
use dicewise_data::{Image, LabelMap};
use dicewise_experiment as experiment;
use dicewise_experiment::{
    CellConfig, Centre, GroupCount, LabelResampling, Labelling, Normalise, OutputActivation,
    PredictionExtent, WindowOrder,
};
use rayon::prelude::*;

use crate::data_source::Source;
use crate::lock::SCRATCH;
use crate::prepared_case::{Centres, PreparedCase, Room, Voxels};
use crate::run_error::RunError;

/// The group of all cases, where the data have no groups.
const NO_GROUP: &str = "all";

/// Bytes of prepared cases that are kept in memory; more are kept in files.
pub(crate) const KEPT_IN_MEMORY: usize = 2 << 30;

/// Loads and prepares all cases that the experiment uses.
///
/// Cells of one experiment differ in labelling, loss, batch size, seed and fold only, so they share the result: `config` is
/// that of the experiment's first cell. Cases that find no room in memory lie in `out`, for all processes that share this
/// folder under the same configuration, until the last of them gives its lock back.
pub(crate) fn load(config: &CellConfig, out: &Path) -> Result<Vec<PreparedCase>, RunError> {
    let (room, folder) = (Room::new(KEPT_IN_MEMORY), out.join(SCRATCH).join(config.hash()?));
    let preprocessing = preprocessing(&config.preprocessing, &config.target);
    let source = Source::open(&config.data)?;
    let members = source.members();
    let groups = match &config.groups {
        None => None,
        Some(groups) => {
            let counts: Vec<_> = groups.assign.iter().map(|g| (g.group.clone(), g.count)).collect();
            Some(deal_groups(members.iter().map(|(_, subject)| subject.as_str()), &counts, groups.seed)?)
        }
    };
    let cue = config.groups.as_ref().and_then(|groups| groups.cue.as_ref());
    let cue = cue.map(|cue| Cue { group: cue.group.clone(), amplitude: cue.amplitude as f32 });
    let absent = config.groups.as_ref().and_then(|groups| groups.absent.as_ref()).and_then(|absent| {
        let label = config.target.labels.iter().find(|label| label.name == absent.label)?;
        Some((&absent.group, label.values.as_slice()))
    });
    let used: Vec<usize> = members
        .iter()
        .enumerate()
        .filter(|(_, (_, subject))| groups.as_ref().is_none_or(|groups| groups.contains_key(subject)))
        .map(|(index, _)| index)
        .collect();
    let prepare = |&index: &usize| -> Result<PreparedCase, RunError> {
        let (mut case, annotated) = source.load(index, &members[index].0)?;
        if let Some(groups) = &groups {
            case.group = groups.get(&case.subject).cloned();
        }
        let group = case.group.unwrap_or_else(|| NO_GROUP.to_owned());
        let mut truth = case.labels.ok_or_else(|| RunError::NoLabels { case: case.id.clone() })?;
        let annotated = config.target.labels.iter().map(|label| annotated(&label.values)).collect();
        let failed = |source| RunError::Preprocess { case: case.id.clone(), source };
        let mut prepared = preprocessing.prepare(&case.channels, Some(&truth)).map_err(failed)?;
        if let Some(cue) = &cue {
            cue.apply(&group, &mut prepared.channels);
        }
        if let Some(values) = absent.filter(|(absent, _)| **absent == group).map(|(_, values)| values) {
            hide(values, &mut [], &mut truth);
            let labels = prepared.labels.as_mut();
            let labels = labels.ok_or_else(|| RunError::NoLabels { case: case.id.clone() })?;
            hide(values, &mut prepared.channels, labels);
        }
        let patch = patch(config, &preprocessing, &prepared, &truth).map_err(failed)?;
        let image = prepared.image_centre().map_err(failed)?;
        let centres = Centres { image, truth: patch.target_centroid() };
        let grids = [prepared.original.clone(), prepared.working_grid().clone()];
        let (voxels, place) = (Voxels { patch, truth }, (&room, folder.as_path()));
        PreparedCase::new([case.id, case.subject, group], grids, centres, annotated, voxels, place)
            .map_err(RunError::io(&folder))
    };
    used.par_iter().map(prepare).collect()
}

/// What training draws from: label maps where the working grid's voxels are decided, maps of each class where soft
/// targets were resampled.
fn patch(
    config: &CellConfig,
    preprocessing: &Preprocessing,
    prepared: &Prepared,
    truth: &LabelMap,
) -> Result<Patch, PreprocessError> {
    let labels = prepared.labels.as_ref().ok_or(PreprocessError::NeedsLabels)?;
    let mut patch = Patch::new(&prepared.channels, labels);
    let steps = &config.preprocessing;
    if config.target.soft && steps.spacing_mm.is_some() && steps.labels == LabelResampling::Linear {
        let values: Vec<&[u16]> = config.target.labels.iter().map(|label| label.values.as_slice()).collect();
        let maps = preprocessing.soft_labels(truth, &values, prepared)?;
        patch.target = with_background(&config.target, maps.into_iter().map(|map| map.data).collect());
    } else if let Target::Labels(labels) = &mut patch.target {
        // What no class has is background, also where crops look for the truth.
        let known = |value: &u16| config.target.labels.iter().any(|label| label.values.contains(value));
        labels.iter_mut().filter(|value| !known(value)).for_each(|value| *value = 0);
    }
    Ok(patch)
}

/// A soft target of the classes' maps, with the background first where it is a channel.
pub(crate) fn with_background(target: &experiment::Target, mut maps: Vec<Vec<f32>>) -> Target {
    let mut outside = vec![0.0; maps.len()];
    if target.activation == OutputActivation::Softmax {
        let mut background = vec![1.0; maps[0].len()];
        for map in &maps {
            background.iter_mut().zip(map).for_each(|(y0, y)| *y0 -= y);
        }
        // Rounding may leave a little less than nothing.
        background.iter_mut().for_each(|y0| *y0 = y0.max(0.0));
        maps.insert(0, background);
        outside.insert(0, 1.0);
    }
    Target::Soft { maps, outside }
}

/// What there is to train on, from the first case and the list of all.
pub(crate) struct Survey {
    /// Number of cases.
    pub(crate) cases: usize,
    /// Channels of an image.
    pub(crate) channels: usize,
    /// Voxels of the first case once it is prepared.
    pub(crate) shape: [usize; 3],
    /// Bytes of the first case once it is prepared, with its truth.
    pub(crate) bytes: usize,
}

/// Looks at the data without preparing all of them.
pub(crate) fn survey(config: &CellConfig) -> Result<Survey, RunError> {
    let source = Source::open(&config.data)?;
    let members = source.members();
    let (id, _) = members.first().ok_or(RunError::EmptySide { fold: 0, side: "training" })?;
    let (case, _) = source.load(0, id)?;
    let truth = case.labels.ok_or_else(|| RunError::NoLabels { case: case.id.clone() })?;
    let failed = |source| RunError::Preprocess { case: case.id.clone(), source };
    let preprocessing = preprocessing(&config.preprocessing, &config.target);
    let prepared = preprocessing.prepare(&case.channels, Some(&truth)).map_err(failed)?;
    let patch = patch(config, &preprocessing, &prepared, &truth).map_err(failed)?;
    let target = match &patch.target {
        Target::Labels(_) => 2,
        Target::Soft { maps, .. } => 4 * maps.len(),
    };
    let groups = config.groups.as_ref();
    let used = groups.map_or(members.len(), |groups| groups.assign.iter().map(|group| group.count).sum());
    Ok(Survey {
        cases: used,
        channels: case.channels.len(),
        shape: patch.shape,
        bytes: (4 * case.channels.len() + target) * patch.voxels() + 2 * truth.data.len(),
    })
}

/// The first channel of a case, as it came.
pub(crate) fn first_channel(config: &CellConfig, id: &str) -> Result<Image, RunError> {
    let source = Source::open(&config.data)?;
    let index = source.members().iter().position(|(case, _)| case == id);
    let (mut case, _) =
        source.load(index.ok_or_else(|| CaseError::UnknownCase { case: id.to_owned() })?, id)?;
    Ok(case.channels.swap_remove(0))
}

/// Who is trained on and who is held out in the cell's fold.
pub(crate) fn split(config: &CellConfig, cases: &[PreparedCase]) -> Result<Split, RunError> {
    match &config.split {
        experiment::Split::Folds { folds, seed, deal, .. } => {
            let deal = match deal {
                experiment::Dealing::Stratified => Dealing::Stratified,
                experiment::Dealing::InTurn => Dealing::InTurn,
                experiment::Dealing::NumpyShuffle => Dealing::NumpyShuffle,
            };
            let mut splits = k_folds_dealt(cases, *folds, deal, *seed)?;
            Ok(splits.swap_remove(config.cell.fold))
        }
        experiment::Split::HoldOut { seed, train, test } => {
            let counts = |side: &[GroupCount]| side.iter().map(|g| (g.group.clone(), g.count)).collect();
            Ok(hold_out(cases, &HoldOut { train: counts(train), test: counts(test) }, *seed)?)
        }
    }
}

/// The label that the cell's training and monitored validation do not have in this case, as its place in the target.
/// A view: neither files nor label maps change.
pub(crate) fn emptied_label(config: &CellConfig, case: &PreparedCase) -> Option<usize> {
    let partial = config.partial.as_ref().filter(|_| config.cell.labelling == Labelling::Partial)?;
    let place = config.target.labels.iter().position(|label| label.name == partial.label);
    place.filter(|_| case.group == partial.group)
}

/// The steps of an experiment's preprocessing, in their order.
pub(crate) fn preprocessing(
    config: &experiment::Preprocessing,
    target: &experiment::Target,
) -> Preprocessing {
    // Of a label merged from several values, the first: surfaces are those of values.
    let value =
        |name: &String| target.labels.iter().find(|label| label.name == *name).map(|label| label.values[0]);
    let enclosing = config.encloses.iter().filter_map(|[outer, inner]| Some([value(outer)?, value(inner)?]));
    let enclosing = enclosing.collect();
    let mut steps = Vec::new();
    let labels = match config.labels {
        LabelResampling::Linear => LabelRule::Linear,
        LabelResampling::SignedDistance => LabelRule::SignedDistance,
    };
    let alignment = match config.alignment {
        experiment::Alignment::Centre => Alignment::Centre,
        experiment::Alignment::Corners => Alignment::Corners,
    };
    let window_first = config.window == WindowOrder::First;
    match (config.spacing_mm, config.size) {
        (Some(spacing), Some(shape)) if window_first => {
            steps.push(Step::ResampleWindow { spacing, shape, labels, enclosing });
        }
        (Some(spacing), _) => steps.push(Step::Resample { spacing, alignment, labels, enclosing }),
        (None, _) => {}
    }
    if let Some(quantiles) = config.clip_quantiles {
        steps.push(Step::Clip { quantiles });
    }
    match config.normalise {
        Normalise::ZScore => steps.push(Step::ZScore { over: ZScoreOver::Volume }),
        Normalise::ZScoreNonzero => steps.push(Step::ZScore { over: ZScoreOver::Nonzero }),
        Normalise::None => {}
    }
    if let Some(shape) = config.size.filter(|_| !window_first) {
        let about = match config.centre {
            Centre::Volume => About::Volume,
            Centre::Label => About::Labels,
            Centre::Image => About::Image,
        };
        steps.push(Step::Fit { shape, about });
    }
    Preprocessing { steps }
}

/// What a network of the cell sees of a case when it predicts. `centres` may be unknown for images without truth.
pub(crate) fn prediction_input(
    config: &CellConfig,
    case: Prepared,
    centres: Centres,
) -> Result<Prepared, PreprocessError> {
    let Some(patch) = &config.patch else { return Ok(case) };
    let window = match patch.prediction {
        PredictionExtent::Whole => return Ok(case),
        PredictionExtent::Centre => Window::centred(case.working_grid().shape, patch.size),
        PredictionExtent::Image => Window::around(centres.image, patch.size),
        PredictionExtent::Oracle => {
            Window::around(centres.truth.ok_or(PreprocessError::NeedsLabels)?, patch.size)
        }
    };
    let channels = case.channels.iter().map(|channel| window.cut(channel, 0.0)).collect();
    Ok(Prepared { channels, ..case })
}
