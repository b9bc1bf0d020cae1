//! Where cases come from: a phantom, or a folder.
use dicewise_data::dataset::{self, Case, Dataset};
use dicewise_data::phantom::{CONTROL, Phantom, PhantomKind};
use dicewise_data::presence::Presence;
use dicewise_experiment::{Data, Layout};

use crate::run_error::RunError;

/// Where cases come from.
pub(crate) enum Source {
    Phantom(Phantom),
    Folder { dataset: Box<Dataset>, presence: Presence },
}

impl Source {
    pub(crate) fn open(data: &Data) -> Result<Self, RunError> {
        let phantom = |kind: PhantomKind, counts, seed, shape| -> Result<Phantom, RunError> {
            Ok(Phantom::new(kind, counts, seed)?.with_grid(shape, kind.default_spacing_mm())?)
        };
        match data {
            Data::TumourPhantom { shape, seed, cases } => {
                let count = |group: &str| cases.iter().find(|g| g.group == group).map_or(0, |g| g.count);
                let counts = PhantomKind::Tumour.groups().map(count);
                let phantom = phantom(PhantomKind::Tumour, counts, *seed, *shape)?;
                Ok(Self::Phantom(phantom.with_controls(count(CONTROL))?))
            }
            Data::HeartPhantom { shape, seed, subjects } => {
                Ok(Self::Phantom(phantom(PhantomKind::Heart, [*subjects; 2], *seed, *shape)?))
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
    pub(crate) fn members(&self) -> Vec<(String, String)> {
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
    pub(crate) fn load(&self, index: usize, id: &str) -> Result<(Case, impl Fn(&[u16]) -> bool), RunError> {
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
