use std::collections::BTreeMap;

use crate::Cases;
use crate::container::{SUM, good};
use crate::header_bytes::{Field, FileBytes, VOXELS, gzip};
use crate::reading::{Case, Class};

pub(crate) fn add(cases: &mut Cases) {
    halves(cases);
    let noise: Vec<u8> = (0..4096_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    cases.add("noise.nii", &noise, Case::error("NotNifti"));
    cases.add("picture.nii", &[b"\x89PNG\r\n\x1a\n", &noise[..]].concat(), Case::error("NotNifti"));
    label_maps(cases);
    images_with_labels(cases);
}

/// A header and its voxels in two files.
fn halves(cases: &mut Cases) {
    let header = |offset: f64| {
        let mut header = good().reals(Field::VoxOffset, &[offset]).header;
        header[344..348].copy_from_slice(b"ni1\0");
        header
    };
    let voxels = good().voxels;
    cases.put("halves.img", &voxels);
    cases.add("halves.hdr", &header(0.0), Case::ok(SUM));
    cases.put("other_half.hdr", &header(0.0));
    cases.add("other_half.img", &voxels, Case::ok(SUM));
    cases.put("shifted.img", &[&[0x55; 32][..], &voxels].concat());
    cases.add("shifted.hdr", &header(32.0), Case::ok(SUM));
    cases.put("compressed.img.gz", &gzip(&voxels));
    cases.add("compressed.hdr", &header(0.0), Case::ok(SUM));
    cases.add("alone.hdr", &header(0.0), Case::error("MissingFile"));
    let joined = [&header(352.0)[..], &[0; 4], &voxels].concat();
    cases.add("halves_in_one.nii", &joined, Case::ok(SUM).warns("MagicMismatch"));
    let mut analyze = header(0.0);
    analyze[252..348].fill(0);
    cases.put("analyze.img", &voxels);
    cases.add("analyze.hdr", &analyze, Case::error("NotNifti"));
}

fn label_of(voxel: usize) -> u8 {
    (voxel % 4) as u8
}

/// 210 voxels are 52 of each label, and one more of 0 and of 1.
fn counts() -> BTreeMap<u16, usize> {
    BTreeMap::from([(0, 53), (1, 53), (2, 52), (3, 52)])
}

fn label_maps(cases: &mut Cases) {
    let bytes = || good().datatype(2, 8).stored((0..VOXELS).map(|i| [label_of(i)]));
    let floats = |change: fn(usize, f32) -> f32| {
        let values = (0..VOXELS).map(move |i| change(i, label_of(i).into()));
        good().datatype(16, 32).stored(values.map(f32::to_le_bytes))
    };
    let shorts = |change: fn(usize, i16) -> i16| {
        good().stored((0..VOXELS).map(move |i| change(i, label_of(i).into()).to_le_bytes()))
    };
    let ok = || Case { label_counts: Some(counts()), role: Some("label".into()), ..Case::default() };
    let error = |kind: &str| Case { class: Class::Error, kind: Some(kind.into()), ..ok() };
    let empty = BTreeMap::from([(0, VOXELS), (1, 0), (2, 0), (3, 0)]);
    for (name, file, expected) in [
        ("bytes", bytes(), ok()),
        ("floats", floats(|_, v| v), ok()),
        ("half", floats(|i, v| if i == 0 { 0.5 } else { v }), error("NonIntegerLabel")),
        ("rounded", floats(|_, v| if v == 2.0 { 1.999_999_9 } else { v }), ok().warns("RoundedLabel")),
        ("nan", floats(|i, v| if i == 0 { f32::NAN } else { v }), error("NonIntegerLabel")),
        ("infinite", floats(|i, v| if i == 0 { f32::INFINITY } else { v }), error("LabelOutOfRange")),
        ("undeclared_7", shorts(|i, v| if i == 0 { 7 } else { v }), error("UndeclaredLabel")),
        // 1 to whom keeps the low byte.
        ("257", shorts(|i, v| if i == 0 { 257 } else { v }), error("UndeclaredLabel")),
        // 255 or 65535 to whom drops the sign.
        ("minus_1", shorts(|i, v| if i == 0 { -1 } else { v }), error("LabelOutOfRange")),
        ("halved", shorts(|_, v| 2 * v).reals(Field::Slope, &[0.5]), ok()),
        ("slope_rounded", shorts(|_, v| v).reals(Field::Slope, &[0.999_999_94]), ok()),
        ("shifted", shorts(|_, v| v + 10).reals(Field::Inter, &[-10.0]), ok()),
        (
            "background",
            good().datatype(2, 8).stored((0..VOXELS).map(|_| [0])),
            Case { label_counts: Some(empty), ..ok() }.warns("AllBackground"),
        ),
        ("one_volume", bytes().integers(Field::Dim, &[4, 5, 6, 7, 1, 1, 1, 1]), ok()),
    ] {
        cases.add(&format!("label_{name}.nii.gz"), &gzip(&file.bytes()), expected);
    }
    let declared = Case { labels: Some(vec![0, 1, 2, 3, 257]), label_counts: None, ..ok() };
    let file = shorts(|i, v| if i == 0 { 257 } else { v });
    cases.add("label_257_declared.nii.gz", &gzip(&file.bytes()), declared);
}

fn images_with_labels(cases: &mut Cases) {
    let labels = || good().datatype(2, 8).stored((0..VOXELS).map(|i| [label_of(i)]));
    let srow = |row: [f64; 4]| labels().reals(Field::Srow, &row);
    let twice = [2., 0., 0., 0., 0., 2., 0., 0., 0., 0., 2., 0.];
    let mut short = labels().integers(Field::Dim, &[3, 5, 6, 6]);
    short.voxels.truncate(180);
    let mut add = |name: &str, labels: FileBytes, class: Class, kind: Option<&str>| {
        let files = [format!("{name}_image.nii.gz"), format!("{name}_label.nii.gz")];
        cases.put(&files[0], &gzip(&good().bytes()));
        cases.put(&files[1], &gzip(&labels.bytes()));
        let pair = Some(files.map(Into::into));
        cases.all.push(Case { id: name.into(), pair, class, kind: kind.map(Into::into), ..Case::default() });
    };
    add("match", labels(), Class::Ok, None);
    add("one_volume_of_labels", labels().integers(Field::Dim, &[4, 5, 6, 7, 1]), Class::Ok, None);
    add("origin_noise", srow([1., 0., 0., 1e-5]), Class::Ok, None);
    for (name, labels, kind) in [
        ("a_slice_short", short, "ShapeMismatch"),
        ("transposed", labels().integers(Field::Dim, &[3, 7, 6, 5]), "ShapeMismatch"),
        ("other_spacing", labels().reals(Field::Srow, &twice), "AffineMismatch"),
        ("other_origin", srow([1., 0., 0., 10.]), "AffineMismatch"),
        ("left_right", srow([-1., 0., 0., 4.]), "AffineMismatch"),
        ("no_orientation", labels().integers(Field::SformCode, &[0]), "OrientationMissing"),
    ] {
        add(name, labels, Class::Error, Some(kind));
    }
}
