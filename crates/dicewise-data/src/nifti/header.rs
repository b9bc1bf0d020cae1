//! The 348 bytes of NIfTI-1 and the 540 bytes of NIfTI-2, as one structure.

use super::NiftiError;
use super::source::Source;

/// The fields of a header that matter for reading, not yet judged.
#[derive(Clone, Debug)]
pub(super) struct Header {
    /// Whether this is NIfTI-2.
    pub(super) two: bool,
    /// Most significant byte first.
    pub(super) big_endian: bool,
    /// Whether the magic is that of a `.hdr`/`.img` pair.
    pub(super) pair: bool,
    pub(super) dim: [i64; 8],
    pub(super) datatype: i16,
    pub(super) bitpix: i16,
    pub(super) pixdim: [f64; 8],
    pub(super) vox_offset: f64,
    pub(super) scl_slope: f64,
    pub(super) scl_inter: f64,
    pub(super) xyzt_units: i32,
    pub(super) qform_code: i32,
    pub(super) sform_code: i32,
    /// b, c, d.
    pub(super) quaternion: [f64; 3],
    pub(super) qoffset: [f64; 3],
    pub(super) srow: [[f64; 4]; 3],
}

/// Bytes of a NIfTI-1 header.
pub(super) const NIFTI1_BYTES: usize = 348;
/// Bytes of a NIfTI-2 header.
pub(super) const NIFTI2_BYTES: usize = 540;

impl Header {
    /// Bytes of this header.
    pub(super) fn bytes(&self) -> u64 {
        if self.two { NIFTI2_BYTES as u64 } else { NIFTI1_BYTES as u64 }
    }

    /// Reads the header at the start of a source.
    pub(super) fn read(source: &mut Source<'_>) -> Result<Self, NiftiError> {
        let mut bytes = [0; NIFTI2_BYTES];
        source.fill_exact(&mut bytes[..4], "header")?;
        let first = [bytes[0], bytes[1], bytes[2], bytes[3]];
        let (two, big_endian) = match (i32::from_le_bytes(first), i32::from_be_bytes(first)) {
            (348, _) => (false, false),
            (_, 348) => (false, true),
            (540, _) => (true, false),
            (_, 540) => (true, true),
            (size, _) => return Err(not_nifti(source, format!("sizeof_hdr = {size}; accepted: 348 or 540"))),
        };
        let length = if two { NIFTI2_BYTES } else { NIFTI1_BYTES };
        let found = 4 + source.fill(&mut bytes[4..length])?;
        if found < length {
            return Err(source.truncated("header", length as u64, found as u64));
        }
        let fields = Fields { bytes: &bytes[..length], big_endian };
        if two { fields.nifti2() } else { fields.nifti1() }.map_err(|detail| not_nifti(source, detail))
    }
}

fn not_nifti(source: &Source<'_>, detail: String) -> NiftiError {
    NiftiError::NotNifti { path: source.path().to_path_buf(), detail }
}

struct Fields<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl Fields<'_> {
    fn nifti1(&self) -> Result<Header, String> {
        let pair = match &self.bytes[344..348] {
            b"n+1\0" => false,
            b"ni1\0" => true,
            [0, 0, 0, 0] => return Err("no magic: Analyze 7.5, which has no orientation; convert it".into()),
            magic => {
                return Err(format!("magic = {:?}; accepted: n+1 or ni1", magic.escape_ascii().to_string()));
            }
        };
        Ok(Header {
            two: false,
            big_endian: self.big_endian,
            pair,
            dim: std::array::from_fn(|i| self.i16(40 + 2 * i).into()),
            datatype: self.i16(70),
            bitpix: self.i16(72),
            pixdim: self.f32s(76),
            vox_offset: self.f32s::<1>(108)[0],
            scl_slope: self.f32s::<1>(112)[0],
            scl_inter: self.f32s::<1>(116)[0],
            xyzt_units: self.bytes[123].into(),
            qform_code: self.i16(252).into(),
            sform_code: self.i16(254).into(),
            quaternion: self.f32s(256),
            qoffset: self.f32s(268),
            srow: [self.f32s(280), self.f32s(296), self.f32s(312)],
        })
    }

    fn nifti2(&self) -> Result<Header, String> {
        let pair = match &self.bytes[4..12] {
            b"n+2\0\r\n\x1a\n" => false,
            b"ni2\0\r\n\x1a\n" => true,
            magic => {
                return Err(format!("magic = {:?}; accepted: n+2 or ni2", magic.escape_ascii().to_string()));
            }
        };
        Ok(Header {
            two: true,
            big_endian: self.big_endian,
            pair,
            dim: std::array::from_fn(|i| self.i64(16 + 8 * i)),
            datatype: self.i16(12),
            bitpix: self.i16(14),
            pixdim: self.f64s(104),
            vox_offset: self.i64(168) as f64,
            scl_slope: self.f64s::<1>(176)[0],
            scl_inter: self.f64s::<1>(184)[0],
            xyzt_units: self.i32(500),
            qform_code: self.i32(344),
            sform_code: self.i32(348),
            quaternion: self.f64s(352),
            qoffset: self.f64s(376),
            srow: [self.f64s(400), self.f64s(432), self.f64s(464)],
        })
    }

    /// `N` bytes, least significant first.
    fn at<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.bytes[at..at + N]);
        if self.big_endian {
            bytes.reverse();
        }
        bytes
    }

    fn i16(&self, at: usize) -> i16 {
        i16::from_le_bytes(self.at(at))
    }

    fn i32(&self, at: usize) -> i32 {
        i32::from_le_bytes(self.at(at))
    }

    fn i64(&self, at: usize) -> i64 {
        i64::from_le_bytes(self.at(at))
    }

    fn f32s<const N: usize>(&self, at: usize) -> [f64; N] {
        std::array::from_fn(|i| f32::from_le_bytes(self.at(at + 4 * i)).into())
    }

    fn f64s<const N: usize>(&self, at: usize) -> [f64; N] {
        std::array::from_fn(|i| f64::from_le_bytes(self.at(at + 8 * i)))
    }
}
