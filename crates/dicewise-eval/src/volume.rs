//! Volumes in millilitres, of counted voxels or of summed probabilities.

use thiserror::Error;

/// Why a volume could not be computed.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum VolumeError {
    /// The volume of a voxel is not a positive number.
    #[error("a voxel of {value} ml has no volume: check the spacing of the image")]
    VoxelVolume {
        /// The volume given, in ml.
        value: f64,
    },
    /// A voxel sum or a probability is NaN or infinite.
    #[error("{what} is {value}: volumes need finite numbers")]
    NotFinite {
        /// What was given, with the voxel where there is one.
        what: String,
        /// The value.
        value: f64,
    },
}

/// Volume of a structure in ml.
///
/// ```text
/// V = Σ_i p_i · v
/// ```
///
/// where Σ_i p_i is a number of voxels ([`label_voxels`]) or a sum of probabilities ([`probability_sum`]) and v the
/// volume of a voxel in ml.
pub fn volume_ml(voxel_sum: f64, voxel_volume_ml: f64) -> Result<f64, VolumeError> {
    if !(voxel_volume_ml.is_finite() && voxel_volume_ml > 0.0) {
        return Err(VolumeError::VoxelVolume { value: voxel_volume_ml });
    }
    if !voxel_sum.is_finite() {
        return Err(VolumeError::NotFinite { what: "the sum over voxels".into(), value: voxel_sum });
    }
    Ok(voxel_sum * voxel_volume_ml)
}

/// Volume difference ΔV = V(prediction) − V(target) in ml: negative where the prediction is too small.
///
/// The sums are the caller's choice: the paper's BRATS table takes the unthresholded Σp, its ACDC table hard counts.
pub fn volume_difference_ml(
    prediction_sum: f64,
    target_sum: f64,
    voxel_volume_ml: f64,
) -> Result<f64, VolumeError> {
    Ok(volume_ml(prediction_sum, voxel_volume_ml)? - volume_ml(target_sum, voxel_volume_ml)?)
}

/// Σ_i p_i in f64, without a threshold.
pub fn probability_sum(probabilities: &[f32]) -> Result<f64, VolumeError> {
    let sum: f64 = probabilities.iter().map(|&p| f64::from(p)).sum();
    if sum.is_finite() {
        return Ok(sum);
    }
    // f64 does not overflow on f32 input, so some voxel is to blame; look for it only now.
    let voxel = probabilities.iter().position(|p| !p.is_finite()).unwrap_or_default();
    Err(VolumeError::NotFinite {
        what: format!("the probability of voxel {voxel}"),
        value: f64::from(probabilities[voxel]),
    })
}

/// Number of voxels with `label` in a label map.
pub fn label_voxels<L: PartialEq>(label_map: &[L], label: &L) -> u64 {
    label_map.iter().map(|voxel| u64::from(voxel == label)).sum()
}
