//! Every mistake in an experiment file is shown at its line and column, the wrong word underlined, with what is accepted.
mod settings;

use dicewise_experiment::{Experiment, ExperimentError, MistakeKind, Overrides};
use miette::{GraphicalReportHandler, GraphicalTheme};

/// A valid experiment; tests break one thing in it.
const TUMOUR: &str = r#"name = "phantom"
seeds = [0]

[data]
phantom = "tumour"
phantom_cases = { HGG = 30, LGG = 10 }
phantom_shape = [24, 24, 24]

[target]
activation = "sigmoid"
labels = { tumour = [1] }

[split]
folds = 5
run = [0]

[partial]
label = "tumour"
group = "LGG"

[network]
base = 8
levels = 3

[training]
iterations = 600
learning_rate = 5e-3

[loss]
epsilon_tiny = 1e-7

[[cells]]
labelling = "partial"
settings = ["I", "BI"]
batch_sizes = [1, 2]
"#;

fn parse(text: &str) -> Result<Experiment, ExperimentError> {
    Experiment::parse("exp.toml".as_ref(), text, &Overrides::default(), &|_| None)
}

/// What the terminal shows, without colours.
fn shown(error: &ExperimentError) -> String {
    let mut text = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(200)
        .render_report(&mut text, error)
        .expect("rendered");
    text
}

/// Replaces `from` by `to` in the valid experiment; exactly one mistake must come of it, of `kind`, underlining
/// `word` at its place in the text (counted here from the text itself), and helping with `help`.
#[track_caller]
fn mistake(from: &str, to: &str, kind: MistakeKind, word: &str, help: &str) {
    mistake_in(TUMOUR, from, to, kind, word, help);
}

#[track_caller]
fn mistake_in(valid: &str, from: &str, to: &str, kind: MistakeKind, word: &str, help: &str) {
    parse(valid).map_err(|error| shown(&error)).expect("the experiment is valid before it is broken");
    assert!(valid.contains(from), "{from:?} is not in the experiment");
    let text = valid.replacen(from, to, 1);
    let error = parse(&text).expect_err("a mistake");
    let shown = shown(&error);
    let ExperimentError::Invalid(invalid) = &error else { panic!("{shown}") };
    let mistakes: Vec<_> = invalid.mistakes().collect();
    assert_eq!(mistakes.len(), 1, "{shown}");
    assert_eq!(mistakes[0].kind, kind, "{shown}");
    assert_eq!(&text[mistakes[0].span.clone()], word, "{shown}");
    assert!(mistakes[0].help.contains(help), "{help:?} is not in:\n{shown}");
    // As a person would count: lines and columns from 1, columns in characters.
    let before = &text[..mistakes[0].span.start];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    assert!(shown.contains(&format!("[exp.toml:{line}:{column}]")), "{line}:{column}\n{shown}");
}

#[test]
fn the_terminal_shows_place_word_and_accepted_words() {
    let error = parse(&TUMOUR.replace(r#""BI""#, r#""I_esp""#)).expect_err("unknown setting");
    let expected = "\
dicewise::experiment::unknown_setting

  × unknown setting `I_esp`
    ╭─[exp.toml:34:19]
 33 │ labelling = \"partial\"
 34 │ settings = [\"I\", \"I_esp\"]
    ·                   ──┬──
    ·                     ╰── not a known setting
 35 │ batch_sizes = [1, 2]
    ╰────
  help: did you mean `I_eps`? Accepted: I, BI, CI, BCI, I_eps, leaf, marginal, or the name of a [[setting]]
";
    assert_eq!(shown(&error).trim(), expected.trim());
}

#[test]
fn several_mistakes_are_shown_together_in_the_order_of_the_file() {
    let text =
        TUMOUR.replace("tumour\"\nphantom_cases", "tumor\"\nphantom_cases").replace("base = 8", "base = 0");
    let text = text.replace("\"BI\"", "\"BJ\"");
    let error = parse(&text).expect_err("three mistakes");
    let shown = shown(&error);
    let places = ["[exp.toml:5:12]", "[exp.toml:22:8]", "[exp.toml:34:19]"].map(|place| shown.find(place));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{shown}");
}

#[test]
fn mistyped_keys_and_sections() {
    let unknown = MistakeKind::UnknownKey;
    mistake("iterations", "iteration", unknown, "iteration", "did you mean `iterations`?");
    mistake("[loss]", "[lost]", unknown, "lost", "did you mean `loss`?");
    mistake("[loss]", "[colour]", unknown, "colour", "accepted: name, description, seeds, data");
    mistake("base = 8", "base = 8\nprior_bais = true", unknown, "prior_bais", "did you mean `prior_bias`?");
}

#[test]
fn what_is_not_toml() {
    mistake("seeds = [0]", "seeds = [0", MistakeKind::Syntax, "", "words stand in quotes");
    mistake("\"sigmoid\"", "sigmoid", MistakeKind::Syntax, "sigmoid", "words stand in quotes");
    mistake("base = 8", "base = 8\nbase = 9", MistakeKind::Syntax, "base", "");
}

#[test]
fn values_of_another_type() {
    let wrong = MistakeKind::WrongType;
    mistake("iterations = 600", "iterations = \"600\"", wrong, "600", "a whole number of 0 or more");
    mistake("iterations = 600", "iterations = -600", wrong, "-600", "a whole number of 0 or more");
    mistake("5e-3", "\"fast\"", wrong, "fast", "a number");
    mistake("\"sigmoid\"", "1", wrong, "1", "a word in quotes");
    mistake("settings = [\"I\", \"BI\"]", "settings = \"I\"", wrong, "I", "a list");
    mistake("[0]\n\n", "[-1]\n\n", wrong, "-1", "a whole number");
}

#[test]
fn words_that_are_not_accepted() {
    let unknown = MistakeKind::UnknownWord;
    mistake(
        "\"sigmoid\"",
        "\"sigmoind\"",
        unknown,
        "sigmoind",
        "did you mean `sigmoid`? Accepted: sigmoid, softmax",
    );
    mistake("\"partial\"", "\"partly\"", unknown, "partly", "full, partial");
    mistake("5e-3", "5e-3\nschedule = \"cosin\"", unknown, "cosin", "did you mean `cosine`?");
    mistake("base = 8", "base = 8\nnorm = \"layer\"", unknown, "layer", "accepted: instance, batch");
    mistake("base = 8\nlevels = 3", "preset = \"unet\"", unknown, "unet", "brats, acdc");
    mistake("phantom = \"tumour\"", "phantom = \"lung\"", unknown, "lung", "tumour, heart");
}

#[test]
fn labels_and_groups_that_do_not_exist() {
    mistake(
        "label = \"tumour\"",
        "label = \"tumor\"",
        MistakeKind::UnknownLabel,
        "tumor",
        "did you mean `tumour`?",
    );
    mistake("group = \"LGG\"", "group = \"LLG\"", MistakeKind::UnknownGroup, "LLG", "Accepted: HGG, LGG");
    mistake("HGG = 30", "HHG = 30", MistakeKind::UnknownGroup, "HHG", "did you mean `HGG`?");
    let train = "train = { HGG = 10, G0 = 5 }\ntest = { HGG = 5 }";
    mistake("folds = 5\nrun = [0]", train, MistakeKind::UnknownGroup, "G0", "HGG, LGG");
}

#[test]
fn groups_of_folders_are_those_of_the_layout_or_assigned() {
    let phantom =
        "phantom = \"tumour\"\nphantom_cases = { HGG = 30, LGG = 10 }\nphantom_shape = [24, 24, 24]";
    let msd =
        TUMOUR.replace(phantom, "path = \"data\"\nlayout = \"msd\"\n[groups]\nassign = { HGG = 9, LGG = 9 }");
    mistake_in(
        &msd,
        "assign = { HGG = 9, LGG = 9 }",
        "assign = { A = 9, B = 9 }",
        MistakeKind::UnknownGroup,
        "LGG",
        "A, B",
    );
    let groups = "[groups]\nassign = { HGG = 9, LGG = 9 }";
    mistake_in(&msd, groups, "", MistakeKind::UnknownGroup, "LGG", "add a section [groups]");
    let cue = "assign = { HGG = 9, LGG = 9 }\ncue = { group = \"LG\", amplitude = 1.0 }";
    mistake_in(
        &msd,
        "assign = { HGG = 9, LGG = 9 }",
        cue,
        MistakeKind::UnknownGroup,
        "LG",
        "did you mean `LGG`?",
    );
    mistake(
        "[target]",
        "[groups]\nassign = { A = 9 }\n[target]",
        MistakeKind::Conflict,
        "[groups]",
        "remove [groups]",
    );
}

#[test]
fn what_excludes_each_other() {
    let conflict = MistakeKind::Conflict;
    let both = "folds = 5\ntest = { HGG = 5 }";
    mistake("folds = 5", both, conflict, "{ HGG = 5 }", "keep `folds`, or `train` and `test`");
    mistake("phantom = \"tumour\"", "phantom = \"tumour\"\npath = \"x\"", conflict, "x", "keep `phantom`");
    mistake("iterations = 600", "iterations = 600\nepochs = 3", conflict, "3", "keep one");
    let preset =
        TUMOUR.replace("[24, 24, 24]", "[32, 32, 32]").replace("base = 8\nlevels = 3", "preset = \"brats\"");
    mistake_in(&preset, "\"brats\"", "\"brats\"\nlevels = 3", conflict, "3", "or `preset`");
    mistake("epsilon_tiny = 1e-7", "background = true", conflict, "true", "activation = \"softmax\"");
    mistake(
        "folds = 5\nrun = [0]",
        "train = { HGG = 5 }\ntest = { HGG = 5 }\nrun = [0]",
        conflict,
        "[0]",
        "goes with `folds`",
    );
    let shift = "[patch]\nsize = [8, 8, 8]\ntraining = \"random\"\nprediction = \"whole\"\n[augmentation]\nshift_voxels = 3\n[loss]";
    mistake("[loss]", shift, conflict, "3", "training = \"centre\"");
}

#[test]
fn what_is_missing() {
    let missing = MistakeKind::Missing;
    mistake("activation = \"sigmoid\"\n", "", missing, "[target]", "add activation =");
    mistake(
        "[partial]\nlabel = \"tumour\"\ngroup = \"LGG\"\n",
        "",
        missing,
        "partial",
        "add [partial] with label",
    );
    mistake("learning_rate = 5e-3", "", missing, "[training]", "learning_rate = 1e-3");
    mistake("name = \"phantom\"\n", "", missing, "", "add name = \"phantom\"");
    mistake("5e-3", "5e-3\nvalidate_every = 10\nschedule = \"plateau\"", missing, "plateau", "factor = 0.2");
    mistake("folds = 5\nrun = [0]", "", missing, "[split]", "add folds = 5, or train");
    mistake("labels = { tumour = [1] }", "labels = { tumour = [] }", missing, "[]", "for example [1, 2]");
}

#[test]
fn numbers_out_of_range() {
    let out = MistakeKind::OutOfRange;
    mistake("[1, 2]\n", "[0, 2]\n", out, "0", "from 1 to 65536");
    mistake("run = [0]", "run = [0, 5]", out, "5", "from 0 to 4");
    mistake("folds = 5", "folds = 1", out, "1", "from 2");
    mistake("phantom_shape = [24,", "phantom_shape = [4,", out, "4", "from 8 to 1024");
    mistake("seeds = [0]", "seeds = []", out, "[]", "seeds = [0, 1, 2]");
    mistake("iterations = 600", "iterations = 600\nepsilon_warm_up = 600", out, "600", "fewer than 600");
    mistake(
        "iterations = 600",
        "iterations = 600\nepsilon_warm_up = \"soon\"",
        MistakeKind::UnknownWord,
        "soon",
        "auto",
    );
    mistake(
        "iterations = 600",
        "iterations = 600\nbatches = \"mixed\"",
        MistakeKind::UnknownWord,
        "mixed",
        "stratified",
    );
    mistake("5e-3", "0.0", out, "0.0", "greater than 0");
    mistake("5e-3", "nan", out, "nan", "greater than 0");
    mistake("epsilon_tiny = 1e-7", "epsilon_tiny = 0.0", out, "0.0", "1e-7");
    mistake("labels = { tumour = [1] }", "labels = { tumour = [0] }", out, "0", "0 is background");
    mistake("name = \"phantom\"", "name = \"../phantom\"", out, "../phantom", "letters");
    let patch = "[preprocessing]\nsize = [24, 24, 24]\n[patch]\nsize = [24, 28, 24]\ntraining = \"centre\"\nprediction = \"centre\"\n[loss]";
    mistake("[loss]", patch, out, "28", "at most 24");
}

#[test]
fn what_is_listed_twice() {
    let twice = MistakeKind::Duplicate;
    mistake("seeds = [0]", "seeds = [0, 1, 0]", twice, "0", "once");
    mistake("\"BI\"]", "\"BI\", \"I\"]", twice, "I", "once");
    let again = "[1, 2]\n[[cells]]\nlabelling = \"partial\"\nsettings = [\"BI\"]\nbatch_sizes = [2]\n";
    mistake("[1, 2]\n", again, twice, "BI", "every combination");
    let named = "[[setting]]\nname = \"leaf\"\npartition = \"I\"\nepsilon = 1e-7\n[[cells]]";
    mistake("[[cells]]", named, twice, "leaf", "another name than");
}

#[test]
fn more_subjects_than_there_are() {
    let few = MistakeKind::NotEnoughSubjects;
    let hold_out = "train = { HGG = 20, LGG = 8 }\ntest = { HGG = 10, LGG = 3 }";
    mistake("folds = 5\nrun = [0]", hold_out, few, "3", "together are at most 10");
    mistake("folds = 5", "folds = 11", few, "11", "at most 10 folds");
}

#[test]
fn sizes_that_the_levels_do_not_divide() {
    mistake("[24, 24, 24]", "[24, 26, 24]", MistakeKind::NotDivisible, "26", "a multiple of 4: 24 or 28");
    // The ACDC network halves z three times only, so 24 is fine there and not along x and y.
    let error = parse(&TUMOUR.replace("base = 8\nlevels = 3", "preset = \"acdc\"")).expect_err("24 / 16");
    let ExperimentError::Invalid(invalid) = &error else { panic!("{error}") };
    assert_eq!(invalid.mistakes().count(), 2, "{}", shown(&error));
}

#[test]
fn unset_variables_are_underlined_alone() {
    let phantom =
        "phantom = \"tumour\"\nphantom_cases = { HGG = 30, LGG = 10 }\nphantom_shape = [24, 24, 24]";
    let folder = "layout = \"brats2018\"\npath = \"data/${TEST_DATA}/x\"";
    let text = TUMOUR.replace(phantom, folder);
    let error = parse(&text).expect_err("unset");
    let shown = shown(&error);
    let ExperimentError::Invalid(invalid) = &error else { panic!("{shown}") };
    let mistake = invalid.mistakes().next().expect("a mistake");
    assert_eq!(mistake.kind, MistakeKind::UnsetVariable);
    assert_eq!(&text[mistake.span.clone()], "${TEST_DATA}", "{shown}");
    assert!(shown.contains("[exp.toml:6:14]") && shown.contains("--data FOLDER"), "{shown}");
    let overridden = Overrides { data: Some("elsewhere".into()), seeds: Vec::new(), scale: None };
    assert!(Experiment::parse("exp.toml".as_ref(), &text, &overridden, &|_| None).is_ok());
}

#[test]
fn how_the_paper_resampled_and_scored_is_checked_too() {
    let (conflict, missing) = (MistakeKind::Conflict, MistakeKind::Missing);
    let section = |keys: &str| format!("[preprocessing]\n{keys}\n[loss]");
    for (keys, kind, word, help) in [
        ("labels = \"signed-distance\"", conflict, "signed-distance", "add spacing_mm"),
        ("alignment = \"corners\"", conflict, "corners", "add spacing_mm"),
        ("spacing_mm = [2, 2, 2]\nwindow = \"first\"", conflict, "first", "`size`"),
        ("encloses = { tumour = \"tumour\" }", conflict, "{ tumour = \"tumour\" }", "signed-distance"),
        ("restore = \"cubic\"", MistakeKind::UnknownWord, "cubic", "linear, nearest, replicate"),
    ] {
        mistake("[loss]", &section(keys), kind, word, help);
    }
    mistake("5e-3", "5e-3\nscored = \"best\"", missing, "best", "validate_every = 1");
    mistake("5e-3", "5e-3\nscored = \"periodic\"", missing, "periodic", "evaluate_every = 30");
    let released = format!("released = true\n{TUMOUR}");
    mistake_in(&released, "5e-3", "5e-3\nscored = \"best\"", missing, "best", "evaluate_every = 30");
    let sizes = "batch_sizes = [1, 2]\n";
    let repeat = format!("{sizes}repeat = {{ HGH = 3 }}\n");
    mistake(sizes, &repeat, MistakeKind::UnknownGroup, "HGH", "did you mean `HGG`?");
    mistake("run = [0]", "run = [0]\ndeal = \"random\"", MistakeKind::UnknownWord, "random", "in-turn");
    mistake("base = 8", "base = 8\nwidth = 0.5", conflict, "0.5", "change `base`");
    let both = "[augmentation]\nrotate_z_degrees = 10\nrotate_z_sigma_degrees = 15\n[loss]";
    mistake("[loss]", both, conflict, "15", "keep one");
}

#[test]
fn images_on_their_own_grids_cannot_be_scaled() {
    let phantom =
        "phantom = \"tumour\"\nphantom_cases = { HGG = 30, LGG = 10 }\nphantom_shape = [24, 24, 24]";
    let text = TUMOUR.replace(phantom, "layout = \"brats2018\"\npath = \"x\"");
    let overrides = Overrides { scale: Some(0.5), ..Overrides::default() };
    let scaled = |text: &str| Experiment::parse("exp.toml".as_ref(), text, &overrides, &|_| None);
    let shown = shown(&scaled(&text).expect_err("no spacing"));
    assert!(shown.contains("--scale") && shown.contains("spacing_mm"), "{shown}");
    let resampled = format!("{text}[preprocessing]\nspacing_mm = [2, 2, 2]\n");
    assert!(scaled(&resampled).is_ok() && scaled(TUMOUR).is_ok());
}
