//! Integrity of a dataset: every file is read, every label counted.
//!
//! [`check`] returns a [`CheckReport`] and prints nothing. Cases are read in parallel, each dropped once it is counted.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde::{Serialize, Serializer};

use crate::dataset::{Case, CaseError, CaseFiles, Dataset, Label, Layout, LoadedCase};
use crate::nifti::{NiftiWarning, NonFinite, Reader};
use crate::presence::Presence;
use crate::volume::Image;

/// What a dataset holds and what is wrong with it.
#[derive(Debug, Serialize)]
pub struct CheckReport {
    /// The folder.
    pub root: PathBuf,
    /// How its files are named.
    pub layout: Layout,
    /// The labels over all cases that could be read, background included.
    pub labels: Vec<LabelSummary>,
    /// The cases that could be read, by name.
    pub cases: Vec<CaseSummary>,
    /// Everything that is wrong or odd.
    pub defects: Vec<Defect>,
}

/// One label over all cases.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelSummary {
    /// The label.
    #[serde(flatten)]
    pub label: Label,
    /// Cases in which it is annotated.
    pub annotated: usize,
    /// Annotated cases in which it has no voxels.
    pub empty: usize,
    /// Mean size in voxels over the annotated cases, empty ones counting 0: E Σ y, the heuristic ε of Eq. 5 when a
    /// whole volume is one sample. None without annotated cases.
    pub mean_voxels: Option<f64>,
    /// The same mean in millilitres.
    pub mean_ml: Option<f64>,
}

/// One case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CaseSummary {
    /// Name of the case.
    pub id: String,
    /// Whose case it is.
    pub subject: String,
    /// Its group.
    pub group: Option<String>,
    /// Voxels along x, y, z.
    pub shape: [usize; 3],
    /// Distance of neighbouring voxels along x, y, z.
    pub spacing_mm: [f64; 3],
    /// How much there is of each label, in the order of the dataset's labels; None without a label map.
    pub labels: Option<Vec<LabelSize>>,
}

/// How much of a label there is in a case.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LabelSize {
    /// Whether it is declared annotated.
    pub annotated: bool,
    /// Voxels.
    pub voxels: usize,
    /// Millilitres.
    pub ml: f64,
}

/// Something wrong or odd in a dataset.
#[derive(Debug, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Defect {
    /// A case cannot be used: a file missing or damaged, files that do not belong together, undeclared labels.
    #[error("{error}")]
    Unusable {
        /// The case.
        case: String,
        /// Why.
        #[serde(serialize_with = "as_text")]
        error: CaseError,
    },
    /// Image voxels that are NaN or infinite.
    #[error(
        "case {case}: {file} has {voxels} NaN or infinite voxels in channel {channel}, the first at {first:?}",
        file = file.display()
    )]
    NonFiniteVoxels {
        /// The case.
        case: String,
        /// The image.
        file: PathBuf,
        /// Its channel.
        channel: usize,
        /// How many.
        voxels: usize,
        /// x, y, z of the first.
        first: [usize; 3],
    },
    /// A channel with one value everywhere.
    #[error("case {case}: channel {channel} is {value} everywhere")]
    ConstantImage {
        /// The case.
        case: String,
        /// The channel, counted over the case's files.
        channel: usize,
        /// The value.
        value: f32,
    },
    /// Nothing but background, though some label is annotated.
    #[error(
        "case {case}: all background; if its structures were not drawn, declare them missing in presence.csv"
    )]
    AllBackground {
        /// The case.
        case: String,
    },
    /// Voxels of a label that is declared missing.
    #[error("case {case}: label {label} is declared missing and has {voxels} voxels")]
    MissingButDrawn {
        /// The case.
        case: String,
        /// The label.
        label: String,
        /// Its voxels.
        voxels: usize,
    },
    /// A declared label without a voxel in any case.
    #[error("label {label} ({value}) is in no case")]
    LabelNeverSeen {
        /// The label.
        label: String,
        /// Its id.
        value: u16,
    },
    /// Cases with voxel for voxel the same image.
    #[error("cases {} have the same image", cases.join(", "))]
    DuplicateImages {
        /// The cases.
        cases: Vec<String>,
    },
    /// A file that was understood, though something in it is odd.
    #[error("case {case}: {file}: {warning}", file = file.display())]
    OddFile {
        /// The case.
        case: String,
        /// The file.
        file: PathBuf,
        /// What is odd.
        #[serde(serialize_with = "as_text")]
        warning: NiftiWarning,
    },
}

/// How bad a defect is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Legal, but worth a look.
    Warning,
    /// The case cannot be trained on as it is.
    Error,
}

impl Defect {
    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Unusable { .. } | Self::NonFiniteVoxels { .. } => Severity::Error,
            _ => Severity::Warning,
        }
    }
}

/// How far a check has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Cases done.
    pub done: usize,
    /// All cases.
    pub total: usize,
    /// The case just done.
    pub case: &'a str,
}

/// Reads every file of a dataset.
///
/// `progress` is called after each case, from several threads, in the order in which they finish.
pub fn check(dataset: &Dataset, presence: &Presence, progress: impl Fn(Progress<'_>) + Sync) -> CheckReport {
    let reader = Reader::default().non_finite(NonFinite::Keep);
    let done = AtomicUsize::new(0);
    let total = dataset.cases.len();
    let read: Vec<Examined> = dataset
        .cases
        .par_iter()
        .map(|files| {
            let examined = examine(dataset, presence, files, &reader);
            progress(Progress { done: done.fetch_add(1, Ordering::Relaxed) + 1, total, case: &files.id });
            examined
        })
        .collect();

    let mut report = CheckReport {
        root: dataset.root.clone(),
        layout: dataset.layout,
        labels: Vec::new(),
        cases: Vec::new(),
        defects: Vec::new(),
    };
    let mut same_image: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for examined in read {
        report.defects.extend(examined.defects);
        if let Some((summary, content)) = examined.summary {
            same_image.entry(content).or_default().push(summary.id.clone());
            report.cases.push(summary);
        }
    }
    let mut duplicates: Vec<_> = same_image.into_values().filter(|cases| cases.len() > 1).collect();
    duplicates.sort();
    report.defects.extend(duplicates.into_iter().map(|cases| Defect::DuplicateImages { cases }));
    for (index, label) in dataset.labels.iter().enumerate() {
        let sizes: Vec<LabelSize> =
            report.cases.iter().filter_map(|case| Some(case.labels.as_ref()?[index])).collect();
        if !sizes.is_empty() && sizes.iter().all(|size| size.voxels == 0) {
            let Label { name, value } = label.clone();
            report.defects.push(Defect::LabelNeverSeen { label: name, value });
        }
        report.labels.push(summarise(label, &sizes));
    }
    report
}

/// What one case contributes: its summary with a hash of its image, and its defects.
struct Examined {
    summary: Option<(CaseSummary, u64)>,
    defects: Vec<Defect>,
}

fn examine(dataset: &Dataset, presence: &Presence, files: &CaseFiles, reader: &Reader) -> Examined {
    let LoadedCase { case, warnings } = match dataset.load_files(files, reader) {
        Ok(loaded) => loaded,
        Err(error) => {
            let defect = Defect::Unusable { case: files.id.clone(), error };
            return Examined { summary: None, defects: vec![defect] };
        }
    };
    let id = || files.id.clone();
    let mut defects: Vec<Defect> = warnings
        .into_iter()
        .map(|(file, warning)| match warning {
            NiftiWarning::NonFiniteVoxels { channel, count, first } => {
                Defect::NonFiniteVoxels { case: id(), file, channel, voxels: count, first }
            }
            warning => Defect::OddFile { case: id(), file, warning },
        })
        .collect();
    for (channel, image) in case.channels.iter().enumerate() {
        let value = image.data[0];
        if image.data.iter().all(|&v| v == value) {
            defects.push(Defect::ConstantImage { case: id(), channel, value });
        }
    }
    let labels = sizes(&case, &dataset.labels, &presence.of_case(&files.id));
    let foreground = || labels.iter().flatten().zip(&dataset.labels).filter(|(_, label)| label.value != 0);
    if labels.is_some()
        && foreground().all(|(size, _)| size.voxels == 0)
        && foreground().any(|(size, _)| size.annotated)
    {
        defects.push(Defect::AllBackground { case: id() });
    }
    for (size, label) in foreground().filter(|(size, _)| !size.annotated && size.voxels > 0) {
        let (label, voxels) = (label.name.clone(), size.voxels);
        defects.push(Defect::MissingButDrawn { case: id(), label, voxels });
    }
    let content = content_hash(&case.channels);
    let grid = &case.channels[0].grid;
    let (shape, spacing_mm) = (grid.shape, grid.spacing_mm());
    let Case { id, subject, group, .. } = case;
    Examined {
        summary: Some((CaseSummary { id, subject, group, shape, spacing_mm, labels }, content)),
        defects,
    }
}

/// How much of each label there is.
fn sizes(case: &Case, labels: &[Label], annotated: &[bool]) -> Option<Vec<LabelSize>> {
    let map = case.labels.as_ref()?;
    let mut counts = vec![0_usize; 1 << 16];
    map.data.iter().for_each(|&id| counts[usize::from(id)] += 1);
    let voxel_ml = map.grid.voxel_volume_ml();
    let size = |(label, &annotated): (&Label, &bool)| {
        let voxels = counts[usize::from(label.value)];
        LabelSize { annotated, voxels, ml: voxels as f64 * voxel_ml }
    };
    Some(labels.iter().zip(annotated).map(size).collect())
}

/// A hash of shape and voxels, to find equal images within one run.
fn content_hash(channels: &[Image]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for channel in channels {
        channel.grid.shape.iter().for_each(|&extent| hasher.write_usize(extent));
        channel.data.iter().for_each(|voxel| hasher.write_u32(voxel.to_bits()));
    }
    hasher.finish()
}

fn summarise(label: &Label, sizes: &[LabelSize]) -> LabelSummary {
    let annotated = || sizes.iter().filter(|size| size.annotated);
    let count = annotated().count();
    let mean = |sum: f64| (count > 0).then(|| sum / count as f64);
    LabelSummary {
        label: label.clone(),
        annotated: count,
        empty: annotated().filter(|size| size.voxels == 0).count(),
        mean_voxels: mean(annotated().map(|size| size.voxels as f64).sum()),
        mean_ml: mean(annotated().map(|size| size.ml).sum()),
    }
}

fn as_text<S: Serializer>(value: &impl ToString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}
