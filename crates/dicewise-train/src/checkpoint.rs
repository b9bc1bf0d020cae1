//! Saving and restoring a training: one safetensors file, written so that a crash leaves the old one whole.
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path as FilePath, PathBuf};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use crate::optimizer::{Adam, Moments, to_vec};
use crate::parameters::Path;
use crate::schedule::ScheduleState;

/// Raised when the meaning of a checkpoint changes.
const FORMAT: u32 = 1;

/// Where a training stands, besides its weights.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Iterations done.
    pub iteration: usize,
    /// State of the learning-rate schedule.
    pub schedule: ScheduleState,
    /// Lowest validation loss so far.
    pub best_validation: Option<f64>,
    /// Whether the schedule has ended the training early.
    pub stopped: bool,
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
    /// The file is not a checkpoint of this program.
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

/// Writes network, optimiser and progress to `path`, replacing it in one step.
///
/// # Errors
/// If the file cannot be written; an older checkpoint at `path` is then left as it was.
pub fn save<M: Module>(
    path: &FilePath,
    network: &M,
    adam: &Adam,
    progress: &Progress,
) -> Result<(), CheckpointError> {
    let mut tensors = named_tensors(network);
    for (name, moments) in &adam.moments {
        for (kind, tensor) in [("first", &moments.first), ("second", &moments.second)] {
            let values = to_vec(tensor.clone());
            tensors.insert(format!("adam.{kind}.{name}"), (vec![values.len()], values));
        }
    }
    let header = Header { format: FORMAT, adam_step: adam.step, progress: progress.clone() };
    let header = serde_json::to_string(&header).expect("plain data serialises");
    let metadata = HashMap::from([("dicewise".to_string(), header)]);

    let bytes: BTreeMap<&String, (&Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, values))| (name, (shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())))
        .collect();
    let views = bytes.iter().map(|(name, (shape, bytes))| {
        (name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).expect("four bytes a value"))
    });
    let file = safetensors::serialize(views, Some(metadata)).expect("valid views serialise");
    replace_file(path, &file).map_err(|source| CheckpointError::Io { path: path.to_path_buf(), source })
}

/// Restores what [`save`] wrote into a network of the same configuration.
///
/// # Errors
/// If the file cannot be read, is damaged, belongs to another network or, when `config` is given,
/// to another configuration.
pub fn load<M: Module>(
    path: &FilePath,
    network: M,
    l2: f64,
    config: Option<&str>,
) -> Result<(M, Adam, Progress), CheckpointError> {
    let invalid = |reason: String| CheckpointError::Invalid { path: path.to_path_buf(), reason };
    let bytes = fs::read(path).map_err(|source| CheckpointError::Io { path: path.to_path_buf(), source })?;
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| invalid(e.to_string()))?;
    let header = metadata.metadata().as_ref().and_then(|m| m.get("dicewise"));
    let header = header.ok_or_else(|| invalid("it has no dicewise header".into()))?;
    let header: Header = serde_json::from_str(header).map_err(|e| invalid(e.to_string()))?;
    if header.format != FORMAT {
        return Err(invalid(format!("format {}, this program reads {FORMAT}", header.format)));
    }
    if config.is_some_and(|config| config != header.progress.config) {
        return Err(CheckpointError::OtherConfiguration { path: path.to_path_buf() });
    }
    let file = SafeTensors::deserialize(&bytes).map_err(|e| invalid(e.to_string()))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        if view.dtype() != Dtype::F32 {
            return Err(invalid(format!("tensor {name} is {:?}, not F32", view.dtype())));
        }
        let (words, _) = view.data().as_chunks::<4>();
        let values = words.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        tensors.insert(name, (view.shape().to_vec(), values));
    }

    let mut loader =
        Loader { path: Path::default(), tensors, sizes: BTreeMap::new(), problem: None, device: None };
    let network = network.map(&mut loader);
    if let Some(problem) = loader.problem {
        return Err(invalid(problem));
    }
    let mut adam = Adam::new(l2);
    adam.step = header.adam_step;
    let device = loader.device.unwrap_or_default();
    let mut first: BTreeMap<String, Tensor<1>> = BTreeMap::new();
    for (name, (shape, values)) in loader.tensors {
        let parameter = name.strip_prefix("adam.first.").or_else(|| name.strip_prefix("adam.second."));
        if parameter.is_some_and(|parameter| loader.sizes.get(parameter) != Some(&values.len())) {
            return Err(invalid(format!("tensor {name} has shape {shape:?}, unlike what it is a moment of")));
        }
        let tensor = |values: Vec<f32>| Tensor::<1>::from_floats(values.as_slice(), &device);
        if let Some(name) = name.strip_prefix("adam.first.") {
            first.insert(name.to_string(), tensor(values));
        } else if let Some(name) = name.strip_prefix("adam.second.") {
            // Names are sorted, so every `first` has been seen.
            let first = first.remove(name).ok_or_else(|| invalid(format!("adam.first.{name} is missing")))?;
            adam.moments.insert(name.to_string(), Moments { first, second: tensor(values) });
        } else {
            return Err(invalid(format!("unexpected tensor {name}")));
        }
    }
    if let Some(name) = first.keys().next() {
        return Err(invalid(format!("adam.second.{name} is missing")));
    }
    Ok((network, adam, header.progress))
}

type Named = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn named_tensors<M: Module>(network: &M) -> Named {
    struct Collect {
        path: Path,
        tensors: Named,
    }
    impl ModuleVisitor for Collect {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.path.enter(name);
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let tensor = param.val().inner();
            let shape = tensor.dims().to_vec();
            let count: usize = shape.iter().product();
            let values = to_vec(tensor.reshape([count]));
            self.tensors.insert(format!("network.{}", self.path.name()), (shape, values));
        }
    }
    let mut collect = Collect { path: Path::default(), tensors: BTreeMap::new() };
    network.visit(&mut collect);
    collect.tensors
}

struct Loader {
    path: Path,
    tensors: Named,
    /// Values in each of the network's tensors.
    sizes: BTreeMap<String, usize>,
    problem: Option<String>,
    device: Option<Device>,
}

impl ModuleMapper for Loader {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = format!("network.{}", self.path.name());
        let expected = param.val().dims();
        let Some((shape, values)) = self.tensors.remove(&name) else {
            self.problem.get_or_insert(format!("tensor {name} is missing"));
            return param;
        };
        if shape != expected {
            self.problem
                .get_or_insert(format!("tensor {name} has shape {shape:?}, the network {expected:?}"));
            return param;
        }
        self.sizes.insert(self.path.name(), values.len());
        let trainable = param.is_require_grad();
        let (id, old, mapper) = param.consume();
        let device = old.device();
        self.device.get_or_insert(device.clone().inner());
        let tensor =
            Tensor::<D>::from_data(TensorData::new(values, shape), &device).set_require_grad(trainable);
        Param::from_mapped_value(id, tensor, mapper)
    }
}

/// Writes beside the target, flushes to the disk, then renames: a reader sees the old or the new file, whole.
fn replace_file(path: &FilePath, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(FilePath::new("."));
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}
