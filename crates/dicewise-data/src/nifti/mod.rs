//! NIfTI-1 and NIfTI-2 files: `.nii`, `.nii.gz` and `.hdr`/`.img` pairs, either byte order, every real data type.
//!
//! [`read_image`], [`read_channels`] and [`read_labels`] are the everyday functions; a [`Reader`] has the same three
//! with limits of its own and hands back the [`NiftiWarning`]s too. [`write()`] stores a volume.
//!
//! A gzip stream is read to its end, so a flipped bit anywhere in it is found by its checksum. Labels are never
//! converted with loss: an id that is negative, fractional, NaN or above 65 535 is an error.

mod affine;
mod datatype;
mod decode;
mod error;
mod extension;
mod gzip;
mod header;
mod reader;
mod source;
mod voxel_block;
mod writer;

pub use affine::Orientation;
pub(crate) use affine::corner_distance_mm;
pub(crate) use decode::voxel_at;
pub use error::{NiftiError, NiftiWarning};
pub use reader::{Loaded, NonFinite, Reader, read_channels, read_image, read_labels, set_default_max_voxels};
pub use writer::{Voxel, write};
