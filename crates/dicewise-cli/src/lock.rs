//! One process at a time writes to a folder.
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use crate::run_error::RunError;
use crate::stdout;

/// The locked file. It stays where it is: to remove it while another process waits for it would let in two.
const LOCK: &str = ".dicewise.lock";

/// A folder that no other process writes to. The operating system gives it back when the process ends, however it ends.
pub(crate) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Creates the folder if need be, and takes it.
    ///
    /// # Errors
    /// If the folder cannot be written to, or another process has it.
    pub(crate) fn take(folder: &Path) -> Result<Self, RunError> {
        fs::create_dir_all(folder).map_err(RunError::io(folder))?;
        let path = folder.join(LOCK);
        let open = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(RunError::io(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                // Only for the message.
                let _ = file.take(100).read_to_string(&mut owner);
                return Err(RunError::InUse { folder: folder.to_owned(), owner: owner.trim().to_owned() });
            }
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => stdout::note(
                &format!("warning: {} cannot be locked: let no other process write there", folder.display()),
            ),
            Err(TryLockError::Error(error)) => return Err(RunError::io(path)(error)),
        }
        // Also tells whether the disk has room for anything at all.
        let owner = format!("process {}\n", std::process::id());
        file.set_len(0).and_then(|()| file.write_all(owner.as_bytes())).map_err(RunError::io(&path))?;
        Ok(Self { _file: file })
    }

    /// Removes what killed processes left half-written in the folder; nobody else is writing.
    pub(crate) fn remove_leftovers(&self, folder: &Path) -> Result<(), RunError> {
        for entry in entries(folder)? {
            let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let hidden = name.starts_with('.') && (name.ends_with(".tmp") || name.ends_with(".partial"));
            if hidden || name.ends_with(".safetensors.tmp") {
                fs::remove_file(&entry).map_err(RunError::io(&entry))?;
            }
        }
        Ok(())
    }
}

/// Whether a folder has anything in it, besides a lock.
pub(crate) fn holds_files(folder: &Path) -> Result<bool, RunError> {
    Ok(entries(folder)?.iter().any(|entry| entry.file_name().is_some_and(|name| name != LOCK)))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, RunError> {
    let list = || fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect();
    match list() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries.map_err(RunError::io(folder)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_taken_once_and_free_again_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("a/b");
        let lock = FolderLock::take(&out).unwrap();
        let error = FolderLock::take(&out).err().expect("it is taken");
        assert!(
            matches!(&error, RunError::InUse { owner, .. } if owner.starts_with("process ")),
            "{error:?}"
        );
        drop(lock);
        FolderLock::take(&out).unwrap();
        assert!(!holds_files(&out).unwrap());
    }

    #[test]
    fn only_half_written_files_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| fs::write(folder.path().join(name), "x").unwrap();
        let kept = ["cases.csv", "checkpoint_latest.safetensors", "notes.tmp", ".hidden"];
        let removed = [".cases.csv.12.0.tmp", "checkpoint_latest.safetensors.tmp", ".c.nii.gz.12-0.partial"];
        kept.into_iter().chain(removed).for_each(write);
        FolderLock::take(folder.path()).unwrap().remove_leftovers(folder.path()).unwrap();
        assert!(kept.iter().all(|name| folder.path().join(name).exists()));
        assert!(!removed.iter().any(|name| folder.path().join(name).exists()));
        assert!(holds_files(folder.path()).unwrap());
    }
}
