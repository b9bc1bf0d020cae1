//! The label maps of a folder, by the names of their cases.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::EvaluateError;

/// Endings of the names that count.
const ENDINGS: [&str; 2] = [".nii.gz", ".nii"];

/// Case and file of every `CASE.nii.gz` and `CASE.nii`; hidden files and all others are passed over.
pub(super) fn of_folder(folder: &Path) -> Result<BTreeMap<String, PathBuf>, EvaluateError> {
    if !folder.is_dir() {
        return Err(EvaluateError::NotAFolder { folder: folder.into() });
    }
    let io = |source| EvaluateError::Io { path: folder.into(), source };
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .map_err(io)?;
    files.sort();
    let mut label_maps: BTreeMap<String, PathBuf> = BTreeMap::new();
    for file in files {
        let Some(case) = case_of(&file) else { continue };
        if let Some(first) = label_maps.insert(case.clone(), file.clone()) {
            return Err(EvaluateError::TwoFiles { case, first, second: file });
        }
    }
    if label_maps.is_empty() {
        return Err(EvaluateError::NoLabelMaps { folder: folder.into() });
    }
    Ok(label_maps)
}

fn case_of(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    let case = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending))?;
    (!case.is_empty() && !name.starts_with('.')).then(|| case.to_owned())
}
