//! ACDC as downloaded: a folder a patient, whose `Info.cfg` names the end-diastolic and the end-systolic frame.

use std::path::{Path, PathBuf};

use super::{CaseFiles, Dataset, DatasetError, Label, Layout, entries, nifti_file};

/// The two annotated phases: groups of the dataset, keys of `Info.cfg`.
const PHASES: [&str; 2] = ["ED", "ES"];

pub(super) fn list(root: &Path) -> Result<Dataset, DatasetError> {
    let mut cases = Vec::new();
    for (patient, folder) in patients(root)? {
        for phase in PHASES {
            let frame = frame(&folder.join("Info.cfg"), phase)?;
            let id = format!("{patient}_frame{frame:02}");
            cases.push(CaseFiles {
                subject: patient.clone(),
                group: Some(phase.into()),
                images: vec![nifti_file(&folder, &id)],
                label: Some(nifti_file(&folder, &format!("{id}_gt"))),
                id,
            });
        }
    }
    let names = ["background", "right ventricle", "myocardium", "left ventricle"];
    let labels = (0..).zip(names).map(|(value, name)| Label { name: name.into(), value }).collect();
    let channel_names = vec!["cine-MR".into()];
    Ok(Dataset { root: root.into(), layout: Layout::Acdc, channel_names, labels, cases })
}

/// The patients' folders, which lie in `training` or in the root itself.
pub(super) fn patients(root: &Path) -> Result<Vec<(String, PathBuf)>, DatasetError> {
    let training = root.join("training");
    let folder = if training.is_dir() { training } else { root.into() };
    let mut patients = entries(&folder)?;
    patients.retain(|(name, path)| {
        let number = name.strip_prefix("patient").unwrap_or_default();
        !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) && path.is_dir()
    });
    Ok(patients)
}

/// The number of a phase's frame: the line `ED: 1` of `Info.cfg`.
fn frame(info: &Path, phase: &str) -> Result<u32, DatasetError> {
    let text =
        std::fs::read_to_string(info).map_err(|source| DatasetError::Io { path: info.into(), source })?;
    let value = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == phase)
        .map_or("absent", |(_, value)| value.trim());
    value.parse().map_err(|_| DatasetError::BadField {
        path: info.into(),
        field: phase.into(),
        value: value.into(),
        accepted: "the number of a frame",
    })
}
