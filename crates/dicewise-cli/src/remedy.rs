//! What to do about an error or a defect, where its message does not say so itself.
use dicewise_data::check::Defect;
use dicewise_data::dataset::{CaseError, DatasetError};
use dicewise_data::nifti::NiftiError;
use dicewise_data::presence::PresenceError;

/// What to do about a folder that is no dataset.
pub(crate) fn of_dataset_error(error: &DatasetError) -> Option<&'static str> {
    Some(match error {
        DatasetError::Io { .. } => {
            "see that the file or folder is there and may be read, and that --layout is the right one"
        }
        DatasetError::NotAFolder { .. } => "give the path of the dataset's folder",
        DatasetError::UnknownLayout { .. } => {
            "give the folder that holds dataset.json or the patients' folders, or name the layout with --layout"
        }
        DatasetError::Empty { .. } => {
            "see that --layout is the right one and that images and labels are there"
        }
        DatasetError::DuplicateCase { .. } => "give every case a name of its own",
        DatasetError::MissingFile { .. } => "put the file there, or take the case out of the dataset",
        DatasetError::Json { .. } => "correct the file at that place",
        DatasetError::PathEscapes { .. } => "move the file into the dataset's folder",
        _ => return None,
    })
}

/// What to do about a case.
pub(crate) fn of_case_error(error: &CaseError) -> Option<&'static str> {
    Some(match error {
        CaseError::Nifti { source, .. } => return of_nifti_error(source),
        CaseError::ChannelCount { .. } => {
            "add or remove channel files, or correct the channels in dataset.json"
        }
        CaseError::ShapeMismatch { .. } => {
            "resample the file onto the first image's grid, or replace it by the right one"
        }
        CaseError::UndeclaredLabel { .. } => "declare the label in dataset.json, or correct the label map",
        _ => return None,
    })
}

/// What to do about a file.
pub(crate) fn of_nifti_error(error: &NiftiError) -> Option<&'static str> {
    Some(match error {
        NiftiError::Io { .. } => "see that the file may be read",
        NiftiError::MissingFile { .. } => "put the file there, or take the case out of the dataset",
        NiftiError::NotNifti { .. } => "export or convert the image as NIfTI",
        NiftiError::TooLarge { .. } => "if the file is right, raise --max-voxels or DICEWISE_MAX_VOXELS",
        NiftiError::OutOfMemory { .. } => "close other programs, or take a machine with more memory",
        _ => return None,
    })
}

/// What to do about a `presence.csv`.
pub(crate) fn of_presence_error(error: &PresenceError) -> Option<&'static str> {
    Some(match error {
        PresenceError::Io { .. } => "see that the file may be read",
        PresenceError::Csv { .. } => "give every line a field for each column",
        PresenceError::Header { .. } => {
            "give the file a column `case` and one for each label but the background"
        }
        PresenceError::UnknownCase { .. } => "correct the case's name, or delete the line",
        PresenceError::DuplicateCase { .. } => "keep one line for each case",
        _ => return None,
    })
}

/// What to do about a defect.
pub(crate) fn of_defect(defect: &Defect) -> Option<&'static str> {
    Some(match defect {
        Defect::Unusable { error, .. } => return of_case_error(error),
        Defect::NonFiniteVoxels { .. } => "replace these voxels, or export the image again",
        Defect::ConstantImage { .. } => "replace the image, or leave the case out",
        Defect::MissingButDrawn { .. } => {
            "declare the label annotated in presence.csv, or clear it in the label map"
        }
        Defect::LabelNeverSeen { .. } => {
            "take the label out of dataset.json, or add cases that have it; nothing can be learnt about it"
        }
        Defect::DuplicateImages { .. } => {
            "keep one of them: a copy in training and in validation makes scores too good"
        }
        Defect::DuplicateLabels { .. } => "give each image the label map that was drawn on it",
        Defect::DuplicateChannel { .. } => "replace it by the modality that it should be",
        Defect::MirroredChannel { .. } => "look at both side by side, and export the one that is wrong again",
        Defect::CaseCount { .. } => "correct numTraining, or add the cases that are lacking",
        Defect::LabelIdGap { .. } => "number the labels without gaps if nnU-Net is to read them",
        _ => return None,
    })
}
