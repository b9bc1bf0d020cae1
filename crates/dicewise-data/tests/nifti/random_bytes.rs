use dicewise_data::nifti::Reader;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::header_bytes::{FileBytes, gzip};

/// Reads bytes in every way; whatever they are, the result is a value or an error, and a value is consistent.
fn read(bytes: &[u8]) {
    let reader = Reader::default().max_voxels(1 << 20);
    if let Ok(image) = reader.channels_from_bytes("file.nii", bytes) {
        for channel in image.value {
            assert_eq!(channel.data.len(), channel.grid.len());
            assert!(channel.data.iter().all(|v| v.is_finite()));
            assert!(channel.grid.affine.iter().flatten().all(|v| v.is_finite()));
        }
    }
    if let Ok(map) = reader.labels_from_bytes("file.nii", bytes) {
        assert_eq!(map.value.data.len(), map.value.grid.len());
    }
}

/// 2000, or more where `PROPTEST_CASES` asks for them.
fn cases() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases.max(2000), ..config }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn noise_never_panics(bytes in vec(any::<u8>(), 0..2000)) {
        read(&bytes);
        read(&[&[0x1f, 0x8b, 8, 0][..], &bytes].concat());
    }

    #[test]
    fn changed_headers_never_panic(
        big_endian: bool,
        two: bool,
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        zipped: bool,
    ) {
        let file = if two { FileBytes::nifti2(big_endian) } else { FileBytes::nifti1(big_endian) };
        let mut bytes = file.bytes();
        for (at, value) in changes {
            // The size and the magic stay, so that most changes get past them.
            let at = 12 + at.index(file.header.len() - 16);
            bytes[at] = value;
        }
        read(&if zipped { gzip(&bytes) } else { bytes });
    }

    #[test]
    fn changed_streams_never_panic(at: prop::sample::Index, value: u8, cut: prop::sample::Index) {
        let mut bytes = gzip(&FileBytes::nifti1(false).bytes());
        let at = at.index(bytes.len());
        bytes[at] = value;
        read(&bytes);
        read(&bytes[..cut.index(bytes.len())]);
    }
}
