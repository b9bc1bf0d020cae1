//! Volumes, NIfTI files, dataset layouts, folds, partial labels, preprocessing, augmentation, phantoms.
pub mod check;
pub mod dataset;
pub mod folds;
pub mod nifti;
pub mod partial;
pub mod presence;
pub mod volume;

pub use volume::{Grid, Image, LabelMap, Volume};
