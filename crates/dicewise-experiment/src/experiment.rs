//! A checked experiment and its cells.
use std::path::{Path, PathBuf};

use crate::check;
use crate::mistake::ExperimentError;
use crate::{
    Augmentation, Cell, CellConfig, Data, GroupAssignment, GroupCount, Labelling, Network, PartialLabelling,
    Patch, Preprocessing, Setting, Split, Target, Training,
};

/// An experiment: one dataset, one target, one network, and the grid of cells that are trained and compared.
///
/// Everything in it has been checked against everything else in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// Name, also of the output folder.
    pub name: String,
    /// What it shows, in a sentence.
    pub description: String,
    /// Whether to do as the authors' code did where that is a defect: ε averaged over the classes, crops about the truth,
    /// the last periodic checkpoint instead of the best, the rank test.
    pub released: bool,
    /// Seeds of weights, batches and augmentation; every cell is run once with each.
    pub seeds: Vec<u64>,
    /// Where images and label maps come from.
    pub data: Data,
    /// What the network learns.
    pub target: Target,
    /// Groups for data that have none.
    pub groups: Option<GroupAssignment>,
    /// Who is held out.
    pub split: Split,
    /// What "partial" means.
    pub partial: Option<PartialLabelling>,
    /// What is done to every image.
    pub preprocessing: Preprocessing,
    /// Random changes of training images.
    pub augmentation: Augmentation,
    /// The part of an image that the network sees.
    pub patch: Option<Patch>,
    /// The network.
    pub network: Network,
    /// How it is trained.
    pub training: Training,
    /// ε that ignores empty maps: used by every built-in setting but I_eps, and during ε warm-up.
    pub epsilon_tiny: f64,
    /// The blocks of the grid in the order of the file.
    pub blocks: Vec<CellBlock>,
}

/// One `[[cells]]` of the file: every setting with every batch size.
#[derive(Clone, Debug, PartialEq)]
pub struct CellBlock {
    /// Which labels are there.
    pub labelling: Labelling,
    /// The settings, with ε resolved for this labelling.
    pub settings: Vec<Setting>,
    /// The batch sizes.
    pub batch_sizes: Vec<usize>,
    /// How often an epoch shows each training case of a group.
    pub repeat: Vec<GroupCount>,
}

/// What the command line puts in the place of what the file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// Folder of the data.
    pub data: Option<PathBuf>,
    /// Seeds; the file's when empty.
    pub seeds: Vec<u32>,
    /// A smaller version of the experiment, see [`Experiment::scaled`].
    pub scale: Option<f64>,
}

impl Experiment {
    /// Reads and checks an experiment file; `${NAME}` in the data path is taken from the environment.
    ///
    /// # Errors
    /// When the file cannot be read, or contains mistakes: all of them, each with its place.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Self, ExperimentError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ExperimentError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(path, &text, overrides, &|name| std::env::var(name).ok())
    }

    /// Checks the text of an experiment file. `path` names it in messages, and relative data paths start at its folder;
    /// `variable` looks up `${NAME}`.
    ///
    /// # Errors
    /// When the text contains mistakes: all of them, each with its place.
    pub fn parse(
        path: &Path,
        text: &str,
        overrides: &Overrides,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ExperimentError> {
        check::check(path, text, overrides, variable)
    }

    /// All cells in the order in which they are run: block, setting, batch size, seed, fold.
    pub fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for block in &self.blocks {
            for setting in &block.settings {
                for &batch_size in &block.batch_sizes {
                    for &seed in &self.seeds {
                        for &fold in self.split.runs() {
                            let (labelling, setting) = (block.labelling, setting.clone());
                            let repeat = block.repeat.clone();
                            cells.push(Cell { labelling, setting, batch_size, seed, fold, repeat });
                        }
                    }
                }
            }
        }
        cells
    }

    /// Everything that decides the result of a cell, to be kept in its folder.
    pub fn cell_config(&self, cell: &Cell) -> CellConfig {
        CellConfig {
            experiment: self.name.clone(),
            epsilon_tiny: self.epsilon_tiny,
            cell: cell.clone(),
            data: self.data.clone(),
            target: self.target.clone(),
            groups: self.groups.clone(),
            split: self.split.clone(),
            // With full labels it has no effect on training, and must not keep a finished cell from being resumed.
            partial: self.partial.clone().filter(|_| cell.labelling == Labelling::Partial),
            preprocessing: self.preprocessing.clone(),
            augmentation: self.augmentation.clone(),
            patch: self.patch.clone(),
            network: self.network.clone(),
            training: self.training.clone(),
        }
    }
}
