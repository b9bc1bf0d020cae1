use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;

use dicewise_train::checkpoint::{self, CheckpointError};
use dicewise_train::{Normalisation, TrainError, Trainer, TrainingConfig, UNet};
use tempfile::TempDir;

use crate::setup::{Record, balls, config, network, tracking};

const FLIPS: usize = 10_000;
const TRUNCATIONS: usize = 1_000;

/// A training that has saved after iterations 2 and 4.
struct Saved {
    folder: TempDir,
    latest: Vec<u8>,
    /// What a resumed training starts with: nothing that the first one had.
    fresh: UNet,
}

impl Saved {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut saved = Self { folder, latest: Vec::new(), fresh: network(Normalisation::Batch, 77) };
        let mut trainer = Trainer::new(saved.config(4), network(Normalisation::Batch, 1), tracking());
        Record::default().run(&mut trainer, &balls(3), &balls(2)).unwrap();
        saved.latest = fs::read(saved.path("latest")).unwrap();
        saved
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self, iterations: usize) -> TrainingConfig {
        TrainingConfig {
            checkpoint: Some((self.path("latest"), 2)),
            previous_checkpoint: Some(self.path("previous")),
            ..config(iterations)
        }
    }

    fn resume(&self) -> Result<Trainer, TrainError> {
        Trainer::resume(self.config(8), self.fresh.clone(), tracking())
    }

    #[track_caller]
    fn falls_back(&self, damage: &str) {
        let trainer = self.resume().unwrap_or_else(|error| panic!("{damage}: {error}"));
        assert_eq!(trainer.iteration(), 2, "{damage}: not noticed");
        let [CheckpointError::Damaged { path, .. }] = trainer.passed_over() else {
            panic!("{damage}: {:?}", trainer.passed_over());
        };
        assert_eq!(*path, self.path("latest"));
    }
}

/// Reproducible numbers below `below`.
fn random(below: usize) -> impl FnMut() -> usize {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    move || {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    }
}

#[test]
fn every_flipped_bit_is_noticed_and_the_previous_checkpoint_taken() {
    let saved = Saved::new();
    let mut file = File::options().write(true).open(saved.path("latest")).unwrap();
    // In place: thousands of whole files take the disk half a minute.
    let mut set = |at: usize, byte: u8| {
        file.seek(SeekFrom::Start(at as u64)).unwrap();
        file.write_all(&[byte]).unwrap();
    };
    let mut bit = random(8 * saved.latest.len());
    // The header's length, the first bits of the header, and the checksum, besides anything anywhere.
    let length = 8 * saved.latest.len();
    let chosen: Vec<usize> = (0..128).chain(length - 256..length).collect();
    for (flip, bit) in chosen.into_iter().chain(std::iter::repeat_with(&mut bit)).take(FLIPS).enumerate() {
        set(bit / 8, saved.latest[bit / 8] ^ (1 << (bit % 8)));
        let found = checkpoint::load(&saved.path("latest"), saved.fresh.clone(), 0.0, None);
        assert!(matches!(found, Err(CheckpointError::Damaged { .. })), "bit {bit} of {length}");
        // Going on from the previous one takes ten times as long and depends on nothing but that error.
        if flip % 20 == 0 {
            saved.falls_back(&format!("bit {bit} of {length}"));
        }
        set(bit / 8, saved.latest[bit / 8]);
    }
    assert_eq!(saved.resume().unwrap().iteration(), 4, "the repaired file is whole");
}

#[test]
fn every_truncation_is_noticed_and_the_previous_checkpoint_taken() {
    let saved = Saved::new();
    let length = saved.latest.len();
    let file = File::options().write(true).open(saved.path("latest")).unwrap();
    let mut ends: Vec<usize> = std::iter::repeat_with(random(length)).take(TRUNCATIONS).collect();
    ends.extend([0, 1, 7, 8, 9, length - 33, length - 32, length - 31, length - 1]);
    // From long to short, so that each cut is one call.
    ends.sort_unstable();
    for &end in ends.iter().rev() {
        file.set_len(end as u64).unwrap();
        saved.falls_back(&format!("the first {end} of {length} bytes"));
    }
}

#[test]
fn a_file_with_a_hole_or_a_tail_is_noticed() {
    let saved = Saved::new();
    let mut hole = saved.latest.clone();
    let middle = hole.len() / 2;
    // A block that never reached the disk.
    hole[middle..middle + 512].fill(0);
    let tail = [&saved.latest[..], &[0; 4096]].concat();
    let swapped = fs::read(saved.path("previous")).unwrap();
    for (bytes, damage) in [(hole, "a hole"), (tail, "a tail"), (vec![0; saved.latest.len()], "zeros")] {
        fs::write(saved.path("latest"), bytes).unwrap();
        saved.falls_back(damage);
    }
    // Not damage: an older checkpoint put back.
    fs::write(saved.path("latest"), swapped).unwrap();
    let trainer = saved.resume().unwrap();
    assert_eq!((trainer.iteration(), trainer.passed_over().len()), (2, 0));
}

#[test]
fn a_damaged_previous_checkpoint_does_not_matter_while_the_last_is_whole() {
    let saved = Saved::new();
    fs::write(saved.path("previous"), "rubbish").unwrap();
    let trainer = saved.resume().unwrap();
    assert_eq!((trainer.iteration(), trainer.passed_over().len()), (4, 0));
}

#[test]
fn two_damaged_checkpoints_are_an_error_and_nothing_is_started_over() {
    let saved = Saved::new();
    for name in ["latest", "previous"] {
        fs::write(saved.path(name), &saved.latest[..100]).unwrap();
    }
    let error = saved.resume().err().expect("there is nothing to go on from");
    assert!(matches!(error, TrainError::Checkpoint(CheckpointError::Damaged { .. })), "{error:?}");
    let message = error.to_string();
    assert!(["latest", "previous"].iter().all(|name| message.contains(name)), "{message}");
    fs::remove_file(saved.path("previous")).unwrap();
    let error = saved.resume().err().expect("there is nothing to go on from");
    let message = error.to_string();
    assert!(message.contains("latest") && message.contains("damaged"), "{message}");
    assert_eq!(fs::read(saved.path("latest")).unwrap(), saved.latest[..100]);
}

#[test]
fn a_process_that_died_between_the_two_renames_goes_on_from_the_previous_checkpoint() {
    let saved = Saved::new();
    fs::remove_file(saved.path("latest")).unwrap();
    let trainer = saved.resume().unwrap();
    assert_eq!((trainer.iteration(), trainer.passed_over().len()), (2, 0));
}

#[test]
fn a_damaged_checkpoint_never_takes_the_place_of_a_whole_one() {
    let saved = Saved::new();
    let previous = fs::read(saved.path("previous")).unwrap();
    fs::write(saved.path("latest"), &saved.latest[..saved.latest.len() - 1]).unwrap();
    let mut trainer = saved.resume().unwrap();
    let mut record = Record { stop_after: Some(4), ..Record::default() };
    record.run(&mut trainer, &balls(3), &balls(2)).unwrap();
    // The first save after the fallback replaces the damaged file only, and is what it would have been.
    assert!(fs::read(saved.path("latest")).unwrap() == saved.latest);
    assert!(fs::read(saved.path("previous")).unwrap() == previous);
    record.stop_after = None;
    record.run(&mut trainer, &balls(3), &balls(2)).unwrap();
    assert_eq!(saved.resume().unwrap().iteration(), 8);
    fs::remove_file(saved.path("latest")).unwrap();
    assert_eq!(saved.resume().unwrap().iteration(), 6);
}
