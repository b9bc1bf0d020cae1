use crate::program::{Outcome, dicewise};

fn explain(args: &str) -> Outcome {
    dicewise(["explain"].into_iter().chain(args.split_whitespace()))
}

/// Mean derivatives on the empty map as measured on the released packages with B = 2, C = 3, 64² voxels and an
/// object of 400 voxels: the default scenario.
#[test]
fn named_losses_have_the_derivative_that_was_measured_on_the_packages() {
    for (name, measured, on_empty) in [
        ("monai-default", 9e-13, "ignores"),
        ("nnunet-batch-dice-off", 1.3e-12, "ignores"),
        ("nnunet-soft-dice-constructor", 8.8e-8, "in_between"),
        ("monai-batch", 9.1e-6, "learns"),
        ("nnunet-batch-dice", 1.3e-5, "learns"),
        ("smp", 9.0e-6, "learns"),
        ("keras", 2.1e-5, "learns"),
        ("paper-i-eps", 2.1e-5, "learns"),
    ] {
        let json = explain(&format!("{name} --json")).exits_with(0).json();
        let empty = json["derivative"]["empty"].as_f64().unwrap();
        assert!((empty / measured - 1.0).abs() < 0.1, "{name}: {empty:e} instead of {measured:e}");
        assert_eq!(json["on_empty"], on_empty, "{name}");
    }
}

/// What the paper proves: small ε and Φ = I ignore maps without ground truth, I_ε and BI with B > 1 learn them.
#[test]
fn settings_of_the_paper_get_the_papers_verdict() {
    for (setting, batch_size, on_empty) in [
        ("I", 1, "ignores"),
        ("I", 8, "ignores"),
        ("BI", 1, "ignores"),
        ("BI", 2, "learns"),
        ("I_eps", 1, "learns"),
        ("I_eps", 2, "learns"),
        ("leaf", 2, "ignores"),
        ("marginal", 2, "ignores"),
    ] {
        let json = explain(&format!("{setting} --batch-size {batch_size} --json")).exits_with(0).json();
        assert_eq!(json["on_empty"], on_empty, "{setting}, B = {batch_size}");
    }
}

#[test]
fn the_text_says_what_is_learnt_and_whether_the_batch_size_matters() {
    let outcome = explain("BI").exits_with(0);
    for words in ["DL_BI, ε = 1e-7", "learns that it is empty", "With B = 1 the loss ignores an empty label."]
    {
        assert!(outcome.stdout.contains(words), "{words:?} is not in\n{}", outcome.stdout);
    }
    let outcome = explain("I_eps").exits_with(0);
    assert!(outcome.stdout.contains("With B = 1 it is the same."), "{}", outcome.stdout);
}

/// By the quadratic that Eq. 5 is, k x² + (2k − 1) x + k = 0 with x = ε/v̂ and k = 2a/b²; here a = 1/3 and
/// b = 1 + Σp/v̂ with Σp = 4096/3.
#[test]
fn the_push_over_epsilon_marks_the_loss_the_heuristic_and_eq_5() {
    let text = explain("monai-default").exits_with(0).stdout;
    assert!(text.contains("Push on the empty map over ε") && !text.contains('\u{1b}'), "{text}");
    let marked = |mark: &str| text.lines().filter(|line| line.contains(mark)).count();
    assert_eq!([marked("< this loss"), marked("heuristic v̂"), marked("< Eq. 5")], [1, 1, 2], "{text}");
    let json = explain("monai-default --json").exits_with(0).json();
    let points = json["over_epsilon"].as_array().unwrap();
    let with = |mark: &str| -> Vec<f64> {
        let marked = points.iter().filter(|point| point["marks"].as_array().unwrap().contains(&mark.into()));
        marked.map(|point| point["epsilon"].as_f64().unwrap()).collect()
    };
    assert_eq!(with("this loss"), [1e-5]);
    assert_eq!(with("heuristic v̂"), [400.0]);
    let k = 2.0 / 3.0 / (1.0 + 4096.0 / 3.0 / 400.0_f64).powi(2);
    let root = (1.0 - 4.0 * k).sqrt();
    for (found, sign) in with("Eq. 5").into_iter().zip([-1.0, 1.0]) {
        let expected = 400.0 * (1.0 - 2.0 * k + sign * root) / (2.0 * k);
        assert!((found / expected - 1.0).abs() < 1e-9, "{found}, not {expected}");
    }
    // The loss as it is stands among them.
    let own = points.iter().find(|point| point["epsilon"] == 1e-5).unwrap();
    assert_eq!(own["empty"], json["derivative"]["empty"]);
    let leaf = explain("paper-leaf").exits_with(0).stdout;
    assert!(leaf.contains("The push on the empty map is 0 whatever ε is."), "{leaf}");
    let other_family = explain("monai-generalized --json").exits_with(0).json();
    assert_eq!(other_family["over_epsilon"], serde_json::json!([]));
}

/// Φ = I with O = Σyp = 0 on the empty map: a = ε/(|Φ|(Σp + ε)²), with |Φ| = 4, Σp = 1000/2 and ε = 250.
#[test]
fn a_loss_spelled_out_is_computed_as_written() {
    let spelled = "--partition I --epsilon 250 --batch-size 2 --classes 2 --voxels 1000 --object 250 --json";
    let json = explain(spelled).exits_with(0).json();
    let empty = json["derivative"]["empty"].as_f64().unwrap();
    assert!((empty / (250.0 / (4.0 * 750.0 * 750.0)) - 1.0).abs() < 1e-12, "{empty:e}");
    let heuristic = explain(&spelled.replace("--epsilon 250", "--epsilon heuristic")).exits_with(0).json();
    assert_eq!(heuristic["derivative"], json["derivative"]);
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest_and_all_accepted() {
    let words = ["`monai-defualt`", "did you mean `monai-default`?", "I_eps", "keras", "nnunet-batch-dice"];
    explain("monai-defualt").is_refused_with(&words);
    explain("I --object 3000").is_refused_with(&["--object 3000", "--voxels 4096", "help:"]);
    explain("I --classes 1000 --object 5")
        .is_refused_with(&["--object 5 in each of 999 classes", "--voxels 4096"]);
    explain("").is_refused_with(&["Usage"]);
}

#[test]
fn the_explorer_is_a_file_with_its_sliders_at_what_was_asked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("explorer.html");
    let path = file.to_str().unwrap();
    explain(&format!("--html {path}")).exits_with(0);
    let page = std::fs::read_to_string(&file).unwrap();
    assert!(page.contains("explorer-form") && page.contains("\"preset\":\"monai-default\""));
    explain(&format!("--partition BI --epsilon 0.25 --batch-size 7 --html {path}")).exits_with(0);
    let page = std::fs::read_to_string(&file).unwrap();
    assert!(page.contains("\"preset\":\"custom\"") && page.contains("\"partition\":2"), "Φ");
    assert!(page.contains("\"epsilon\":0.25") && page.contains("\"batch\":7"), "ε and B");
    explain("--html no/such/folder/explorer.html").is_refused_with(&["no/such/folder"]);
}
