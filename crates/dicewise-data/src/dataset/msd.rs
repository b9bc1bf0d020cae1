//! The Medical Segmentation Decathlon's layout.

use std::path::Path;

use super::descriptor::Descriptor;
use super::{CaseFiles, Dataset, DatasetError, Layout};

pub(super) fn list(root: &Path) -> Result<Dataset, DatasetError> {
    let descriptor = Descriptor::read(root)?;
    let Some(training) = &descriptor.training else {
        return Err(descriptor.bad("training", "absent", "a list of image and label"));
    };
    let cases = training
        .iter()
        .map(|case| {
            let image = descriptor.inside(root, &case.image)?;
            let label = descriptor.inside(root, &case.label)?;
            let name = image.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let id = name.strip_suffix(".gz").unwrap_or(&name);
            let id = id.strip_suffix(".nii").unwrap_or(id).to_owned();
            Ok(CaseFiles { subject: id.clone(), id, group: None, images: vec![image], label: Some(label) })
        })
        .collect::<Result<_, DatasetError>>()?;
    let channel_names = descriptor.channel_names()?;
    let labels = descriptor.labels()?;
    Ok(Dataset { root: root.into(), layout: Layout::Msd, channel_names, labels, cases })
}
