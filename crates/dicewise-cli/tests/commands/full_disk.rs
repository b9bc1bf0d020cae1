use std::collections::BTreeSet;
use std::env;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::program::dicewise;
use crate::run::{EXPERIMENT, Experiment};
use crate::running::{assert_same_results, results};

/// Set in a process that has a small file system of its own, to the folder where it is.
const FOLDER: &str = "DICEWISE_TEST_SMALL_DISK";

/// This test binary once more, in a process that sees a small file system in memory in the folder. None where neither
/// root nor a user's namespace may mount one.
fn on_a_small_disk(test: &str, folder: &Path, options: &str) -> Option<Output> {
    let mount = format!("mount -t tmpfs -o {options} tmpfs \"${FOLDER}\" && exec \"$@\"; exit 77");
    for flags in ["-m", "-Urm"] {
        let mut command = Command::new("unshare");
        command.args([flags, "sh", "-c", &mount, "sh"]).arg(env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(FOLDER, folder);
        match command.output() {
            Ok(output) if matches!(output.status.code(), Some(0 | 101) | None) => return Some(output),
            _ => {}
        }
    }
    eprintln!("skipped: a file system of a given size needs root or user namespaces");
    None
}

fn assert_passed(output: Option<Output>, done: &str) {
    let Some(output) = output else { return };
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success() && said[0].contains(done), "{}\n{}", said[0], said[1]);
}

#[test]
fn a_full_disk_is_reported_with_the_file_and_costs_nothing_once_there_is_room() {
    let name = "full_disk::a_full_disk_is_reported_with_the_file_and_costs_nothing_once_there_is_room";
    let Some(disk) = env::var_os(FOLDER).map(PathBuf::from) else {
        let folder = tempfile::tempdir().unwrap();
        assert_passed(on_a_small_disk(name, folder.path(), "size=8m"), "runs met a full disk");
        return;
    };
    let experiment = Experiment::new(EXPERIMENT);
    let whole = experiment.out("whole");
    experiment.run(&whole, &[]).exits_with(0);
    let needed: usize = results(&whole).iter().map(|(_, bytes)| bytes.len()).sum();

    let mut filler = File::create(disk.join("filler")).unwrap();
    while filler.write_all(&[0; 4096]).is_ok() {}
    let full = filler.metadata().unwrap().len();
    let mut named = BTreeSet::new();
    let mut met = 0;
    for sixteenth in 0..16 {
        // Whole pages; the last ones may do.
        let left = (needed * sixteenth / 16).next_multiple_of(4096);
        filler.set_len(full - left as u64).unwrap();
        let out = disk.join("out");
        let said = experiment.run(&out, &[]);
        assert!(said.code == 0 || said.code == 2, "{left} bytes left: {} {}", said.code, said.stderr);
        if said.code == 2 {
            assert!(said.stderr.contains("No space left"), "{left} bytes left: {}", said.stderr);
            // The deepest path that is named is the file.
            let words = said.stderr.split_whitespace().map(|word| Path::new(word.trim_end_matches(':')));
            let file =
                words.filter(|word| word.starts_with(&disk)).max_by_key(|path| path.components().count());
            let file = file.unwrap_or_else(|| panic!("no file is named: {}", said.stderr));
            named.insert(file.file_name().unwrap().to_owned());
            met += 1;
        }
        filler.set_len(0).unwrap();
        experiment.run(&out, &["--resume"]).exits_with(0);
        assert_same_results(&out, &whole, &format!("{left} bytes left at first"));
        std::fs::remove_dir_all(&out).unwrap();
        refill(&mut filler, full);
    }
    assert!(met >= 8 && named.len() >= 3, "{met} runs, {named:?}");
    println!("{met} runs met a full disk, at {named:?}");
}

fn refill(filler: &mut File, full: u64) {
    use std::io::{Seek, SeekFrom};
    filler.seek(SeekFrom::Start(0)).unwrap();
    filler.set_len(0).unwrap();
    while filler.metadata().unwrap().len() < full {
        filler.write_all(&[0; 4096]).unwrap();
    }
}

#[test]
fn a_folder_that_cannot_be_written_to_is_refused_before_training() {
    let name = "full_disk::a_folder_that_cannot_be_written_to_is_refused_before_training";
    let Some(disk) = env::var_os(FOLDER).map(PathBuf::from) else {
        let folder = tempfile::tempdir().unwrap();
        assert_passed(on_a_small_disk(name, folder.path(), "ro"), "refused");
        return;
    };
    let experiment = Experiment::new(EXPERIMENT);
    for out in [disk.clone(), disk.join("below")] {
        experiment.run(&out, &[]).is_refused_with(&[disk.to_str().unwrap(), "Read-only file system"]);
    }
    let train = "train nowhere --setting I --batch-size 1 --iterations 3 --labels a=1 --layout nnunet --out";
    let said = dicewise(train.split(' ').chain([disk.to_str().unwrap()]));
    said.is_refused_with(&[disk.to_str().unwrap(), "Read-only file system"]);
    println!("refused");
}
