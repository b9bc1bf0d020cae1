//! From stored voxels to intensities and label ids.

use super::datatype::{Datatype, Stored};
use super::error::{NiftiError, NiftiWarning};
use super::reader::NonFinite;
use super::source::Source;

/// Voxels converted at a time: the scratch stays in the processor's cache.
const CHUNK: usize = 8192;
/// Room made before a compressed file has shown how much it holds.
const FIRST_ROOM: usize = 1 << 20;
/// A label this close to a whole number is that number: float32 and `scl_slope` round.
const LABEL_TOLERANCE: f64 = 1e-3;

/// How the voxels of one file are stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Encoding {
    pub(super) datatype: Datatype,
    pub(super) big_endian: bool,
    /// Slope and intercept, unless they are 1 and 0.
    pub(super) scale: Option<(f64, f64)>,
    pub(super) shape: [usize; 3],
}

macro_rules! dispatch {
    ($datatype:expr, $call:ident ($($argument:expr),*)) => {
        match $datatype {
            Datatype::U8 => $call::<u8>($($argument),*),
            Datatype::I8 => $call::<i8>($($argument),*),
            Datatype::I16 => $call::<i16>($($argument),*),
            Datatype::U16 => $call::<u16>($($argument),*),
            Datatype::I32 => $call::<i32>($($argument),*),
            Datatype::U32 => $call::<u32>($($argument),*),
            Datatype::I64 => $call::<i64>($($argument),*),
            Datatype::U64 => $call::<u64>($($argument),*),
            Datatype::F32 => $call::<f32>($($argument),*),
            Datatype::F64 => $call::<f64>($($argument),*),
        }
    };
}

/// The next channel of an image.
pub(super) fn image(
    source: &mut Source<'_>,
    encoding: &Encoding,
    channel: usize,
    non_finite: NonFinite,
) -> Result<(Vec<f32>, Option<NiftiWarning>), NiftiError> {
    dispatch!(encoding.datatype, image_of(source, encoding, channel, non_finite))
}

/// The next channel as label ids.
pub(super) fn labels(
    source: &mut Source<'_>,
    encoding: &Encoding,
) -> Result<(Vec<u16>, Option<NiftiWarning>), NiftiError> {
    dispatch!(encoding.datatype, labels_of(source, encoding))
}

fn image_of<T: Stored>(
    source: &mut Source<'_>,
    encoding: &Encoding,
    channel: usize,
    non_finite: NonFinite,
) -> Result<(Vec<f32>, Option<NiftiWarning>), NiftiError> {
    let path = source.path().to_path_buf();
    let (mut count, mut first) = (0, 0);
    let data = convert(source, encoding, |values: &[T], data: &mut Vec<f32>| {
        let start = data.len();
        match encoding.scale {
            None => data.extend(values.iter().map(|v| v.to_f32())),
            Some((slope, inter)) => data.extend(values.iter().map(|v| (v.to_f64() * slope + inter) as f32)),
        }
        let may_overflow = T::FLOAT || encoding.scale.is_some();
        if may_overflow && !data[start..].iter().fold(true, |all, v| all & v.is_finite()) {
            for (i, stored) in values.iter().enumerate().filter(|(i, _)| !data[start + i].is_finite()) {
                let (slope, inter) = encoding.scale.unwrap_or((1.0, 0.0));
                let value = stored.to_f64() * slope + inter;
                // A finite value that single precision cannot hold would become infinite here: never kept.
                if value.is_finite() || non_finite == NonFinite::Refuse {
                    let voxel = voxel_at(encoding.shape, start + i);
                    return Err(NiftiError::NonFiniteVoxel { path: path.clone(), voxel, channel, value });
                }
                if count == 0 {
                    first = start + i;
                }
                count += 1;
            }
        }
        Ok(())
    })?;
    let warning = (count > 0).then(|| {
        let first = voxel_at(encoding.shape, first);
        NiftiWarning::NonFiniteVoxels { channel, count, first }
    });
    Ok((data, warning))
}

fn labels_of<T: Stored>(
    source: &mut Source<'_>,
    encoding: &Encoding,
) -> Result<(Vec<u16>, Option<NiftiWarning>), NiftiError> {
    let path = source.path().to_path_buf();
    let mut rounded: Option<(usize, usize, f64)> = None;
    let data = convert(source, encoding, |values: &[T], data: &mut Vec<u16>| {
        for stored in values {
            let exact = if encoding.scale.is_none() { stored.to_label() } else { None };
            if let Some(label) = exact {
                data.push(label);
                continue;
            }
            let at = data.len();
            let value = match encoding.scale {
                None => stored.to_f64(),
                Some((slope, inter)) => stored.to_f64() * slope + inter,
            };
            let nearest = value.round();
            if value.is_nan() || (value - nearest).abs() > LABEL_TOLERANCE {
                let voxel = voxel_at(encoding.shape, at);
                return Err(NiftiError::NonIntegerLabel { path: path.clone(), voxel, value });
            }
            if !(0.0..=65535.0).contains(&nearest) {
                let voxel = voxel_at(encoding.shape, at);
                return Err(NiftiError::LabelOutOfRange { path: path.clone(), voxel, value });
            }
            // Integers times a rounded slope are meant to be whole; a float that is not is worth a word.
            if T::FLOAT && nearest != value {
                rounded.get_or_insert((0, at, value)).0 += 1;
            }
            data.push(nearest as u16);
        }
        Ok(())
    })?;
    let warning = rounded.map(|(count, first, value)| {
        let first = voxel_at(encoding.shape, first);
        NiftiWarning::RoundedLabel { count, first, value }
    });
    Ok((data, warning))
}

/// Reads one channel in chunks that `append` turns into values.
fn convert<T: Stored, U>(
    source: &mut Source<'_>,
    encoding: &Encoding,
    mut append: impl FnMut(&[T], &mut Vec<U>) -> Result<(), NiftiError>,
) -> Result<Vec<U>, NiftiError> {
    let voxels = encoding.shape.iter().product::<usize>();
    let mut raw = vec![0; CHUNK.min(voxels) * T::BYTES];
    let mut values: Vec<T> = Vec::with_capacity(CHUNK.min(voxels));
    let mut data: Vec<U> = Vec::new();
    // A plain file's length was compared with its header; a compressed one could promise anything.
    let first_room = if source.is_gzip() { voxels.min(FIRST_ROOM) } else { voxels };
    while data.len() < voxels {
        let count = CHUNK.min(voxels - data.len());
        let bytes = &mut raw[..count * T::BYTES];
        let found = source.fill(bytes)?;
        if found < bytes.len() {
            let [expected, found] = [voxels * T::BYTES, data.len() * T::BYTES + found].map(|n| n as u64);
            return Err(source.truncated("voxel data", expected, found));
        }
        if data.capacity() - data.len() < count {
            let room = (2 * data.capacity()).clamp(first_room, voxels) - data.len();
            data.try_reserve_exact(room)
                .map_err(|_| NiftiError::OutOfMemory { path: source.path().to_path_buf(), voxels })?;
        }
        values.clear();
        if encoding.big_endian {
            values.extend(bytes.chunks_exact(T::BYTES).map(T::from_be));
        } else {
            values.extend(bytes.chunks_exact(T::BYTES).map(T::from_le));
        }
        append(&values, &mut data)?;
    }
    Ok(data)
}

/// x, y, z of the voxel at an index.
pub(crate) fn voxel_at([nx, ny, _]: [usize; 3], index: usize) -> [usize; 3] {
    [index % nx, index / nx % ny, index / (nx * ny)]
}
