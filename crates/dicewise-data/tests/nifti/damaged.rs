use dicewise_data::nifti::{NiftiError, NiftiWarning, Reader};

use crate::header_bytes::{Field, FileBytes, gzip};

fn error(bytes: &[u8]) -> NiftiError {
    match Reader::default().channels_from_bytes("file.nii", bytes) {
        Err(error) => error,
        Ok(image) => panic!("read as {:?}", image.value[0].grid),
    }
}

fn small() -> FileBytes {
    FileBytes::nifti1(false)
}

#[test]
fn every_cut_is_found() {
    let plain = small().bytes();
    let packed = gzip(&plain);
    for bytes in [plain, packed] {
        for length in 0..bytes.len() {
            assert!(
                matches!(error(&bytes[..length]), NiftiError::Truncated { .. }),
                "{length} of {}",
                bytes.len()
            );
        }
    }
}

#[test]
fn no_flipped_bit_of_a_gzip_stream_changes_a_voxel() {
    let file = small().bytes();
    let packed = gzip(&file);
    let intact = Reader::default().channels_from_bytes("file.nii.gz", &packed).unwrap();
    // The first ten bytes are gzip's header: magic, method, and time and system, which say nothing about the content.
    for byte in 10..packed.len() {
        for bit in 0..8 {
            let mut flipped = packed.clone();
            flipped[byte] ^= 1 << bit;
            if let Ok(read) = Reader::default().channels_from_bytes("file.nii.gz", &flipped) {
                // Deflate pads its last byte, nine from the end, with bits that mean nothing.
                assert_eq!(byte, packed.len() - 9, "bit {bit}");
                assert_eq!(read.value, intact.value);
            }
        }
    }
}

#[test]
fn checksum_behind_a_large_volume_is_reached() {
    // 2²² bytes of voxels: far more than any buffer reads ahead.
    let mut file = small().integers(Field::Dim, &[3, 128, 128, 128]);
    file.voxels =
        (0..1_u32 << 21).flat_map(|i| (i.wrapping_mul(2_654_435_761) as i16 & 0x7ff).to_le_bytes()).collect();
    let mut packed = gzip(&file.bytes());
    let crc = packed.len() - 8;
    packed[crc] ^= 1;
    assert!(matches!(error(&packed), NiftiError::Corrupt { .. }));
}

#[test]
fn other_formats_are_named_as_such() {
    for (bytes, word) in [
        (b"\x89PNG\r\n\x1a\nxxxxxxxxxxx".to_vec(), "sizeof_hdr"),
        ([&small().header[..344], &[0; 4]].concat(), "Analyze"),
        ([&small().header[..344], b"xxx\0"].concat(), "magic = \"xxx"),
    ] {
        let message = error(&bytes).to_string();
        assert!(message.contains("file.nii") && message.contains(word), "{message}");
    }
}

#[test]
fn impossible_extents_are_refused() {
    for (dim, index) in [
        ([0, 5, 6, 7, 1, 1, 1, 1], 0),
        ([8, 5, 6, 7, 1, 1, 1, 1], 0),
        ([-3, 5, 6, 7, 1, 1, 1, 1], 0),
        ([3, 5, 0, 7, 1, 1, 1, 1], 2),
        ([3, 5, 6, -7, 1, 1, 1, 1], 3),
        ([7, 32767, 32767, 32767, 32767, 32767, 32767, 32767], 5),
        // 2⁶⁴ voxels, which would wrap around to 0.
        ([5, 16384, 16384, 16384, 16384, 256, 1, 1], 5),
    ] {
        match error(&small().integers(Field::Dim, &dim).bytes()) {
            NiftiError::BadDim { index: found, value, .. } => assert_eq!((found, value), (index, dim[index])),
            other => panic!("{dim:?}: {other}"),
        }
    }
    for dim in [[2, 5, 42, 1, 1, 1, 1, 1], [1, 210, 1, 1, 1, 1, 1, 1], [5, 5, 6, 1, 7, 2, 1, 1]] {
        assert!(matches!(error(&small().integers(Field::Dim, &dim).bytes()), NiftiError::NotThreeD { .. }));
    }
}

#[test]
fn promises_are_not_believed() {
    // 8 GB in a file of 772 bytes; and in a compressed one, which cannot hold it either.
    let file = small().integers(Field::Dim, &[3, 2000, 2000, 1000]).bytes();
    assert!(matches!(error(&file), NiftiError::Truncated { expected: 8_000_000_000, found: 420, .. }));
    assert!(matches!(error(&gzip(&file)), NiftiError::Truncated { expected: 8_000_000_000, .. }));
}

#[test]
fn voxel_budget_holds() {
    let reader = Reader::default().max_voxels(209);
    let error = reader.channels_from_bytes("file.nii", &small().bytes()).unwrap_err();
    assert!(matches!(error, NiftiError::TooLarge { voxels: 210, budget: 209, .. }));
    Reader::default().max_voxels(210).channels_from_bytes("file.nii", &small().bytes()).unwrap();
}

#[test]
fn types_that_are_no_real_numbers_are_named() {
    for (code, name) in
        [(0, "DT_UNKNOWN"), (1, "DT_BINARY"), (32, "DT_COMPLEX64"), (128, "DT_RGB24"), (1536, "DT_FLOAT128")]
    {
        let message = error(&small().integers(Field::Datatype, &[code]).bytes()).to_string();
        assert!(message.contains(name), "{message}");
    }
    assert!(matches!(
        error(&small().integers(Field::Datatype, &[-4]).bytes()),
        NiftiError::UnsupportedType { code: -4, .. }
    ));
}

#[test]
fn voxels_do_not_start_inside_the_header() {
    for offset in [300.0, -16.0, f64::NAN, f64::INFINITY, 352.5] {
        let file = small().reals(Field::VoxOffset, &[offset]);
        assert!(matches!(error(&file.bytes()), NiftiError::BadOffset { .. }), "{offset}");
    }
    let file = small().reals(Field::VoxOffset, &[1e9]);
    assert!(matches!(error(&file.bytes()), NiftiError::Truncated { found: 0, .. }));
}

#[test]
fn scales_that_are_no_numbers_are_refused() {
    for (slope, inter, field) in [(f64::INFINITY, 0.0, "scl_slope"), (2.0, f64::NAN, "scl_inter")] {
        let file = small().reals(Field::Slope, &[slope]).reals(Field::Inter, &[inter]);
        match error(&file.bytes()) {
            NiftiError::BadScale { field: found, .. } => assert_eq!(found, field),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn bytes_behind_the_voxels_are_reported() {
    let mut bytes = small().bytes();
    bytes.extend([7; 100]);
    for (name, bytes) in [("file.nii", bytes.clone()), ("file.nii.gz", gzip(&bytes))] {
        let image = Reader::default().channels_from_bytes(name, &bytes).unwrap();
        assert_eq!(image.warnings, [NiftiWarning::TrailingData { bytes: 100 }]);
    }
    let packed = [gzip(&small().bytes()), b"GARBAGE".to_vec()].concat();
    let image = Reader::default().channels_from_bytes("file.nii.gz", &packed).unwrap();
    assert_eq!(image.warnings, [NiftiWarning::TrailingData { bytes: 7 }]);
}

#[test]
fn extensions_are_passed_over_and_bad_ones_reported() {
    let with = |esize: i32| {
        let mut file = small().vox_offset(384);
        file.gap = [&[1, 0, 0, 0], &esize.to_le_bytes()[..], &[0; 28]].concat();
        Reader::default().channels_from_bytes("file.nii", &file.bytes()).unwrap()
    };
    for (esize, odd) in
        [(32, false), (16, false), (0, true), (-16, true), (48, true), (i32::MAX, true), (12, true)]
    {
        let image = with(esize);
        assert_eq!(image.value[0].data[209], 209.0);
        let warnings = if odd { vec![NiftiWarning::BadExtension { esize }] } else { vec![] };
        assert_eq!(image.warnings, warnings);
    }
}
