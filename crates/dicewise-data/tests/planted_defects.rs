//! One defect at a time is planted in a sound dataset of two modalities, and the check has to name it.

use std::fs;
use std::path::{Path, PathBuf};

use dicewise_data::check::{Defect, check};
use dicewise_data::dataset::{CaseError, Dataset, DatasetError, Layout};
use dicewise_data::nifti::{self, NiftiError, Voxel};
use dicewise_data::presence::Presence;
use dicewise_data::{Grid, Image, LabelMap, Volume};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

const CASES: [&str; 4] = ["a", "b", "c", "d"];
const SHAPE: [usize; 3] = [16, 12, 10];
const DESCRIPTION: &str = r#"{"channel_names": {"0": "T1", "1": "T2"},
    "labels": {"background": 0, "big": 1, "small": 2}, "numTraining": 4, "file_ending": ".nii.gz"}"#;

struct Sound(TempDir);

/// An off-centre ball of a small one and a big one, and two modalities with noise of their own.
impl Sound {
    fn new() -> Self {
        let dataset = Self(tempfile::tempdir().unwrap());
        for folder in ["imagesTr", "labelsTr"] {
            fs::create_dir(dataset.root().join(folder)).unwrap();
        }
        dataset.describe(DESCRIPTION);
        for (number, case) in CASES.into_iter().enumerate() {
            let labels = labels(number);
            let mut random = ChaCha8Rng::seed_from_u64(number as u64);
            // Bright in one modality, dark in the other.
            for (channel, contrast) in [[40.0, 80.0], [-30.0, 20.0]].into_iter().enumerate() {
                let image = labels.map(|&label| {
                    let tissue = if label == 0 { 0.0 } else { contrast[usize::from(label) - 1] };
                    100.0 + tissue + random.random_range(-8.0..8.0_f32)
                });
                dataset.write(&dataset.image(case, channel), &image);
            }
            dataset.write(&dataset.label(case), &labels);
        }
        dataset
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn describe(&self, json: &str) {
        fs::write(self.root().join("dataset.json"), json).unwrap();
    }

    fn image(&self, case: &str, channel: usize) -> PathBuf {
        self.root().join(format!("imagesTr/{case}_{channel:04}.nii.gz"))
    }

    fn label(&self, case: &str) -> PathBuf {
        self.root().join(format!("labelsTr/{case}.nii.gz"))
    }

    fn write<T: Voxel>(&self, path: &Path, volume: &Volume<T>) {
        nifti::write(path, volume).unwrap();
    }

    fn change_image(&self, change: impl Fn(&mut Image)) {
        let path = self.image("a", 1);
        let mut image = nifti::read_image(&path).unwrap();
        change(&mut image);
        self.write(&path, &image);
    }

    fn change_labels(&self, change: impl Fn(&mut LabelMap)) {
        let path = self.label("a");
        let mut labels = nifti::read_labels(&path).unwrap();
        change(&mut labels);
        self.write(&path, &labels);
    }

    /// Messages of all defects.
    fn check(&self) -> Result<Vec<Defect>, DatasetError> {
        let dataset = Dataset::list(self.root(), Layout::detect(self.root())?)?;
        let presence = Presence::of_dataset(&dataset).unwrap();
        Ok(check(&dataset, &presence, |_| {}).defects)
    }
}

fn labels(number: usize) -> LabelMap {
    let grid = Grid::axis_aligned(SHAPE, [1.0, 1.0, 2.0]);
    let ball = |at: [usize; 3], centre: [usize; 3], radius: usize| {
        at.iter().zip(centre).map(|(i, c)| i.abs_diff(c).pow(2)).sum::<usize>() <= radius * radius
    };
    let label = |index: usize| {
        let at = [index % SHAPE[0], index / SHAPE[0] % SHAPE[1], index / (SHAPE[0] * SHAPE[1])];
        match () {
            () if ball(at, [4 + number % 2, 7, 4], 2) => 2,
            () if ball(at, [5, 6, 5], 3 + number) => 1,
            () => 0,
        }
    };
    let data = (0..grid.len()).map(label).collect();
    Volume::new(grid, data)
}

fn copy(from: PathBuf, to: PathBuf) {
    fs::copy(from, to).unwrap();
}

fn cut(path: &Path, keep: impl Fn(usize) -> usize) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..keep(bytes.len())]).unwrap();
}

fn mirror_voxels<T>(volume: &mut Volume<T>) {
    volume.data.chunks_exact_mut(SHAPE[0]).for_each(<[T]>::reverse);
}

type Plant = fn(&Sound);

/// What `verify_dataset_integrity` of nnU-Net is meant to find or overlooks, 14 in number, and then more.
const PLANTED: &[(&str, Plant, &[&str])] = &[
    ("an image cut in half", |d| cut(&d.image("a", 0), |n| n / 2), &["Truncated"]),
    (
        "an image that is a header only",
        |d| {
            let image = nifti::read_image(d.image("a", 0)).unwrap();
            fs::remove_file(d.image("a", 0)).unwrap();
            let plain = d.root().join("plain.nii");
            d.write(&plain, &image);
            cut(&plain, |_| 352);
            fs::rename(plain, d.image("a", 0)).unwrap();
        },
        &["Truncated"],
    ),
    ("NaN in an image", |d| d.change_image(|i| i.data[77] = f32::NAN), &["NonFiniteVoxels"]),
    ("an infinite voxel", |d| d.change_image(|i| i.data[78] = f32::INFINITY), &["NonFiniteVoxels"]),
    (
        "NaN in a label map",
        |d| {
            let labels = nifti::read_labels(d.label("a")).unwrap();
            let mut floats = labels.map(|&v| f32::from(v));
            floats.data[5] = f32::NAN;
            d.write(&d.label("a"), &floats);
        },
        &["NonIntegerLabel"],
    ),
    ("a label map of background", |d| d.change_labels(|l| l.data.fill(0)), &["AllBackground"]),
    ("a constant image", |d| d.change_image(|i| i.data.fill(3.0)), &["ConstantImage"]),
    ("a label id that is not declared", |d| d.change_labels(|l| l.data[0] = 7), &["UndeclaredLabel"]),
    (
        "a label map of another shape",
        |d| {
            d.change_labels(|l| {
                l.grid.shape[2] -= 1;
                l.data.truncate(l.grid.len());
            });
        },
        &["ShapeMismatch"],
    ),
    (
        "a label map of another spacing",
        |d| d.change_labels(|l| l.grid.affine[2][2] = 3.0),
        &["AffineMismatch", "another spacing"],
    ),
    (
        "a label map at another origin",
        |d| d.change_labels(|l| l.grid.affine[0][3] = 5.0),
        &["AffineMismatch", "another origin"],
    ),
    ("a label map that is missing", |d| fs::remove_file(d.label("a")).unwrap(), &["MissingFile", "labelsTr"]),
    ("a channel that is missing", |d| fs::remove_file(d.image("a", 1)).unwrap(), &["MissingFile", "a_0001"]),
    (
        "fewer cases than announced",
        |d| d.describe(&DESCRIPTION.replace("\"numTraining\": 4", "\"numTraining\": 5")),
        &["CaseCount", "announces 5"],
    ),
    // More than the fourteen.
    (
        "a label map in another direction",
        |d| {
            d.change_labels(|l| l.grid.affine[0][..2].copy_from_slice(&[0.8, -0.6]));
        },
        &["AffineMismatch", "another"],
    ),
    (
        "a modality whose header is mirrored",
        |d| {
            d.change_image(|i| i.grid.affine[0] = [-1.0, 0.0, 0.0, 15.0]);
        },
        &["AffineMismatch", "mirrored left to right"],
    ),
    ("a modality whose voxels are mirrored", |d| d.change_image(mirror_voxels), &["MirroredChannel"]),
    (
        "a wrong checksum",
        |d| {
            let mut bytes = fs::read(d.image("a", 0)).unwrap();
            let crc = bytes.len() - 8;
            bytes[crc] ^= 1;
            fs::write(d.image("a", 0), bytes).unwrap();
        },
        &["Corrupt"],
    ),
    (
        "an image twice",
        |d| {
            (0..2).for_each(|channel| copy(d.image("a", channel), d.image("b", channel)));
        },
        &["DuplicateImages"],
    ),
    ("a label map twice", |d| copy(d.label("a"), d.label("b")), &["DuplicateLabels"]),
    ("a channel twice", |d| copy(d.image("a", 0), d.image("a", 1)), &["DuplicateChannel"]),
    ("a channel too many", |d| copy(d.image("b", 0), d.image("a", 2)), &["ChannelCount"]),
    (
        "a label that is in no case",
        |d| d.describe(&DESCRIPTION.replace("\"small\": 2", "\"small\": 2, \"none\": 3")),
        &["LabelNeverSeen", "none"],
    ),
    (
        "a label id left out",
        |d| {
            d.describe(&DESCRIPTION.replace("\"small\": 2", "\"small\": 3"));
            for case in CASES {
                let labels = nifti::read_labels(d.label(case)).unwrap().map(|&v| if v == 2 { 3 } else { v });
                d.write(&d.label(case), &labels);
            }
        },
        &["LabelIdGap", "leave out 2"],
    ),
];

#[test]
fn a_sound_dataset_has_no_defect() {
    let defects = Sound::new().check().unwrap();
    assert!(defects.is_empty(), "{defects:?}");
}

#[test]
fn every_planted_defect_is_named_and_nothing_else_is() {
    let mut silent = Vec::new();
    for (name, plant, words) in PLANTED {
        let dataset = Sound::new();
        plant(&dataset);
        let defects = dataset.check().unwrap();
        let told: Vec<String> = defects.iter().map(|defect| format!("{defect:?} {defect}")).collect();
        if !matches!(&told[..], [one] if words.iter().all(|word| one.contains(word))) {
            silent.push(format!("{name}: expected {words:?} alone, found {told:?}"));
        }
    }
    assert!(silent.is_empty(), "{} of {}:\n{}", silent.len(), PLANTED.len(), silent.join("\n"));
}

#[test]
fn a_description_that_leads_out_of_the_folder_is_refused() {
    for path in ["../a.nii.gz", "/etc/passwd", "imagesTr/../../a.nii.gz", "..\\a.nii.gz"] {
        let dataset = Sound::new();
        let entry = serde_json::to_string(path).unwrap();
        let named = format!(
            ", \"dataset\": {{\"a\": {{\"images\": [{entry}], \"label\": \"labelsTr/a.nii.gz\"}}}}}}"
        );
        dataset.describe(&(DESCRIPTION.trim_end_matches('}').to_owned() + &named));
        assert!(matches!(dataset.check(), Err(DatasetError::PathEscapes { .. })), "{path}");
    }
}

/// The message says in which file, which value, and what is accepted.
#[test]
fn defects_carry_their_place() {
    let dataset = Sound::new();
    dataset.change_labels(|labels| labels.data[17] = 257);
    match &dataset.check().unwrap()[..] {
        [
            Defect::Unusable {
                error: CaseError::UndeclaredLabel { value: 257, voxels: 1, first: [1, 1, 0], .. },
                ..
            },
        ] => {}
        other => panic!("{other:?}"),
    }
    cut(&dataset.image("b", 0), |n| n - 4);
    let defects = dataset.check().unwrap();
    assert!(defects.iter().any(|defect| matches!(
        defect,
        Defect::Unusable { error: CaseError::Nifti { source: NiftiError::Truncated { path, .. }, .. }, .. }
            if path.ends_with("imagesTr/b_0000.nii.gz")
    )));
}
