//! Writing volumes.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::{Compression, GzBuilder};

use super::NiftiError;
use super::affine::{self, Quaternion};
use super::header::{NIFTI1_BYTES, NIFTI2_BYTES};
use super::source::io_error;
use crate::{Grid, Volume};

/// A type of voxel that can be written: `u8`, `i16`, `u16` or `f32`.
pub trait Voxel: Copy + sealed::Sealed {
    /// The standard's `datatype` code.
    #[doc(hidden)]
    const CODE: i16;
    /// Appends the voxel, least significant byte first.
    #[doc(hidden)]
    fn append_to(self, bytes: &mut Vec<u8>);
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! voxel {
    ($($t:ty => $code:literal),*) => {$(
        impl sealed::Sealed for $t {}
        impl Voxel for $t {
            const CODE: i16 = $code;
            fn append_to(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}
voxel!(u8 => 2, i16 => 4, u16 => 512, f32 => 16);

/// Writes a volume to a `.nii` or `.nii.gz` file.
///
/// The affine goes into the sform, and into the qform too if its axes are orthogonal. NIfTI-1 keeps it in single
/// precision, so an affine that was read from a NIfTI-1 sform comes back exactly; an axis of more than 32 767 voxels
/// makes the file NIfTI-2. Equal volumes give equal bytes. The file appears complete or not at all: it is written
/// beside its place under another name, then renamed.
///
/// # Errors
/// A name with another ending, a volume without voxels, a singular affine, and what the operating system refuses.
pub fn write<T: Voxel>(path: impl AsRef<Path>, volume: &Volume<T>) -> Result<(), NiftiError> {
    let path = path.as_ref();
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let gzip = match () {
        () if name.ends_with(".nii.gz") => true,
        () if name.ends_with(".nii") => false,
        () => return Err(NiftiError::UnknownExtension { path: path.to_path_buf() }),
    };
    let header = header(path, &volume.grid, T::CODE, size_of::<T>())?;

    let partial = partial_name(path, &name);
    let io = |source| io_error(path, source);
    let file = File::create_new(&partial).map_err(io)?;
    let written = store(file, gzip, &header, &volume.data).and_then(|()| std::fs::rename(&partial, path));
    if written.is_err() {
        // The reason that matters is the one already in hand.
        let _ = std::fs::remove_file(&partial);
    }
    written.map_err(io)
}

/// A name in the same folder that no other writer uses.
fn partial_name(path: &Path, name: &str) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}.{}-{number}.partial", std::process::id()))
}

fn store<T: Voxel>(file: File, gzip: bool, header: &[u8], data: &[T]) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 16, file);
    if gzip {
        // No time and no name in the gzip header: equal volumes give equal bytes.
        let mut encoder = GzBuilder::new().mtime(0).write(&mut file, Compression::default());
        store_voxels(&mut encoder, header, data)?;
        encoder.finish()?;
    } else {
        store_voxels(&mut file, header, data)?;
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

fn store_voxels<T: Voxel>(out: &mut impl Write, header: &[u8], data: &[T]) -> io::Result<()> {
    out.write_all(header)?;
    let mut bytes = Vec::with_capacity(8192 * size_of::<T>());
    for chunk in data.chunks(8192) {
        bytes.clear();
        for &voxel in chunk {
            voxel.append_to(&mut bytes);
        }
        out.write_all(&bytes)?;
    }
    Ok(())
}

/// Header and the four bytes that say that no extension follows.
fn header(path: &Path, grid: &Grid, code: i16, bytes: usize) -> Result<Vec<u8>, NiftiError> {
    let bad = |index: usize, accepted| NiftiError::BadDim {
        path: path.to_path_buf(),
        index,
        value: i64::try_from(grid.shape[index - 1]).unwrap_or(i64::MAX),
        accepted,
    };
    let mut dim = [3, 1, 1, 1, 1, 1, 1, 1_i64];
    for (axis, &extent) in (1..).zip(&grid.shape) {
        dim[axis] = i64::try_from(extent).map_err(|_| bad(axis, "what 64 bits can hold"))?;
        if extent == 0 {
            return Err(bad(axis, "at least 1"));
        }
    }
    let [x, y, z, _] = grid.affine;
    let rows = [x, y, z];
    if !affine::is_invertible(&rows) {
        return Err(NiftiError::SingularAffine {
            path: path.to_path_buf(),
            form: "affine",
            matrix: Box::new(rows),
        });
    }
    let spacing = grid.spacing_mm();
    let quaternion = Quaternion::of_affine(&grid.affine, spacing);
    let bitpix = (8 * bytes) as i16;
    let mut pixdim = [1., spacing[0], spacing[1], spacing[2], 1., 1., 1., 1.];
    pixdim[0] = quaternion.as_ref().map_or(1.0, |q| q.qfac);
    let qform_code = i16::from(quaternion.is_some());
    let qoffset = rows.map(|row| row[3]);
    let bcd = quaternion.map_or([0.0; 3], |q| q.bcd);

    if dim.iter().all(|&extent| extent <= i16::MAX.into()) {
        let mut h = Bytes(vec![0; NIFTI1_BYTES + 4]);
        h.put(0, &348_i32.to_le_bytes());
        // Analyze's `regular` byte, which some readers still look at.
        h.put(38, b"r");
        h.all(40, dim.map(|v| (v as i16).to_le_bytes()));
        h.put(70, &code.to_le_bytes());
        h.put(72, &bitpix.to_le_bytes());
        h.all(76, pixdim.map(single));
        h.put(108, &single((NIFTI1_BYTES + 4) as f64));
        h.put(112, &single(1.0));
        h.put(123, &[2]);
        h.put(252, &qform_code.to_le_bytes());
        h.put(254, &1_i16.to_le_bytes());
        h.all(256, bcd.map(single));
        h.all(268, qoffset.map(single));
        h.all(280, rows.as_flattened().iter().copied().map(single));
        h.put(344, b"n+1\0");
        return Ok(h.0);
    }
    let mut h = Bytes(vec![0; NIFTI2_BYTES + 4]);
    h.put(0, &540_i32.to_le_bytes());
    h.put(4, b"n+2\0\r\n\x1a\n");
    h.put(12, &code.to_le_bytes());
    h.put(14, &bitpix.to_le_bytes());
    h.all(16, dim.map(i64::to_le_bytes));
    h.all(104, pixdim.map(f64::to_le_bytes));
    h.put(168, &((NIFTI2_BYTES + 4) as i64).to_le_bytes());
    h.put(176, &1_f64.to_le_bytes());
    h.put(344, &i32::from(qform_code).to_le_bytes());
    h.put(348, &1_i32.to_le_bytes());
    h.all(352, bcd.map(f64::to_le_bytes));
    h.all(376, qoffset.map(f64::to_le_bytes));
    h.all(400, rows.as_flattened().iter().copied().map(f64::to_le_bytes));
    h.put(500, &2_i32.to_le_bytes());
    Ok(h.0)
}

fn single(value: f64) -> [u8; 4] {
    (value as f32).to_le_bytes()
}

struct Bytes(Vec<u8>);

impl Bytes {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn all<const N: usize>(&mut self, at: usize, values: impl IntoIterator<Item = [u8; N]>) {
        for (i, value) in values.into_iter().enumerate() {
            self.put(at + N * i, &value);
        }
    }
}
