use std::fs;

use dicewise_data::dataset::{Dataset, DatasetError, Layout};
use tempfile::TempDir;

thread_local! {
    /// A folder with the files of one case of each layout.
    static FOLDER: TempDir = folder();
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["imagesTr", "labelsTr"] {
        fs::create_dir(folder.path().join(name)).expect("a folder within");
    }
    for name in ["imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz", "imagesTr/a.nii.gz"] {
        fs::write(folder.path().join(name), b"").expect("a file within");
    }
    folder
}

pub(crate) fn run(bytes: &[u8]) {
    FOLDER.with(|folder| {
        let root = folder.path();
        fs::write(root.join("dataset.json"), bytes).expect("room for a small file");
        let _ = Layout::detect(root);
        for layout in [Layout::NnUnet, Layout::Msd] {
            match Dataset::list(root, layout) {
                Ok(dataset) => {
                    let files = dataset.cases.iter().flat_map(|case| case.images.iter().chain(&case.label));
                    for file in files {
                        let inside = file.strip_prefix(root).expect("a file below the dataset's folder");
                        let climbs = inside.components().any(|part| part.as_os_str() == "..");
                        assert!(!climbs, "{} leads out of the dataset", file.display());
                    }
                    assert!(dataset.labels.is_sorted_by(|a, b| a.value < b.value));
                    assert_eq!(dataset.labels[0].value, 0);
                }
                Err(DatasetError::Empty { .. } | DatasetError::DuplicateCase { .. }) => {}
                Err(error) => assert!(error.to_string().contains("dataset.json"), "{error}"),
            }
        }
    });
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [
        r#"{"channel_names": {"0": "MR"}, "labels": {"background": 0, "big": 1, "small": 2},
 "numTraining": 1, "file_ending": ".nii.gz"}"#,
        r#"{"channel_names": {"0": "CT", "1": "PET"}, "labels": {"background": 0, "tumour": 1}, "numTraining": 2,
 "file_ending": ".nii.gz", "dataset": {
  "x": {"images": ["imagesTr/a_0000.nii.gz", "./imagesTr/a.nii.gz"], "label": "labelsTr/a.nii.gz"},
  "y": {"images": ["imagesTr/a_0000.nii.gz"], "label": "labelsTr/a.nii.gz"}}}"#,
        r#"{"name": "Hippocampus", "tensorImageSize": "3D", "modality": {"0": "MRI"},
 "labels": {"0": "background", "1": "Anterior", "2": "Posterior"}, "numTraining": 1,
 "training": [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}], "test": []}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

/// Whether a seed is a dataset.
#[cfg(test)]
pub(crate) fn is_read(seed: &[u8]) -> bool {
    FOLDER.with(|folder| {
        fs::write(folder.path().join("dataset.json"), seed).unwrap();
        Layout::detect(folder.path()).is_ok_and(|layout| Dataset::list(folder.path(), layout).is_ok())
    })
}
