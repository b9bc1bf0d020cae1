//! Reading: header, checks, voxels, and the rest of the file.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::affine::{self, Orientation};
use super::datatype::Datatype;
use super::decode::{self, Encoding};
use super::error::{NiftiError, NiftiWarning};
use super::extension;
use super::header::Header;
use super::source::Source;
use super::voxel_block::{scale, shape, vox_offset};
use crate::{Grid, Image, LabelMap, Volume};

/// What to do with image voxels that are NaN or infinite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonFinite {
    /// Return [`NiftiError::NonFiniteVoxel`].
    Refuse,
    /// Keep them, with [`NiftiWarning::NonFiniteVoxels`].
    Keep,
}

/// Reads NIfTI files within limits.
#[derive(Clone, Debug)]
pub struct Reader {
    max_voxels: u64,
    non_finite: NonFinite,
}

/// What a file held, and what was odd about it.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    /// The volume, or the volumes of all channels.
    pub value: T,
    /// Where the affine comes from.
    pub orientation: Orientation,
    /// Odd things that did not keep the file from being read.
    pub warnings: Vec<NiftiWarning>,
}

/// A one-channel image. An image of several channels is an error, and so is a voxel that is NaN or infinite.
pub fn read_image(path: impl AsRef<Path>) -> Result<Image, NiftiError> {
    Ok(Reader::default().image(path)?.value)
}

/// All channels of an image: one for a 3-D file, as many as the fourth axis is long for a 4-D file.
pub fn read_channels(path: impl AsRef<Path>) -> Result<Vec<Image>, NiftiError> {
    Ok(Reader::default().channels(path)?.value)
}

/// A label map. Ids that are negative, fractional, NaN or above 65 535 are an error.
pub fn read_labels(path: impl AsRef<Path>) -> Result<LabelMap, NiftiError> {
    Ok(Reader::default().labels(path)?.value)
}

/// 2³⁰, unless the program has set another.
static DEFAULT_MAX_VOXELS: AtomicU64 = AtomicU64::new(1 << 30);

/// Sets how many voxels a file may hold for every [`Reader`] made by default from here on, in the whole process: for a
/// program that lets its user raise the budget.
pub fn set_default_max_voxels(max_voxels: u64) {
    DEFAULT_MAX_VOXELS.store(max_voxels, Ordering::Relaxed);
}

impl Default for Reader {
    /// At most 2³⁰ voxels, all channels together, or what [`set_default_max_voxels`] says; NaN and infinite voxels are
    /// refused.
    fn default() -> Self {
        Self { max_voxels: DEFAULT_MAX_VOXELS.load(Ordering::Relaxed), non_finite: NonFinite::Refuse }
    }
}

impl Reader {
    /// Sets how many voxels a file may hold, all channels together.
    pub fn max_voxels(self, max_voxels: u64) -> Self {
        Self { max_voxels, ..self }
    }

    /// Sets what to do with NaN and infinite voxels.
    pub fn non_finite(self, non_finite: NonFinite) -> Self {
        Self { non_finite, ..self }
    }

    /// As [`read_image`].
    pub fn image(&self, path: impl AsRef<Path>) -> Result<Loaded<Image>, NiftiError> {
        let file = self.open(path.as_ref())?.with_one_channel()?;
        Ok(self.finish_channels(file)?.first())
    }

    /// As [`read_channels`].
    pub fn channels(&self, path: impl AsRef<Path>) -> Result<Loaded<Vec<Image>>, NiftiError> {
        self.finish_channels(self.open(path.as_ref())?)
    }

    /// As [`read_labels`].
    pub fn labels(&self, path: impl AsRef<Path>) -> Result<Loaded<LabelMap>, NiftiError> {
        finish_labels(self.open(path.as_ref())?.with_one_channel()?)
    }

    /// As [`Self::channels`], of a file in memory; `name` appears in errors.
    pub fn channels_from_bytes(
        &self,
        name: impl AsRef<Path>,
        bytes: &[u8],
    ) -> Result<Loaded<Vec<Image>>, NiftiError> {
        self.finish_channels(self.open_bytes(name.as_ref(), bytes)?)
    }

    /// As [`Self::labels`], of a file in memory; `name` appears in errors.
    pub fn labels_from_bytes(
        &self,
        name: impl AsRef<Path>,
        bytes: &[u8],
    ) -> Result<Loaded<LabelMap>, NiftiError> {
        finish_labels(self.open_bytes(name.as_ref(), bytes)?.with_one_channel()?)
    }

    /// Reads and checks everything before the voxels.
    fn open(&self, path: &Path) -> Result<OpenFile<'static>, NiftiError> {
        let half = PairHalf::of(path);
        let header_path = match &half {
            PairHalf::Voxels { header } => header.clone(),
            _ => path.to_path_buf(),
        };
        let mut source = Source::open(&header_path)?;
        let mut warnings = Vec::new();
        check_name(&source, &mut warnings);
        let header = Header::read(&mut source)?;
        let voxels = match (half, header.pair) {
            (PairHalf::Voxels { .. }, true) => Some(path.to_path_buf()),
            (PairHalf::Header { voxels }, true) => Some(voxels),
            _ => None,
        };
        if let Some(path) = voxels {
            source = Source::open(&path)?;
            check_name(&source, &mut warnings);
            return self.check(header, source, 0, warnings);
        }
        let first = header.bytes();
        self.check(header, source, first, warnings)
    }

    fn open_bytes<'a>(&self, name: &Path, bytes: &'a [u8]) -> Result<OpenFile<'a>, NiftiError> {
        let mut source = Source::from_bytes(name, bytes)?;
        let mut warnings = Vec::new();
        check_name(&source, &mut warnings);
        let header = Header::read(&mut source)?;
        let first = header.bytes();
        self.check(header, source, first, warnings)
    }

    /// Judges the header and goes to the first voxel. `first` is where the header ends in the voxels' file.
    fn check<'a>(
        &self,
        header: Header,
        mut source: Source<'a>,
        first: u64,
        mut warnings: Vec<NiftiWarning>,
    ) -> Result<OpenFile<'a>, NiftiError> {
        let path = source.path().to_path_buf();
        let (shape, channels) = shape(&header, &path)?;
        let datatype = Datatype::from_code(header.datatype).map_err(|name| NiftiError::UnsupportedType {
            path: path.clone(),
            code: header.datatype,
            name,
        })?;
        if usize::try_from(header.bitpix).ok() != Some(8 * datatype.bytes()) {
            warnings.push(NiftiWarning::BitpixMismatch { bitpix: header.bitpix, datatype: header.datatype });
        }
        let scale = scale(&header, &path, &mut warnings)?;
        if header.pair && first > 0 {
            warnings.push(NiftiWarning::MagicMismatch);
        }
        let offset = vox_offset(&header, first, &path, &mut warnings)?;

        // `shape` made sure that the number of voxels fits 60 bits.
        let voxels = shape.iter().product::<usize>() as u64 * channels as u64;
        let bytes = voxels * datatype.bytes() as u64;
        let at_most = source.at_most();
        if at_most.saturating_sub(offset) < bytes {
            return Err(source.truncated("voxel data", bytes, at_most.saturating_sub(offset)));
        }
        if voxels > self.max_voxels {
            return Err(NiftiError::TooLarge { path, voxels, budget: self.max_voxels });
        }
        let (affine, orientation) = affine::of_header(&header, shape, &path, &mut warnings)?;
        if first > 0 {
            warnings.extend(extension::skip(&mut source, offset, header.big_endian)?);
        } else {
            source.skip(offset, "gap before the voxels")?;
        }
        let encoding = Encoding { datatype, big_endian: header.big_endian, scale, shape };
        Ok(OpenFile { source, grid: Grid { shape, affine }, channels, encoding, orientation, warnings })
    }

    fn finish_channels(&self, mut file: OpenFile<'_>) -> Result<Loaded<Vec<Image>>, NiftiError> {
        let mut value = Vec::new();
        for channel in 0..file.channels {
            let (data, warning) = decode::image(&mut file.source, &file.encoding, channel, self.non_finite)?;
            file.warnings.extend(warning);
            value.push(Volume::new(file.grid.clone(), data));
        }
        file.finish(value)
    }
}

fn finish_labels(mut file: OpenFile<'_>) -> Result<Loaded<LabelMap>, NiftiError> {
    let (data, warning) = decode::labels(&mut file.source, &file.encoding)?;
    file.warnings.extend(warning);
    let value = Volume::new(file.grid.clone(), data);
    file.finish(value)
}

impl Loaded<Vec<Image>> {
    /// The first channel; `with_one_channel` has made sure that there is one.
    fn first(self) -> Loaded<Image> {
        let Self { mut value, orientation, warnings } = self;
        Loaded { value: value.swap_remove(0), orientation, warnings }
    }
}

/// A file whose next byte is the first voxel's.
struct OpenFile<'a> {
    source: Source<'a>,
    grid: Grid,
    channels: usize,
    encoding: Encoding,
    orientation: Orientation,
    warnings: Vec<NiftiWarning>,
}

impl OpenFile<'_> {
    fn with_one_channel(self) -> Result<Self, NiftiError> {
        if self.channels == 1 {
            return Ok(self);
        }
        Err(NiftiError::SeveralChannels { path: self.source.path().to_path_buf(), channels: self.channels })
    }

    /// Reads what follows the voxels, for the checksum's sake.
    fn finish<T>(mut self, value: T) -> Result<Loaded<T>, NiftiError> {
        let bytes = self.source.drain()?;
        if bytes > 0 {
            self.warnings.push(NiftiWarning::TrailingData { bytes });
        }
        Ok(Loaded { value, orientation: self.orientation, warnings: self.warnings })
    }
}

/// Which half of a `.hdr`/`.img` pair a name belongs to.
enum PairHalf {
    Header { voxels: PathBuf },
    Voxels { header: PathBuf },
    Neither,
}

impl PairHalf {
    fn of(path: &Path) -> Self {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        // The other half may be compressed or not, whatever this one is.
        let other = |stem: &str, ending: &str| {
            let plain = path.with_file_name(format!("{stem}.{ending}"));
            let compressed = path.with_file_name(format!("{stem}.{ending}.gz"));
            if !plain.exists() && compressed.exists() { compressed } else { plain }
        };
        let bare = name.strip_suffix(".gz").unwrap_or(&name);
        if let Some(stem) = bare.strip_suffix(".hdr") {
            Self::Header { voxels: other(stem, "img") }
        } else if let Some(stem) = bare.strip_suffix(".img") {
            Self::Voxels { header: other(stem, "hdr") }
        } else {
            Self::Neither
        }
    }
}

fn check_name(source: &Source<'_>, warnings: &mut Vec<NiftiWarning>) {
    let named_gzip = source.path().extension().is_some_and(|e| e.eq_ignore_ascii_case("gz"));
    if named_gzip != source.is_gzip() {
        warnings.push(NiftiWarning::NameMismatch { gzip: source.is_gzip() });
    }
}
