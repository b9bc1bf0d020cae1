//! The report of a made-up folder of results.

mod scores;

use std::fs;
use std::path::{Path, PathBuf};

use dicewise_data::{Grid, Volume, nifti};
use dicewise_report::*;
use scores::experiment;
use tempfile::TempDir;

const NAME: &str = "<script>alert(1)</script> & \"more\"";

/// Everything that a run leaves, of three trained cells.
fn results() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let scores = experiment();
    write_cases(&folder.path().join("cases.csv"), &scores).unwrap();
    let groups = vec!["G1".to_owned(), "G0".to_owned()];
    let shown = representative_cases(&scores, "whole", &groups);
    let cells = [("full", "I", 2), ("partial", "I", 2), ("partial", "BI", 2)];
    let trainings = cells.map(|(labelling, setting, batch_size)| RecordedTraining {
        labelling: labelling.into(),
        setting: setting.into(),
        batch_size,
        seed: 0,
        fold: 0,
        folder: format!("{labelling}-{setting}/fold_0"),
    });
    for training in &trainings {
        write_training(&folder.path().join(&training.folder), &shown);
    }
    let kept = folder.path().join(SHOWN_FOLDER);
    fs::create_dir(&kept).unwrap();
    for ShownCase { case, .. } in &shown {
        nifti::write(kept.join(format!("{case}_image.nii.gz")), &cube(|i| i as f32)).unwrap();
        nifti::write(kept.join(format!("{case}_truth.nii.gz")), &cube(|i| u16::from(i > 30))).unwrap();
    }
    let record = RunRecord {
        version: "0.0.0".into(),
        experiment: NAME.into(),
        description: "made up".into(),
        configuration: "name = \"<b>\"".into(),
        labels: vec![RecordedLabel { name: "whole".into(), value: 1, suffix: String::new() }],
        partial: Some(RecordedPartial { label: "whole".into(), group: "G0".into() }),
        groups,
        settings: vec![RecordedSetting { name: "I".into(), loss: "Φ = I".into() }],
        trainings: trainings.to_vec(),
        shown,
        machine: Machine { system: "test".into(), processor: "test".into(), threads: 1 },
        started: "2026-01-31T12:00:00Z".into(),
        seconds: 3661.0,
    };
    record.write(folder.path()).unwrap();
    assert_eq!(RunRecord::read(folder.path()).unwrap(), record);
    folder
}

fn cube<T>(value: impl Fn(usize) -> T) -> Volume<T> {
    Volume::new(Grid::axis_aligned([4, 4, 4], [1.0; 3]), (0..64).map(value).collect())
}

fn write_training(folder: &Path, shown: &[ShownCase]) {
    fs::create_dir_all(folder.join("validation")).unwrap();
    let row = |iteration: i32| LogRow {
        iteration: f64::from(iteration),
        learning_rate: 1e-3,
        loss: 1.0 / f64::from(iteration),
        validation_loss: f64::NAN,
        loss_empty: 1.0,
        loss_present: 0.5,
        push_empty: 1e-9,
        push_present: 1e-5,
        pull_present: 1e-4,
        mass_empty: f64::NAN,
        mass_present: 10.0,
    };
    let lines: Vec<String> = (1..=10).map(|iteration| row(iteration).to_line()).collect();
    let text = format!("{}\n{}\n", METRICS_HEADER.join(","), lines.join("\n"));
    fs::write(folder.join("metrics.csv"), text).unwrap();
    assert_eq!(read_metrics(&folder.join("metrics.csv")).unwrap()[3].loss, 0.25);
    for ShownCase { case, .. } in shown {
        let map = cube(|i| u16::from(i > 40));
        nifti::write(folder.join("validation").join(format!("{case}.nii.gz")), &map).unwrap();
    }
}

fn page(folder: &Path, options: ReportOptions) -> String {
    fs::read_to_string(write_report(folder, options).unwrap()).unwrap()
}

#[test]
fn verdicts_say_which_cells_ignore_and_which_learn() {
    let folder = results();
    let text = page(folder.path(), ReportOptions::default());
    // `experiment` leaves I alone and empties G0 under BI, to a DSC of 0.12 of 0.87.
    assert!(text.contains("I, B = 2 <b>ignores the maps without a label</b>"), "I");
    assert!(text.contains("BI, B = 2 <b>learns that there is nothing</b>"), "BI");
    assert!(text.contains("leaf, B = 2 <b>ignores the maps without a label</b>"), "leaf");
    assert!(text.contains("1 h 1 min"));
}

#[test]
fn every_figure_is_there_as_svg_png_and_csv() {
    let folder = results();
    let text = page(folder.path(), ReportOptions::default());
    let figures = folder.path().join("report").join("figures");
    for name in [
        "dsc_whole",
        "volume_difference_whole",
        "roc_whole",
        "training_loss",
        "training_map_loss",
        "training_gradient",
        "partitions",
    ] {
        assert!(fs::read(figures.join(format!("{name}.png"))).unwrap().starts_with(b"\x89PNG"), "{name}");
        let svg = fs::read_to_string(figures.join(format!("{name}.svg"))).unwrap();
        assert!(svg.contains("<svg xmlns=") && svg.trim_end().ends_with("</svg>"), "{name}");
        assert!(
            fs::read_to_string(figures.join(format!("{name}.csv"))).unwrap().lines().count() > 1,
            "{name}"
        );
        assert!(name == "partitions" || text.contains(&format!("figure-{name}")), "{name}");
    }
    // Three cases a group, three planes each.
    let cases = fs::read_dir(&figures)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("case_"));
    assert_eq!(cases.count(), 2 * 3 * 3 * 2);
}

/// The numbers of the box plot by hand: full I of G1 has DSC 0.85, 0.86, …, 0.90.
#[test]
fn the_data_of_a_figure_are_its_numbers() {
    let folder = results();
    page(folder.path(), ReportOptions::default());
    let text = fs::read_to_string(folder.path().join("report/figures/dsc_whole.csv")).unwrap();
    let row: Vec<&str> = text.lines().find(|l| l.starts_with("full,I,2,G1")).unwrap().split(',').collect();
    for (column, expected) in [(6, 0.85), (7, 0.8625), (8, 0.875), (9, 0.8875), (10, 0.90), (11, 0.875)] {
        let found: f64 = row[column].parse().unwrap();
        assert!((found - expected).abs() < 1e-12, "column {column}: {found}");
    }
}

#[test]
fn names_cannot_become_markup_and_nothing_is_loaded_from_elsewhere() {
    let folder = results();
    for single_file in [false, true] {
        let text = page(folder.path(), ReportOptions { single_file });
        assert!(!text.contains("<script>alert"), "a name became a script");
        assert!(text.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;more&quot;"));
        assert!(text.contains("default-src 'none'"));
        for outside in ["src=\"http", "href=\"http", "src=\"//", "@import"] {
            assert!(!text.contains(outside), "{outside}");
        }
        assert_eq!(text.contains("id=\"viewer-canvas\""), single_file);
    }
    let viewer = fs::read_to_string(folder.path().join("report").join("viewer.html")).unwrap();
    assert!(viewer.contains("id=\"viewer-canvas\""));
}

#[test]
fn the_same_files_give_the_same_page() {
    let folder = results();
    let first = page(folder.path(), ReportOptions::default());
    assert_eq!(page(folder.path(), ReportOptions::default()), first);
}

#[test]
fn what_is_missing_or_damaged_is_named() {
    type Damage = (&'static str, fn(&PathBuf), &'static [&'static str]);
    let damage: [Damage; 5] = [
        ("run.json", |file| fs::remove_file(file).unwrap(), &["cannot read"]),
        ("run.json", |file| fs::write(file, "{\n\"version\": 3}").unwrap(), &["run.json:2", "string"]),
        (
            "partial-BI/fold_0/metrics.csv",
            |file| fs::write(file, "iteration,loss\n1,x\n").unwrap(),
            &[":2", "`x`"],
        ),
        ("cases.csv", |file| fs::write(file, "a,b\n").unwrap(), &["columns"]),
        (
            "shown/case_000_truth.nii.gz",
            |file| {
                let grid = Grid::axis_aligned([2, 2, 2], [1.0; 3]);
                nifti::write(file, &Volume::new(grid, vec![0u16; 8])).unwrap();
            },
            &["[2, 2, 2]", "[4, 4, 4]"],
        ),
    ];
    for (name, harm, words) in damage {
        let folder = results();
        harm(&folder.path().join(name));
        let error = write_report(folder.path(), ReportOptions::default()).unwrap_err().to_string();
        let file = Path::new(name).file_name().unwrap().to_string_lossy().into_owned();
        assert!(error.contains(&file) && words.iter().all(|word| error.contains(word)), "{name}: {error}");
    }
}

#[test]
fn shown_cases_are_the_worst_the_median_and_the_best_of_each_group() {
    let shown = representative_cases(&experiment(), "whole", &["G1".into(), "G0".into()]);
    // Within a group of six, the DSC rises with the number of the case, from 0 in G1 and from 6 in G0.
    let found: Vec<(&str, &str, &str)> =
        shown.iter().map(|s| (s.group.as_str(), s.rank.as_str(), s.case.as_str())).collect();
    assert_eq!(
        found,
        [
            ("G1", "median", "case_002"),
            ("G1", "worst", "case_000"),
            ("G1", "best", "case_005"),
            ("G0", "median", "case_008"),
            ("G0", "worst", "case_006"),
            ("G0", "best", "case_011"),
        ]
    );
}
