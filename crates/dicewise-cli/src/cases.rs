//! The cases of an experiment, loaded and prepared.

use dicewise_data::augment::Cue;
use dicewise_data::dataset::{Case, CaseError, Dataset};
use dicewise_data::folds::{HoldOut, Member, Split, hold_out, k_folds};
use dicewise_data::groups::deal_groups;
use dicewise_data::phantom::{Phantom, PhantomKind};
use dicewise_data::preprocess::{
    About, Alignment, LabelRule, Prepared, PreprocessError, Preprocessing, Step, ZScoreOver,
};
use dicewise_data::presence::Presence;
use dicewise_data::{Image, LabelMap, dataset};
use dicewise_experiment as experiment;
use dicewise_experiment::{
    CellConfig, Centre, Data, GroupCount, Labelling, Layout, Normalise, PredictionExtent,
};
use rayon::prelude::*;

use crate::run_error::RunError;

/// The group of all cases, where the data have no groups.
const NO_GROUP: &str = "all";

/// A case ready for training and scoring.
pub(crate) struct PreparedCase {
    pub(crate) id: String,
    pub(crate) subject: String,
    pub(crate) group: String,
    /// Channels and label map on the working grid; the labels are those of the data.
    pub(crate) prepared: Prepared,
    /// The true label map on the grid the case came on.
    pub(crate) truth: LabelMap,
    /// Which labels of the target are declared annotated.
    pub(crate) annotated: Vec<bool>,
}

impl Member for PreparedCase {
    fn id(&self) -> &str {
        &self.id
    }
    fn subject(&self) -> &str {
        &self.subject
    }
    fn group(&self) -> Option<&str> {
        Some(&self.group)
    }
}

/// Loads and prepares all cases that the experiment uses.
///
/// Cells of one experiment differ in labelling, loss, batch size, seed and fold only, so they share the result.
pub(crate) fn load(config: &CellConfig) -> Result<Vec<PreparedCase>, RunError> {
    let preprocessing = preprocessing(&config.preprocessing);
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
        let truth = case.labels.ok_or_else(|| RunError::NoLabels { case: case.id.clone() })?;
        let mut prepared = preprocessing
            .prepare(&case.channels, Some(&truth))
            .map_err(|source| RunError::Preprocess { case: case.id.clone(), source })?;
        if let Some(cue) = &cue {
            cue.apply(&group, &mut prepared.channels);
        }
        let annotated = config.target.labels.iter().map(|label| annotated(&label.values)).collect();
        Ok(PreparedCase { id: case.id, subject: case.subject, group, prepared, truth, annotated })
    };
    used.par_iter().map(prepare).collect()
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
        experiment::Split::Folds { folds, seed, .. } => {
            let mut splits = k_folds(cases, *folds, *seed)?;
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
pub(crate) fn preprocessing(config: &experiment::Preprocessing) -> Preprocessing {
    let mut steps = Vec::new();
    if let Some(spacing) = config.spacing_mm {
        steps.push(Step::Resample { spacing, alignment: Alignment::Centre, labels: LabelRule::Linear });
    }
    if let Some(quantiles) = config.clip_quantiles {
        steps.push(Step::Clip { quantiles });
    }
    match config.normalise {
        Normalise::ZScore => steps.push(Step::ZScore { over: ZScoreOver::Volume }),
        Normalise::ZScoreNonzero => steps.push(Step::ZScore { over: ZScoreOver::Nonzero }),
        Normalise::None => {}
    }
    if let Some(shape) = config.size {
        let about = match config.centre {
            Centre::Volume => About::Volume,
            Centre::Label => About::Labels,
        };
        steps.push(Step::Fit { shape, about });
    }
    Preprocessing { steps }
}

/// What a network of the cell sees of a case when it predicts.
pub(crate) fn prediction_input(config: &CellConfig, case: &Prepared) -> Result<Prepared, PreprocessError> {
    match &config.patch {
        Some(patch) if patch.prediction == PredictionExtent::Centre => {
            let crop = Preprocessing { steps: vec![Step::Fit { shape: patch.size, about: About::Volume }] };
            let mut cropped = crop.prepare(&case.channels, None)?;
            cropped.original = case.original.clone();
            Ok(cropped)
        }
        _ => Ok(Prepared { labels: None, ..case.clone() }),
    }
}

/// Where cases come from.
enum Source {
    Phantom(Phantom),
    Folder { dataset: Box<Dataset>, presence: Presence },
}

impl Source {
    fn open(data: &Data) -> Result<Self, RunError> {
        let phantom = |kind: PhantomKind, counts, seed, shape| -> Result<Self, RunError> {
            let phantom = Phantom::new(kind, counts, seed)?;
            Ok(Self::Phantom(phantom.with_grid(shape, kind.default_spacing_mm())?))
        };
        match data {
            Data::TumourPhantom { shape, seed, cases } => {
                let count = |group: &str| cases.iter().find(|g| g.group == group).map_or(0, |g| g.count);
                phantom(PhantomKind::Tumour, PhantomKind::Tumour.groups().map(count), *seed, *shape)
            }
            Data::HeartPhantom { shape, seed, subjects } => {
                phantom(PhantomKind::Heart, [*subjects; 2], *seed, *shape)
            }
            Data::Folder { path, layout } => {
                let dataset = match data_layout(*layout) {
                    None => Dataset::open(path)?,
                    Some(layout) => Dataset::open_as(path, layout)?,
                };
                let presence = Presence::of_dataset(&dataset)?;
                Ok(Self::Folder { dataset: Box::new(dataset), presence })
            }
        }
    }

    /// Case and subject of every case.
    fn members(&self) -> Vec<(String, String)> {
        match self {
            Self::Phantom(phantom) => (0..phantom.len())
                .map(|index| {
                    let case = phantom.case(index);
                    (case.id, case.subject)
                })
                .collect(),
            Self::Folder { dataset, .. } => {
                // Cases without a label map cannot be trained on nor scored.
                let labelled = dataset.cases.iter().filter(|case| case.label.is_some());
                labelled.map(|case| (case.id.clone(), case.subject.clone())).collect()
            }
        }
    }

    /// A case by its place and name in [`Self::members`], and a function that says whether all of some label values are declared annotated.
    fn load(&self, index: usize, id: &str) -> Result<(Case, impl Fn(&[u16]) -> bool), RunError> {
        let (case, missing) = match self {
            Self::Phantom(phantom) => {
                let case = phantom.case(index);
                let case = Case {
                    id: case.id,
                    subject: case.subject,
                    group: Some(case.group.to_owned()),
                    channels: case.channels,
                    labels: Some(case.labels),
                };
                (case, Vec::new())
            }
            Self::Folder { dataset, presence } => {
                let declared = presence.of_case(id);
                let missing = dataset.labels.iter().zip(declared).filter(|(_, annotated)| !annotated);
                (dataset.load_case(id)?, missing.map(|(label, _)| label.value).collect())
            }
        };
        Ok((case, move |values: &[u16]| values.iter().all(|value| !missing.contains(value))))
    }
}

/// The layout by its name in the data crate; none for "recognise it".
pub(crate) fn data_layout(layout: Layout) -> Option<dataset::Layout> {
    match layout {
        Layout::Auto => None,
        Layout::NnUnet => Some(dataset::Layout::NnUnet),
        Layout::Msd => Some(dataset::Layout::Msd),
        Layout::Acdc => Some(dataset::Layout::Acdc),
        Layout::Brats2018 => Some(dataset::Layout::Brats2018),
    }
}
