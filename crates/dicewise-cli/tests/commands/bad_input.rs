use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use dicewise_data::{Grid, Volume, nifti};

use crate::dataset::{Dataset, SHAPE, contents, grid, write_labels, write_labels_on};
use crate::program::{Outcome, dicewise};

/// Trains a network in a moment, if nothing is wrong with the data.
const EXPERIMENT: &str = r#"
name = "tiny"
seeds = [0]
data = { path = ".", layout = "nnunet" }
target = { activation = "softmax", labels = { big = [1], small = [2] } }
split = { folds = 2, run = [0] }
preprocessing = { size = [4, 4, 4] }
network = { base = 2, levels = 2 }
training = { iterations = 2, learning_rate = 1e-2 }
cells = [ { labelling = "full", settings = ["I"], batch_sizes = [2] } ]
"#;

/// Four sound cases and an experiment beside them.
struct Input {
    dataset: Dataset,
    experiment: PathBuf,
}

impl Input {
    fn sound() -> Self {
        let dataset = ["a", "b", "c", "d"]
            .into_iter()
            .fold(Dataset::new(), |dataset, case| dataset.case(case, &[(1, 40), (2, 20)]));
        let experiment = dataset.path().join("tiny.toml");
        fs::write(&experiment, EXPERIMENT).unwrap();
        Self { dataset, experiment }
    }

    fn run(&self) -> Outcome {
        let out = self.dataset.path().join("results");
        dicewise(["run".as_ref(), self.experiment.as_os_str(), "--out".as_ref(), out.as_os_str()])
    }

    fn train(&self) -> Outcome {
        let out = self.dataset.path().join("model");
        let start = ["train".as_ref(), self.dataset.path().as_os_str(), "--out".as_ref(), out.as_os_str()];
        let flags = "--layout nnunet --setting I --batch-size 2 --iterations 2 --base 2 --levels 2 --folds 2 \
                     --patch 4,4,4";
        dicewise(start.into_iter().chain(flags.split_whitespace().map(OsStr::new)))
    }

    /// Both ways to train refuse what was broken, name it, and leave every file as it was.
    #[track_caller]
    fn is_refused_by_run_and_train(&self, words: &[&str]) {
        let before = contents(self.dataset.path());
        self.run().is_refused_with(words);
        self.train().is_refused_with(words);
        self.assert_untouched(&before);
    }

    #[track_caller]
    fn assert_untouched(&self, before: &[(PathBuf, Vec<u8>)]) {
        let folder = self.dataset.path();
        assert!(contents(folder) == before, "a file was written, changed or removed");
        for out in ["results", "model"].map(|name| folder.join(name)) {
            // Elsewhere the lock's file cannot be removed safely.
            assert!(!cfg!(unix) || !out.exists(), "{} was left behind", out.display());
        }
    }

    /// The same for a mistake in the experiment file.
    #[track_caller]
    fn with_mistake_is_refused(&self, right: &str, wrong: &str, words: &[&str]) {
        assert!(EXPERIMENT.contains(right), "{right:?} is not in the experiment");
        fs::write(&self.experiment, EXPERIMENT.replacen(right, wrong, 1)).unwrap();
        let before = contents(self.dataset.path());
        self.run().is_refused_with(words);
        self.assert_untouched(&before);
    }
}

/// Without this, the refusals below could have any other reason.
#[test]
fn sound_input_is_accepted() {
    let input = Input::sound();
    input.run().exits_with(0);
    input.train().exits_with(0);
}

#[test]
fn a_missing_file_is_named() {
    let input = Input::sound();
    fs::remove_file(input.dataset.label("c")).unwrap();
    input.is_refused_by_run_and_train(&["case c", "labelsTr/c.nii.gz", "missing"]);

    let input = Input::sound();
    fs::write(input.experiment.with_file_name("moved.toml"), EXPERIMENT.replace("\".\"", "\"gone\""))
        .unwrap();
    let moved = input.experiment.with_file_name("moved.toml");
    let out = input.dataset.path().join("results");
    dicewise(["run".as_ref(), moved.as_os_str(), "--out".as_ref(), out.as_os_str()])
        .is_refused_with(&["gone", "no such folder"]);
}

#[test]
fn a_label_that_is_not_declared_is_named() {
    let input = Input::sound();
    write_labels(&input.dataset.label("b"), &[(1, 40), (7, 3)]);
    input.is_refused_by_run_and_train(&["case b", "label 7"]);
}

#[test]
fn an_image_and_a_label_map_of_different_shape_are_named() {
    let input = Input::sound();
    let cut = Grid::axis_aligned([SHAPE[0], SHAPE[1], SHAPE[2] - 1], crate::dataset::SPACING);
    write_labels_on(&input.dataset.label("d"), cut, &[(1, 40)]);
    input.is_refused_by_run_and_train(&["case d", "d.nii.gz", "[4, 5, 5]", "[4, 5, 6]"]);
}

#[test]
fn an_image_and_a_label_map_in_different_places_are_named() {
    let input = Input::sound();
    let mut moved = grid();
    moved.affine[2][3] += 10.0;
    write_labels_on(&input.dataset.label("a"), moved, &[(1, 40)]);
    input.is_refused_by_run_and_train(&["case a", "a.nii.gz", "10", "mm"]);
}

#[test]
fn a_damaged_image_is_named() {
    let input = Input::sound();
    let image = input.dataset.image("a");
    let bytes = fs::read(&image).unwrap();
    fs::write(&image, &bytes[..bytes.len() / 2]).unwrap();
    input.is_refused_by_run_and_train(&["case a", "a_0000.nii.gz"]);

    let input = Input::sound();
    let mut data = vec![1.0f32; grid().len()];
    data[17] = f32::NAN;
    nifti::write(input.dataset.image("b"), &Volume::new(grid(), data)).unwrap();
    input.is_refused_by_run_and_train(&["case b", "b_0000.nii.gz"]);
}

#[test]
fn an_empty_dataset_is_refused() {
    let input = Input::sound();
    for case in ["a", "b", "c", "d"] {
        fs::remove_file(input.dataset.image(case)).unwrap();
        fs::remove_file(input.dataset.label(case)).unwrap();
    }
    input.is_refused_by_run_and_train(&["no cases found"]);
}

#[test]
fn a_fold_without_cases_is_refused() {
    let input = Input::sound();
    input.with_mistake_is_refused("folds = 2", "folds = 5", &["5 folds", "4 subjects", "fold without cases"]);
    // Folds that the file's own groups cannot fill are found before the data are read.
    let grouped = "groups = { assign = { A = 2, B = 2 } }\nsplit = { folds = 3, run = [0] }";
    input.with_mistake_is_refused("split = { folds = 2, run = [0] }", grouped, &["tiny.toml:", "folds"]);
    let held_out = "groups = { assign = { A = 3 } }\nsplit = { train = { A = 3 }, test = { A = 1 } }";
    input.with_mistake_is_refused("split = { folds = 2, run = [0] }", held_out, &["tiny.toml:", "A"]);
}

#[test]
fn mistakes_of_the_loss_are_refused() {
    let input = Input::sound();
    input.with_mistake_is_refused(
        r#"["I"]"#,
        r#"["Dice"]"#,
        &["tiny.toml:", "unknown setting", "Dice", "I_eps"],
    );
    for mixing in ["class-wise", "all-wise"] {
        let setting = format!(
            "setting = [{{ name = \"S\", partition = \"{mixing}\", epsilon = [1.0, 2.0, 3.0] }}]\ncells = ["
        );
        input.with_mistake_is_refused("cells = [", &setting, &["tiny.toml:", "ε for each class"]);
    }
}
