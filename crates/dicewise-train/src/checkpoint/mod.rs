//! Saving and restoring a training: one safetensors file, written so that a crash leaves the old one whole, and sealed
//! so that no damage goes unnoticed.
//!
//! A file holds the weights (`network.…`), the optimiser's moments (`adam.first.…`, `adam.second.…`), and as its last
//! tensor, `sha256`, the digest of every byte before. What is no tensor is JSON in the metadata, under `dicewise`:
//! [`Progress`] and the optimiser's step. Generators have no state to save: whatever is drawn is a function of the
//! seed, which the configuration's fingerprint covers, and of the iteration.
mod file;
mod tensors;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Tensor;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use crate::empty_class::EmptyClassDetector;
use crate::exact;
use crate::optimizer::{Adam, Moments, to_vec};
use crate::schedule::ScheduleState;
use crate::warm_up::GrowthWatch;
use tensors::{Loader, Named, Values, count_values, named_tensors};

/// Raised when the meaning of a checkpoint changes.
const FORMAT: u32 = 2;
/// Bytes of JSON that are read at most. The paper's larger network needs 40 KB.
const MAX_HEADER: u64 = 1 << 20;

/// Where a training stands, besides its weights.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Iterations done; times the batch size, the samples drawn.
    pub iteration: usize,
    /// State of the learning-rate schedule.
    pub schedule: ScheduleState,
    /// Lowest validation loss so far.
    #[serde(with = "exact::option")]
    pub best_validation: Option<f64>,
    /// Whether the schedule has ended the training early.
    pub stopped: bool,
    /// What has been seen of the classes' predicted sizes since the last verdict.
    pub(crate) empty_class: EmptyClassDetector,
    /// What ε warm-up by growth has seen.
    #[serde(default, skip_serializing_if = "GrowthWatch::is_new")]
    pub(crate) growth: GrowthWatch,
    /// Describes the configuration; a checkpoint is only resumed under the same one.
    pub config: String,
}

#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    adam_step: u64,
    progress: Progress,
}

/// What can be wrong with a checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is not what was written: it is cut, changed or something else altogether.
    #[error(
        "{path}: damaged, or not a dicewise checkpoint ({reason}); put back a copy of it, or delete it to start over"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How it shows.
        reason: String,
    },
    /// The file is whole, but not a checkpoint of this network or of this version.
    #[error(
        "{path}: not a dicewise checkpoint ({reason}); delete the file or choose another output folder to start over"
    )]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The checkpoint belongs to another configuration.
    #[error(
        "{path}: written under another configuration; use another output folder, or restore the experiment file it was made with"
    )]
    OtherConfiguration {
        /// The file.
        path: PathBuf,
    },
}

impl CheckpointError {
    /// Neither of two checkpoints is whole.
    pub(crate) fn and_the_one_before(self, previous: Self) -> Self {
        match (self, previous) {
            (Self::Damaged { path, reason }, Self::Damaged { path: before, reason: why }) => {
                let reason = format!("{reason}; neither is the one before, {}: {why}", before.display());
                Self::Damaged { path, reason }
            }
            (first, _) => first,
        }
    }
}

/// Writes network, optimiser and progress to `path`, replacing it in one step.
///
/// # Errors
/// If the file cannot be written; an older checkpoint at `path` is then left as it was.
pub fn save<M: Module>(
    path: &Path,
    network: &M,
    adam: &Adam,
    progress: &Progress,
) -> Result<(), CheckpointError> {
    write(path, None, network, adam, progress)
}

/// As [`save`], but what was at `path` is kept as `previous`.
///
/// At every moment one of the two is a whole checkpoint, and [`Trainer::resume`](crate::Trainer::resume) finds it.
///
/// # Errors
/// As [`save`].
pub fn save_keeping<M: Module>(
    path: &Path,
    previous: &Path,
    network: &M,
    adam: &Adam,
    progress: &Progress,
) -> Result<(), CheckpointError> {
    write(path, Some(previous), network, adam, progress)
}

fn write<M: Module>(
    path: &Path,
    previous: Option<&Path>,
    network: &M,
    adam: &Adam,
    progress: &Progress,
) -> Result<(), CheckpointError> {
    let mut tensors = named_tensors(network);
    for (name, moments) in &adam.moments {
        for (kind, tensor) in [("first", &moments.first), ("second", &moments.second)] {
            let values = to_vec(tensor.clone());
            tensors.insert(format!("adam.{kind}.{name}"), Values { shape: vec![values.len()], values });
        }
    }
    let header = Header { format: FORMAT, adam_step: adam.step, progress: progress.clone() };
    let header = serde_json::to_string(&header).expect("plain data serialises");
    let metadata = HashMap::from([("dicewise".to_string(), header)]);
    let bytes = file::sealed(&tensors, metadata);
    file::replace(path, previous, &bytes)
        .map_err(|source| CheckpointError::Io { path: path.to_path_buf(), source })
}

/// Restores what [`save`] wrote into a network of the same configuration.
///
/// No more is read than a checkpoint of this network can have, and nothing in the file is executed.
///
/// # Errors
/// If the file cannot be read, is damaged, belongs to another network or, when `config` is given,
/// to another configuration.
pub fn load<M: Module>(
    path: &Path,
    network: M,
    l2: f64,
    config: Option<&str>,
) -> Result<(M, Adam, Progress), CheckpointError> {
    let damaged = |reason: String| CheckpointError::Damaged { path: path.to_path_buf(), reason };
    let invalid = |reason: String| CheckpointError::Invalid { path: path.to_path_buf(), reason };
    // Weights and two moments of each, four bytes a value.
    let longest = 8 + MAX_HEADER + 12 * count_values(&network) + file::SEAL_BYTES as u64;
    let bytes = file::read(path, longest)
        .map_err(|source| CheckpointError::Io { path: path.to_path_buf(), source })?
        .ok_or_else(|| damaged(format!("a checkpoint of this network has at most {longest} bytes")))?;
    let header = read_header(&bytes);
    if !file::is_sealed(&bytes) {
        let mismatch = || "its checksum does not match its contents".to_owned();
        return Err(damaged(header.err().unwrap_or_else(mismatch)));
    }
    let header = header.map_err(invalid)?;
    if config.is_some_and(|config| config != header.progress.config) {
        return Err(CheckpointError::OtherConfiguration { path: path.to_path_buf() });
    }
    let mut loader = Loader::new(read_tensors(&bytes).map_err(invalid)?);
    drop(bytes);
    let network = network.map(&mut loader);
    if let Some(problem) = loader.problem.take() {
        return Err(invalid(problem));
    }
    let moments = read_moments(loader).map_err(invalid)?;
    Ok((network, Adam::restored(l2, header.adam_step, moments), header.progress))
}

fn read_header(bytes: &[u8]) -> Result<Header, String> {
    let length = bytes.first_chunk().map_or(0, |&first| u64::from_le_bytes(first));
    if length > MAX_HEADER {
        return Err(format!("its header claims {length} bytes, more than {MAX_HEADER}"));
    }
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
    let header = metadata.metadata().as_ref().and_then(|m| m.get("dicewise"));
    let header = header.ok_or("it has no dicewise header")?;
    // The format first: another one may have another header.
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let Format { format } = serde_json::from_str(header).map_err(|e| e.to_string())?;
    if format != FORMAT {
        return Err(format!("format {format}, this program reads {FORMAT}"));
    }
    serde_json::from_str(header).map_err(|e| e.to_string())
}

fn read_tensors(bytes: &[u8]) -> Result<Named, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
    let mut tensors = Named::new();
    for (name, view) in file.tensors() {
        if name == file::SEAL {
            continue;
        }
        if view.dtype() != Dtype::F32 {
            return Err(format!("tensor {name} is {:?}, not F32", view.dtype()));
        }
        let (words, _) = view.data().as_chunks::<4>();
        let values = words.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        tensors.insert(name, Values { shape: view.shape().to_vec(), values });
    }
    Ok(tensors)
}

/// What is left when the network has taken its weights.
fn read_moments(loader: Loader) -> Result<BTreeMap<String, Moments>, String> {
    let mut moments = BTreeMap::new();
    let device = loader.device.unwrap_or_default();
    let mut first: BTreeMap<String, Tensor<1>> = BTreeMap::new();
    for (name, Values { shape, values }) in loader.tensors {
        let parameter = name.strip_prefix("adam.first.").or_else(|| name.strip_prefix("adam.second."));
        if parameter.is_some_and(|parameter| loader.sizes.get(parameter) != Some(&values.len())) {
            return Err(format!("tensor {name} has shape {shape:?}, unlike what it is a moment of"));
        }
        let tensor = |values: Vec<f32>| Tensor::<1>::from_floats(values.as_slice(), &device);
        if let Some(name) = name.strip_prefix("adam.first.") {
            first.insert(name.to_string(), tensor(values));
        } else if let Some(name) = name.strip_prefix("adam.second.") {
            // Names are sorted, so every `first` has been seen.
            let first = first.remove(name).ok_or_else(|| format!("adam.first.{name} is missing"))?;
            moments.insert(name.to_string(), Moments { first, second: tensor(values) });
        } else {
            return Err(format!("unexpected tensor {name}"));
        }
    }
    match first.keys().next() {
        Some(name) => Err(format!("adam.second.{name} is missing")),
        None => Ok(moments),
    }
}
