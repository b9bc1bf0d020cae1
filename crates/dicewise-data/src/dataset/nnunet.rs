//! nnU-Net's raw layout.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::descriptor::Descriptor;
use super::{CaseFiles, Dataset, DatasetError, Layout, entries};

pub(super) fn list(root: &Path) -> Result<Dataset, DatasetError> {
    let descriptor = Descriptor::read(root)?;
    let channel_names = descriptor.channel_names()?;
    let cases = match &descriptor.dataset {
        Some(named) => named
            .iter()
            .map(|(id, case)| {
                let images: Result<_, _> = case.images.iter().map(|i| descriptor.inside(root, i)).collect();
                Ok(files(id, images?, descriptor.inside(root, &case.label)?))
            })
            .collect::<Result<_, DatasetError>>()?,
        None => folders(root, descriptor.file_ending()?, channel_names.len())?,
    };
    let labels = descriptor.labels()?;
    Ok(Dataset { root: root.into(), layout: Layout::NnUnet, channel_names, labels, cases })
}

/// The cases of `imagesTr` and `labelsTr`. A case that is in one of them only lacks a file.
fn folders(root: &Path, ending: &str, channels: usize) -> Result<Vec<CaseFiles>, DatasetError> {
    let (images, labels) = (root.join("imagesTr"), root.join("labelsTr"));
    let mut found: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for (name, _) in entries(&images)? {
        if let Some((case, channel)) = name.strip_suffix(ending).and_then(split_channel) {
            found.entry(case.into()).or_default().insert(channel);
        }
    }
    for (name, _) in entries(&labels)? {
        if let Some(case) = name.strip_suffix(ending) {
            found.entry(case.into()).or_default();
        }
    }
    let cases = found.into_iter().map(|(id, present)| {
        // Channels beyond the declared ones are kept: loading the case then says that there are too many.
        let all: BTreeSet<usize> = present.into_iter().chain(0..channels).collect();
        let images = all.iter().map(|c| images.join(format!("{id}_{c:04}{ending}"))).collect();
        files(&id, images, labels.join(format!("{id}{ending}")))
    });
    Ok(cases.collect())
}

/// `CASE_0003` as case and channel.
fn split_channel(stem: &str) -> Option<(&str, usize)> {
    let (case, channel) = stem.rsplit_once('_')?;
    let four_digits = channel.len() == 4 && channel.bytes().all(|b| b.is_ascii_digit());
    (four_digits && !case.is_empty()).then(|| Some((case, channel.parse().ok()?)))?
}

fn files(id: &str, images: Vec<PathBuf>, label: PathBuf) -> CaseFiles {
    CaseFiles { id: id.into(), subject: id.into(), group: None, images, label: Some(label) }
}
