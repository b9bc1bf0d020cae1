//! BraTS 2018 as downloaded: a folder a subject, sorted into high and low grade.

use std::path::Path;

use super::{CaseFiles, Dataset, DatasetError, Label, Layout, entries, nifti_file};

/// High-grade and low-grade glioma: groups of the dataset, folders of the download.
pub(super) const GRADES: [&str; 2] = ["HGG", "LGG"];
/// Endings of the images' names, in the order of the channels.
const CHANNELS: [&str; 4] = ["flair", "t1", "t1ce", "t2"];

pub(super) fn list(root: &Path) -> Result<Dataset, DatasetError> {
    let mut cases = Vec::new();
    for grade in GRADES {
        let folder = root.join(grade);
        if !folder.is_dir() {
            continue;
        }
        for (subject, folder) in entries(&folder)?.into_iter().filter(|(_, path)| path.is_dir()) {
            cases.push(CaseFiles {
                id: subject.clone(),
                group: Some(grade.into()),
                images: CHANNELS.iter().map(|c| nifti_file(&folder, &format!("{subject}_{c}"))).collect(),
                label: Some(nifti_file(&folder, &format!("{subject}_seg"))),
                subject,
            });
        }
    }
    let labels = [
        (0, "background"),
        (1, "necrotic and non-enhancing tumour core"),
        (2, "peritumoural edema"),
        // There is no 3.
        (4, "enhancing tumour"),
    ];
    let labels = labels.map(|(value, name)| Label { name: name.into(), value }).into();
    let channel_names = CHANNELS.map(String::from).into();
    Ok(Dataset { root: root.into(), layout: Layout::Brats2018, channel_names, labels, cases })
}
