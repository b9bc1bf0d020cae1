use dicewise_data::nifti::{Loaded, NiftiError, NiftiWarning, NonFinite, Reader};
use dicewise_data::{Image, LabelMap};

use crate::header_bytes::{Field, FileBytes, SHAPE, VOXELS, gzip};

fn images(file: &FileBytes) -> Result<Loaded<Vec<Image>>, NiftiError> {
    Reader::default().channels_from_bytes("file.nii", &file.bytes())
}

fn labels(file: &FileBytes) -> Result<Loaded<LabelMap>, NiftiError> {
    Reader::default().labels_from_bytes("file.nii", &file.bytes())
}

/// The same whole numbers, 0 to 119 over and over, in every data type.
fn every_type(file: &FileBytes) -> Vec<FileBytes> {
    let numbers = || (0..VOXELS).map(|i| (i % 120) as u8);
    let file = |code, bits| file.clone().datatype(code, bits);
    vec![
        file(2, 8).stored(numbers().map(|v| v.to_le_bytes())),
        file(256, 8).stored(numbers().map(|v| (v as i8).to_le_bytes())),
        file(4, 16).stored(numbers().map(|v| i16::from(v).to_le_bytes())),
        file(512, 16).stored(numbers().map(|v| u16::from(v).to_le_bytes())),
        file(8, 32).stored(numbers().map(|v| i32::from(v).to_le_bytes())),
        file(768, 32).stored(numbers().map(|v| u32::from(v).to_le_bytes())),
        file(1024, 64).stored(numbers().map(|v| i64::from(v).to_le_bytes())),
        file(1280, 64).stored(numbers().map(|v| u64::from(v).to_le_bytes())),
        file(16, 32).stored(numbers().map(|v| f32::from(v).to_le_bytes())),
        file(64, 64).stored(numbers().map(|v| f64::from(v).to_le_bytes())),
    ]
}

#[test]
fn every_type_is_read_in_both_byte_orders_and_both_versions() {
    for big_endian in [false, true] {
        for empty in [FileBytes::nifti1(big_endian), FileBytes::nifti2(big_endian)] {
            for file in every_type(&empty) {
                let image = images(&file).unwrap();
                assert_eq!(image.warnings, []);
                assert_eq!(image.value[0].grid.shape, SHAPE);
                let expected: Vec<f32> = (0..VOXELS).map(|i| (i % 120) as f32).collect();
                assert_eq!(image.value[0].data, expected);
                let ids: Vec<u16> = (0..VOXELS).map(|i| (i % 120) as u16).collect();
                assert_eq!(labels(&file).unwrap().value.data, ids);
                let scaled = file.reals(Field::Slope, &[0.5]).reals(Field::Inter, &[-3.0]);
                let expected: Vec<f32> = (0..VOXELS).map(|i| (i % 120) as f32 * 0.5 - 3.0).collect();
                assert_eq!(images(&scaled).unwrap().value[0].data, expected);
            }
        }
    }
}

#[test]
fn types_keep_their_extremes() {
    let file = FileBytes::nifti1(true).datatype(4, 16).stored((0..VOXELS).map(|_| i16::MIN.to_le_bytes()));
    assert_eq!(images(&file).unwrap().value[0].data[0], -32768.0);
    let file = FileBytes::nifti1(true).datatype(256, 8).stored((0..VOXELS).map(|_| [0x80]));
    assert_eq!(images(&file).unwrap().value[0].data[0], -128.0);
    let file = file.datatype(1280, 64).stored((0..VOXELS).map(|_| [0xff; 8]));
    // 2⁶⁴ − 1 rounds to 2⁶⁴ in single precision.
    assert_eq!(images(&file).unwrap().value[0].data[0], 18_446_744_073_709_551_616.0);
}

#[test]
fn slope_zero_means_no_scaling() {
    let file = FileBytes::nifti1(false).reals(Field::Slope, &[0.0]).reals(Field::Inter, &[7.0]);
    assert_eq!(images(&file).unwrap().value[0].data[209], 209.0);
    let file = file.reals(Field::Slope, &[f64::NAN]);
    let image = images(&file).unwrap();
    assert_eq!((image.value[0].data[209], image.warnings), (209.0, vec![NiftiWarning::BadScale]));
}

#[test]
fn fourth_axis_is_channels_and_axes_of_one_are_dropped() {
    let mut file = FileBytes::nifti1(false).integers(Field::Dim, &[5, 5, 6, 7, 1, 2, 1, 1]);
    file.voxels.extend(file.voxels.clone().iter().rev());
    let image = images(&file).unwrap().value;
    assert_eq!(image.len(), 2);
    assert_eq!(image[0].data[1], 1.0);
    // The last voxel, 209, with its two bytes reversed: 209 · 256.
    assert_eq!(image[1].data[0], 53504_u16 as i16 as f32);
    let error = Reader::default().labels_from_bytes("file.nii", &file.bytes()).unwrap_err();
    assert!(matches!(error, NiftiError::SeveralChannels { channels: 2, .. }));

    let single = FileBytes::nifti1(false).integers(Field::Dim, &[4, 5, 6, 7, 1, 9, 9, 9]);
    assert_eq!(images(&single).unwrap().value.len(), 1);
}

#[test]
fn gap_before_the_voxels_is_skipped() {
    let mut file = FileBytes::nifti1(false).vox_offset(400);
    file.gap.extend([0x55; 48]);
    assert_eq!(images(&file).unwrap().value[0].data[1], 1.0);
}

#[test]
fn gzip_members_follow_each_other() {
    let bytes = FileBytes::nifti1(false).bytes();
    let members = [gzip(&bytes[..400]), gzip(&bytes[400..]), vec![0; 100]].concat();
    let image = Reader::default().channels_from_bytes("file.nii.gz", &members).unwrap();
    assert_eq!((image.value[0].data[209], image.warnings), (209.0, vec![]));
}

#[test]
fn label_257_stays_257() {
    let file = FileBytes::nifti1(false).stored((0..VOXELS).map(|_| 257_i16.to_le_bytes()));
    assert_eq!(labels(&file).unwrap().value.data[0], 257);
}

#[test]
fn labels_that_are_no_label_are_refused_with_value_and_voxel() {
    // Voxel 67 of 5 × 6 × 7 is x = 2, y = 1, z = 2.
    let with = |value: f64| {
        let file = FileBytes::nifti2(false).datatype(64, 64);
        file.stored((0..VOXELS).map(|i| if i == 67 { value } else { 3.0 }.to_le_bytes()))
    };
    for bad in [0.5, 1.01, f64::NAN] {
        match labels(&with(bad)) {
            Err(NiftiError::NonIntegerLabel { voxel: [2, 1, 2], value, .. }) => {
                assert_eq!(value.to_bits(), bad.to_bits());
            }
            other => panic!("{bad}: {other:?}"),
        }
    }
    for bad in [-1.0, 65536.0, 1e300, f64::INFINITY] {
        match labels(&with(bad)) {
            Err(NiftiError::LabelOutOfRange { voxel: [2, 1, 2], value, .. }) => assert_eq!(value, bad),
            other => panic!("{bad}: {other:?}"),
        }
    }
    let negative = FileBytes::nifti1(true).stored((0..VOXELS).map(|_| (-1_i16).to_le_bytes()));
    assert!(matches!(labels(&negative), Err(NiftiError::LabelOutOfRange { value: -1.0, .. })));
}

#[test]
fn labels_off_by_rounding_are_rounded_and_reported() {
    let file = FileBytes::nifti1(false).datatype(16, 32);
    let file = file.stored((0..VOXELS).map(|i| if i < 2 { 1.999_999_9_f32 } else { 1.0 }.to_le_bytes()));
    let map = labels(&file).unwrap();
    assert_eq!(map.value.data[..3], [2, 2, 1]);
    let value = f64::from(1.999_999_9_f32);
    assert_eq!(map.warnings, [NiftiWarning::RoundedLabel { count: 2, first: [0, 0, 0], value }]);
    // Whole numbers times a slope that single precision cannot hold are whole numbers, without a word.
    let file = FileBytes::nifti1(false).reals(Field::Slope, &[0.999_999_94]);
    let map = labels(&file).unwrap();
    assert_eq!((map.value.data[209], map.warnings), (209, vec![]));
}

#[test]
fn non_finite_voxels_are_refused_or_kept_and_counted() {
    let values = |i| match i {
        67 => f32::NAN,
        100 => f32::NEG_INFINITY,
        _ => 1.0,
    };
    let file = FileBytes::nifti1(true).datatype(16, 32).stored((0..VOXELS).map(|i| values(i).to_le_bytes()));
    match images(&file) {
        Err(NiftiError::NonFiniteVoxel { voxel: [2, 1, 2], channel: 0, value, .. }) => {
            assert!(value.is_nan())
        }
        other => panic!("{other:?}"),
    }
    let keep = Reader::default().non_finite(NonFinite::Keep);
    let image = keep.channels_from_bytes("file.nii", &file.bytes()).unwrap();
    let warning = NiftiWarning::NonFiniteVoxels { channel: 0, count: 2, first: [2, 1, 2] };
    assert_eq!(image.warnings, [warning]);
    assert_eq!(image.value[0].data[100], f32::NEG_INFINITY);

    // A finite number that single precision cannot hold is not kept as infinity.
    let file = FileBytes::nifti1(false).datatype(64, 64).stored((0..VOXELS).map(|_| 1e300_f64.to_le_bytes()));
    let error = keep.channels_from_bytes("file.nii", &file.bytes()).unwrap_err();
    assert!(matches!(error, NiftiError::NonFiniteVoxel { value: 1e300, .. }));
}
