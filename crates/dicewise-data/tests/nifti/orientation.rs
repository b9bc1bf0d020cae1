use dicewise_data::Grid;
use dicewise_data::nifti::{NiftiError, NiftiWarning, Orientation, Reader};

use crate::header_bytes::{Field, FileBytes};

fn read(file: &FileBytes) -> Result<(Grid, Orientation, Vec<NiftiWarning>), NiftiError> {
    let mut image = Reader::default().channels_from_bytes("file.nii", &file.bytes())?;
    Ok((image.value.remove(0).grid, image.orientation, image.warnings))
}

fn with_quaternion(quaternion: [f64; 3]) -> FileBytes {
    FileBytes::nifti1(false)
        .integers(Field::SformCode, &[0])
        .integers(Field::QformCode, &[1])
        .reals(Field::Pixdim, &[-1.0, 0.5, 1.25, 3.0])
        .reals(Field::Quaternion, &quaternion)
        .reals(Field::Qoffset, &[10.0, -20.0, 30.0])
}

#[test]
fn sform_comes_before_qform_before_voxel_sizes() {
    let both = with_quaternion([0.0; 3]).integers(Field::SformCode, &[2]);
    let (grid, orientation, warnings) = read(&both).unwrap();
    assert_eq!((grid.affine[0], orientation), ([1., 0., 0., 0.], Orientation::Sform));
    assert!(matches!(warnings[..], [NiftiWarning::FormMismatch { .. }]), "{warnings:?}");

    let (grid, orientation, _) = read(&both.integers(Field::SformCode, &[0])).unwrap();
    assert_eq!((grid.affine[0], orientation), ([0.5, 0., 0., 10.], Orientation::Qform));

    let neither = with_quaternion([0.0; 3]).integers(Field::QformCode, &[0]);
    let (grid, orientation, warnings) = read(&neither).unwrap();
    // The standard's method 1 has voxel sizes and nothing else.
    assert_eq!(grid, Grid::axis_aligned([5, 6, 7], [0.5, 1.25, 3.0]));
    assert_eq!((orientation, warnings), (Orientation::Pixdim, vec![NiftiWarning::NoOrientation]));
}

#[test]
fn qform_agrees_with_nibabel() {
    // nibabel 5, Nifti1Header.get_qform() of the same fields.
    let expected = [
        [
            [0.369999991655, -0.745521412795, 0.932834220615, 10.0],
            [0.258208563926, 0.999999981374, 0.916417134895, -20.0],
            [0.215472373381, 0.081840456481, -2.699999991059, 30.0],
        ],
        [
            [-0.139999988556, 1.200000008345, 0.0, 10.0],
            [0.480000003338, 0.34999997139, 0.0, -20.0],
            [0.0, 0.0, 3.0, 30.0],
        ],
    ];
    for (quaternion, rows) in [[0.1, -0.2, 0.3], [0.6, 0.8, 0.0]].into_iter().zip(expected) {
        let (grid, ..) = read(&with_quaternion(quaternion)).unwrap();
        for (got, want) in grid.affine.iter().flatten().zip(rows.iter().flatten()) {
            assert!((got - want).abs() < 1e-6, "{:?}", grid.affine);
        }
    }
}

#[test]
fn handedness_zero_is_one() {
    let file = with_quaternion([0.0; 3]).reals(Field::Pixdim, &[0.0]);
    let (grid, _, warnings) = read(&file).unwrap();
    assert_eq!((grid.affine[2][2], warnings), (3.0, vec![]));
}

#[test]
fn lengths_in_metres_become_millimetres() {
    let (grid, _, warnings) = read(&FileBytes::nifti1(false).integers(Field::Units, &[1])).unwrap();
    assert_eq!(grid.spacing_mm(), [1000.0; 3]);
    assert_eq!(warnings, [NiftiWarning::BadUnits { units: 1, factor: 1000.0 }]);
}

#[test]
fn matrices_without_inverse_are_refused_unless_the_qform_helps() {
    let singular = [[1., 0., 0., 0., 1., 0., 0., 0., 0., 0., 1., 0.], [f64::NAN; 12], [0.0; 12]];
    for rows in singular {
        let file = FileBytes::nifti2(true).reals(Field::Srow, &rows);
        assert!(matches!(read(&file), Err(NiftiError::SingularAffine { form: "sform", .. })));
        let (grid, orientation, warnings) = read(&file.integers(Field::QformCode, &[1])).unwrap();
        assert_eq!((orientation, warnings), (Orientation::Qform, vec![NiftiWarning::SingularAffine]));
        assert_eq!(grid.spacing_mm(), [1.0; 3]);
    }
    for size in [0.0, f64::NAN, f64::INFINITY] {
        let file = with_quaternion([0.0; 3]).reals(Field::Pixdim, &[1.0, 1.0, size]);
        assert!(matches!(read(&file), Err(NiftiError::BadPixdim { axis: 2, .. })));
    }
    let file = with_quaternion([f64::NAN, 0.0, 0.0]);
    assert!(matches!(read(&file), Err(NiftiError::BadQuaternion { .. })));
}

/// Found by a fuzzer: 10³⁰⁶ metres are finite, and infinite in millimetres.
#[test]
fn lengths_that_are_finite_in_their_unit_only_are_refused() {
    let metres = || FileBytes::nifti2(false).integers(Field::Units, &[1]);
    let pixdim = metres().integers(Field::SformCode, &[0]).reals(Field::Pixdim, &[1., 1e306, 1., 1.]);
    let qform = pixdim.clone().integers(Field::QformCode, &[1]);
    let sform = metres().reals(Field::Srow, &[1e306]);
    let tiny = metres().integers(Field::SformCode, &[0]).reals(Field::Pixdim, &[1., 1e-302, 1e-302, 1.]);
    for (file, expected) in [(pixdim, "pixdim"), (qform, "qform"), (sform, "sform"), (tiny, "pixdim")] {
        match read(&file) {
            Err(NiftiError::SingularAffine { form, .. }) => assert_eq!(form, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}
