use std::io::Write;

/// Offsets of NIfTI-1's and NIfTI-2's fields, from the tables in nifti1.h and nifti2.h.
#[derive(Clone, Copy)]
pub(crate) enum Field {
    Dim,
    Datatype,
    Bitpix,
    Pixdim,
    VoxOffset,
    Slope,
    Inter,
    Units,
    QformCode,
    SformCode,
    Quaternion,
    Qoffset,
    Srow,
}

/// A NIfTI file under construction: an `i16` volume of 5 × 6 × 7 voxels of 1 mm, numbered from 0.
#[derive(Clone)]
pub(crate) struct FileBytes {
    pub(crate) header: Vec<u8>,
    pub(crate) gap: Vec<u8>,
    pub(crate) voxels: Vec<u8>,
    pub(crate) big_endian: bool,
    two: bool,
}

pub(crate) const SHAPE: [usize; 3] = [5, 6, 7];
pub(crate) const VOXELS: usize = 210;

impl FileBytes {
    pub(crate) fn nifti1(big_endian: bool) -> Self {
        let empty = Self { header: vec![0; 348], gap: vec![0; 4], voxels: vec![], big_endian, two: false };
        let mut file = empty.integer_at(0, 348, 4);
        file.header[344..348].copy_from_slice(b"n+1\0");
        file.defaults(352)
    }

    pub(crate) fn nifti2(big_endian: bool) -> Self {
        let empty = Self { header: vec![0; 540], gap: vec![0; 4], voxels: vec![], big_endian, two: true };
        let mut file = empty.integer_at(0, 540, 4);
        file.header[4..12].copy_from_slice(b"n+2\0\r\n\x1a\n");
        file.defaults(544)
    }

    fn defaults(self, vox_offset: i64) -> Self {
        self.integers(Field::Dim, &[3, 5, 6, 7, 1, 1, 1, 1])
            .integers(Field::Datatype, &[4])
            .integers(Field::Bitpix, &[16])
            .reals(Field::Pixdim, &[1.0; 8])
            .vox_offset(vox_offset)
            .reals(Field::Slope, &[1.0])
            .integers(Field::Units, &[2])
            .integers(Field::SformCode, &[1])
            .reals(Field::Srow, &[1., 0., 0., 0., 0., 1., 0., 0., 0., 0., 1., 0.])
            .stored((0..VOXELS as i16).map(i16::to_le_bytes))
    }

    /// Replaces the voxels, given least significant byte first.
    pub(crate) fn stored<const N: usize>(mut self, voxels: impl Iterator<Item = [u8; N]>) -> Self {
        self.voxels.clear();
        for mut voxel in voxels {
            if self.big_endian {
                voxel.reverse();
            }
            self.voxels.extend(voxel);
        }
        self
    }

    /// Sets the data type and its size.
    pub(crate) fn datatype(self, code: i64, bits: i64) -> Self {
        self.integers(Field::Datatype, &[code]).integers(Field::Bitpix, &[bits])
    }

    pub(crate) fn vox_offset(self, value: i64) -> Self {
        if self.two { self.integer_at(168, value, 8) } else { self.reals(Field::VoxOffset, &[value as f64]) }
    }

    pub(crate) fn integers(mut self, field: Field, values: &[i64]) -> Self {
        let (at, bytes) = match (field, self.two) {
            (Field::Dim, false) => (40, 2),
            (Field::Dim, true) => (16, 8),
            (Field::Datatype, false) => (70, 2),
            (Field::Datatype, true) => (12, 2),
            (Field::Bitpix, false) => (72, 2),
            (Field::Bitpix, true) => (14, 2),
            (Field::Units, false) => (123, 1),
            (Field::Units, true) => (500, 4),
            (Field::QformCode, false) => (252, 2),
            (Field::QformCode, true) => (344, 4),
            (Field::SformCode, false) => (254, 2),
            (Field::SformCode, true) => (348, 4),
            _ => panic!("not a field of integers"),
        };
        for (i, &value) in values.iter().enumerate() {
            self = self.integer_at(at + i * bytes, value, bytes);
        }
        self
    }

    pub(crate) fn reals(mut self, field: Field, values: &[f64]) -> Self {
        let at = match (field, self.two) {
            (Field::Pixdim, false) => 76,
            (Field::Pixdim, true) => 104,
            (Field::VoxOffset, false) => 108,
            (Field::Slope, false) => 112,
            (Field::Slope, true) => 176,
            (Field::Inter, false) => 116,
            (Field::Inter, true) => 184,
            (Field::Quaternion, false) => 256,
            (Field::Quaternion, true) => 352,
            (Field::Qoffset, false) => 268,
            (Field::Qoffset, true) => 376,
            (Field::Srow, false) => 280,
            (Field::Srow, true) => 400,
            _ => panic!("not a field of reals"),
        };
        for (i, &value) in values.iter().enumerate() {
            if self.two {
                self.put(at + 8 * i, &value.to_le_bytes());
            } else {
                self.put(at + 4 * i, &(value as f32).to_le_bytes());
            }
        }
        self
    }

    fn integer_at(mut self, at: usize, value: i64, bytes: usize) -> Self {
        self.put(at, &value.to_le_bytes()[..bytes]);
        self
    }

    fn put(&mut self, at: usize, least_first: &[u8]) {
        let mut bytes = least_first.to_vec();
        if self.big_endian {
            bytes.reverse();
        }
        self.header[at..at + bytes.len()].copy_from_slice(&bytes);
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        [&self.header[..], &self.gap, &self.voxels].concat()
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
