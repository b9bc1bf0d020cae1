use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use dicewise_train::checkpoint::{self, CheckpointError, Progress};
use dicewise_train::{Adam, Trainer, TrainingConfig, UNet, UNetConfig};

use crate::child::{child, child_of_shell, in_child};
use crate::setup::{config, tracking};

const KILLS: usize = 100;
const SIGKILL: i32 = 9;
const SIGXFSZ: i32 = 25;
const STEP: u64 = 64 << 10;

/// About 0.4 MB.
fn network(seed: u64) -> UNet {
    UNetConfig::small(1, 1, 16, 2).init(seed, &tracking())
}

fn progress(iteration: usize) -> Progress {
    let mut progress = Progress::default();
    progress.iteration = iteration;
    progress
}

fn save(path: &Path, seed: u64) -> Result<(), CheckpointError> {
    checkpoint::save(path, &network(seed), &Adam::new(0.0), &progress(seed as usize))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_killed_save_loop_leaves_a_whole_checkpoint_every_time() {
    if let Some(folder) = in_child() {
        let networks: Vec<UNet> = (0..4).map(network).collect();
        let adam = Adam::new(0.0);
        for iteration in 1.. {
            let (latest, previous) = (folder.join("latest"), folder.join("previous"));
            let network = &networks[iteration % 4];
            checkpoint::save_keeping(&latest, &previous, network, &adam, &progress(iteration)).unwrap();
        }
    }
    let name = "crash_safety::a_killed_save_loop_leaves_a_whole_checkpoint_every_time";
    let expected: Vec<Vec<u8>> = (0..4)
        .map(|seed| {
            let folder = tempfile::tempdir().unwrap();
            save(&folder.path().join("x"), seed).unwrap();
            weights(&folder.path().join("x"))
        })
        .collect();
    let (mut half_written, mut between_renames) = (0, 0);
    for kill in 0..KILLS {
        let folder = tempfile::tempdir().unwrap();
        let (latest, previous) = (folder.path().join("latest"), folder.path().join("previous"));
        let mut child = child(name, folder.path()).stdout(Stdio::null()).spawn().unwrap();
        while !previous.exists() {
            assert!(child.try_wait().unwrap().is_none(), "the loop ended");
            sleep(Duration::from_micros(200));
        }
        sleep(Duration::from_micros(131 * kill as u64));
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(SIGKILL));

        let config = TrainingConfig {
            checkpoint: Some((latest.clone(), 1)),
            previous_checkpoint: Some(previous.clone()),
            fingerprint: String::new(),
            ..config(1)
        };
        let trainer = Trainer::resume(config, network(99), tracking()).unwrap();
        assert!(trainer.passed_over().is_empty(), "kill {kill} left {:?}", trainer.passed_over());
        let found = if latest.exists() { latest.clone() } else { previous };
        assert!(weights(&found) == expected[trainer.iteration() % 4], "kill {kill}");
        half_written += usize::from(folder.path().join("latest.tmp").exists());
        between_renames += usize::from(!latest.exists());
    }
    println!(
        "{KILLS} of {KILLS} kills left a whole checkpoint; {half_written} hit a file being written, {between_renames} the renames"
    );
}

/// The data of a file: all that does not depend on the progress.
fn weights(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[8 + header..bytes.len() - 32].to_vec()
}

#[test]
fn a_limit_on_file_size_leaves_the_old_checkpoint_at_every_64_kb() {
    if let Some(folder) = in_child() {
        let error = save(&folder.join("checkpoint"), 2).unwrap_err();
        let CheckpointError::Io { path, source } = &error else { panic!("{error:?}") };
        assert_eq!((path, source.kind()), (&folder.join("checkpoint"), ErrorKind::FileTooLarge));
        return;
    }
    let name = "crash_safety::a_limit_on_file_size_leaves_the_old_checkpoint_at_every_64_kb";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    save(&path, 1).unwrap();
    let old = fs::read(&path).unwrap();
    assert!(old.len() as u64 > 4 * STEP, "{} bytes make no test", old.len());
    for limit in (0..old.len() as u64).step_by(STEP as usize) {
        // Units of 512 bytes. With the signal ignored, as shells and batch systems do, the write fails instead.
        let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", limit / 512);
        let output = child_of_shell(&script, name, folder.path()).output().unwrap();
        assert!(output.status.success(), "{limit} bytes: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(names(folder.path()), ["checkpoint"], "{limit} bytes");
        assert!(fs::read(&path).unwrap() == old, "{limit} bytes");

        let script = format!("ulimit -c 0; ulimit -f {}; exec \"$@\"", limit / 512);
        let output = child_of_shell(&script, name, folder.path()).output().unwrap();
        assert_eq!(output.status.signal(), Some(SIGXFSZ), "{limit} bytes");
        assert!(fs::read(&path).unwrap() == old, "{limit} bytes, killed");
        fs::remove_file(folder.path().join("checkpoint.tmp")).unwrap();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_the_old_checkpoint_at_every_64_kb() {
    if let Some(folder) = in_child() {
        fill_up(&folder);
        return;
    }
    let name = "crash_safety::a_full_disk_leaves_the_old_checkpoint_at_every_64_kb";
    let folder = tempfile::tempdir().unwrap();
    // A file system in memory, seen by this one process only; as root, or where users may have namespaces.
    let mount = "mount -t tmpfs -o size=4m tmpfs \"$DICEWISE_TEST_CHILD_FOLDER\" && exec \"$@\"; exit 77";
    for namespace in ["unshare -m", "unshare -Urm"] {
        let script = format!("exec {namespace} sh -c '{mount}' sh \"$@\"");
        let output = child_of_shell(&script, name, folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        match output.status.code() {
            Some(0) if said.contains("refused") => return,
            Some(0 | 101) | None => panic!("{said}\n{}", String::from_utf8_lossy(&output.stderr)),
            Some(_) => {}
        }
    }
    eprintln!("skipped: a file system that can be full needs root or user namespaces");
}

/// Saves with 0, 64, 128 … KB left, until it succeeds.
#[cfg(target_os = "linux")]
fn fill_up(folder: &Path) {
    let (latest, previous) = (folder.join("latest"), folder.join("previous"));
    let save = |seed: u64| {
        checkpoint::save_keeping(
            &latest,
            &previous,
            &network(seed),
            &Adam::new(0.0),
            &progress(seed as usize),
        )
    };
    save(1).unwrap();
    save(2).unwrap();
    let old = [&latest, &previous].map(|path| fs::read(path).unwrap());
    let filler = folder.join("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    let full = file.metadata().unwrap().len();
    let mut refused = 0;
    for left in (0..).step_by(STEP as usize) {
        file.set_len(full - left).unwrap();
        match save(3) {
            Ok(()) => break,
            Err(CheckpointError::Io { path, source }) => {
                assert_eq!((&path, source.kind()), (&latest, ErrorKind::StorageFull), "{left} bytes left");
            }
            Err(other) => panic!("{left} bytes left: {other:?}"),
        }
        assert_eq!(names(folder), ["filler", "latest", "previous"], "{left} bytes left");
        assert!([&latest, &previous].map(|path| fs::read(path).unwrap()) == old, "{left} bytes left");
        refused += 1;
    }
    assert!(refused as u64 >= old[0].len() as u64 / STEP, "only {refused} saves met a full disk");
    assert!(fs::read(&previous).unwrap() == old[0]);
    println!("{refused} saves refused for want of space");
}
