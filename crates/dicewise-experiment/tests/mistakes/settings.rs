//! Mistakes in `[[setting]]` and `[target]`: what a loss cannot be.
use dicewise_experiment::MistakeKind;

use crate::{TUMOUR, mistake, mistake_in, parse};

/// A spelled-out setting for four softmax classes, used beside BI.
fn softmax() -> String {
    let four = "activation = \"softmax\"\nlabels = { a = [1], tumour = [2], c = [3] }";
    let text = TUMOUR.replace("activation = \"sigmoid\"\nlabels = { tumour = [1] }", four);
    let setting =
        "[[setting]]\nname = \"own\"\npartition = \"BI\"\nepsilon = [1e-7, 1.0, 2.0, 3.0]\n\n[[cells]]";
    text.replace("[[cells]]", setting).replace("\"BI\"]", "\"own\"]")
}

#[test]
fn epsilon_per_class_needs_subsets_of_one_class() {
    let mixes = MistakeKind::EpsilonMixesClasses;
    let per_class = "[1e-7, 1.0, 2.0, 3.0]";
    mistake_in(&softmax(), "\"BI\"\n", "\"CI\"\n", mixes, per_class, "image-wise (I) or batch-wise (BI)");
    mistake_in(&softmax(), "\"BI\"\n", "\"all-wise\"\n", mixes, per_class, "a single number");
    let heuristic = softmax().replace(per_class, "\"heuristic\"");
    mistake_in(&heuristic, "\"BI\"\n", "\"BCI\"\n", mixes, "heuristic", "a single number");
    // A heuristic given as one number is no longer one for each class.
    let number =
        heuristic.replace("\"BI\"\n", "\"BCI\"\n").replace("[loss]", "[loss]\nepsilon_heuristic = 8789");
    assert!(parse(&number).is_ok());
}

#[test]
fn spelled_out_settings_are_checked() {
    let valid = softmax();
    let per_class = "epsilon = [1e-7, 1.0, 2.0, 3.0]";
    let check = |to: &str, kind, word: &str, help: &str| mistake_in(&valid, per_class, to, kind, word, help);
    check("epsilon = [1.0, 2.0]", MistakeKind::WrongLength, "[1.0, 2.0]", "(4, background first)");
    check("epsilon = \"heuristics\"", MistakeKind::UnknownWord, "heuristics", "did you mean `heuristic`?");
    check("epsilon = 0", MistakeKind::OutOfRange, "0", "more than 0");
    check("epsilon = { times_heuristic = 0 }", MistakeKind::OutOfRange, "0", "greater than 0");
    check("epsilon = { times_heuristic = \"much\" }", MistakeKind::OutOfRange, "much", "greater than 0");
    check("epsilon = 1.0\ncross_entropy = -1.0", MistakeKind::OutOfRange, "-1.0", "0 or more");
    check("epsilon = 1.0\nbatches = \"apart\"", MistakeKind::UnknownWord, "apart", "separated");
    check(
        "epsilon = { numerator = 1.0, denom = 1.0, denominator = 1.0 }",
        MistakeKind::UnknownKey,
        "denom",
        "numerator, denominator",
    );
    check("epsilon = { numerator = 1.0, denominator = 0.0 }", MistakeKind::OutOfRange, "0.0", "more than 0");
    check("epsilon = true", MistakeKind::WrongType, "true", "a number, a word");
    check("epsilon = 1.0\nrule = \"inferred\"", MistakeKind::Conflict, "inferred", "missing = \"leaf\"");
    check(
        "epsilon = 1.0\nweights = [0, 1, 1]",
        MistakeKind::WrongLength,
        "[0, 1, 1]",
        "the background's comes first",
    );
    check("epsilon = 1.0\nweights = [0, 0, 0, 0]", MistakeKind::OutOfRange, "[0, 0, 0, 0]", "at least one");
    check(
        "epsilon = 1.0\nmissing = \"marginal\"\nbackground = false",
        MistakeKind::MarginalNeedsSoftmax,
        "false",
        "leaf",
    );
    check("epsilon = 1.0\nweighting = \"normalised\"", MistakeKind::Conflict, "normalised", "add weights");
    check("", MistakeKind::Missing, "[[setting]]", "add epsilon = 1e-7");
    let graded = valid
        .replace("\"BI\"\nepsilon = [1e-7, 1.0, 2.0, 3.0]", "\"BCI\"\nepsilon = 1.0\nweights = [0, 1, 1, 1]");
    mistake_in(
        &graded,
        "[0, 1, 1, 1]",
        "[0, 1, 2, 1]",
        MistakeKind::Conflict,
        "[0, 1, 2, 1]",
        "equal normalised weights",
    );
    let zero = "epsilon = 1.0\nmissing = \"marginal\"\nweights = [0, 1, 1, 1]";
    check(zero, MistakeKind::MarginalNeedsSoftmax, "[0, 1, 1, 1]", "first weight greater than 0");
    mistake_in(&valid, "\"own\"]", "\"owm\"]", MistakeKind::UnknownSetting, "owm", "did you mean `own`?");
    let paper = "epsilon = { numerator = 0, denominator = 1e-7 }\nmissing = \"leaf\"\nrule = \"inferred\"\nbackground = false";
    assert!(parse(&valid.replace(per_class, paper)).is_ok());
}

#[test]
fn marginal_needs_softmax() {
    mistake(
        "\"BI\"]",
        "\"marginal\"]",
        MistakeKind::MarginalNeedsSoftmax,
        "marginal",
        "activation = \"softmax\"",
    );
    let sigmoid = TUMOUR.replace(
        "[[cells]]",
        "[[setting]]\nname = \"own\"\npartition = \"I\"\nepsilon = 1.0\nmissing = \"leaf\"\n[[cells]]",
    );
    mistake_in(
        &sigmoid,
        "\"leaf\"",
        "\"marginal\"",
        MistakeKind::MarginalNeedsSoftmax,
        "marginal",
        "leaf instead",
    );
}

#[test]
fn softmax_classes_exclude_each_other_and_sigmoid_regions_may_overlap() {
    mistake_in(&softmax(), "c = [3]", "c = [3, 2]", MistakeKind::Duplicate, "2", "activation = \"sigmoid\"");
    let overlapping = TUMOUR.replace("{ tumour = [1] }", "{ core = [1], tumour = [1, 2] }");
    assert!(parse(&overlapping).is_ok());
    assert!(parse(&TUMOUR.replace("{ tumour = [1] }", "{ tumour = [1], background = [2] }")).is_err());
}
