//! NIfTI files: what is read, what is written, and what is refused.

/// Files that are broken, and one word or more of why.
mod damaged;
/// The `nifti` crate reads the same, where it reads.
mod differential;
/// A header made by hand from the standard's table of offsets.
mod header_bytes;
/// sform, qform, voxel sizes.
mod orientation;
/// No bytes make the reader panic.
mod random_bytes;
/// Every data type, scaled or not, in both byte orders; labels without loss.
mod voxels;
/// Files that we write.
mod writing;
