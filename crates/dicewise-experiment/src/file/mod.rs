//! The experiment file as written: every key optional, every value with its place.
//!
//! What is required, and what fits together, is decided in [`crate::check`], which can then point at the place.
mod epsilon;
mod ordered;
mod warm_up;

use serde::Deserialize;
use toml::Spanned;

pub(crate) use epsilon::EpsilonValue;
pub(crate) use ordered::Ordered;
pub(crate) use warm_up::WarmUpValue;

/// A word and where it stands.
pub(crate) type Word = Spanned<String>;
/// Numbers for x, y and z and where they stand.
pub(crate) type Triple<T> = Spanned<Vec<T>>;
/// Values of the label maps that make up one label.
pub(crate) type LabelValues = Spanned<Vec<Spanned<u16>>>;
/// How many subjects or cases of each group.
pub(crate) type Counts = Spanned<Ordered<Spanned<usize>>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an experiment file")]
pub(crate) struct ExperimentFile {
    pub(crate) name: Option<Word>,
    pub(crate) description: Option<String>,
    pub(crate) seeds: Option<Spanned<Vec<Spanned<u32>>>>,
    pub(crate) data: Option<Spanned<DataTable>>,
    pub(crate) target: Option<Spanned<TargetTable>>,
    pub(crate) groups: Option<Spanned<GroupsTable>>,
    pub(crate) split: Option<Spanned<SplitTable>>,
    pub(crate) partial: Option<Spanned<PartialTable>>,
    pub(crate) preprocessing: Option<Spanned<PreprocessingTable>>,
    pub(crate) augmentation: Option<Spanned<AugmentationTable>>,
    pub(crate) patch: Option<Spanned<PatchTable>>,
    pub(crate) network: Option<Spanned<NetworkTable>>,
    pub(crate) training: Option<Spanned<TrainingTable>>,
    pub(crate) loss: Option<Spanned<LossTable>>,
    pub(crate) released: Option<bool>,
    #[serde(default)]
    pub(crate) cells: Vec<Spanned<CellsTable>>,
    #[serde(default)]
    pub(crate) setting: Vec<Spanned<SettingTable>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct DataTable {
    pub(crate) phantom: Option<Word>,
    pub(crate) phantom_cases: Option<Counts>,
    pub(crate) phantom_subjects: Option<Spanned<usize>>,
    pub(crate) phantom_shape: Option<Triple<Spanned<usize>>>,
    pub(crate) phantom_seed: Option<Spanned<u32>>,
    pub(crate) path: Option<Word>,
    pub(crate) layout: Option<Word>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct TargetTable {
    pub(crate) activation: Option<Word>,
    pub(crate) labels: Option<Spanned<Ordered<LabelValues>>>,
    pub(crate) soft: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct GroupsTable {
    pub(crate) assign: Option<Counts>,
    pub(crate) seed: Option<u32>,
    pub(crate) cue: Option<Spanned<CueTable>>,
    pub(crate) absent: Option<Spanned<AbsentTable>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { group = \"G2\", label = \"posterior\" }")]
pub(crate) struct AbsentTable {
    pub(crate) group: Option<Word>,
    pub(crate) label: Option<Word>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { group = \"G0\", amplitude = 1.0 }")]
pub(crate) struct CueTable {
    pub(crate) group: Option<Word>,
    pub(crate) amplitude: Option<Spanned<f64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct SplitTable {
    pub(crate) folds: Option<Spanned<usize>>,
    pub(crate) run: Option<Spanned<Vec<Spanned<usize>>>>,
    pub(crate) deal: Option<Word>,
    pub(crate) seed: Option<u32>,
    pub(crate) train: Option<Counts>,
    pub(crate) test: Option<Counts>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct PartialTable {
    pub(crate) label: Option<Word>,
    pub(crate) group: Option<Word>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct PreprocessingTable {
    pub(crate) spacing_mm: Option<Triple<Spanned<f64>>>,
    pub(crate) alignment: Option<Word>,
    pub(crate) labels: Option<Word>,
    pub(crate) encloses: Option<Spanned<Ordered<Word>>>,
    pub(crate) window: Option<Word>,
    pub(crate) restore: Option<Word>,
    pub(crate) size: Option<Triple<Spanned<usize>>>,
    pub(crate) centre: Option<Word>,
    pub(crate) normalise: Option<Word>,
    pub(crate) clip_quantiles: Option<Triple<Spanned<f64>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct AugmentationTable {
    pub(crate) flip_x: Option<Spanned<f64>>,
    pub(crate) shift_voxels: Option<Spanned<usize>>,
    pub(crate) rotate_z_degrees: Option<Spanned<f64>>,
    pub(crate) rotate_z_sigma_degrees: Option<Spanned<f64>>,
    pub(crate) translate_sigma_voxels: Option<Triple<Spanned<f64>>>,
    pub(crate) scale_change: Option<Spanned<f64>>,
    pub(crate) elastic_voxels: Option<Spanned<f64>>,
    pub(crate) intensity_shift: Option<Spanned<f64>>,
    pub(crate) intensity_scale: Option<Spanned<f64>>,
    pub(crate) noise: Option<Spanned<f64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct PatchTable {
    pub(crate) size: Option<Triple<Spanned<usize>>>,
    pub(crate) training: Option<Word>,
    pub(crate) prediction: Option<Word>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct NetworkTable {
    pub(crate) preset: Option<Word>,
    pub(crate) base: Option<Spanned<usize>>,
    pub(crate) levels: Option<Spanned<usize>>,
    pub(crate) norm: Option<Word>,
    pub(crate) activation: Option<Word>,
    pub(crate) prior_bias: Option<bool>,
    pub(crate) width: Option<Spanned<f64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct TrainingTable {
    pub(crate) iterations: Option<Spanned<usize>>,
    pub(crate) epochs: Option<Spanned<usize>>,
    pub(crate) learning_rate: Option<Spanned<f64>>,
    pub(crate) schedule: Option<Word>,
    pub(crate) plateau: Option<Spanned<PlateauTable>>,
    pub(crate) l2: Option<Spanned<f64>>,
    pub(crate) validate_every: Option<Spanned<usize>>,
    pub(crate) epsilon_warm_up: Option<Spanned<WarmUpValue>>,
    pub(crate) batches: Option<Word>,
    pub(crate) evaluate_every: Option<Spanned<usize>>,
    pub(crate) scored: Option<Word>,
    pub(crate) records: Option<Spanned<usize>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct PlateauTable {
    pub(crate) factor: Option<Spanned<f64>>,
    pub(crate) patience: Option<Spanned<usize>>,
    pub(crate) stop_patience: Option<Spanned<usize>>,
    pub(crate) min_delta: Option<Spanned<f64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct LossTable {
    pub(crate) epsilon_tiny: Option<Spanned<f64>>,
    pub(crate) epsilon_heuristic: Option<Spanned<EpsilonValue>>,
    pub(crate) epsilon_layout: Option<Word>,
    pub(crate) background: Option<Spanned<bool>>,
    pub(crate) weighting: Option<Word>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct CellsTable {
    pub(crate) labelling: Option<Word>,
    pub(crate) settings: Option<Spanned<Vec<Word>>>,
    pub(crate) batch_sizes: Option<Spanned<Vec<Spanned<usize>>>>,
    pub(crate) repeat: Option<Counts>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct SettingTable {
    pub(crate) name: Option<Word>,
    pub(crate) partition: Option<Word>,
    pub(crate) epsilon: Option<Spanned<EpsilonValue>>,
    pub(crate) missing: Option<Word>,
    pub(crate) rule: Option<Word>,
    pub(crate) background: Option<Spanned<bool>>,
    pub(crate) weights: Option<Spanned<Vec<Spanned<f64>>>>,
    pub(crate) weighting: Option<Word>,
    pub(crate) cross_entropy: Option<Spanned<f64>>,
    pub(crate) epsilon_warm_up: Option<Spanned<WarmUpValue>>,
    pub(crate) batches: Option<Word>,
}
