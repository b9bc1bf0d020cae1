//! The bytes of a checkpoint: sealed, written in one step, read within bounds.
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use safetensors::{Dtype, View};
use sha2::{Digest, Sha256};

use super::tensors::{Named, Values};

/// The last tensor: SHA-256 of every byte before it. `head -c -32 FILE | sha256sum` computes the same.
pub(super) const SEAL: &str = "sha256";
pub(super) const SEAL_BYTES: usize = 32;

/// A safetensors file of these tensors, sealed.
pub(super) fn sealed(tensors: &Named, metadata: HashMap<String, String>) -> Vec<u8> {
    let tensors = tensors.iter().map(|(name, values)| (name.as_str(), Entry::Values(values)));
    // The format sorts by size of type, so bytes come after floats and the seal is last.
    let entries = tensors.chain([(SEAL, Entry::Seal)]);
    let mut file = safetensors::serialize(entries, Some(metadata)).expect("valid views serialise");
    let end = file.len() - SEAL_BYTES;
    let digest = Sha256::digest(&file[..end]);
    file[end..].copy_from_slice(&digest);
    file
}

/// Whether a file ends with the digest of the rest.
pub(super) fn is_sealed(file: &[u8]) -> bool {
    file.split_last_chunk::<SEAL_BYTES>().is_some_and(|(rest, seal)| Sha256::digest(rest)[..] == seal[..])
}

enum Entry<'a> {
    Values(&'a Values),
    /// Zeros, until the digest is known.
    Seal,
}

impl View for Entry<'_> {
    fn dtype(&self) -> Dtype {
        match self {
            Self::Values(_) => Dtype::F32,
            Self::Seal => Dtype::U8,
        }
    }

    fn shape(&self) -> &[usize] {
        match self {
            Self::Values(tensor) => &tensor.shape,
            Self::Seal => &[SEAL_BYTES],
        }
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Values(tensor) => tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Seal => Cow::Borrowed(&[0; SEAL_BYTES]),
        }
    }

    fn data_len(&self) -> usize {
        match self {
            Self::Values(tensor) => 4 * tensor.values.len(),
            Self::Seal => SEAL_BYTES,
        }
    }
}

/// Reads a file of at most `longest` bytes. None if it is longer, of which nothing is kept.
pub(super) fn read(path: &Path, longest: u64) -> io::Result<Option<Vec<u8>>> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    if length > longest {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length as usize)?;
    // A length is only what a file said of itself before.
    file.take(longest + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= longest).then_some(bytes))
}

/// Writes beside the target, flushes to the disk, then renames: a reader sees the old or the new file, whole. The old
/// one becomes `previous`, if that is wanted.
pub(super) fn replace(path: &Path, previous: Option<&Path>, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        // From here to the second rename `previous` is the last checkpoint, and a resumed training looks for it there.
        let kept = previous.map(|previous| fs::rename(path, previous));
        let kept = match kept {
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => None,
            Some(Err(error)) => return Err(error),
            Some(Ok(())) => previous,
            None => None,
        };
        fs::rename(&temporary, path).inspect_err(|_| {
            if let Some(kept) = kept {
                let _ = fs::rename(kept, path);
            }
        })?;
        sync_folder(path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

/// Makes renames in a file's folder survive a power cut.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Elsewhere a folder cannot be opened, and renames are journalled with the file.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
