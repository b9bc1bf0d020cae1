use std::fs;
use std::path::{Path, PathBuf};

use dicewise_data::{Grid, Volume, nifti};
use tempfile::TempDir;

use crate::program::{Outcome, dicewise};

/// A folder with data, and the experiment file of the paper, made small.
struct Paper {
    folder: TempDir,
    text: String,
}

impl Paper {
    fn new(name: &str, smaller: &[(&str, &str)]) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments").join(name);
        let mut text = fs::read_to_string(file).unwrap();
        for (from, to) in smaller {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        let folder = tempfile::tempdir().unwrap();
        Self { folder, text }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write<T: nifti::Voxel>(&self, path: &str, volume: &Volume<T>) {
        let path = self.path("data").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        nifti::write(path, volume).unwrap();
    }

    fn run(&self, text: &str, out: &str, more: &[&str]) -> Outcome {
        let file = self.path("experiment.toml");
        fs::write(&file, text).unwrap();
        let (data, out) = (self.path("data"), self.path(out));
        let start = ["run".as_ref(), file.as_os_str(), "--data".as_ref(), data.as_os_str()];
        let out = ["--out".as_ref(), out.as_os_str()];
        dicewise(start.into_iter().chain(out).chain(more.iter().map(|flag| (*flag).as_ref())))
    }
}

/// Whether voxel i of a volume lies in a ball.
fn in_ball([nx, ny, _]: [usize; 3], i: usize, centre: [f64; 3], radius: f64) -> bool {
    let index = [i % nx, i / nx % ny, i / (nx * ny)];
    index.iter().zip(centre).map(|(&i, c)| (i as f64 - c).powi(2)).sum::<f64>() < radius * radius
}

/// Five subjects of each grade: a head, whose outside is 0, and a tumour of three labels somewhere in it.
fn brats() -> Paper {
    let paper = Paper::new(
        "brats2018.toml",
        &[
            ("[80, 80, 48]", "[16, 16, 16]"),
            ("preset = \"brats\"", "preset = \"brats\"\nwidth = 0.1"),
            ("epochs = 1000", "epochs = 2"),
            ("evaluate_every = 10", "evaluate_every = 1"),
            ("folds = 5", "folds = 5\nrun = [0]"),
            ("[\"I\", \"BI\", \"I_eps\"]", "[\"I_eps\"]"),
            ("[1, 2, 4, 8]", "[2]"),
        ],
    );
    let grid = Grid::axis_aligned([40, 36, 30], [1.0; 3]);
    for (grade, first) in [("HGG", 0), ("LGG", 5)] {
        for number in first..first + 5 {
            let subject = format!("Brats18_{number:02}");
            let centre = [14.0 + number as f64, 17.0, 12.0 + (number % 3) as f64];
            let at = |i: usize, radius: f64| in_ball(grid.shape, i, centre, radius);
            let head = |i: usize| in_ball(grid.shape, i, [20.0, 18.0, 15.0], 14.0);
            for (channel, tumour) in [("flair", 2.0), ("t1", 0.5), ("t1ce", 1.5), ("t2", 2.5)] {
                let value = |i: usize| match (head(i), at(i, 6.0)) {
                    (false, _) => 0.0,
                    (true, inside) => 1.0 + (i * 37 % 11) as f32 / 20.0 + if inside { tumour } else { 0.0 },
                };
                let image = Volume::new(grid.clone(), (0..grid.len()).map(value).collect());
                paper.write(&format!("{grade}/{subject}/{subject}_{channel}.nii.gz"), &image);
            }
            let label = |i: usize| match (at(i, 2.0), at(i, 4.0), at(i, 6.0)) {
                (true, _, _) => 4,
                (_, true, _) => 1,
                (_, _, true) => 2,
                _ => 0,
            };
            let labels: Volume<u16> = Volume::new(grid.clone(), (0..grid.len()).map(label).collect());
            paper.write(&format!("{grade}/{subject}/{subject}_seg.nii.gz"), &labels);
        }
    }
    paper
}

/// Ten patients with two phases each.
fn acdc() -> Paper {
    let paper = Paper::new(
        "acdc.toml",
        &[
            ("[192, 192, 48]", "[16, 16, 16]"),
            ("preset = \"acdc\"", "preset = \"acdc\"\nwidth = 0.125"),
            ("epochs = 1000", "epochs = 3"),
            ("evaluate_every = 30", "evaluate_every = 2"),
            ("records = 160", "records = 16"),
            ("folds = 5", "folds = 5\nrun = [1]"),
            ("[\"I\", \"BI\", \"I_eps\"]", "[\"I\"]"),
            ("[\"I\", \"BI\", \"leaf\", \"marginal\"]", "[\"marginal\"]"),
        ],
    );
    let mut grid = Grid::axis_aligned([20, 18, 5], [1.5, 1.6, 8.0]);
    grid.affine[0][3] = -12.0;
    for patient in 1..=10 {
        let name = format!("patient{patient:03}");
        for (frame, radius) in [(1, 6.0), (9, 4.5)] {
            let at = |i: usize, centre: [f64; 3], radius| in_ball(grid.shape, i, centre, radius);
            let heart = [9.0 + (patient % 3) as f64, 9.0, 2.0];
            let label = |i: usize| match (at(i, heart, radius - 2.0), at(i, heart, radius)) {
                (true, _) => 3,
                (_, true) => 2,
                _ if at(i, [heart[0] - 6.0, 9.0, 2.0], 3.5) => 1,
                _ => 0,
            };
            let labels: Vec<u16> = (0..grid.len()).map(label).collect();
            let value = |(i, label): (usize, &u16)| f32::from(*label) * 50.0 + (i * 37 % 23) as f32;
            let image = labels.iter().enumerate().map(value).collect();
            paper.write(&format!("{name}/{name}_frame{frame:02}.nii.gz"), &Volume::new(grid.clone(), image));
            let labels = Volume::new(grid.clone(), labels);
            paper.write(&format!("{name}/{name}_frame{frame:02}_gt.nii.gz"), &labels);
        }
        fs::write(paper.path("data").join(&name).join("Info.cfg"), "ED: 1\nES: 9\n").unwrap();
    }
    paper
}

fn lines(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap().lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn brats_runs_from_the_folder_as_downloaded_to_scores_on_the_original_grid() {
    let paper = brats();
    paper.run(&paper.text, "out", &[]).exits_with(0);
    let cell = paper.path("out").join("partial-I_eps-b2-seed0").join("fold_0");
    // 10 subjects in 5 folds of a numpy-shuffled list: np.random.seed(0) shuffles 0 … 9 to 2, 8, …: HGG 2 and LGG 8.
    let scored = lines(&cell.join("cases.csv"));
    assert!(
        scored.len() == 2 && scored[0].contains("Brats18_02") && scored[1].contains("Brats18_08"),
        "{scored:?}"
    );
    // Evaluated after each of 2 epochs.
    assert_eq!(lines(&cell.join("evaluations.csv")).len(), 4);
    let prediction = nifti::read_labels(cell.join("validation").join("Brats18_08.nii.gz")).unwrap();
    assert_eq!(prediction.grid, Grid::axis_aligned([40, 36, 30], [1.0; 3]));
    // Nothing is predicted beyond 16 voxels of 39/19 mm around the true tumour.
    let reach = |i: usize| (i % 40) as f64 - 22.0;
    let predicted = prediction.data.iter().enumerate().filter(|(_, y)| **y > 0);
    assert!(predicted.into_iter().all(|(i, _)| reach(i).abs() <= 19.0));
}

#[test]
fn a_network_with_oracle_crops_refuses_new_images_and_one_without_takes_them() {
    let paper = brats();
    let text = paper
        .text
        .replace("labelling = \"full\"\nsettings = [\"I_eps\"]", "labelling = \"full\"\nsettings = [\"I\"]");
    for (released, refused) in [("released = true", true), ("released = false", false)] {
        let out = released.replace(" = ", "-");
        paper.run(&text.replace("released = true", released), &out, &[]).exits_with(0);
        let model = paper.path(&out).join("full-I-b2-seed0").join("fold_0");
        let to = paper.path(&format!("{out}-predicted"));
        let (data, flag) = (paper.path("data"), "--out");
        let said = dicewise([
            "predict".as_ref(),
            model.as_os_str(),
            data.as_os_str(),
            flag.as_ref(),
            to.as_os_str(),
        ]);
        match refused {
            true => said.is_refused_with(&["label map"]),
            false => {
                said.exits_with(0);
                assert_eq!(fs::read_dir(&to).unwrap().count(), 10);
            }
        }
    }
}

#[test]
fn acdc_runs_from_the_folder_as_downloaded_and_scores_the_last_evaluated_network() {
    let paper = acdc();
    paper.run(&paper.text, "out", &[]).exits_with(0);
    let cell = paper.path("out").join("partial-I_eps-b2-seed0").join("fold_1");
    // Patients 2 and 7 of fold 1, two phases, three labels.
    let scored = lines(&cell.join("cases.csv"));
    assert_eq!(scored.len(), 12);
    assert!(scored.iter().all(|row| row.contains("patient002") || row.contains("patient007")));
    // ED three times: 8 + 3·8 records instead of 16 halve the interval of 2 epochs, so each of 3 is evaluated; 16
    // iterations each.
    let evaluated = |cell: &Path| -> Vec<String> {
        let rows = lines(&cell.join("evaluations.csv"));
        let mut iterations: Vec<_> =
            rows.iter().map(|row| row.split(',').next().unwrap().to_owned()).collect();
        iterations.dedup();
        iterations
    };
    assert_eq!(evaluated(&cell), ["16", "32", "48"]);
    // 16 records: after 2 of 3 epochs of 8 iterations. The network of then is scored, not that of the end.
    let cell = paper.path("out").join("full-I-b2-seed0").join("fold_1");
    assert_eq!(evaluated(&cell), ["16"]);
    let dsc = |row: &str, column: usize| row.split(',').nth(column).unwrap().to_owned();
    let (mut last, mut final_) = (Vec::new(), Vec::new());
    for row in lines(&cell.join("evaluations.csv")) {
        last.push((dsc(&row, 1), dsc(&row, 3), dsc(&row, 4)));
    }
    for row in lines(&cell.join("cases.csv")) {
        final_.push((dsc(&row, 5), dsc(&row, 8), dsc(&row, 9)));
    }
    last.sort();
    final_.sort();
    assert_eq!(last, final_);
    let prediction = nifti::read_labels(cell.join("validation").join("patient002_frame01.nii.gz")).unwrap();
    assert_eq!(prediction.grid.shape, [20, 18, 5]);
}

#[test]
fn a_dry_run_says_what_memory_and_time_are_needed() {
    let paper = acdc();
    let said = paper.run(&paper.text, "out", &["--dry-run", "--probe"]).exits_with(0).stdout;
    // 16 · 16 · 16 voxels · (4 bytes image + 2 bytes labels) + 20 · 18 · 5 · 2 bytes truth, 20 cases: 0.5 MB.
    assert!(said.contains("20 cases, 16 × 16 × 16 voxels prepared, 0.00 GiB"), "{said}");
    assert!(said.contains("memory: 0.0") && said.contains("GiB with B = 2"), "{said}");
    // 16 of 20 cases, 3 epochs.
    assert!(said.contains("at most 24 to 24 iterations a training"), "{said}");
    assert!(said.contains("s an iteration with B = 2, measured"), "{said}");
    assert!(!paper.path("out").exists());
    fs::remove_dir_all(paper.path("data")).unwrap();
    let said = paper.run(&paper.text, "out", &["--dry-run"]).exits_with(0).stdout;
    assert!(said.contains("trainings") && said.contains("unknown, because of the data"), "{said}");
}
