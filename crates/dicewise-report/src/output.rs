//! Output files appear whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ReportError;

/// Writes `bytes` to `path` by way of a temporary file in the same folder and a rename.
///
/// A reader sees the old file or the new one, never a part; a failure leaves the old file as it was. The folder must
/// exist.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    write_and_rename(path, bytes, true).map_err(|source| ReportError::Write { path: path.into(), source })
}

/// As [`write_atomically`], of a file that can be written again from others: it does not wait for the disk, which a
/// report with a hundred figures would do for seconds.
pub(crate) fn write_figure(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    write_and_rename(path, bytes, false).map_err(|source| ReportError::Write { path: path.into(), source })
}

fn write_and_rename(path: &Path, bytes: &[u8], wait_for_disk: bool) -> io::Result<()> {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not the path of a file"))?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    // Two processes or two threads may write the same file at once.
    temporary.push(format!(".{}.{}.tmp", std::process::id(), WRITES.fetch_add(1, Ordering::Relaxed)));
    let temporary = path.with_file_name(temporary);
    let written = File::create_new(&temporary)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            // Without this a power cut may leave the new name on an empty file.
            if wait_for_disk { file.sync_all() } else { Ok(()) }
        })
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}
