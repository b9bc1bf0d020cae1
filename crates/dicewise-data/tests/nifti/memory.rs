use dicewise_data::nifti::{NiftiError, Reader};

use crate::header_bytes::{Field, FileBytes};

/// Set for the copy of this program that has little memory.
const CHILD: &str = "DICEWISE_TEST_OF_LITTLE_MEMORY";

/// 2²⁹ voxels of one byte in a sparse file: as `f32` they need 2 GiB.
#[test]
fn no_memory_for_the_voxels_is_an_error() {
    if let Some(path) = std::env::var_os(CHILD) {
        let error = Reader::default().channels(&path).expect_err("2 GiB of 1 GiB");
        assert!(matches!(error, NiftiError::OutOfMemory { voxels: 536_870_912, .. }), "{error}");
        let error = Reader::default().labels(&path).expect_err("1 GiB of 1 GiB");
        assert!(matches!(error, NiftiError::OutOfMemory { .. }), "{error}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.nii");
    let mut file = FileBytes::nifti1(false).integers(Field::Dim, &[3, 1024, 1024, 512]).datatype(2, 8);
    file.voxels.clear();
    std::fs::write(&path, file.bytes()).unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(352 + (1 << 29)).unwrap();
    let limited = std::process::Command::new("sh")
        .args(["-c", "ulimit -v 1000000 && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "memory::no_memory_for_the_voxels_is_an_error", "--nocapture"])
        .env(CHILD, &path)
        .output();
    let Ok(output) = limited else {
        eprintln!("skipped: no shell that limits memory");
        return;
    };
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
