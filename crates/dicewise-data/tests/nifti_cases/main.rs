//! Good, odd and bad NIfTI files, each with the answer that is expected of the reader: how it is classed, what is said,
//! which values come out, within ten seconds and 64 MiB above what the process had.

/// Gzip: cut, damaged, several members, other content than the name says.
mod container;
/// Voxel types, scales, values.
mod data;
/// sform, qform, voxel sizes, units.
mod geometry;
/// Extents, offsets, extensions.
mod header;
#[path = "../nifti/header_bytes.rs"]
#[allow(dead_code)]
mod header_bytes;
/// `.hdr` with `.img`, other formats, label maps, images with their label maps.
mod pairs;
/// Reading one case within limits, and comparing.
mod reading;

use std::path::{Path, PathBuf};

use reading::{Case, compare};

/// Cases under construction, in a folder of their own.
struct Cases {
    folder: tempfile::TempDir,
    all: Vec<Case>,
}

impl Cases {
    fn add(&mut self, name: &str, bytes: &[u8], expected: Case) {
        self.put(name, bytes);
        self.all.push(Case { id: name.into(), file: Some(name.into()), ..expected });
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.folder.path().join(name), bytes).unwrap();
    }
}

#[test]
fn every_file_is_classed_and_read_as_expected_within_limits() {
    let mut cases = Cases { folder: tempfile::tempdir().unwrap(), all: Vec::new() };
    container::add(&mut cases);
    header::add(&mut cases);
    data::add(&mut cases);
    geometry::add(&mut cases);
    pairs::add(&mut cases);
    judge(cases.folder.path(), &cases.all);
}

/// The same for a folder of files that somebody else made, with their expectations beside them:
/// `{"cases": [{"id", "file" or "pair": [image, labels], "expect": "ok", "warn" or "error", "error": kind, "role": "label",
/// "labels": [ids], "shape", "sum", "first", "affine_det_sign", "label_counts", "mem_limit_mb"}]}`.
#[test]
fn files_of_a_folder_are_classed_and_read_as_their_expectations_say() {
    let Some(folder) = std::env::var_os("DICEWISE_NIFTI_CASES").map(PathBuf::from) else {
        eprintln!("skipped: set DICEWISE_NIFTI_CASES to a folder with expectations.json");
        return;
    };
    #[derive(serde::Deserialize)]
    struct Expectations {
        cases: Vec<Case>,
    }
    let text = std::fs::read(folder.join("expectations.json")).unwrap();
    let Expectations { cases } = serde_json::from_slice(&text).unwrap();
    judge(&folder, &cases);
}

/// Reads all cases, then fails with everything that is not as expected.
fn judge(folder: &Path, cases: &[Case]) {
    let wrong: Vec<String> = cases.iter().filter_map(|case| compare(folder, case).err()).collect();
    eprintln!("{} cases, {} as expected", cases.len(), cases.len() - wrong.len());
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
