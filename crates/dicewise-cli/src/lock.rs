//! One process at a time writes to a folder, or several that each have a folder inside it.
use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use crate::owner::Owner;
use crate::run_error::RunError;
use crate::stdout;

/// The locked file. It goes with the lock; that of a killed process stays, and is free.
const LOCK: &str = ".dicewise.lock";

/// How often a folder is tried whose lock file is removed by the process before while we reach for it.
const ATTEMPTS: usize = 100;
/// How often, and after how long, a lock is tried that another process has: `dicewise status` takes it for a moment.
const TRIES: usize = 10;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);
/// At most this much is read of who has a lock.
const OWNER_BYTES: u64 = 400;

/// What processes that share a folder keep there while they work; it goes with the last of them.
pub(crate) const SCRATCH: &str = "prepared";

/// A folder that no other process writes to, or only such that share it. The operating system gives it back when the
/// process ends, however it ends.
pub(crate) struct FolderLock {
    file: File,
    path: PathBuf,
    /// The folder and those above it, as far as they did not exist, the deepest first.
    made: Vec<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Alone,
    Shared,
}

impl FolderLock {
    /// Creates the folder if need be, and takes it.
    ///
    /// # Errors
    /// If the folder cannot be written to, or another process has it.
    pub(crate) fn take(folder: &Path) -> Result<Self, RunError> {
        let lock = Self::reach(folder, Kind::Alone)?;
        lock.remove_scratch().map_err(RunError::io(folder))?;
        Ok(lock)
    }

    /// Creates the folder if need be, and shares it with others that do: each writes to folders inside it that it has
    /// taken for itself.
    ///
    /// # Errors
    /// If the folder cannot be written to, or another process has it for itself.
    pub(crate) fn share(folder: &Path) -> Result<Self, RunError> {
        // What killed processes left must not be taken for what those that share the folder have made.
        match Self::reach(folder, Kind::Alone) {
            Ok(first) => first.remove_scratch().map_err(RunError::io(folder))?,
            Err(RunError::InUse { .. }) => {}
            Err(error) => return Err(error),
        }
        Self::reach(folder, Kind::Shared)
    }

    fn reach(folder: &Path, kind: Kind) -> Result<Self, RunError> {
        let path = folder.join(LOCK);
        let reach = || {
            fs::create_dir_all(folder).map_err(|error| (folder, error))?;
            let open = File::options().read(true).write(true).create(true).truncate(false).open(&path);
            open.map_err(|error| (path.as_path(), error))
        };
        for attempt in 1..=ATTEMPTS {
            let made = folder.ancestors().take_while(|folder| !folder.exists()).map(Path::to_owned).collect();
            let file = match reach() {
                Ok(file) => file,
                // The process before may have removed the folder under our hands.
                Err((_, error))
                    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists)
                        && attempt < ATTEMPTS =>
                {
                    continue;
                }
                Err((place, error)) => return Err(RunError::io(place)(error)),
            };
            lock(&file, kind, folder, &path)?;
            if is_at(&file, &path).map_err(RunError::io(&path))? {
                let mut lock = Self { file, path, made };
                // Also tells whether the disk has room for anything at all.
                let owner = match kind {
                    Kind::Alone => format!("{}\n", Owner::this_process()),
                    // All of them write the same.
                    Kind::Shared => {
                        "single trainings of its grid, which `dicewise status` lists\n".to_owned()
                    }
                };
                let write = |file: &mut File| file.set_len(0).and_then(|()| file.write_all(owner.as_bytes()));
                write(&mut lock.file).map_err(RunError::io(&lock.path))?;
                return Ok(lock);
            }
        }
        Err(RunError::InUse { folder: folder.to_owned(), owner: String::new() })
    }

    /// Who has a folder, or had it when it was killed: none if it was given back. The flag is whether it has it now.
    pub(crate) fn owner(folder: &Path) -> io::Result<Option<(String, bool)>> {
        let mut file = match File::open(folder.join(LOCK)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let taken = match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => true,
            // Where folders cannot be locked nobody can say.
            Ok(()) | Err(TryLockError::Error(_)) => false,
        };
        let mut owner = String::new();
        Read::by_ref(&mut file).take(OWNER_BYTES).read_to_string(&mut owner)?;
        Ok(Some((owner.trim().to_owned(), taken)))
    }

    fn remove_scratch(&self) -> io::Result<()> {
        match fs::remove_dir_all(self.path.with_file_name(SCRATCH)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
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

/// Nothing is left of a lock, nor of a folder that was made for it and is still empty.
impl Drop for FolderLock {
    fn drop(&mut self) {
        // A lock that others share stays theirs.
        if matches!(self.file.try_lock(), Err(TryLockError::WouldBlock)) {
            return;
        }
        // What cannot be removed is removed by the next process.
        let _ = self.remove_scratch();
        // While it is locked: whoever reaches for it now finds that it is not at its place any more.
        if cfg!(unix) && is_at(&self.file, &self.path).unwrap_or(false) && fs::remove_file(&self.path).is_ok()
        {
            // Up to the first that holds something.
            let _ = self.made.iter().try_for_each(fs::remove_dir);
        }
    }
}

/// Takes the file, unless another process has it.
fn lock(file: &File, kind: Kind, folder: &Path, path: &Path) -> Result<(), RunError> {
    for attempt in 1.. {
        let locked = match kind {
            Kind::Alone => file.try_lock(),
            Kind::Shared => file.try_lock_shared(),
        };
        match locked {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if attempt < TRIES => sleep(BETWEEN_TRIES),
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                // Only for the message.
                let _ = file.take(OWNER_BYTES).read_to_string(&mut owner);
                return Err(RunError::InUse { folder: folder.to_owned(), owner: owner.trim().to_owned() });
            }
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
                let folder = folder.display();
                stdout::note(&format!(
                    "warning: {folder} cannot be locked: let no other process write there"
                ));
                break;
            }
            Err(TryLockError::Error(error)) => return Err(RunError::io(path)(error)),
        }
    }
    Ok(())
}

/// Whether the file is still what the path names. If not, the process before has removed it, and its lock is no one's.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata()?, fs::metadata(path)) {
        (open, Ok(named)) => Ok((open.dev(), open.ino()) == (named.dev(), named.ino())),
        (_, Err(error)) if error.kind() == ErrorKind::NotFound => Ok(false),
        (_, Err(error)) => Err(error),
    }
}

/// Files have no identity here that the standard library knows, so lock files are not removed.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

/// Where a file is written before it is renamed. Processes of several machines may write the same file, and numbers of
/// processes are the same in many containers.
pub(crate) fn half_written(path: &Path) -> PathBuf {
    let random = RandomState::new().build_hasher().finish();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{random:016x}.tmp"))
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
    #[cfg(unix)]
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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

    /// Whoever waits for a lock file that is removed meanwhile must not take it for the folder's.
    #[cfg(unix)]
    #[test]
    fn processes_that_come_and_go_are_never_in_a_folder_together() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("a/b");
        let (inside, taken) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        match FolderLock::take(&out) {
                            Ok(lock) => {
                                assert!(!inside.swap(true, Ordering::SeqCst), "two have the folder");
                                taken.fetch_add(1, Ordering::SeqCst);
                                std::thread::yield_now();
                                inside.store(false, Ordering::SeqCst);
                                drop(lock);
                            }
                            Err(RunError::InUse { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
            }
        });
        assert!(taken.into_inner() > 0);
        assert!(!out.join(LOCK).exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_was_made_for_nothing_is_gone_with_the_lock_and_any_other_stays() {
        let folder = tempfile::tempdir().unwrap();
        let made = folder.path().join("a/b/c");
        drop(FolderLock::take(&made).unwrap());
        assert!(!folder.path().join("a").exists());

        // Empty, but somebody else's.
        fs::create_dir_all(&made).unwrap();
        drop(FolderLock::take(&made).unwrap());
        assert_eq!(fs::read_dir(&made).unwrap().count(), 0);

        let used = made.join("d/e");
        let lock = FolderLock::take(&used).unwrap();
        fs::write(used.join("cases.csv"), "x").unwrap();
        drop(lock);
        assert_eq!(entries(&used).unwrap(), [used.join("cases.csv")]);
    }

    #[test]
    fn what_processes_share_goes_with_the_last_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let (out, shared) = (folder.path().join("out"), folder.path().join("out").join(SCRATCH));
        let case = shared.join("case_0");
        fs::create_dir_all(&shared).unwrap();
        fs::write(&case, "left by a process that was killed").unwrap();
        let first = FolderLock::share(&out).unwrap();
        assert!(!shared.exists());

        fs::create_dir(&shared).unwrap();
        fs::write(&case, "x").unwrap();
        let second = FolderLock::share(&out).unwrap();
        assert!(case.exists(), "the first still needs it");
        drop(first);
        assert!(case.exists(), "the second still needs it");
        assert!(matches!(FolderLock::take(&out), Err(RunError::InUse { .. })), "nobody has it alone");
        drop(second);
        assert!(!shared.exists());
        assert!(!cfg!(unix) || !out.join(LOCK).exists());

        let alone = FolderLock::take(&out).unwrap();
        assert!(matches!(FolderLock::share(&out), Err(RunError::InUse { .. })));
        drop(alone);
    }

    #[test]
    fn who_has_a_folder_can_be_asked_without_taking_it() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        assert_eq!(FolderLock::owner(&out).unwrap(), None);
        let lock = FolderLock::take(&out).unwrap();
        let (owner, taken) = FolderLock::owner(&out).unwrap().expect("it is taken");
        assert!(taken && owner.starts_with(&format!("process {}", std::process::id())), "{owner}");
        drop(lock);
        // As a killed process leaves it.
        fs::create_dir_all(&out).unwrap();
        fs::write(out.join(LOCK), "process 7 on node1, since 2026-01-31T12:00:00Z\n").unwrap();
        let expected = ("process 7 on node1, since 2026-01-31T12:00:00Z".to_owned(), false);
        assert_eq!(FolderLock::owner(&out).unwrap(), Some(expected));
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
