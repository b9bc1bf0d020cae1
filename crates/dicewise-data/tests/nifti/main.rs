//! NIfTI files: what is read, what is written, and what is refused.

/// One bit of a large file is wrong.
mod bit_flips;
/// Files that are broken, and one word or more of why.
mod damaged;
/// The `nifti` crate reads the same, where it reads.
mod differential;
/// A header made by hand from the standard's table of offsets.
mod header_bytes;
/// Less memory than voxels.
#[cfg(unix)]
mod memory;
/// sform, qform, voxel sizes.
mod orientation;
/// No bytes make the reader panic.
mod random_bytes;
/// Every data type, scaled or not, in both byte orders; labels without loss.
mod voxels;
/// Files that we write.
mod writing;
