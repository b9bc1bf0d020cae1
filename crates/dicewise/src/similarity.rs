use std::fmt;

use crate::{DiceError, Partition};

/// The similarity D of prediction and target that the loss 1 − D is made of: Dice and its family.
///
/// With O = Σ_φ y p, T = Σ_φ y and P = Σ_φ p over a subset φ, and ε once per subset as in Eq. 3:
///
/// ```text
/// Dice               (2 O + ε) / (T + P + ε)
/// squared Dice       (2 O + ε) / (Σ y² + Σ p² + ε)
/// Jaccard            (2 O + ε) / (2 (T + P − O) + ε)
/// Tversky            (2 O + ε) / (2 (O + α (P − O) + β (T − O)) + ε)
/// generalized Dice   (2 Σ_m w_m O_m + ε) / (Σ_m w_m (T_m + P_m) + ε),  over the maps m of φ
/// ```
///
/// O and union are written doubled throughout, so that ε weighs the same in all of them: Dice is Tversky with
/// α = β = ½, Jaccard is Tversky with α = β = 1. An ε of a formula without the 2 is half of this ε.
///
/// The derivative with respect to p is affine in y within a map, a − b·y, for all but squared Dice, where it
/// depends on p voxel by voxel: a − b·y + c·p.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Similarity {
    /// Dice, Eq. 3.
    Dice,
    /// Dice with a squared denominator, as in V-Net (Milletari, Navab, Ahmadi, 3DV 2016).
    #[doc(alias = "V-Net")]
    #[doc(alias = "squared_pred")]
    SquaredDice,
    /// Intersection over union.
    #[doc(alias = "IoU")]
    Jaccard,
    /// Tversky (Salehi, Erdogmus, Gholipour, MLMI 2017): α weighs false positives, β false negatives.
    Tversky {
        /// The weight of Σ p (1 − y).
        alpha: f64,
        /// The weight of Σ y (1 − p).
        beta: f64,
    },
    /// Generalized Dice (Sudre et al., DLMIA 2017): the classes of a subset, weighed by their size. Needs a Φ
    /// that mixes classes: CI weighs within each image, BCI within the batch.
    ///
    /// A class without ground truth has an infinite weight; as in MONAI, it gets the largest finite weight of
    /// its subset, or 0 where there is none.
    GeneralizedDice(VolumeWeight),
}

/// The weight of a class of size T = Σ y in [`Similarity::GeneralizedDice`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VolumeWeight {
    /// 1 / T².
    #[doc(alias = "w_type=square")]
    InverseSquare,
    /// 1 / T.
    #[doc(alias = "w_type=simple")]
    Inverse,
}

impl VolumeWeight {
    /// Infinite for T = 0.
    pub(crate) fn of(self, size: f64) -> f64 {
        match self {
            Self::InverseSquare => 1.0 / (size * size),
            Self::Inverse => 1.0 / size,
        }
    }
}

impl Similarity {
    /// α and β of the Tversky form; ½ and ½ for the Dice forms.
    pub(crate) fn alpha_beta(self) -> (f64, f64) {
        match self {
            Self::Dice | Self::SquaredDice | Self::GeneralizedDice(_) => (0.5, 0.5),
            Self::Jaccard => (1.0, 1.0),
            Self::Tversky { alpha, beta } => (alpha, beta),
        }
    }

    /// Whether the derivative depends on p voxel by voxel; then step 3 reads the prediction.
    pub fn is_squared(self) -> bool {
        self == Self::SquaredDice
    }

    pub(crate) fn check(self, partition: Partition) -> Result<(), DiceError> {
        match self {
            Self::Tversky { alpha, beta } => {
                for (argument, value) in [("Tversky α", alpha), ("Tversky β", beta)] {
                    if !(value.is_finite() && value >= 0.0) {
                        let accepted = "it must be finite and at least 0";
                        return Err(DiceError::Domain { argument, value, accepted });
                    }
                }
                if alpha == 0.0 && beta == 0.0 {
                    let accepted = "one of α and β must be above 0, or no error would cost anything";
                    return Err(DiceError::Domain { argument: "Tversky α + β", value: 0.0, accepted });
                }
                Ok(())
            }
            Self::GeneralizedDice(_) if !partition.mixes_classes() => {
                Err(DiceError::GeneralizedNeedsClasses { partition })
            }
            _ => Ok(()),
        }
    }
}

/// `Dice`, `squared Dice`, `Jaccard`, `Tversky(0.3, 0.7)`, `generalized Dice (1/T²)`.
impl fmt::Display for Similarity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dice => f.write_str("Dice"),
            Self::SquaredDice => f.write_str("squared Dice"),
            Self::Jaccard => f.write_str("Jaccard"),
            Self::Tversky { alpha, beta } => write!(f, "Tversky({alpha}, {beta})"),
            Self::GeneralizedDice(VolumeWeight::InverseSquare) => f.write_str("generalized Dice (1/T²)"),
            Self::GeneralizedDice(VolumeWeight::Inverse) => f.write_str("generalized Dice (1/T)"),
        }
    }
}
