//! What a valid file becomes: order, overrides, folders, hashes.
use std::path::Path;

use dicewise_experiment::{
    Batches, CellConfig, Data, Epsilon, Experiment, ExperimentError, MistakeKind, Overrides, Smoothing,
    WarmUp, WarmUpRule,
};
use proptest::prelude::*;

const TEXT: &str = r#"
name = "brats"
seeds = [3, 1]
[data]
path = "${ROOT}/brats"
layout = "brats2018"
[target]
activation = "sigmoid"
labels = { whole = [1, 2, 4], core = [1, 4], another = [2] }
[split]
folds = 3
[partial]
label = "core"
group = "LGG"
[network]
preset = "brats"
[training]
epochs = 10
learning_rate = 1e-3
[loss]
epsilon_heuristic = { full = 12412, partial = 8789 }
[[cells]]
labelling = "partial"
settings = ["I_eps", "I"]
batch_sizes = [4, 1]
[[cells]]
labelling = "full"
settings = ["I_eps"]
batch_sizes = [2]
"#;

fn parse(text: &str, overrides: &Overrides) -> Result<Experiment, ExperimentError> {
    let variable = |name: &str| (name == "ROOT").then(|| "sets".to_owned());
    Experiment::parse(Path::new("here/exp.toml"), text, overrides, &variable)
}

fn experiment() -> Experiment {
    parse(TEXT, &Overrides::default()).expect("valid")
}

fn config(text: &str) -> CellConfig {
    let experiment = parse(text, &Overrides::default()).expect("valid");
    experiment.cell_config(&experiment.cells()[0])
}

#[test]
fn classes_keep_the_order_of_the_file() {
    let target = experiment().target;
    let names: Vec<&str> = target.labels.iter().map(|label| label.name.as_str()).collect();
    assert_eq!(names, ["whole", "core", "another"]);
    assert_eq!((target.channels(), target.channel("core")), (3, Some(1)));
}

#[test]
fn cells_are_ordered_by_block_setting_batch_size_seed_and_fold() {
    let names: Vec<String> = experiment().cells().iter().map(|cell| cell.folder_name()).collect();
    assert_eq!(names.len(), (2 * 2 + 1) * 2 * 3);
    assert_eq!(names[0], "partial-I_eps-b4-seed3/fold_0");
    assert_eq!(names[1], "partial-I_eps-b4-seed3/fold_1");
    assert_eq!(names[3], "partial-I_eps-b4-seed1/fold_0");
    assert_eq!(names[6], "partial-I_eps-b1-seed3/fold_0");
    assert_eq!(names[12], "partial-I-b4-seed3/fold_0");
    assert_eq!(names[29], "full-I_eps-b2-seed1/fold_2");
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len());
}

#[test]
fn the_heuristic_may_differ_between_full_and_partial_labels() {
    // The paper's constants: 8789 voxels under partial labels, 12412 under full ones.
    let cells = experiment().cells();
    assert_eq!(cells[0].setting.epsilon.numerator, Smoothing::Uniform(8789.0));
    assert_eq!(cells[29].setting.epsilon.denominator, Smoothing::Uniform(12412.0));
}

#[test]
fn data_are_relative_to_the_file_and_the_command_line_comes_first() {
    let path = |experiment: Experiment| match experiment.data {
        Data::Folder { path, .. } => path,
        other => panic!("{other:?}"),
    };
    assert_eq!(path(experiment()), Path::new("here/sets/brats"));
    let overrides = Overrides { data: Some("given".into()), seeds: vec![7, 7, 5], scale: None };
    let overridden = parse(TEXT, &overrides).expect("valid");
    assert_eq!(overridden.seeds, [7, 5]);
    assert_eq!(path(overridden), Path::new("given"));
}

#[test]
fn data_for_a_phantom_are_refused() {
    let phantom = "phantom = \"tumour\"\nphantom_cases = { HGG = 9, LGG = 9 }\nphantom_shape = [32, 32, 32]";
    let text = TEXT.replace("path = \"${ROOT}/brats\"\nlayout = \"brats2018\"", phantom);
    assert!(parse(&text, &Overrides::default()).is_ok());
    let overrides = Overrides { data: Some("given".into()), seeds: Vec::new(), scale: None };
    let Err(ExperimentError::Invalid(invalid)) = parse(&text, &overrides) else { panic!("accepted") };
    assert_eq!(invalid.mistakes().map(|mistake| mistake.kind).collect::<Vec<_>>(), [MistakeKind::Conflict]);
}

#[test]
fn subjects_with_a_case_in_each_group_are_split_by_folds() {
    let text = TEXT.replace("brats2018", "acdc").replace("LGG", "ES");
    assert!(parse(&text, &Overrides::default()).is_ok());
    let hold_out = text.replace("folds = 3", "train = { ED = 3 }\ntest = { ED = 3 }");
    assert!(parse(&hold_out, &Overrides::default()).is_err());
}

#[test]
fn a_hash_changes_with_what_changes_the_result_and_with_nothing_else() {
    let hash = |text: &str| config(text).hash().expect("hash");
    let first = hash(TEXT);
    assert_eq!(first.len(), 16);
    for same in [
        TEXT.replace("\"brats\"\nseeds", "\"renamed\"\nseeds"),
        TEXT.replace("${ROOT}/brats", "moved"),
        TEXT.replace("[3, 1]", "[3]"),
        TEXT.replace("batch_sizes = [4, 1]", "batch_sizes = [4]"),
        TEXT.replace("full = 12412", "full = 1"),
        format!("# a comment\n{TEXT}"),
    ] {
        assert_eq!(hash(&same), first, "{same}");
    }
    for (from, to) in [
        ("epochs = 10", "epochs = 11"),
        ("[4, 1]", "[2, 1]"),
        ("8789", "8788"),
        ("core = [1, 4]", "core = [4]"),
    ] {
        assert_ne!(hash(&TEXT.replace(from, to)), first, "{from} → {to}");
    }
}

#[test]
fn differences_name_the_key_and_both_values() {
    let changed = config(&TEXT.replace("epochs = 10", "epochs = 20").replace("1e-3", "1e-3\nl2 = 0.5"));
    let mut differences = changed.differences(&config(TEXT)).expect("differences");
    differences.sort();
    assert_eq!(differences, ["training.duration.epochs: 20, was 10", "training.l2: 0.5, was 0.0"]);
    assert!(changed.differences(&changed).expect("none").is_empty());
}

#[test]
fn a_configuration_from_elsewhere_is_an_error() {
    let error = CellConfig::from_toml("x/config.toml".as_ref(), "name = 3").expect_err("not a configuration");
    assert!(error.to_string().starts_with("x/config.toml: not a configuration"), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    let error = Experiment::load("no/such.toml".as_ref(), &Overrides::default()).expect_err("missing");
    assert!(matches!(error, ExperimentError::Unreadable { .. }));
    assert!(error.to_string().contains("no/such.toml"), "{error}");
}

fn survives(text: &str) {
    if let Err(error) = parse(text, &Overrides::default()) {
        // Showing it must not panic either: places lie inside the text, on character boundaries.
        assert!(!format!("{:?}", miette::Report::new(error)).is_empty());
    }
}

proptest! {
    #[test]
    fn random_text_never_panics(text in "\\PC{0,200}") {
        survives(&text);
    }

    #[test]
    fn a_piece_replaced_anywhere_never_panics(
        start in 0..TEXT.len(),
        length in 0..40_usize,
        piece in "[\\[\\]{}=\"'ä\n ,0-9a-z.$_-]{0,20}",
    ) {
        let end = (start + length).min(TEXT.len());
        survives(&format!("{}{piece}{}", &TEXT[..start], &TEXT[end..]));
    }

    #[test]
    fn a_number_replaced_anywhere_never_panics(which in 0..40_usize, number in prop::sample::select(vec![
        "0", "-1", "1", "99999999999999999999", "9223372036854775807", "1e400", "nan", "inf", "-inf", "0.0", "true", "[]", "{}", "\"\"",
    ])) {
        let mut pieces: Vec<&str> = TEXT.split_inclusive([' ', ',', '[']).collect();
        if let Some(index) = pieces.iter().enumerate().filter(|(_, p)| p.starts_with(|c: char| c.is_ascii_digit())).map(|(i, _)| i).nth(which) {
            pieces[index] = number;
        }
        survives(&pieces.concat());
    }
}

#[test]
fn a_multiple_of_the_heuristic_is_one_of_what_the_labelling_has() {
    let setting = "[[setting]]\nname = \"third\"\npartition = \"I\"\nepsilon = { times_heuristic = 0.25 }\n\
                   cross_entropy = 0.5\nepsilon_warm_up = \"auto\"\nbatches = \"stratified\"\n[[cells]]";
    let text = TEXT.replacen("[[cells]]", setting, 1).replace("\"I_eps\"", "\"third\"");
    let experiment = parse(&text, &Overrides::default()).expect("valid");
    let third: Vec<_> =
        experiment.cells().into_iter().map(|cell| cell.setting).filter(|s| s.name == "third").collect();
    let partial = third.first().expect("partial");
    assert_eq!(partial.epsilon, Epsilon::both(Smoothing::Uniform(8789.0 / 4.0)));
    assert_eq!(third.last().expect("full").epsilon, Epsilon::both(Smoothing::Uniform(12412.0 / 4.0)));
    assert_eq!(partial.cross_entropy, 0.5);
    assert_eq!(partial.epsilon_warm_up, Some(WarmUp::When(WarmUpRule::Auto)));
    assert_eq!(partial.batches, Some(Batches::Stratified));
    // Without a number, of the data.
    let text = text.replace("epsilon_heuristic = { full = 12412, partial = 8789 }", "");
    let experiment = parse(&text, &Overrides::default()).expect("valid");
    let third = experiment.cells().into_iter().map(|cell| cell.setting).find(|s| s.name == "third");
    assert_eq!(third.expect("third").epsilon, Epsilon::both(Smoothing::TimesFromData(0.25)));
}
