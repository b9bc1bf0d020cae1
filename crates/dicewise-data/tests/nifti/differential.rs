use std::path::Path;

use dicewise_data::nifti::read_image;
use nifti::{NiftiObject, NiftiVolume, RandomAccessNiftiVolume, ReaderOptions};

use crate::header_bytes::{Field, FileBytes, VOXELS, gzip};

/// Voxels and sform of the other reader.
fn other(path: &Path) -> (Vec<f32>, [[f32; 4]; 3]) {
    let object = ReaderOptions::new().read_file(path).unwrap();
    let header = object.header();
    let rows = [header.srow_x, header.srow_y, header.srow_z];
    let volume = object.into_volume();
    let [nx, ny, nz] = *volume.dim() else { panic!("3-D") };
    let voxels = (0..nz).flat_map(|z| (0..ny).flat_map(move |y| (0..nx).map(move |x| [x, y, z])));
    (voxels.map(|voxel| volume.get_f32(&voxel).unwrap()).collect(), rows)
}

fn agree(path: &Path) {
    let image = read_image(path).unwrap();
    let (data, rows) = other(path);
    assert_eq!(image.data, data, "{}", path.display());
    for (ours, theirs) in image.grid.affine.iter().zip(rows) {
        assert_eq!(ours.map(|v| v as f32), theirs);
    }
}

#[test]
fn crafted_files_read_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let noise = |i: usize| (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for big_endian in [false, true] {
        let plain = FileBytes::nifti1(big_endian);
        let typed = |code, bits| plain.clone().datatype(code, bits);
        for (index, file) in [
            typed(2, 8).stored((0..VOXELS).map(|i| (noise(i) as u8).to_le_bytes())),
            typed(256, 8).stored((0..VOXELS).map(|i| (noise(i) as u8).to_le_bytes())),
            typed(4, 16).stored((0..VOXELS).map(|i| (noise(i) as u16).to_le_bytes())),
            typed(512, 16).stored((0..VOXELS).map(|i| (noise(i) as u16).to_le_bytes())),
            typed(8, 32).stored((0..VOXELS).map(|i| (noise(i) as u32).to_le_bytes())),
            typed(768, 32).stored((0..VOXELS).map(|i| (noise(i) as u32).to_le_bytes())),
            typed(1024, 64).stored((0..VOXELS).map(|i| noise(i).to_le_bytes())),
            typed(1280, 64).stored((0..VOXELS).map(|i| noise(i).to_le_bytes())),
            typed(16, 32).stored((0..VOXELS).map(|i| (noise(i) as f32).to_le_bytes())),
            typed(64, 64).stored((0..VOXELS).map(|i| (noise(i) as f64).to_le_bytes())),
            plain.clone().reals(Field::Srow, &[0.5, 0.1, 0., -3., 0., 2., 0., 4., 0.2, 0., -1., 9.]),
            plain.clone().reals(Field::Slope, &[0.25]).reals(Field::Inter, &[-8.0]),
        ]
        .into_iter()
        .enumerate()
        {
            let path = dir.path().join(format!("{index}_{big_endian}.nii.gz"));
            std::fs::write(&path, gzip(&file.bytes())).unwrap();
            agree(&path);
        }
    }
}

#[test]
fn real_files_read_the_same() {
    let Some(root) = std::env::var_os("DICEWISE_DATA") else {
        eprintln!("skipped: DICEWISE_DATA is not set");
        return;
    };
    let root = Path::new(&root);
    agree(&root.join("brats_demo/case_0/FLAIR.nii.gz"));
    agree(&root.join("acdc/training/patient001/patient001_frame01.nii.gz"));
    for entry in std::fs::read_dir(root.join("hippocampus/imagesTr")).unwrap() {
        agree(&entry.unwrap().path());
    }
}
