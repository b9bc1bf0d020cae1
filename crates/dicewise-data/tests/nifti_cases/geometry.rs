use crate::Cases;
use crate::container::{SUM, good};
use crate::header_bytes::{Field, FileBytes};
use crate::reading::Case;

fn both_forms() -> FileBytes {
    good().integers(Field::QformCode, &[1])
}

fn qform() -> FileBytes {
    both_forms().integers(Field::SformCode, &[0])
}

fn sform() -> FileBytes {
    good()
}

const IDENTITY: [f64; 12] = [1., 0., 0., 0., 0., 1., 0., 0., 0., 0., 1., 0.];

pub(crate) fn add(cases: &mut Cases) {
    let ok = || Case::ok(SUM);
    let row = |from: usize, row: [f64; 4]| {
        let mut rows = IDENTITY;
        rows[from..from + 4].copy_from_slice(&row);
        rows
    };
    let pixdim = |first: [f64; 4]| qform().reals(Field::Pixdim, &first);
    for (name, file, expected) in [
        ("no_forms", good().integers(Field::SformCode, &[0]), ok().warns("NoOrientation")),
        ("sform_zero", sform().reals(Field::Srow, &[0.0; 12]), Case::error("SingularAffine")),
        ("sform_zero_with_qform", both_forms().reals(Field::Srow, &[0.0; 12]), ok().warns("SingularAffine")),
        (
            "sform_equal_rows",
            sform().reals(Field::Srow, &row(4, [1., 0., 0., 0.])),
            Case::error("SingularAffine"),
        ),
        (
            "sform_nan",
            sform().reals(Field::Srow, &row(0, [f64::NAN, 0., 0., 0.])),
            Case::error("SingularAffine"),
        ),
        (
            "sform_mirrored",
            sform().reals(Field::Srow, &row(0, [-1., 0., 0., 4.])),
            Case { affine_det_sign: Some(-1.0), ..ok() },
        ),
        (
            "forms_mirrored",
            both_forms().reals(Field::Srow, &row(0, [-1., 0., 0., 0.])),
            ok().warns("FormMismatch"),
        ),
        (
            "forms_of_other_voxels",
            both_forms().reals(Field::Srow, &IDENTITY.map(|v| 2.0 * v)),
            ok().warns("FormMismatch"),
        ),
        (
            "quaternion_long",
            both_forms().integers(Field::SformCode, &[0]).reals(Field::Quaternion, &[0.9; 3]),
            ok().warns("BadQuaternion"),
        ),
        (
            "quaternion_nan",
            qform().reals(Field::Quaternion, &[f64::NAN, 0., 0.]),
            Case::error("BadQuaternion"),
        ),
        (
            "quaternion_nan_unused",
            both_forms().reals(Field::Quaternion, &[f64::NAN, 0., 0.]),
            ok().warns("BadQuaternion"),
        ),
        ("handedness_0", pixdim([0., 1., 1., 1.]), ok()),
        ("handedness_5", pixdim([5., 1., 1., 1.]), ok().warns("BadPixdim")),
        ("handedness_minus_1", pixdim([-1., 1., 1., 1.]), Case { affine_det_sign: Some(-1.0), ..ok() }),
        ("voxel_0", pixdim([1., 0., 0., 0.]), Case::error("BadPixdim")),
        ("voxel_negative", pixdim([1., -1., 1., 1.]), ok().warns("BadPixdim")),
        ("voxel_size_nan", pixdim([1., f64::NAN, 1., 1.]), Case::error("BadPixdim")),
        ("voxel_size_infinite", pixdim([1., f64::INFINITY, 1., 1.]), Case::error("BadPixdim")),
        ("voxel_1000_km", pixdim([1., 1e9, 1., 1.]), ok().warns("BadPixdim")),
        ("form_code_99", sform().integers(Field::SformCode, &[99]), ok().warns("BadXformCode")),
        ("form_code_negative", sform().integers(Field::QformCode, &[-2]), ok().warns("BadXformCode")),
        ("units_255", sform().integers(Field::Units, &[255]), ok().warns("BadUnits")),
        ("units_metre", sform().integers(Field::Units, &[1]), ok().warns("BadUnits")),
        ("units_micrometre", sform().integers(Field::Units, &[3]), ok().warns("BadUnits")),
    ] {
        cases.add(&format!("{name}.nii"), &file.bytes(), expected);
    }
}
