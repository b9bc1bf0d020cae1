use std::path::Path;

use dicewise_experiment::{CellBlock, Experiment, ExperimentError, Overrides};

/// More cells than this are counted, not listed: a fuzzer wants many short runs.
const MOST_CELLS: usize = 10_000;

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match parse(text) {
        Ok(experiment) => {
            if cell_count(&experiment) <= MOST_CELLS {
                for cell in experiment.cells() {
                    let folder = cell.folder_name();
                    let stays = !folder.is_empty() && !folder.contains("..") && !folder.starts_with('/');
                    assert!(stays, "a cell would be written to {folder:?}");
                }
            }
        }
        // With the picture of the place, whose span has to lie within the text.
        Err(error) => assert!(!format!("{:?}", miette::Report::new(error)).is_empty()),
    }
}

fn cell_count(experiment: &Experiment) -> usize {
    let of_block = |block: &CellBlock| block.settings.len().saturating_mul(block.batch_sizes.len());
    let blocks: usize = experiment.blocks.iter().map(of_block).fold(0, usize::saturating_add);
    blocks.saturating_mul(experiment.seeds.len()).saturating_mul(experiment.split.runs().len())
}

fn parse(text: &str) -> Result<Experiment, ExperimentError> {
    let variable = |name: &str| (name == "DICEWISE_DATA").then(|| "data".to_owned());
    Experiment::parse(Path::new("fuzz.toml"), text, &Overrides::default(), &variable)
}

/// The experiments that come with the program, which between them use every key.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [
        include_str!("../../../experiments/phantom.toml"),
        include_str!("../../../experiments/phantom-heart.toml"),
        include_str!("../../../experiments/hippocampus.toml"),
        include_str!("../../../experiments/hippocampus-posterior.toml"),
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

/// Whether a seed is an experiment.
#[cfg(test)]
pub(crate) fn is_read(seed: &[u8]) -> bool {
    std::str::from_utf8(seed).is_ok_and(|text| match parse(text) {
        Ok(experiment) => !experiment.cells().is_empty(),
        Err(error) => panic!("{error}"),
    })
}
