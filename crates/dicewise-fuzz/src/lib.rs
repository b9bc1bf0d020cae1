//! Hostile input for every parser of a file that somebody else may have written.
//!
//! A [`Target`] runs one parser on any bytes and panics if a promise is broken; whatever the bytes are, the parser has to
//! return a value or a typed error. The same entry points serve the fuzzers in `fuzz/`, which search with coverage for as
//! long as one lets them, and the smoke run among this crate's tests, which needs stable Rust and a minute.
#[cfg(feature = "checkpoint")]
mod checkpoint;
mod dataset_json;
mod experiment;
mod mutate;
mod nifti;

pub use mutate::Mutator;

/// A format that is read from untrusted files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A NIfTI image or label map, compressed or not.
    Nifti,
    /// `dataset.json` of nnU-Net or of the Medical Segmentation Decathlon.
    DatasetJson,
    /// An experiment file.
    Experiment,
    /// A checkpoint of a training.
    #[cfg(feature = "checkpoint")]
    Checkpoint,
}

impl Target {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Nifti,
        Self::DatasetJson,
        Self::Experiment,
        #[cfg(feature = "checkpoint")]
        Self::Checkpoint,
    ];

    /// The name of its fuzzer, and of the folder of its corpus.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nifti => "nifti",
            Self::DatasetJson => "dataset_json",
            Self::Experiment => "experiment",
            #[cfg(feature = "checkpoint")]
            Self::Checkpoint => "checkpoint",
        }
    }

    /// Parses the bytes.
    ///
    /// # Panics
    /// If the parser breaks a promise, which is what a fuzzer looks for.
    pub fn run(self, bytes: &[u8]) {
        match self {
            Self::Nifti => nifti::run(bytes),
            Self::DatasetJson => dataset_json::run(bytes),
            Self::Experiment => experiment::run(bytes),
            #[cfg(feature = "checkpoint")]
            Self::Checkpoint => checkpoint::run(bytes),
        }
    }

    /// Small valid files to start from.
    pub fn seeds(self) -> Vec<Vec<u8>> {
        match self {
            Self::Nifti => nifti::seeds(),
            Self::DatasetJson => dataset_json::seeds(),
            Self::Experiment => experiment::seeds(),
            #[cfg(feature = "checkpoint")]
            Self::Checkpoint => checkpoint::seeds(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fuzzer whose seeds are refused at the door tests the door only.
    #[test]
    fn seeds_are_read_to_their_end() {
        assert!(nifti::seeds().iter().all(|seed| nifti::is_read(seed)));
        assert!(dataset_json::seeds().iter().all(|seed| dataset_json::is_read(seed)));
        assert!(experiment::seeds().iter().all(|seed| experiment::is_read(seed)));
        #[cfg(feature = "checkpoint")]
        assert!(checkpoint::seeds().iter().all(|seed| checkpoint::is_read(seed)));
    }

    #[test]
    fn no_target_panics_on_its_seeds_on_nothing_and_on_noise() {
        let noise: Vec<u8> = (0..4096_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for target in Target::ALL {
            let others = [Vec::new(), vec![0; 1000], noise.clone()];
            target.seeds().iter().chain(&others).for_each(|bytes| target.run(bytes));
        }
    }
}
