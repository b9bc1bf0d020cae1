//! Folders as users have them, and what is wrong with some of them.

use std::fs;
use std::path::Path;

use dicewise_data::dataset::{CaseError, Dataset, DatasetError, Layout};
use dicewise_data::{Grid, Volume, nifti};
use tempfile::TempDir;

const NNUNET: &str = r#"{"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "tumour": 1},
    "numTraining": 2, "file_ending": ".nii.gz"}"#;

fn grid() -> Grid {
    Grid::axis_aligned([4, 3, 2], [1.0, 1.0, 2.0])
}

fn write_image(path: &Path, grid: Grid) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let data = (0..grid.len()).map(|i| i as f32).collect();
    nifti::write(path, &Volume::new(grid, data)).unwrap();
}

fn write_labels(path: &Path, grid: Grid, id: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut data = vec![0_u8; grid.len()];
    data[5] = id;
    nifti::write(path, &Volume::new(grid, data)).unwrap();
}

/// Two cases of two channels each.
fn nnunet() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("dataset.json"), NNUNET).unwrap();
    for case in ["b_2", "a_1"] {
        for channel in ["0000", "0001"] {
            write_image(&dir.path().join(format!("imagesTr/{case}_{channel}.nii.gz")), grid());
        }
        write_labels(&dir.path().join(format!("labelsTr/{case}.nii.gz")), grid(), 1);
    }
    dir
}

#[test]
fn nnunet_cases_have_one_image_a_channel_and_come_by_name() {
    let dir = nnunet();
    // What a Mac's archive leaves beside every file is no case.
    fs::write(dir.path().join("imagesTr/._a_1_0000.nii.gz"), "junk").unwrap();
    let dataset = Dataset::open(dir.path()).unwrap();
    assert_eq!(dataset.layout, Layout::NnUnet);
    assert_eq!(dataset.channel_names, ["T1", "T2"]);
    assert_eq!(dataset.cases.iter().map(|c| c.id.as_str()).collect::<Vec<_>>(), ["a_1", "b_2"]);
    let case = dataset.load_case("a_1").unwrap();
    assert_eq!(case.channels.len(), 2);
    let labels = case.labels.unwrap();
    assert_eq!(labels.data.iter().map(|&v| u32::from(v)).sum::<u32>(), 1);
    assert_eq!(labels.data[5], 1);
}

#[test]
fn nnunet_case_without_label_or_channel_is_missing_a_file() {
    for file in ["labelsTr/a_1.nii.gz", "imagesTr/a_1_0001.nii.gz", "imagesTr/a_1_0000.nii.gz"] {
        let dir = nnunet();
        fs::remove_file(dir.path().join(file)).unwrap();
        match Dataset::open(dir.path()) {
            Err(DatasetError::MissingFile { case, path }) => {
                assert_eq!(case, "a_1");
                assert_eq!(path, dir.path().join(file));
            }
            other => panic!("{file}: {other:?}"),
        }
    }
}

#[test]
fn nnunet_channel_that_is_not_declared_is_refused_with_its_case() {
    let dir = nnunet();
    write_image(&dir.path().join("imagesTr/a_1_0002.nii.gz"), grid());
    let dataset = Dataset::open(dir.path()).unwrap();
    let error = dataset.load_case("a_1").unwrap_err();
    assert!(matches!(error, CaseError::ChannelCount { found: 3, expected: 2, .. }), "{error}");
}

#[test]
fn nnunet_explicit_file_lists_are_followed_inside_the_folder_only() {
    let dir = nnunet();
    let with = |path: &str| {
        NNUNET.replacen(
            '{',
            &format!(
                r#"{{"dataset": {{"one": {{"images": ["imagesTr/a_1_0000.nii.gz", "imagesTr/a_1_0001.nii.gz"],
                "label": "{path}"}}}}, "#
            ),
            1,
        )
    };
    fs::write(dir.path().join("dataset.json"), with("./labelsTr/a_1.nii.gz")).unwrap();
    let dataset = Dataset::open(dir.path()).unwrap();
    assert_eq!(dataset.cases.len(), 1);
    dataset.load_case("one").unwrap();
    for outside in ["../labels/a.nii.gz", "labelsTr/../../a.nii.gz", "/etc/passwd", r"..\\a.nii.gz", ""] {
        fs::write(dir.path().join("dataset.json"), with(outside)).unwrap();
        let error = Dataset::open(dir.path()).unwrap_err();
        assert!(matches!(error, DatasetError::PathEscapes { .. }), "{outside}: {error}");
    }
}

#[test]
fn dataset_json_that_cannot_be_used_says_why() {
    for (json, message) in [
        ("{", "EOF"),
        (&NNUNET.replace(r#""tumour": 1"#, r#""tumour": [1, 2]"#), "label tumour is made of several ids"),
        (&NNUNET.replace(r#""tumour": 1"#, r#""tumour": 0"#), "both 0"),
        (&NNUNET.replace(r#""tumour": 1"#, r#""tumour": -1"#), "labels.tumour is -1"),
        (&NNUNET.replace(r#""tumour": 1"#, r#""tumour": 70000"#), "labels.tumour is 70000"),
        (&NNUNET.replace(r#""tumour": 1"#, r#""tumour": 1.5"#), "labels.tumour is 1.5"),
        (&NNUNET.replace(r#""background": 0, "#, ""), "background has id 0"),
        (&NNUNET.replace(r#""1": "T2""#, r#""2": "T2""#), "channel_names.1 is absent"),
        (&NNUNET.replace(".nii.gz", ".nrrd"), "file_ending is .nrrd"),
        (&NNUNET.replace("channel_names", "chanels"), "modality and training (MSD)"),
    ] {
        let dir = nnunet();
        fs::write(dir.path().join("dataset.json"), json).unwrap();
        let error = Dataset::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains(message), "{json}\n{error}");
        assert!(error.contains("dataset.json"), "{error}");
    }
}

#[test]
fn msd_reads_four_dimensional_images_as_channels() {
    let dir = tempfile::tempdir().unwrap();
    let json = r#"{"modality": {"0": "FLAIR", "1": "T1w"}, "labels": {"0": "background", "1": "edema"},
        "training": [{"image": "./imagesTr/BRATS_001.nii", "label": "./labelsTr/BRATS_001.nii.gz"}]}"#;
    fs::write(dir.path().join("dataset.json"), json).unwrap();
    write_labels(&dir.path().join("labelsTr/BRATS_001.nii.gz"), grid(), 1);
    // Two volumes in one file: dim[0] = 4, dim[4] = 2, and the voxels twice.
    let image = dir.path().join("imagesTr/BRATS_001.nii");
    write_image(&image, grid());
    let mut bytes = fs::read(&image).unwrap();
    bytes[40] = 4;
    bytes[48] = 2;
    let voxels = bytes[352..].to_vec();
    bytes.extend(voxels);
    fs::write(&image, bytes).unwrap();

    let dataset = Dataset::open(dir.path()).unwrap();
    assert_eq!(dataset.layout, Layout::Msd);
    assert_eq!(dataset.labels[1].name, "edema");
    let case = dataset.load_case("BRATS_001").unwrap();
    assert_eq!(case.channels.len(), 2);
    assert_eq!(case.channels[0], case.channels[1]);
}

#[test]
fn acdc_has_a_case_for_each_phase_and_one_subject_for_both() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("training/patient007");
    for id in ["patient007_frame01", "patient007_frame12"] {
        write_image(&folder.join(format!("{id}.nii.gz")), grid());
        write_labels(&folder.join(format!("{id}_gt.nii.gz")), grid(), 2);
    }
    fs::write(folder.join("Info.cfg"), "ED: 1\nES: 12\nGroup: DCM\nHeight: 184.0\n").unwrap();
    for root in [dir.path().to_path_buf(), dir.path().join("training")] {
        let dataset = Dataset::open(&root).unwrap();
        assert_eq!(dataset.layout, Layout::Acdc);
        let [ed, es] = &dataset.cases[..] else { panic!("{:?}", dataset.cases) };
        assert_eq!((ed.id.as_str(), ed.group.as_deref()), ("patient007_frame01", Some("ED")));
        assert_eq!((es.id.as_str(), es.group.as_deref()), ("patient007_frame12", Some("ES")));
        assert_eq!((ed.subject.as_str(), es.subject.as_str()), ("patient007", "patient007"));
        dataset.load_case("patient007_frame12").unwrap();
    }
    fs::write(folder.join("Info.cfg"), "ED: 1\n").unwrap();
    let error = Dataset::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("Info.cfg") && error.contains("ES is absent"), "{error}");
}

#[test]
fn brats_groups_by_grade_and_knows_that_there_is_no_label_3() {
    let dir = tempfile::tempdir().unwrap();
    for (grade, subject, id) in [("HGG", "Brats18_A_1", 4), ("LGG", "Brats18_B_1", 3)] {
        let folder = dir.path().join(grade).join(subject);
        for channel in ["flair", "t1", "t1ce", "t2"] {
            write_image(&folder.join(format!("{subject}_{channel}.nii.gz")), grid());
        }
        write_labels(&folder.join(format!("{subject}_seg.nii.gz")), grid(), id);
    }
    let dataset = Dataset::open(dir.path()).unwrap();
    assert_eq!(dataset.layout, Layout::Brats2018);
    let groups: Vec<_> = dataset.cases.iter().map(|c| c.group.as_deref().unwrap()).collect();
    assert_eq!(groups, ["HGG", "LGG"]);
    assert_eq!(dataset.load_case("Brats18_A_1").unwrap().channels.len(), 4);
    match dataset.load_case("Brats18_B_1") {
        Err(CaseError::UndeclaredLabel { value: 3, voxels: 1, first: [1, 1, 0], declared, .. }) => {
            assert_eq!(declared, [0, 1, 2, 4]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn image_and_label_have_to_lie_on_one_grid() {
    let label = |dir: &TempDir, grid: Grid| {
        write_labels(&dir.path().join("labelsTr/a_1.nii.gz"), grid, 1);
        Dataset::open(dir.path()).unwrap().load_case("a_1")
    };
    let dir = nnunet();
    let error = label(&dir, Grid::axis_aligned([3, 4, 2], [1.0, 1.0, 2.0])).unwrap_err();
    assert!(matches!(error, CaseError::ShapeMismatch { found: [3, 4, 2], .. }), "{error}");

    // A millimetre off at the origin is a millimetre off at every corner.
    let mut shifted = grid();
    shifted.affine[0][3] = 1.0;
    match label(&dir, shifted) {
        Err(CaseError::AffineMismatch { distance_mm, .. }) => assert!((distance_mm - 1.0).abs() < 1e-6),
        other => panic!("{other:?}"),
    }
    // Single precision's noise is no difference, and the case ends up on the image's grid.
    let mut noisy = grid();
    noisy.affine[0][3] = 1e-5;
    assert_eq!(label(&dir, noisy).unwrap().labels.unwrap().grid, grid());
}

#[test]
fn folders_without_a_dataset_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Dataset::open(dir.path()), Err(DatasetError::UnknownLayout { .. })));
    assert!(matches!(Dataset::open(dir.path().join("no")), Err(DatasetError::NotAFolder { .. })));
    for layout in [Layout::NnUnet, Layout::Msd, Layout::Acdc, Layout::Brats2018] {
        let error = Dataset::open_as(dir.path().join("no"), layout);
        assert!(matches!(error, Err(DatasetError::NotAFolder { .. })), "{layout:?}: {error:?}");
    }
    fs::create_dir(dir.path().join("HGG")).unwrap();
    assert!(matches!(Dataset::open(dir.path()), Err(DatasetError::Empty { .. })));
}

#[test]
fn real_datasets_load() {
    let Some(root) = std::env::var_os("DICEWISE_DATA") else {
        eprintln!("skipped: DICEWISE_DATA is not set");
        return;
    };
    for (folder, layout, cases) in [("hippocampus", Layout::Msd, 200), ("acdc", Layout::Acdc, 160)] {
        let dataset = Dataset::open(Path::new(&root).join(folder)).unwrap();
        assert_eq!((dataset.layout, dataset.cases.len()), (layout, cases));
        for case in dataset.cases.iter().step_by(20) {
            assert!(dataset.load_case(&case.id).unwrap().labels.is_some());
        }
    }
}
