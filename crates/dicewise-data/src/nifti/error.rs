//! What can be wrong with a NIfTI file.

use std::path::PathBuf;

use serde::Serialize;

/// A NIfTI file that cannot be read or written: the file, what is wrong with it, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NiftiError {
    /// The operating system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// There is no such file.
    #[error("{path}: no such file", path = path.display())]
    MissingFile {
        /// The file.
        path: PathBuf,
    },
    /// The file is not NIfTI.
    #[error("{path}: not a NIfTI file: {detail}", path = path.display())]
    NotNifti {
        /// The file.
        path: PathBuf,
        /// How that shows.
        detail: String,
    },
    /// The file ends too early.
    #[error(
        "{path}: cut short: the {part} needs {expected} bytes and {found} are there; copy or download the file again",
        path = path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Which part of the file.
        part: &'static str,
        /// Bytes that this part needs.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// The gzip stream is damaged.
    #[error("{path}: damaged gzip stream ({detail}); copy or download the file again", path = path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What the decompressor said.
        detail: String,
    },
    /// An impossible number of dimensions or voxels.
    #[error("{path}: dim[{index}] = {value}; accepted: {accepted}", path = path.display())]
    BadDim {
        /// The file.
        path: PathBuf,
        /// Which entry of `dim`.
        index: usize,
        /// Its value.
        value: i64,
        /// What is accepted there.
        accepted: &'static str,
    },
    /// Not a volume, or not a volume with channels.
    #[error("{path}: dim = {dim:?} is not a 3-D volume, nor a 4-D one whose last axis is channels", path = path.display())]
    NotThreeD {
        /// The file.
        path: PathBuf,
        /// The extents in use.
        dim: Vec<i64>,
    },
    /// More voxels than the reader's budget, which [`Reader::max_voxels`](super::Reader::max_voxels) raises.
    #[error(
        "{path}: {voxels} voxels are more than the budget of {budget}",
        path = path.display()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Voxels announced by the header, all channels together.
        voxels: u64,
        /// The budget.
        budget: u64,
    },
    /// The machine has no room for the voxels.
    #[error("{path}: no memory for {voxels} voxels", path = path.display())]
    OutOfMemory {
        /// The file.
        path: PathBuf,
        /// Voxels of one channel.
        voxels: usize,
    },
    /// Voxels of a type that is not a real number.
    #[error(
        "{path}: datatype = {code} ({name}) is not supported; convert to an integer or float image",
        path = path.display()
    )]
    UnsupportedType {
        /// The file.
        path: PathBuf,
        /// The code.
        code: i16,
        /// Its name in the standard.
        name: &'static str,
    },
    /// A scale or intercept that is not finite.
    #[error("{path}: {field} = {value}; it has to be finite", path = path.display())]
    BadScale {
        /// The file.
        path: PathBuf,
        /// `scl_slope` or `scl_inter`.
        field: &'static str,
        /// Its value.
        value: f64,
    },
    /// The voxels begin at an impossible place.
    #[error("{path}: vox_offset = {value}; accepted: {accepted}", path = path.display())]
    BadOffset {
        /// The file.
        path: PathBuf,
        /// The value.
        value: f64,
        /// What is accepted.
        accepted: String,
    },
    /// Header extensions of an absurd size.
    #[error("{path}: {bytes} bytes of header extensions; at most {limit} are read", path = path.display())]
    BadExtension {
        /// The file.
        path: PathBuf,
        /// Bytes between header and voxels.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The orientation matrix cannot be inverted.
    #[error("{path}: the {form} is singular or not finite: {matrix:?}; correct the header", path = path.display())]
    SingularAffine {
        /// The file.
        path: PathBuf,
        /// `sform` or `qform`.
        form: &'static str,
        /// Its rows.
        matrix: Box<[[f64; 4]; 3]>,
    },
    /// The orientation quaternion is not a number.
    #[error("{path}: quaternion (b, c, d) = {quaternion:?} is not finite; correct the header", path = path.display())]
    BadQuaternion {
        /// The file.
        path: PathBuf,
        /// The three values.
        quaternion: [f64; 3],
    },
    /// A voxel of impossible size.
    #[error("{path}: pixdim[{axis}] = {value}; it has to be positive and finite", path = path.display())]
    BadPixdim {
        /// The file.
        path: PathBuf,
        /// 1, 2 or 3.
        axis: usize,
        /// The value.
        value: f64,
    },
    /// An image voxel that is NaN or infinite, or too large for single precision.
    #[error(
        "{path}: voxel {voxel:?} of channel {channel} is {value}; replace non-finite voxels before training",
        path = path.display()
    )]
    NonFiniteVoxel {
        /// The file.
        path: PathBuf,
        /// Its x, y, z.
        voxel: [usize; 3],
        /// Its channel.
        channel: usize,
        /// Its value in the file, after scaling.
        value: f64,
    },
    /// A label that is no whole number.
    #[error(
        "{path}: label {value} at voxel {voxel:?} is not a whole number; resample labels with nearest neighbour",
        path = path.display()
    )]
    NonIntegerLabel {
        /// The file.
        path: PathBuf,
        /// Its x, y, z.
        voxel: [usize; 3],
        /// Its value.
        value: f64,
    },
    /// A label that is negative or above 65 535.
    #[error("{path}: label {value} at voxel {voxel:?} is outside 0..=65535; renumber the labels", path = path.display())]
    LabelOutOfRange {
        /// The file.
        path: PathBuf,
        /// Its x, y, z.
        voxel: [usize; 3],
        /// Its value.
        value: f64,
    },
    /// Several channels where one is expected.
    #[error("{path}: {channels} channels where one is expected; read it with read_channels", path = path.display())]
    SeveralChannels {
        /// The file.
        path: PathBuf,
        /// How many there are.
        channels: usize,
    },
    /// A name that does not say what to write.
    #[error("{path}: a NIfTI file's name ends in .nii or .nii.gz", path = path.display())]
    UnknownExtension {
        /// The name.
        path: PathBuf,
    },
}

/// Something odd in a NIfTI file that was read nevertheless, and how it was understood.
#[derive(Clone, Debug, PartialEq, Serialize, thiserror::Error)]
#[non_exhaustive]
pub enum NiftiWarning {
    /// Bytes after the last voxel were ignored.
    #[error("{bytes} bytes after the last voxel were ignored")]
    TrailingData {
        /// How many; for bytes after a gzip stream, those in the file.
        bytes: u64,
    },
    /// The name says gzip and the content does not, or the reverse. The content decides.
    #[error("the file is {}gzip and its name says otherwise", if *.gzip { "" } else { "not " })]
    NameMismatch {
        /// Whether the content is gzip.
        gzip: bool,
    },
    /// The magic of a `.hdr`/`.img` pair in a single file.
    #[error("the header belongs to a .hdr/.img pair, but the voxels follow it; read as one file")]
    MagicMismatch,
    /// `bitpix` disagrees with `datatype`, which decides.
    #[error("bitpix = {bitpix} disagrees with datatype = {datatype}; the datatype decides")]
    BitpixMismatch {
        /// The header's `bitpix`.
        bitpix: i16,
        /// The header's `datatype`.
        datatype: i16,
    },
    /// The slope is NaN; the voxels were not scaled.
    #[error("scl_slope is NaN; voxels are taken unscaled")]
    BadScale,
    /// `vox_offset` is 0 in a single file; the voxels follow the header.
    #[error("vox_offset is 0; voxels are taken to follow the header")]
    BadOffset,
    /// A header extension is malformed and was skipped.
    #[error("a header extension has size {esize}; extensions were skipped")]
    BadExtension {
        /// Its declared size.
        esize: i32,
    },
    /// Neither orientation is set: axes along the world's, voxel (0, 0, 0) at the origin.
    #[error(
        "neither sform nor qform is set; axes are taken along the world's, the origin at voxel (0, 0, 0)"
    )]
    NoOrientation,
    /// The sform is singular; the qform was taken.
    #[error("the sform is singular; the qform is used")]
    SingularAffine,
    /// sform and qform place the corners of the volume differently.
    #[error("sform and qform place a corner of the volume {distance_mm} mm apart; the sform is used")]
    FormMismatch {
        /// The largest distance between the two places of a corner.
        distance_mm: f64,
    },
    /// b² + c² + d² is above 1 or not finite.
    #[error("the qform's quaternion (b, c, d) = {quaternion:?} is not a rotation")]
    BadQuaternion {
        /// The three values.
        quaternion: [f64; 3],
    },
    /// A voxel size, or the handedness in `pixdim[0]`, is odd.
    #[error("pixdim[{axis}] = {value} is odd; understood as {understood}")]
    BadPixdim {
        /// The entry of `pixdim`.
        axis: usize,
        /// Its value.
        value: f64,
        /// The value used.
        understood: f64,
    },
    /// A form code that the standard does not know.
    #[error("{field} = {code} is not in the standard; {}", if *.code > 0 { "the form is used" } else { "the form is ignored" })]
    BadXformCode {
        /// `qform_code` or `sform_code`.
        field: &'static str,
        /// Its value.
        code: i32,
    },
    /// Lengths are not in millimetres, or in an unknown unit taken for millimetres.
    #[error("xyzt_units = {units}; lengths were multiplied by {factor} to get millimetres")]
    BadUnits {
        /// The header's value.
        units: i32,
        /// What lengths were multiplied by.
        factor: f64,
    },
    /// Voxels that are NaN or infinite were kept.
    #[error("{count} voxels of channel {channel} are NaN or infinite, the first at {first:?}")]
    NonFiniteVoxels {
        /// The channel.
        channel: usize,
        /// How many.
        count: usize,
        /// x, y, z of the first.
        first: [usize; 3],
    },
    /// Labels a rounding error away from a whole number were rounded.
    #[error("{count} labels were rounded, the first from {value} at {first:?}")]
    RoundedLabel {
        /// How many.
        count: usize,
        /// x, y, z of the first.
        first: [usize; 3],
        /// Its value in the file.
        value: f64,
    },
}
