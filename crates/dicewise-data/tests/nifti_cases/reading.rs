use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use dicewise_data::check::{Defect, Severity, check};
use dicewise_data::dataset::{CaseFiles, Dataset, Label, Layout};
use dicewise_data::nifti::{NonFinite, Reader};
use dicewise_data::presence::Presence;
use serde::Deserialize;

const LONGEST: Duration = Duration::from_secs(10);
const MOST_MEMORY_MB: u64 = 64;

/// How the reader is expected to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Class {
    /// A value, and nothing to say.
    #[default]
    Ok,
    /// A value, and a warning.
    Warn,
    /// A typed error.
    Error,
}

/// A file, or an image and its label map, and what is expected of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) file: Option<PathBuf>,
    /// Image and label map.
    pub(crate) pair: Option<[PathBuf; 2]>,
    /// `label`, where the file is a label map.
    pub(crate) role: Option<String>,
    /// The declared ids.
    pub(crate) labels: Option<Vec<u16>>,
    #[serde(rename = "expect")]
    pub(crate) class: Class,
    /// Which warning or error.
    #[serde(rename = "error")]
    pub(crate) kind: Option<String>,
    /// Extents, with channels last if there are several.
    pub(crate) shape: Option<Vec<usize>>,
    /// Sum of all voxels of all channels.
    pub(crate) sum: Option<f64>,
    /// The first voxel.
    pub(crate) first: Option<f64>,
    pub(crate) affine_det_sign: Option<f64>,
    pub(crate) label_counts: Option<BTreeMap<u16, usize>>,
    pub(crate) mem_limit_mb: Option<u64>,
}

impl Case {
    /// A file that is read without a word, as voxels that sum to this.
    pub(crate) fn ok(sum: f64) -> Self {
        Self { sum: Some(sum), shape: Some(vec![5, 6, 7]), ..Self::default() }
    }

    /// The same with a warning.
    pub(crate) fn warns(self, kind: &str) -> Self {
        Self { class: Class::Warn, kind: Some(kind.into()), ..self }
    }

    /// A file that is refused.
    pub(crate) fn error(kind: &str) -> Self {
        Self { class: Class::Error, kind: Some(kind.into()), ..Self::default() }
    }

    pub(crate) fn shape(self, shape: &[usize]) -> Self {
        Self { shape: Some(shape.into()), ..self }
    }
}

/// What the reader answered.
#[derive(Debug, Default)]
struct Answer {
    class: Class,
    kinds: Vec<String>,
    shape: Vec<usize>,
    sum: f64,
    first: f64,
    affine_det_sign: f64,
    label_counts: BTreeMap<u16, usize>,
}

/// Err with what is not as expected.
pub(crate) fn compare(folder: &Path, case: &Case) -> Result<(), String> {
    // One at a time: the peak of memory is the process's.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let wrong = |what: String| Err(format!("  {}: {what}", case.id));

    let (sender, receiver) = channel();
    let baseline_kb = resident_kb_from_now();
    let started = Instant::now();
    let (at, asked) = (folder.to_owned(), case.clone());
    // Not joined: a reader that hangs must not hang the test.
    std::thread::spawn(move || drop(sender.send(read(&at, &asked))));
    let answer = match receiver.recv_timeout(LONGEST) {
        Ok(answer) => answer,
        Err(RecvTimeoutError::Timeout) => return wrong(format!("no answer after {LONGEST:?}")),
        Err(RecvTimeoutError::Disconnected) => return wrong("the reader panicked".into()),
    };
    let took = started.elapsed();
    let limit = case.mem_limit_mb.unwrap_or(MOST_MEMORY_MB);
    if let (Some(before), Some(peak)) = (baseline_kb, peak_kb()) {
        let used_mb = peak.saturating_sub(before) / 1024;
        if used_mb > limit {
            return wrong(format!("{used_mb} MiB of memory in {took:?}, at most {limit} are accepted"));
        }
    }

    if answer.class != case.class {
        return wrong(format!(
            "{:?} {:?}, expected {:?} {:?}",
            answer.class, answer.kinds, case.class, case.kind
        ));
    }
    if let Some(kind) = &case.kind
        && !answer.kinds.iter().any(|found| found == kind || alias(kind).contains(&found.as_str()))
    {
        return wrong(format!("{:?}, expected {kind}", answer.kinds));
    }
    if case.class == Class::Error {
        return Ok(());
    }
    let differs = |expected: Option<f64>, found: f64| {
        expected.is_some_and(|e| (e - found).abs() > 1e-6 * e.abs().max(1.0))
    };
    if case.shape.as_ref().is_some_and(|shape| *shape != answer.shape)
        || differs(case.sum, answer.sum)
        || differs(case.first, answer.first)
        || differs(case.affine_det_sign, answer.affine_det_sign)
        || case.label_counts.as_ref().is_some_and(|counts| *counts != answer.label_counts)
    {
        return wrong(format!("read as {answer:?}, expected {case:?}"));
    }
    Ok(())
}

/// Names that other programs' expectations have for our kinds.
fn alias(kind: &str) -> &'static [&'static str] {
    match kind {
        "NonFiniteVoxel" => &["NonFiniteVoxels"],
        "UnexpectedLabel" => &["UndeclaredLabel", "LabelOutOfRange"],
        "EmptyLabel" => &["AllBackground"],
        "AffineMismatch" => &["OrientationMissing", "SingularAffine"],
        _ => &[],
    }
}

fn read(folder: &Path, case: &Case) -> Answer {
    match (&case.file, &case.pair) {
        (Some(file), _) if case.role.as_deref() == Some("label") => {
            // The map is its own image, so that nothing but the labels can be wrong.
            read_case(&folder.join(file), &folder.join(file), case)
        }
        (Some(file), _) => read_image(&folder.join(file)),
        (None, Some([image, labels])) => read_case(&folder.join(image), &folder.join(labels), case),
        (None, None) => panic!("case {} has neither file nor pair", case.id),
    }
}

fn read_image(path: &Path) -> Answer {
    let read = match Reader::default().non_finite(NonFinite::Keep).channels(path) {
        Ok(read) => read,
        Err(error) => {
            return Answer { class: Class::Error, kinds: vec![kind_of(&error)], ..Answer::default() };
        }
    };
    let grid = &read.value[0].grid;
    let mut shape = grid.shape.to_vec();
    if read.value.len() > 1 {
        shape.push(read.value.len());
    }
    let [x, y, z, _] = grid.affine;
    let det = x[0] * (y[1] * z[2] - y[2] * z[1]) - x[1] * (y[0] * z[2] - y[2] * z[0])
        + x[2] * (y[0] * z[1] - y[1] * z[0]);
    Answer {
        class: if read.warnings.is_empty() { Class::Ok } else { Class::Warn },
        kinds: read.warnings.iter().map(kind_of).collect(),
        shape,
        sum: read.value.iter().flat_map(|image| &image.data).map(|&voxel| f64::from(voxel)).sum(),
        first: read.value[0].data[0].into(),
        affine_det_sign: det.signum(),
        label_counts: BTreeMap::new(),
    }
}

/// Reads image and label map as the integrity check does.
fn read_case(image: &Path, labels: &Path, case: &Case) -> Answer {
    let declared = case.labels.clone().unwrap_or_else(|| vec![0, 1, 2, 3]);
    let declared: Vec<Label> =
        declared.into_iter().map(|value| Label { name: format!("label {value}"), value }).collect();
    let files = CaseFiles {
        id: case.id.clone(),
        subject: case.id.clone(),
        group: None,
        images: vec![image.into()],
        label: Some(labels.into()),
    };
    let dataset = Dataset {
        root: image.parent().expect("a file in a folder").into(),
        layout: Layout::Acdc,
        channel_names: vec!["image".into()],
        labels: declared,
        cases: vec![files],
    };
    let report = check(&dataset, &Presence::all_annotated(&dataset.labels), |_| {});
    let severity = report.defects.iter().map(Defect::severity).max();
    let sizes = report.cases.first().and_then(|case| case.labels.clone()).unwrap_or_default();
    Answer {
        class: match severity {
            None => Class::Ok,
            Some(Severity::Warning) => Class::Warn,
            Some(Severity::Error) => Class::Error,
        },
        kinds: report.defects.iter().map(kind_of_defect).collect(),
        shape: report.cases.first().map(|case| case.shape.to_vec()).unwrap_or_default(),
        label_counts: dataset.labels.iter().zip(&sizes).map(|(l, size)| (l.value, size.voxels)).collect(),
        ..Answer::default()
    }
}

/// The name of a variant.
fn kind_of(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").chars().take_while(char::is_ascii_alphanumeric).collect()
}

/// The innermost reason.
fn kind_of_defect(defect: &Defect) -> String {
    use dicewise_data::dataset::CaseError;
    match defect {
        Defect::Unusable { error: CaseError::Nifti { source, .. }, .. } => kind_of(source),
        Defect::Unusable { error, .. } => kind_of(error),
        Defect::OddFile { warning, .. } => kind_of(warning),
        defect => kind_of(defect),
    }
}

/// What the process holds; its peak counts from here on. None where the system does not say.
fn resident_kb_from_now() -> Option<u64> {
    std::fs::write("/proc/self/clear_refs", "5").ok()?;
    status_kb("VmRSS:")
}

/// The peak since.
fn peak_kb() -> Option<u64> {
    status_kb("VmHWM:")
}

fn status_kb(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}
