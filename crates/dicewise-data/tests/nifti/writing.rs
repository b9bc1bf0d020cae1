use std::fs;

use dicewise_data::nifti::{self, NiftiError, Reader};
use dicewise_data::{Grid, Volume};

/// A rotation by 30° about z, mirrored or not, with spacing 0.5 × 0.75 × 4 mm; entries rounded to single precision.
fn oblique(mirror: f64) -> Grid {
    let (sin, cos) = (0.5, 0.75_f64.sqrt());
    let mut affine = [
        [0.5 * cos, -0.75 * sin, 0.0, -12.5],
        [0.5 * sin, 0.75 * cos, 0.0, 7.25],
        [0.0, 0.0, 4.0 * mirror, 1000.125],
        [0.0, 0.0, 0.0, 1.0],
    ];
    affine.iter_mut().flatten().for_each(|v| *v = f64::from(*v as f32));
    Grid { shape: [3, 4, 5], affine }
}

fn sheared() -> Grid {
    let mut grid = Grid::axis_aligned([3, 4, 5], [1.0, 1.0, 1.0]);
    grid.affine[0][1] = 0.25;
    grid
}

#[test]
fn every_type_and_affine_comes_back_exactly() {
    let dir = tempfile::tempdir().unwrap();
    for grid in [oblique(1.0), oblique(-1.0), sheared()] {
        for ending in ["nii", "nii.gz"] {
            let path = dir.path().join(format!("volume.{ending}"));
            let back = || {
                let image = Reader::default().image(&path).unwrap();
                assert_eq!(image.warnings, [], "the forms agree");
                assert_eq!(image.value.grid, grid);
                image.value.data
            };
            let data: Vec<f32> = (0..60).map(|i| (i as f32 - 20.3) * 1e-3).collect();
            nifti::write(&path, &Volume::new(grid.clone(), data.clone())).unwrap();
            assert_eq!(back(), data);
            nifti::write(&path, &Volume::new(grid.clone(), (0..60_u8).map(|i| i * 4).collect())).unwrap();
            assert_eq!(back()[59], 236.0);
            nifti::write(&path, &Volume::new(grid.clone(), (0..60_i16).map(|i| i16::MIN + i).collect()))
                .unwrap();
            assert_eq!(back()[0], -32768.0);
            let ids: Vec<u16> = (0..60).map(|i| 65535 - i).collect();
            nifti::write(&path, &Volume::new(grid.clone(), ids.clone())).unwrap();
            assert_eq!(nifti::read_labels(&path).unwrap().data, ids);
        }
    }
}

#[test]
fn qform_alone_gives_the_same_place_unless_the_axes_are_sheared() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("volume.nii");
    // Half turns about each axis are where the quaternion's real part is 0.
    let half_turns = [[1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]];
    let half_turns = half_turns.map(|[x, y, z]| {
        let mut grid = Grid::axis_aligned([3, 4, 5], [1.0, 1.0, 1.0]);
        [grid.affine[0][0], grid.affine[1][1], grid.affine[2][2]] = [x, 2.0 * y, 3.0 * z];
        grid
    });
    for grid in half_turns.into_iter().chain([oblique(1.0), oblique(-1.0)]) {
        nifti::write(&path, &Volume::new(grid.clone(), vec![0_u8; 60])).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes[254] = 0;
        let read = Reader::default().channels_from_bytes("volume.nii", &bytes).unwrap();
        for (got, want) in read.value[0].grid.affine.iter().flatten().zip(grid.affine.iter().flatten()) {
            assert!((got - want).abs() < 1e-5, "{:?} {:?}", read.value[0].grid, grid);
        }
    }
    nifti::write(&path, &Volume::new(sheared(), vec![0_u8; 60])).unwrap();
    assert_eq!(fs::read(&path).unwrap()[252], 0, "no qform");
}

#[test]
fn an_axis_too_long_for_nifti_1_makes_the_file_nifti_2() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long.nii.gz");
    // A third of a millimetre is no single-precision number: NIfTI-2 keeps it nevertheless.
    let grid = Grid::axis_aligned([1, 40_000, 1], [1.0 / 3.0, 1.0, 1.0]);
    let volume = Volume::new(grid, (0..40_000).map(|i| i as f32).collect());
    nifti::write(&path, &volume).unwrap();
    assert_eq!(nifti::read_image(&path).unwrap(), volume);
}

#[test]
fn equal_volumes_give_equal_files_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let volume = Volume::new(oblique(1.0), vec![1_u8; 60]);
    for name in ["a.nii.gz", "b.nii.gz"] {
        nifti::write(dir.path().join(name), &volume).unwrap();
    }
    assert_eq!(
        fs::read(dir.path().join("a.nii.gz")).unwrap(),
        fs::read(dir.path().join("b.nii.gz")).unwrap()
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn what_cannot_be_written_leaves_the_old_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("volume.nii");
    fs::write(&path, "old").unwrap();
    let mut flat = oblique(1.0);
    flat.affine[2] = [0.0; 4];
    let error = nifti::write(&path, &Volume::new(flat, vec![0_u8; 60])).unwrap_err();
    assert!(matches!(error, NiftiError::SingularAffine { form: "affine", .. }));
    let nothing = Volume::<u8>::new(Grid::axis_aligned([3, 0, 5], [1.0; 3]), vec![]);
    assert!(matches!(nifti::write(&path, &nothing), Err(NiftiError::BadDim { index: 2, value: 0, .. })));
    assert_eq!(fs::read(&path).unwrap(), b"old");
    let volume = Volume::new(oblique(1.0), vec![0_u8; 60]);
    let error = nifti::write(dir.path().join("volume.mha"), &volume).unwrap_err();
    assert!(matches!(error, NiftiError::UnknownExtension { .. }));
    let error = nifti::write(dir.path().join("no/volume.nii"), &volume).unwrap_err();
    assert!(error.to_string().contains("volume.nii"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing half-written stays");
}

#[test]
fn pairs_are_read_from_either_half() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole.nii");
    nifti::write(&whole, &Volume::new(oblique(1.0), (0..60_u8).collect())).unwrap();
    let mut bytes = fs::read(&whole).unwrap();
    bytes[344..348].copy_from_slice(b"ni1\0");
    bytes[108..112].fill(0);
    fs::write(dir.path().join("pair.hdr"), &bytes[..348]).unwrap();
    let lone = nifti::read_image(dir.path().join("pair.hdr")).unwrap_err();
    assert!(matches!(lone, NiftiError::MissingFile { path } if path.ends_with("pair.img")));
    fs::write(dir.path().join("pair.img"), &bytes[352..]).unwrap();
    for half in ["pair.hdr", "pair.img"] {
        let image = Reader::default().image(dir.path().join(half)).unwrap();
        assert_eq!((image.value.data[59], image.warnings), (59.0, vec![]));
    }
}
