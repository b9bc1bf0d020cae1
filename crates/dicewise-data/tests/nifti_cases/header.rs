use crate::Cases;
use crate::container::{SUM, good};
use crate::header_bytes::{Field, FileBytes};
use crate::reading::Case;

pub(crate) fn add(cases: &mut Cases) {
    extents(cases);
    offsets(cases);
    extensions(cases);
    let plain = good().bytes();
    cases.add("header_only.nii", &plain[..348], Case::error("Truncated"));
    cases.add("no_voxels.nii", &plain[..352], Case::error("Truncated"));
    cases.add("cut.nii", &plain[..plain.len() - 1], Case::error("Truncated"));
    cases.add("size_999.nii", &[&999_i32.to_le_bytes(), &plain[4..]].concat(), Case::error("NotNifti"));
    cases.add("magic.nii", &[&plain[..344], b"xxx\0", &plain[348..]].concat(), Case::error("NotNifti"));
    for (name, bitpix) in [("bitpix_0", 0), ("bitpix_8", 8), ("bitpix_32", 32), ("bitpix_negative", -16)] {
        let file = good().integers(Field::Bitpix, &[bitpix]);
        cases.add(&format!("{name}.nii"), &file.bytes(), Case::ok(SUM).warns("BitpixMismatch"));
    }
    cases.add("nifti_2.nii", &FileBytes::nifti2(false).bytes(), Case::ok(SUM));
    cases.add("nifti_2_big_endian.nii", &FileBytes::nifti2(true).bytes(), Case::ok(SUM));
}

fn extents(cases: &mut Cases) {
    let mut add = |name: &str, dim: &[i64], expected: Case| {
        cases.add(&format!("{name}.nii"), &good().integers(Field::Dim, dim).bytes(), expected);
    };
    for (name, dim, kind) in [
        ("no_axes", [0, 5, 6, 7, 1, 1, 1, 1], "BadDim"),
        ("eight_axes", [8, 5, 6, 7, 1, 1, 1, 1], "BadDim"),
        ("minus_three_axes", [-3, 5, 6, 7, 1, 1, 1, 1], "BadDim"),
        ("extent_0", [3, 0, 6, 7, 1, 1, 1, 1], "BadDim"),
        ("extent_negative", [3, -5, 6, 7, 1, 1, 1, 1], "BadDim"),
        // 65535³ to whom reads them without a sign.
        ("extents_minus_one", [3, -1, -1, -1, 1, 1, 1, 1], "BadDim"),
        ("terabyte", [3, 10_000, 10_000, 10_000, 1, 1, 1, 1], "Truncated"),
        ("product_overflows", [7, 32767, 32767, 32767, 32767, 32767, 32767, 32767], "BadDim"),
        // 2⁶⁴ voxels, which wrap around to none.
        ("product_wraps", [5, 16384, 16384, 16384, 16384, 256, 1, 1], "BadDim"),
        ("gigabytes", [3, 2000, 2000, 1000, 1, 1, 1, 1], "Truncated"),
        ("a_slice_more", [3, 5, 6, 8, 1, 1, 1, 1], "Truncated"),
        ("one_axis", [1, 210, 1, 1, 1, 1, 1, 1], "NotThreeD"),
        ("two_axes", [2, 5, 42, 1, 1, 1, 1, 1], "NotThreeD"),
        ("time_and_channels", [5, 5, 6, 1, 7, 2, 1, 1], "NotThreeD"),
    ] {
        add(name, &dim, Case::error(kind));
    }
    // 0 + … + 179.
    add(
        "a_slice_less",
        &[3, 5, 6, 6, 1, 1, 1, 1],
        Case::ok(16_110.0).shape(&[5, 6, 6]).warns("TrailingData"),
    );
    add("one_volume", &[4, 5, 6, 7, 1, 1, 1, 1], Case::ok(SUM));
    add("unused_extents", &[3, 5, 6, 7, 0, -1, 99, 5], Case::ok(SUM));
    let mut file = good().integers(Field::Dim, &[4, 5, 6, 7, 2, 1, 1, 1]);
    file.voxels.extend(file.voxels.clone());
    cases.add("two_channels.nii", &file.bytes(), Case::ok(2.0 * SUM).shape(&[5, 6, 7, 2]));
    for (name, dim) in [("nifti_2_huge", [3, 1 << 40, 1 << 40, 1 << 40]), ("nifti_2_negative", [3, -5, 6, 7])]
    {
        let file = FileBytes::nifti2(false).integers(Field::Dim, &dim);
        cases.add(&format!("{name}.nii"), &file.bytes(), Case::error("BadDim"));
    }
}

fn offsets(cases: &mut Cases) {
    for (name, offset, expected) in [
        ("zero", 0.0, Case::ok(SUM).warns("BadOffset")),
        ("in_header", 300.0, Case::error("BadOffset")),
        ("negative", -16.0, Case::error("BadOffset")),
        ("nan", f64::NAN, Case::error("BadOffset")),
        ("infinite", f64::INFINITY, Case::error("BadOffset")),
        ("fraction", 352.5, Case::error("BadOffset")),
        ("far", 1e9, Case::error("Truncated")),
    ] {
        let file = good().reals(Field::VoxOffset, &[offset]);
        cases.add(&format!("offset_{name}.nii"), &file.bytes(), expected);
    }
    let mut file = good().vox_offset(400);
    file.gap = [vec![0; 4], vec![0x55; 48]].concat();
    cases.add("offset_gap.nii", &file.bytes(), Case::ok(SUM));
}

fn extensions(cases: &mut Cases) {
    let extended = |gap: usize, extension: &[u8]| {
        let mut file = good().vox_offset(352 + gap as i64);
        file.gap = [&[1, 0, 0, 0], extension].concat();
        file.gap.resize(4 + gap, 0);
        file.bytes()
    };
    let sized = |esize: i32| [esize.to_le_bytes(), 6_i32.to_le_bytes()].concat();
    cases.add("extension.nii", &extended(32, &[&sized(32)[..], b"a comment"].concat()), Case::ok(SUM));
    cases.add("extension_padded.nii", &extended(96, &[&sized(32)[..], b"a comment"].concat()), Case::ok(SUM));
    for (name, esize) in [("0", 0), ("negative", -16), ("huge", i32::MAX - 15), ("overrun", 48), ("odd", 12)]
    {
        let expected = Case::ok(SUM).warns("BadExtension");
        cases.add(&format!("extension_{name}.nii"), &extended(32, &sized(esize)), expected);
    }
}
