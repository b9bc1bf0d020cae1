//! Volumes, NIfTI files, dataset layouts, folds, preprocessing, augmentation, phantoms.
pub mod augment;
pub mod check;
pub mod dataset;
pub mod folds;
pub mod groups;
mod mersenne;
pub mod nifti;
pub mod phantom;
pub mod preprocess;
pub mod presence;
pub mod seed;
pub mod volume;

pub use volume::{Grid, Image, LabelMap, Volume};
