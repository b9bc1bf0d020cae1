//! Random number streams: one for each thing drawn, none depending on what was drawn before.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// What a stream of random numbers is for. Two purposes never share numbers, whatever their seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Drawing a phantom.
    Phantom,
    /// Augmenting a case in an epoch.
    Augmentation,
    /// Shuffling the cases of an epoch.
    Shuffling,
    /// Dealing subjects out to groups.
    Grouping,
}

/// The random number stream of (`seed`, `item`, `step`): ChaCha8, the same on every machine.
///
/// With (run seed, case, epoch) a training that was interrupted draws the same numbers when it goes on, and
/// the number of threads changes nothing.
pub fn stream(purpose: Purpose, seed: u64, item: u64, step: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (bytes, word) in key.chunks_exact_mut(8).zip([purpose as u64, seed, item, step]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// Fisher and Yates's shuffle, written out: a library's may draw differently in its next version.
pub fn shuffle<T>(items: &mut [T], rng: &mut ChaCha8Rng) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(last as u64 + 1, rng) as usize);
    }
}

/// A number below `bound`, all equally likely: values in the last, incomplete stretch of `bound` are drawn again.
fn below(bound: u64, rng: &mut ChaCha8Rng) -> u64 {
    let complete = u64::MAX - u64::MAX % bound;
    loop {
        let drawn = rng.next_u64();
        if drawn < complete {
            return drawn % bound;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_in_every_part_of_their_key() {
        let mut first: Vec<u64> = [
            stream(Purpose::Phantom, 1, 2, 3),
            stream(Purpose::Augmentation, 1, 2, 3),
            stream(Purpose::Augmentation, 2, 2, 3),
            stream(Purpose::Augmentation, 1, 3, 3),
            stream(Purpose::Augmentation, 1, 2, 4),
        ]
        .iter_mut()
        .map(RngCore::next_u64)
        .collect();
        assert_eq!(stream(Purpose::Phantom, 1, 2, 3).next_u64(), first[0]);
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), 5);
    }
}
