//! Integrity of a dataset: every file is read, every label counted.
//!
//! [`check`] returns a [`CheckReport`] and prints nothing. Cases are read in parallel, each dropped once it is counted.

mod description;
mod mirrored;
mod report;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
pub use report::{CaseSummary, CheckReport, Defect, LabelSize, LabelSummary, Severity};

use crate::dataset::{Case, CaseError, CaseFiles, Dataset, Label, LoadedCase};
use crate::nifti::{NiftiWarning, NonFinite, Reader};
use crate::presence::Presence;
use crate::volume::{Image, LabelMap};

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
        defects: description::defects(dataset),
    };
    let (mut images, mut label_maps) = (Duplicates::default(), Duplicates::default());
    for examined in read {
        report.defects.extend(examined.defects);
        if let Some((summary, content)) = examined.summary {
            images.add(content.image, &summary.id);
            content.labels.into_iter().for_each(|labels| label_maps.add(labels, &summary.id));
            report.cases.push(summary);
        }
    }
    let images = images.found();
    // Two copies of a case are one defect.
    let label_maps: Vec<_> = label_maps.found().into_iter().filter(|cases| !images.contains(cases)).collect();
    report.defects.extend(images.into_iter().map(|cases| Defect::DuplicateImages { cases }));
    report.defects.extend(label_maps.into_iter().map(|cases| Defect::DuplicateLabels { cases }));
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

/// What one case contributes: its summary with hashes of its content, and its defects.
struct Examined {
    summary: Option<(CaseSummary, Content)>,
    defects: Vec<Defect>,
}

/// Hashes, to find equal files within one run.
struct Content {
    image: u64,
    /// None without a label map, or where there is nothing but background, which many maps may well share.
    labels: Option<u64>,
}

/// Cases by a hash of their content.
#[derive(Default)]
struct Duplicates(BTreeMap<u64, Vec<String>>);

impl Duplicates {
    fn add(&mut self, content: u64, case: &str) {
        self.0.entry(content).or_default().push(case.into());
    }

    /// The cases that are equal, in the order of their names.
    fn found(self) -> Vec<Vec<String>> {
        let mut equal: Vec<_> = self.0.into_values().filter(|cases| cases.len() > 1).collect();
        equal.sort();
        equal
    }
}

fn examine(dataset: &Dataset, presence: &Presence, files: &CaseFiles, reader: &Reader) -> Examined {
    let LoadedCase { case, warnings } = match dataset.load_files(files, reader) {
        Ok(loaded) => loaded,
        Err(error) => return Examined { summary: None, defects: unusable(files, reader, error) },
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
    let hashes: Vec<u64> = case.channels.iter().map(image_hash).collect();
    for (channel, hash) in hashes.iter().enumerate() {
        if let Some(of) = hashes[..channel].iter().position(|other| other == hash) {
            defects.push(Defect::DuplicateChannel { case: id(), channel, of });
        }
    }
    for channel in mirrored::channels(&case.channels) {
        defects.push(Defect::MirroredChannel { case: id(), channel });
    }
    let drawn = case.labels.as_ref().filter(|map| map.data.iter().any(|&label| label != 0));
    let content = Content { image: hash_of(&hashes), labels: drawn.map(label_hash) };
    let grid = &case.channels[0].grid;
    let (shape, spacing_mm) = (grid.shape, grid.spacing_mm());
    let Case { id, subject, group, .. } = case;
    Examined {
        summary: Some((CaseSummary { id, subject, group, shape, spacing_mm, labels }, content)),
        defects,
    }
}

/// Why a case cannot be used: every file that cannot be read, not only the first; else what loading said.
fn unusable(files: &CaseFiles, reader: &Reader, error: CaseError) -> Vec<Defect> {
    let images = files.images.iter().map(|path| reader.channels(path).err());
    let label = files.label.iter().map(|path| reader.labels(path).err());
    let mut errors: Vec<CaseError> = images
        .chain(label)
        .flatten()
        .map(|source| CaseError::Nifti { case: files.id.clone(), source })
        .collect();
    if errors.is_empty() {
        errors.push(error);
    }
    errors.into_iter().map(|error| Defect::Unusable { case: files.id.clone(), error }).collect()
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

fn hash_of(values: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    values.hash(&mut hasher);
    hasher.finish()
}

fn image_hash(image: &Image) -> u64 {
    let mut hasher = DefaultHasher::new();
    image.grid.shape.hash(&mut hasher);
    image.data.iter().for_each(|voxel| hasher.write_u32(voxel.to_bits()));
    hasher.finish()
}

fn label_hash(map: &LabelMap) -> u64 {
    hash_of(&(map.grid.shape, &map.data))
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
