use std::io::Write;

use dicewise_data::nifti::{self, NiftiError, NiftiWarning, NonFinite, Reader, Voxel};
use dicewise_data::{Grid, Volume};
use flate2::write::GzEncoder;
use flate2::{Compression, Crc};

/// Enough for any header's effect to show, little enough to be quick.
const MAX_VOXELS: u64 = 1 << 16;
const NAME: &str = "fuzz.nii.gz";

pub(crate) fn run(bytes: &[u8]) {
    read(bytes);
    // A changed byte behind gzip's checksum is refused for its checksum. So that the fields behind it are reached too,
    // plain bytes are also read with a checksum that is right.
    if !bytes.starts_with(&[0x1f, 0x8b]) && bytes.len() <= usize::from(u16::MAX) {
        let plain = channels(bytes);
        let packed = channels(&stored(bytes));
        assert_eq!(plain.is_ok(), packed.is_ok(), "{plain:?} as it is, {packed:?} in gzip");
    }
}

/// How many voxels there are.
fn channels(bytes: &[u8]) -> Result<usize, NiftiError> {
    let reader = Reader::default().max_voxels(MAX_VOXELS).non_finite(NonFinite::Keep);
    Ok(reader.channels_from_bytes(NAME, bytes)?.value.iter().map(|image| image.data.len()).sum())
}

/// A gzip member of one block that is not compressed: quick to make, checksum and all.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len() as u16;
    let mut crc = Crc::new();
    crc.update(bytes);
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    file.extend(length.to_le_bytes());
    file.extend((!length).to_le_bytes());
    file.extend(bytes);
    file.extend(crc.sum().to_le_bytes());
    file.extend(u32::from(length).to_le_bytes());
    file
}

fn read(bytes: &[u8]) {
    let reader = Reader::default().max_voxels(MAX_VOXELS);
    match reader.clone().non_finite(NonFinite::Keep).channels_from_bytes(NAME, bytes) {
        Ok(read) => {
            let voxels: usize = read.value.iter().map(|image| image.data.len()).sum();
            assert!(voxels > 0 && voxels as u64 <= MAX_VOXELS, "{voxels} voxels");
            let finite = read.value.iter().flat_map(|image| &image.data).all(|voxel| voxel.is_finite());
            let told =
                read.warnings.iter().any(|warning| matches!(warning, NiftiWarning::NonFiniteVoxels { .. }));
            assert!(finite || told, "voxels that are not finite, and no word about them");
            let affine = read.value[0].grid.affine;
            assert!(affine.as_flattened().iter().all(|v| v.is_finite()), "{affine:?}");
            read.warnings.iter().for_each(|warning| assert!(!warning.to_string().is_empty()));
        }
        Err(error) => assert!(error.to_string().contains(NAME), "{error} does not name the file"),
    }
    if let Err(error) = reader.labels_from_bytes(NAME, bytes) {
        assert!(error.to_string().contains(NAME), "{error} does not name the file");
    }
}

/// Either byte order, both versions, every real type, scaled and not, with and without extensions and channels.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let grid = Grid {
        shape: [5, 4, 3],
        affine: [[0.9, 0., 0.1, -7.], [0., -1., 0., 8.], [-0.1, 0., 2., 9.], [0., 0., 0., 1.]],
    };
    let number = |i: usize| (i % 4) as u8;
    let labels: Vec<u8> = (0..grid.len()).map(number).collect();
    let mut seeds = vec![
        written(&grid, labels.iter().copied()),
        written(&grid, labels.iter().map(|&v| i16::from(v))),
        written(&grid, labels.iter().map(|&v| u16::from(v))),
        written(&grid, labels.iter().map(|&v| f32::from(v))),
    ];
    let i16s = seeds[1].clone();
    let wide = |code: i16, bits: i16, voxel: fn(u8) -> Vec<u8>| {
        let mut file = i16s[..352].to_vec();
        file[70..72].copy_from_slice(&code.to_le_bytes());
        file[72..74].copy_from_slice(&bits.to_le_bytes());
        file.extend(labels.iter().flat_map(|&v| voxel(v)));
        file
    };
    seeds.extend([
        wide(256, 8, |v| vec![v]),
        wide(8, 32, |v| i32::from(v).to_le_bytes().into()),
        wide(768, 32, |v| u32::from(v).to_le_bytes().into()),
        wide(1024, 64, |v| i64::from(v).to_le_bytes().into()),
        wide(1280, 64, |v| u64::from(v).to_le_bytes().into()),
        wide(64, 64, |v| f64::from(v).to_le_bytes().into()),
    ]);
    // scl_slope = 2, a time axis that is channels, and an extension of 16 bytes.
    let mut scaled = i16s.clone();
    scaled[112..116].copy_from_slice(&2_f32.to_le_bytes());
    let mut channels = i16s.clone();
    channels[40..42].copy_from_slice(&4_i16.to_le_bytes());
    channels[48..50].copy_from_slice(&2_i16.to_le_bytes());
    channels.extend_from_slice(&i16s[352..]);
    let mut extended = i16s[..348].to_vec();
    extended[108..112].copy_from_slice(&368_f32.to_le_bytes());
    extended.extend([1, 0, 0, 0, 16, 0, 0, 0, 6, 0, 0, 0]);
    extended.extend([b'x'; 8]);
    extended.truncate(368);
    extended.extend_from_slice(&i16s[352..]);
    seeds.extend([scaled, channels, extended, big_endian(&i16s), nifti2(&i16s)]);
    let compressed: Vec<Vec<u8>> = seeds[..2].iter().map(|seed| gzip(seed)).collect();
    let members = [gzip(&i16s[..400]), gzip(&i16s[400..])].concat();
    seeds.extend(compressed);
    seeds.push(members);
    seeds
}

/// Whether a seed is a volume.
#[cfg(test)]
pub(crate) fn is_read(seed: &[u8]) -> bool {
    let read = Reader::default().channels_from_bytes(NAME, seed);
    read.is_ok_and(|read| read.value[0].data.len() == 60 && read.value[0].data[5] != 0.0)
}

fn written<T: Voxel>(grid: &Grid, voxels: impl Iterator<Item = T>) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("seed.nii");
    nifti::write(&path, &Volume::new(grid.clone(), voxels.collect())).expect("a valid volume");
    std::fs::read(path).expect("the file just written")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes everything")
}

/// Reverses every field of a NIfTI-1 file of 16-bit voxels that the reader looks at.
fn big_endian(file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    let words = [0..4, 76..120, 256..328].map(|range| (range, 4));
    let halves = [40..56, 70..74, 252..256, 352..file.len()].map(|range| (range, 2));
    for (range, size) in words.into_iter().chain(halves) {
        file[range].chunks_exact_mut(size).for_each(<[u8]>::reverse);
    }
    file
}

/// The same 16-bit volume as NIfTI-2, whose offsets are from the table in nifti2.h.
fn nifti2(file: &[u8]) -> Vec<u8> {
    let short = |at: usize| i16::from_le_bytes([file[at], file[at + 1]]);
    let single = |at: usize| f32::from_le_bytes([file[at], file[at + 1], file[at + 2], file[at + 3]]);
    let mut header = vec![0; 544];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &540_i32.to_le_bytes());
    put(4, b"n+2\0\r\n\x1a\n");
    put(12, &file[70..74]);
    (0..8).for_each(|i| put(16 + 8 * i, &i64::from(short(40 + 2 * i)).to_le_bytes()));
    (0..8).for_each(|i| put(104 + 8 * i, &f64::from(single(76 + 4 * i)).to_le_bytes()));
    put(168, &544_i64.to_le_bytes());
    put(176, &1_f64.to_le_bytes());
    put(348, &1_i32.to_le_bytes());
    (0..12).for_each(|i| put(400 + 8 * i, &f64::from(single(280 + 4 * i)).to_le_bytes()));
    put(500, &2_i32.to_le_bytes());
    header.extend_from_slice(&file[352..]);
    header
}
