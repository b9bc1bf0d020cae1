//! The truth: a dataset, or a folder of label maps.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dicewise_data::dataset::{CaseFiles, Dataset, DatasetError, Label, Layout};
use dicewise_data::presence::Presence;

use super::error::EvaluateError;
use super::label_maps;
use crate::{args, dataset_folder, failure, remedy};

/// True label maps and what their numbers mean.
pub(super) struct Truth {
    /// As given.
    pub(super) folder: PathBuf,
    /// By name.
    pub(super) cases: BTreeMap<String, TruthCase>,
    /// Labels that the dataset declares; None where nothing declares any.
    pub(super) labels: Option<Vec<Label>>,
    /// Whether it is a dataset, of which some cases may be predicted; else every case has to be.
    pub(super) is_dataset: bool,
}

/// One case.
pub(super) struct TruthCase {
    pub(super) file: PathBuf,
    pub(super) subject: String,
    pub(super) group: Option<String>,
    /// Ids of labels that are declared missing: there is no truth to score against.
    pub(super) missing: Vec<u16>,
}

impl Truth {
    pub(super) fn open(args: &args::Evaluate) -> miette::Result<Self> {
        if !args.truth.is_dir() {
            return Err(EvaluateError::NotAFolder { folder: args.truth.clone() }.into());
        }
        match dataset_folder::list(&args.truth, args.layout) {
            Ok(dataset) => Self::of_dataset(&args.truth, &dataset),
            Err(DatasetError::UnknownLayout { .. }) => {
                Self::of_label_maps(&args.truth, !args.labels.is_empty())
            }
            Err(error) => Err(refuse(error)),
        }
    }

    fn of_dataset(folder: &Path, dataset: &Dataset) -> miette::Result<Self> {
        let presence = dataset_folder::presence(dataset)?;
        let case = |files: &CaseFiles| {
            let file = files.label.clone().ok_or(EvaluateError::NoLabelMap { case: files.id.clone() })?;
            Ok((files.id.clone(), TruthCase::new(file, Some(files), &files.id, Some((dataset, &presence)))))
        };
        Ok(Self {
            folder: folder.into(),
            cases: dataset.cases.iter().map(case).collect::<Result<_, EvaluateError>>()?,
            labels: Some(dataset.labels.clone()),
            is_dataset: true,
        })
    }

    /// A folder such as `labelsTs`; the dataset that it lies in says what the labels are.
    fn of_label_maps(folder: &Path, labels_given: bool) -> miette::Result<Self> {
        let files = label_maps::of_folder(folder)?;
        let around = match dataset_around(folder) {
            Ok(around) => around,
            // `dataset.json` is not needed where the command line names the labels.
            Err(_) if labels_given => None,
            Err(error) => return Err(refuse(error)),
        };
        let around = match around {
            Some(dataset) => {
                let presence = dataset_folder::presence(&dataset)?;
                Some((dataset, presence))
            }
            None => None,
        };
        let case = |(id, file): (String, PathBuf)| {
            let dataset = around.as_ref().map(|(dataset, presence)| (dataset, presence));
            let files = dataset.and_then(|(dataset, _)| dataset.cases.iter().find(|case| case.id == id));
            let case = TruthCase::new(file, files, &id, dataset);
            (id, case)
        };
        Ok(Self {
            folder: folder.into(),
            cases: files.into_iter().map(case).collect(),
            labels: around.as_ref().map(|(dataset, _)| dataset.labels.clone()),
            is_dataset: false,
        })
    }
}

impl TruthCase {
    fn new(
        file: PathBuf,
        files: Option<&CaseFiles>,
        id: &str,
        dataset: Option<(&Dataset, &Presence)>,
    ) -> Self {
        let missing = dataset.map_or_else(Vec::new, |(dataset, presence)| {
            let annotated = presence.of_case(id);
            let labels = dataset.labels.iter().zip(annotated);
            labels.filter(|(_, annotated)| !annotated).map(|(label, _)| label.value).collect()
        });
        Self {
            file,
            subject: files.map_or_else(|| id.to_owned(), |files| files.subject.clone()),
            group: files.and_then(|files| files.group.clone()),
            missing,
        }
    }
}

/// The dataset whose folder holds this one, if its `dataset.json` says so.
fn dataset_around(folder: &Path) -> Result<Option<Dataset>, DatasetError> {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.into());
    let Some(parent) = folder.parent() else { return Ok(None) };
    match Layout::detect(parent) {
        Ok(layout @ (Layout::NnUnet | Layout::Msd)) => Dataset::list(parent, layout).map(Some),
        Ok(_) | Err(DatasetError::UnknownLayout { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn refuse(error: DatasetError) -> miette::Report {
    let remedy = remedy::of_dataset_error(&error);
    failure::with_remedy(error, remedy)
}
