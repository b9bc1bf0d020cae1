use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use dicewise_train::checkpoint::{self, CheckpointError, Progress};
use dicewise_train::{Adam, Normalisation, Trainer, TrainingConfig, UNet, UNetConfig};
use safetensors::tensor::{Dtype, TensorView};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::setup::{Record, balls, config, network, tracking};

const L2: f64 = 1e-5;

/// The checkpoint of a short training, with moments and running statistics.
struct Good {
    folder: TempDir,
    bytes: Vec<u8>,
    /// Length of the JSON between the first 8 bytes and the data.
    header: usize,
}

impl Good {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("good");
        let config = TrainingConfig { checkpoint: Some((path.clone(), 2)), ..config(2) };
        let mut trainer = Trainer::new(config, network(Normalisation::Batch, 1), tracking());
        Record::default().run(&mut trainer, &balls(2), &balls(2)).unwrap();
        let bytes = fs::read(&path).unwrap();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        Self { folder, bytes, header }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("good")
    }

    fn load_bytes(&self, bytes: &[u8]) -> Result<UNet, CheckpointError> {
        let path = self.folder.path().join("damaged");
        fs::write(&path, bytes).unwrap();
        load(&path, network(Normalisation::Batch, 2))
    }

    /// The same file with other tensors.
    fn with_tensors(&self, change: impl Fn(&str, &mut Vec<usize>, &mut Vec<u8>) -> bool) -> Vec<u8> {
        let (_, metadata) = safetensors::SafeTensors::read_metadata(&self.bytes).unwrap();
        let file = safetensors::SafeTensors::deserialize(&self.bytes).unwrap();
        let mut tensors = Vec::new();
        for (name, view) in file.tensors().into_iter().filter(|(name, _)| name != "sha256") {
            let (mut shape, mut data) = (view.shape().to_vec(), view.data().to_vec());
            if change(&name, &mut shape, &mut data) {
                tensors.push((name, shape, data));
            }
        }
        serialise(&tensors, metadata.metadata().clone())
    }
}

/// A whole file with a right checksum, as somebody who means harm could make it.
fn serialise(
    tensors: &[(String, Vec<usize>, Vec<u8>)],
    metadata: Option<HashMap<String, String>>,
) -> Vec<u8> {
    let views = tensors.iter().map(|(name, shape, data)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), data).unwrap())
    });
    serialise_views(views, metadata)
}

fn serialise_views<'a>(
    views: impl Iterator<Item = (&'a str, TensorView<'a>)>,
    metadata: Option<HashMap<String, String>>,
) -> Vec<u8> {
    let seal = TensorView::new(Dtype::U8, vec![32], &[0; 32]).unwrap();
    sealed(safetensors::serialize(views.chain([("sha256", seal)]), metadata).unwrap())
}

/// The last 32 bytes are the SHA-256 of the others.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let (rest, seal) = bytes.split_last_chunk_mut::<32>().unwrap();
    seal.copy_from_slice(&Sha256::digest(rest));
    bytes
}

fn load(path: &Path, network: UNet) -> Result<UNet, CheckpointError> {
    checkpoint::load(path, network, L2, Some("a configuration")).map(|(network, _, _)| network)
}

#[track_caller]
fn assert_refused(found: Result<UNet, CheckpointError>, reason: &str) {
    let error = found.expect_err("the file should have been refused");
    let refused = matches!(error, CheckpointError::Invalid { .. } | CheckpointError::Damaged { .. });
    assert!(refused, "{error:?}");
    let message = error.to_string();
    assert!(message.contains(reason), "`{message}` does not say `{reason}`");
}

#[test]
fn the_undamaged_file_is_accepted() {
    let good = Good::new();
    assert!(good.load_bytes(&good.bytes).is_ok());
}

#[test]
fn a_truncated_file_is_refused_wherever_it_ends() {
    let good = Good::new();
    let length = good.bytes.len();
    let data = 8 + good.header;
    let mut ends =
        vec![0, 1, 7, 8, 9, data - 1, data, data + 1, data + (length - data) / 2, length - 4, length - 1];
    ends.extend((0..length).step_by(997));
    for end in ends {
        let found = good.load_bytes(&good.bytes[..end]);
        assert!(matches!(found, Err(CheckpointError::Damaged { .. })), "the first {end} of {length} bytes");
    }
}

#[test]
fn bytes_after_the_end_are_refused() {
    let good = Good::new();
    assert_refused(good.load_bytes(&[&good.bytes[..], &[0; 4]].concat()), "not a dicewise checkpoint");
}

#[test]
fn the_length_of_the_header_is_not_trusted() {
    let good = Good::new();
    for length in [0, 1, good.header as u64 - 1, good.header as u64 + 1, 1 << 40, u64::MAX, u64::MAX - 8] {
        let bytes = sealed([&length.to_le_bytes()[..], &good.bytes[8..]].concat());
        assert_refused(good.load_bytes(&bytes), "not a dicewise checkpoint");
    }
}

#[test]
fn safetensors_of_other_programs_are_refused() {
    let good = Good::new();
    let tensor = [("weight".to_string(), vec![2], vec![0; 8])];
    assert_refused(good.load_bytes(&serialise(&tensor, None)), "no dicewise header");
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    assert_refused(good.load_bytes(&serialise(&tensor, Some(metadata))), "no dicewise header");
    for header in ["", "{}", "[1, 2]", "{\"format\":2,\"adam_step\":-1}"] {
        let metadata = HashMap::from([("dicewise".to_string(), header.to_string())]);
        assert_refused(good.load_bytes(&serialise(&tensor, Some(metadata))), "not a dicewise checkpoint");
    }
    assert_refused(good.load_bytes(b"<!DOCTYPE html><html></html>"), "not a dicewise checkpoint");
}

#[test]
fn a_later_format_is_refused_by_its_number() {
    let good = Good::new();
    let text = String::from_utf8(good.bytes[8..8 + good.header].to_vec()).unwrap();
    let later = text.replace("\\\"format\\\":2", "\\\"format\\\":7");
    assert_ne!(later, text);
    let bytes = sealed([&good.bytes[..8], later.as_bytes(), &good.bytes[8 + good.header..]].concat());
    let error = good.load_bytes(&bytes).unwrap_err();
    // Whole, so nothing to fall back from: a later version wrote it.
    assert!(matches!(error, CheckpointError::Invalid { .. }), "{error:?}");
    assert!(error.to_string().contains("format 7, this program reads 2"), "{error}");
}

#[test]
fn a_checkpoint_of_another_network_is_refused() {
    let good = Good::new();
    let small = |base, levels| UNetConfig::small(1, 1, base, levels);
    let batch = |config| UNetConfig { normalisation: Normalisation::Batch, ..config };
    let cases = [
        (batch(small(4, 2)), "has shape"),
        (batch(small(3, 3)), "is missing"),
        (batch(small(3, 1)), "has shape"),
        (small(3, 2), "unexpected tensor network.bottom.first.norm.running.mean"),
    ];
    for (config, reason) in cases {
        assert_refused(load(&good.path(), config.init(1, &tracking())), reason);
    }
}

#[test]
fn moments_that_do_not_fit_their_weights_are_refused() {
    let good = Good::new();
    let name = "head.conv.kernel";
    for kind in ["adam.first", "adam.second"] {
        let this = format!("{kind}.{name}");
        let shorter = good.with_tensors(|name, shape, data| {
            if name == this {
                shape[0] -= 1;
                data.truncate(data.len() - 4);
            }
            true
        });
        assert_refused(good.load_bytes(&shorter), &this);
        let without = good.with_tensors(|name, _, _| name != this);
        assert_refused(good.load_bytes(&without), name);
    }
    let without_weights = good.with_tensors(|name, _, _| name != "network.head.conv.kernel");
    assert_refused(good.load_bytes(&without_weights), "network.head.conv.kernel is missing");
}

#[test]
fn moments_of_unknown_weights_are_refused() {
    let good = Good::new();
    let mut tensors = Vec::new();
    for kind in ["adam.first", "adam.second"] {
        tensors.push((format!("{kind}.head.conv.kernle"), vec![3], vec![0; 12]));
    }
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&good.bytes).unwrap();
    let file = safetensors::SafeTensors::deserialize(&good.bytes).unwrap();
    for (name, view) in file.tensors().into_iter().filter(|(name, _)| name != "sha256") {
        tensors.push((name, view.shape().to_vec(), view.data().to_vec()));
    }
    let bytes = serialise(&tensors, metadata.metadata().clone());
    assert_refused(good.load_bytes(&bytes), "kernle");
}

#[test]
fn weights_in_another_precision_are_refused() {
    let good = Good::new();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&good.bytes).unwrap();
    let data = [0; 16];
    let view = TensorView::new(Dtype::F64, vec![2], &data).unwrap();
    let bytes = serialise_views([("network.x", view)].into_iter(), metadata.metadata().clone());
    assert_refused(good.load_bytes(&bytes), "F64, not F32");
}

#[test]
fn a_missing_file_is_an_io_error_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("nothing"), folder.path().to_path_buf()] {
        let error = load(&path, network(Normalisation::Batch, 2)).unwrap_err();
        assert!(matches!(&error, CheckpointError::Io { path: p, .. } if *p == path), "{error:?}");
    }
}

#[test]
fn a_save_that_fails_leaves_the_old_checkpoint_and_no_rubbish() {
    let good = Good::new();
    let save = |path: &Path| {
        checkpoint::save(path, &network(Normalisation::Batch, 3), &Adam::new(L2), &Progress::default())
    };
    // A folder in the place of the file cannot be replaced by it.
    let folder = good.folder.path().join("folder");
    fs::create_dir(&folder).unwrap();
    assert!(matches!(save(&folder), Err(CheckpointError::Io { .. })));
    assert!(matches!(save(&good.folder.path().join("no/such/folder")), Err(CheckpointError::Io { .. })));
    let mut names: Vec<_> =
        fs::read_dir(good.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["folder", "good"]);
    assert!(fs::read(good.path()).unwrap() == good.bytes);
}
