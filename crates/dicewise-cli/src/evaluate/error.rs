//! Why predictions cannot be scored.
use std::path::PathBuf;

use dicewise_data::nifti::NiftiError;
use miette::Diagnostic;
use thiserror::Error;

use crate::remedy;

#[derive(Debug, Error, Diagnostic)]
pub(super) enum EvaluateError {
    #[error("{}: {source}", path.display())]
    #[diagnostic(help("see that the file or folder is there and may be read or written"))]
    Io { path: PathBuf, source: std::io::Error },

    #[error("{}: no such folder", folder.display())]
    #[diagnostic(help("give a folder of label maps, CASE.nii.gz or CASE.nii"))]
    NotAFolder { folder: PathBuf },

    #[error("{}: no label maps in it (CASE.nii.gz or CASE.nii)", folder.display())]
    #[diagnostic(help("give the folder that holds the files, not the one above it"))]
    NoLabelMaps { folder: PathBuf },

    #[error("case {case} has two label maps: {} and {}", first.display(), second.display())]
    #[diagnostic(help("remove one of the two"))]
    TwoFiles { case: String, first: PathBuf, second: PathBuf },

    #[error("{}: no dataset.json says which labels its files hold", folder.display())]
    #[diagnostic(help("name the labels: --labels NAME=VALUE,NAME=VALUE"))]
    LabelsUnknown { folder: PathBuf },

    #[error("--labels: {name}={value}, but the dataset has no label {value}")]
    #[diagnostic(help("declared: {declared}"))]
    ValueNotDeclared { name: String, value: u16, declared: String },

    #[error("--labels: {first} and {second} are the same label")]
    #[diagnostic(help("give every label a name and values of its own"))]
    SameLabel { first: String, second: String },

    #[error("{}: no truth for it in {}{}", file.display(), folder.display(), and_more(*others))]
    #[diagnostic(help(
        "a prediction has the name of its case: CASE.nii.gz; remove files that are no predictions from the folder"
    ))]
    NoTruth { file: PathBuf, folder: PathBuf, others: usize },

    #[error("case {case}: {} is missing, its truth is {}{}", file.display(), truth.display(), and_more(*others))]
    #[diagnostic(help(
        "predict the missing cases; to score only those that are there, give the dataset's folder as the truth"
    ))]
    NoPrediction { case: String, file: PathBuf, truth: PathBuf, others: usize },

    #[error("{} is there: this folder holds the results of a run, whose cases.csv would be lost", table.display())]
    #[diagnostic(help("give another folder with --out"))]
    ResultsOfARun { table: PathBuf },

    #[error("{} of {total} cases cannot be scored; nothing was written", problems.len())]
    Unscored {
        total: usize,
        #[related]
        problems: Vec<EvaluateError>,
    },

    #[error("case {case}: {source}")]
    #[diagnostic(help("{}", remedy::of_nifti_error(source).unwrap_or("nothing can be scored without this file")))]
    Nifti { case: String, source: NiftiError },

    #[error("case {case}: the dataset has no label map for it")]
    #[diagnostic(help("remove its prediction, or add its label map"))]
    NoLabelMap { case: String },

    #[error("case {case}: {} has shape {found:?}, its truth {} {expected:?}", file.display(), truth.display())]
    #[diagnostic(help("bring the prediction back onto the image's grid; `dicewise predict` does"))]
    ShapeMismatch { case: String, file: PathBuf, truth: PathBuf, found: [usize; 3], expected: [usize; 3] },

    #[error(
        "case {case}: {} lies {distance_mm:.3} mm away from its truth {} at a corner",
        file.display(), truth.display()
    )]
    #[diagnostic(help(
        "the affines differ: write the prediction with the image's affine; `dicewise predict` does"
    ))]
    AffineMismatch { case: String, file: PathBuf, truth: PathBuf, distance_mm: f64 },

    #[error("case {case}: {} has no orientation (sform and qform unset), unlike {}", without.display(), with.display())]
    #[diagnostic(help("copy the other file's sform"))]
    OrientationMissing { case: String, without: PathBuf, with: PathBuf },

    #[error(
        "case {case}: {} holds label {value} ({voxels} voxels), which is not declared; declared: {declared}",
        file.display()
    )]
    #[diagnostic(help(
        "correct the label map, or declare the label in dataset.json or, without one, in --labels"
    ))]
    UndeclaredLabel { case: String, file: PathBuf, value: u16, voxels: usize, declared: String },
}

fn and_more(others: usize) -> String {
    if others == 0 { String::new() } else { format!(" (and {others} more)") }
}
