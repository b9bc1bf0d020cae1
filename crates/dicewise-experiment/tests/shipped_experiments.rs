//! The experiment files of this repository are valid, and their grids are the paper's cells.
use std::path::{Path, PathBuf};

use dicewise_experiment::{
    Architecture, Cell, CellConfig, Data, Epsilon, Experiment, Grid, Labelling, Missing, MissingRule,
    Overrides, Partition, Smoothing,
};

fn shipped(name: &str) -> Experiment {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments").join(name);
    let text = std::fs::read_to_string(&path).expect("experiment file");
    let variable = |name: &str| (name == "DICEWISE_DATA").then(|| "/data".to_owned());
    match Experiment::parse(&path, &text, &Overrides::default(), &variable) {
        Ok(experiment) => experiment,
        Err(error) => panic!("{:?}", miette::Report::new(error)),
    }
}

fn names(cells: &[Cell]) -> Vec<String> {
    cells.iter().map(Cell::folder_name).collect()
}

#[test]
fn every_shipped_experiment_is_valid_and_survives_its_config_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("experiments").map(|entry| entry.expect("entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    assert!(files.len() >= 4);
    for file in files {
        let name = file.file_name().and_then(|name| name.to_str()).expect("file name");
        let experiment = shipped(name);
        assert_eq!(format!("{}.toml", experiment.name), name);
        for cell in experiment.cells() {
            let config = experiment.cell_config(&cell);
            let text = config.to_toml().expect("TOML");
            let read = CellConfig::from_toml("config.toml".as_ref(), &text).expect("read back");
            assert_eq!(read, config);
            assert_eq!(read.to_toml().expect("TOML"), text);
        }
    }
}

#[test]
fn phantom_has_the_cells_of_the_papers_finding() {
    let expected = [
        "full-I-b2-seed0/fold_0",
        "full-BI-b2-seed0/fold_0",
        "full-I_eps-b2-seed0/fold_0",
        "partial-I-b2-seed0/fold_0",
        "partial-BI-b1-seed0/fold_0",
        "partial-BI-b2-seed0/fold_0",
        "partial-I_eps-b2-seed0/fold_0",
    ];
    assert_eq!(names(&shipped("phantom.toml").cells()), expected);
    assert_eq!(names(&shipped("phantom-heart.toml").cells()), expected);
}

#[test]
fn built_in_settings_are_the_papers() {
    let experiment = shipped("hippocampus-posterior.toml");
    let cells = experiment.cells();
    let setting = |name: &str| {
        let cell = cells.iter().rev().find(|cell| cell.setting.name == name);
        cell.map(|cell| cell.setting.clone()).expect("setting")
    };
    let tiny = || Epsilon::both(Smoothing::Uniform(1e-7));
    assert_eq!((setting("I").partition, setting("I").epsilon), (Partition::ImageWise, tiny()));
    assert_eq!((setting("BI").partition, setting("BI").epsilon), (Partition::BatchWise, tiny()));
    let heuristic = setting("I_eps");
    assert_eq!(heuristic.partition, Partition::ImageWise);
    assert_eq!(heuristic.epsilon, Epsilon::both(Smoothing::FromData));
    let leaf = setting("leaf");
    assert_eq!((leaf.missing, leaf.rule, leaf.background), (Missing::Leaf, MissingRule::Inferred, false));
    assert_eq!(leaf.epsilon.numerator, Smoothing::Uniform(0.0));
    assert_eq!(leaf.epsilon.denominator, Smoothing::Uniform(1e-7));
    let marginal = setting("marginal");
    assert_eq!((marginal.missing, marginal.rule), (Missing::Marginal, MissingRule::Inferred));
    assert!(marginal.background);
    assert_eq!(marginal.epsilon, tiny());
}

#[test]
fn hippocampus_follows_the_measured_experiment() {
    let experiment = shipped("hippocampus.toml");
    let Data::Folder { path, .. } = &experiment.data else { panic!("{:?}", experiment.data) };
    assert_eq!(path, Path::new("/data/hippocampus"));
    assert_eq!(experiment.preprocessing.size, Some([40, 56, 40]));
    assert_eq!(experiment.patch.as_ref().map(|patch| patch.size), Some([32, 48, 32]));
    assert_eq!(experiment.augmentation.shift_voxels, Some(3));
    assert_eq!(
        experiment.groups.as_ref().and_then(|groups| groups.cue.as_ref()).map(|cue| cue.amplitude),
        Some(1.0)
    );
    assert!(matches!(experiment.network.architecture, Architecture::Custom { base: 8, levels: 3, .. }));
    let partial = |cell: &&Cell| cell.labelling == Labelling::Partial;
    assert_eq!(experiment.cells().iter().filter(partial).count(), 3);
}

#[test]
fn the_grid_is_a_table_with_one_row_a_combination() {
    let grid = Grid(&shipped("phantom.toml")).to_string();
    assert!(grid.contains("7 combinations × 1 seed × 1 fold = 7 trainings"), "{grid}");
    assert!(grid.contains("partial: tumour is emptied in group LGG"), "{grid}");
    let rows: Vec<Vec<&str>> = grid
        .lines()
        .skip_while(|line| !line.starts_with("labelling"))
        .map(|l| l.split_whitespace().collect())
        .collect();
    assert_eq!(rows.len(), 8, "{grid}");
    assert_eq!(rows[5], ["partial", "BI", "1", "BI", "1e-7", "taken", "as", "empty"]);
    assert_eq!(rows[7], ["partial", "I_eps", "2", "I", "E", "Σy", "taken", "as", "empty"]);
}
