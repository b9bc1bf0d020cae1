use std::path::{Path, PathBuf};

use burn::tensor::Device;
use dicewise_train::checkpoint::{self, Progress};
use dicewise_train::{Adam, UNet, UNetConfig};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// What a training was configured as; a checkpoint of another configuration is refused.
const CONFIGURATION: &str = "fuzz";
/// A checkpoint ends with the SHA-256 of all bytes before.
const SEAL_BYTES: usize = 32;

struct Fixture {
    folder: TempDir,
    network: UNet,
}

thread_local! {
    static FIXTURE: Fixture = Fixture {
        folder: tempfile::tempdir().expect("a temporary folder"),
        network: UNetConfig::small(1, 1, 1, 1).init(0, &Device::flex()),
    };
}

impl Fixture {
    fn path(&self) -> PathBuf {
        self.folder.path().join("fuzz.safetensors")
    }
}

pub(crate) fn run(bytes: &[u8]) {
    read(bytes);
    // A changed byte is refused for the seal. So that what is behind it is reached too, the seal is renewed.
    if let Some((content, _)) = bytes.split_last_chunk::<SEAL_BYTES>() {
        read(&[content, &Sha256::digest(content)[..]].concat());
    }
}

fn read(bytes: &[u8]) {
    FIXTURE.with(|fixture| {
        let path = fixture.path();
        std::fs::write(&path, bytes).expect("room for a small file");
        if let Err(error) = load(&path, &fixture.network) {
            assert!(error.to_string().contains("fuzz.safetensors"), "{error} does not name the file");
        }
    });
}

fn load(path: &Path, network: &UNet) -> Result<(), checkpoint::CheckpointError> {
    checkpoint::load(path, network.clone(), 0.0, Some(CONFIGURATION)).map(drop)
}

/// The checkpoint of a training that has not begun.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    FIXTURE.with(|fixture| {
        let path = fixture.folder.path().join("seed.safetensors");
        let mut progress = Progress::default();
        progress.iteration = 3;
        progress.best_validation = Some(0.5);
        progress.config = CONFIGURATION.into();
        checkpoint::save(&path, &fixture.network, &Adam::new(0.0), &progress).expect("room for a small file");
        vec![std::fs::read(path).expect("the file just written")]
    })
}

/// Whether a seed is a checkpoint.
#[cfg(test)]
pub(crate) fn is_read(seed: &[u8]) -> bool {
    FIXTURE.with(|fixture| {
        std::fs::write(fixture.path(), seed).unwrap();
        load(&fixture.path(), &fixture.network).is_ok()
    })
}
