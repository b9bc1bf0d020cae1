//! The experiment files of this repository are valid, and their grids are the paper's cells.
use std::path::{Path, PathBuf};

use dicewise_experiment::{
    Architecture, Cell, CellConfig, Data, Duration, Epsilon, EpsilonLayout, Experiment, Grid, Labelling,
    Missing, MissingRule, Overrides, Partition, PatchPlace, PredictionExtent, Scored, Smoothing, Weighting,
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

#[test]
fn the_papers_grids_are_whole() {
    let brats = shipped("brats2018.toml");
    // 2 labellings × 3 settings × 4 batch sizes × 5 folds.
    assert_eq!(brats.cells().len(), 120);
    let i_eps = |experiment: &Experiment, labelling| {
        let cells = experiment.cells().into_iter();
        cells.filter(|cell| cell.labelling == labelling).find(|cell| cell.setting.name == "I_eps").unwrap()
    };
    let epsilon = |voxels| Epsilon::both(Smoothing::Uniform(voxels));
    assert_eq!(i_eps(&brats, Labelling::Full).setting.epsilon, epsilon(12412.0));
    assert_eq!(i_eps(&brats, Labelling::Partial).setting.epsilon, epsilon(8789.0));
    assert_eq!(brats.patch.as_ref().unwrap().training, PatchPlace::Oracle);

    let acdc = shipped("acdc.toml");
    assert_eq!(acdc.cells().len(), 40);
    let cell = i_eps(&acdc, Labelling::Partial);
    assert_eq!((cell.repeat[0].group.as_str(), cell.repeat[0].count), ("ED", 3));
    assert_eq!(cell.setting.epsilon_layout, EpsilonLayout::Released);
    assert_eq!(cell.setting.weights, Some(vec![0.0, 1.0, 1.0, 1.0]));
    assert_eq!(cell.setting.weighting, Weighting::Unnormalised);
    assert!(i_eps(&acdc, Labelling::Full).repeat.is_empty());
    assert_eq!(acdc.training.scored, Scored::Periodic);
    assert_eq!(acdc.target.labels[0].values, [3]);
}

#[test]
fn without_released_crops_look_at_the_image_and_the_best_network_is_scored() {
    for (name, from) in [("brats2018.toml", "released = true\n"), ("acdc.toml", "released = true\n")] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments").join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from));
        let right = text.replacen(from, "", 1);
        let variable = |_: &str| Some("/data".to_owned());
        let experiment = Experiment::parse(&path, &right, &Overrides::default(), &variable).unwrap();
        match experiment.patch {
            Some(patch) => {
                assert_eq!((patch.training, patch.prediction), (PatchPlace::Image, PredictionExtent::Image))
            }
            None => assert_eq!(experiment.training.scored, Scored::Best),
        }
        let layouts = experiment.blocks.iter().flat_map(|block| &block.settings).map(|s| s.epsilon_layout);
        assert!(layouts.into_iter().all(|layout| layout == EpsilonLayout::Paper));
    }
}

#[test]
fn a_scaled_experiment_has_the_same_cells_on_coarser_images() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/acdc.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let overrides = Overrides { scale: Some(1.0 / 3.0), ..Overrides::default() };
    let variable = |_: &str| Some("/data".to_owned());
    let (small, whole) = (
        Experiment::parse(&path, &text, &overrides, &variable).unwrap(),
        Experiment::parse(&path, &text, &Overrides::default(), &variable).unwrap(),
    );
    assert_eq!(names(&small.cells()), names(&whole.cells()));
    // 192/3 = 64 = 4·16, 48/3 = 16 = 2·8; the field of view stays.
    assert_eq!(small.preprocessing.size, Some([64, 64, 16]));
    assert_eq!(small.preprocessing.spacing_mm, Some([4.6875, 4.6875, 7.5]));
    assert!((small.network.width - 1.0 / 3.0).abs() < 1e-12);
    assert_eq!(small.training.duration, Duration::Epochs(334));
    assert_eq!(small.training.evaluate_every, Some(10));

    let path = path.with_file_name("brats2018.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let overrides = Overrides { scale: Some(0.25), ..Overrides::default() };
    let small = Experiment::parse(&path, &text, &overrides, &variable).unwrap();
    // 80/4 = 20 → 16 or 32 (multiples of 16): 16, a fifth; 48/4 = 12 → 16, a third.
    assert_eq!(small.patch.as_ref().unwrap().size, [16, 16, 16]);
    let spacing = small.preprocessing.spacing_mm.unwrap();
    assert!(spacing.iter().zip([10.0, 10.0, 6.0]).all(|(found, mm)| (found - mm).abs() < 1e-12));
    // ε with the volume: 8789/75.
    let Smoothing::Uniform(epsilon) = small.blocks[1].settings[2].epsilon.numerator else { panic!() };
    assert!((epsilon - 8789.0 / 75.0).abs() < 1e-9);
    let Smoothing::Uniform(tiny) = small.blocks[1].settings[0].epsilon.numerator else { panic!() };
    assert_eq!(tiny, 1e-7);
}
