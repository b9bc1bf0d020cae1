//! Volumes, NIfTI files, dataset layouts, folds, partial labels, preprocessing, augmentation, phantoms.
pub mod augment;
pub mod dataset;
pub mod nifti;
pub mod phantom;
pub mod preprocess;
pub mod seed;
pub mod volume;

pub use volume::{Grid, Image, LabelMap, Volume};
