use dicewise_data::nifti::{NiftiError, Reader};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::header_bytes::{Field, FileBytes, gzip};

const FLIPS: usize = 1000;

/// A file of 2 MB, of which each bit is as likely to be hit. (A flip in the six bytes of gzip's header that hold a time
/// and a system, or in the last byte's padding, changes nothing that is read; none of these draws hits them.)
#[test]
fn a_thousand_flipped_bits_of_a_large_file_are_a_thousand_errors() {
    let mut file = FileBytes::nifti1(false).integers(Field::Dim, &[3, 128, 96, 110]);
    let mut random = ChaCha8Rng::seed_from_u64(0);
    file.voxels = (0..128 * 96 * 110).flat_map(|_| random.random_range(0..4096_i16).to_le_bytes()).collect();
    let packed = gzip(&file.bytes());
    assert!(packed.len() > 2_000_000, "{} bytes", packed.len());
    Reader::default().channels_from_bytes("file.nii.gz", &packed).expect("the intact file is read");

    let bits: Vec<usize> = (0..FLIPS).map(|_| random.random_range(0..8 * packed.len())).collect();
    let silent: Vec<usize> = bits
        .into_par_iter()
        .filter(|&bit| {
            let mut flipped = packed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            match Reader::default().channels_from_bytes("file.nii.gz", &flipped) {
                Ok(_) => true,
                Err(error) => {
                    assert!(
                        matches!(
                            error,
                            NiftiError::Corrupt { .. }
                                | NiftiError::Truncated { .. }
                                | NiftiError::NotNifti { .. }
                        ),
                        "bit {bit}: {error}"
                    );
                    false
                }
            }
        })
        .collect();
    assert!(silent.is_empty(), "bits whose flip went unnoticed, of {FLIPS}: {silent:?}");
}
