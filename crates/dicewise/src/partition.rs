use std::{fmt, str::FromStr};

use crate::DiceError;

/// Φ: how the maps of a batch are grouped before Dice is computed, once per group.
///
/// A partition divides the `[B, C]` maps into subsets φ. Every subset reduces over all voxels of its maps
/// and gives one Dice; the loss is their mean (Eq. 3). Φ decides, together with ε, whether a map without
/// ground truth is ignored or learnt to be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Partition {
    /// One subset per sample and class, `DL_I`: |Φ| = B·C.
    ///
    /// With a small ε, maps without ground truth are ignored, whatever the batch size.
    #[doc(alias = "MONAI batch=False")]
    #[doc(alias = "nnU-Net batch_dice=False")]
    #[doc(alias = "macro")]
    #[doc(alias = "sample_dice")]
    ImageWise,
    /// One subset per sample, all classes together, `DL_CI`: |Φ| = B.
    #[doc(alias = "micro")]
    #[doc(alias = "kornia average=micro")]
    ClassWise,
    /// One subset per class, all samples together, `DL_BI`: |Φ| = C.
    ///
    /// With B > 1, a map without ground truth learns to be empty from the samples that have the class.
    #[doc(alias = "MONAI batch=True")]
    #[doc(alias = "nnU-Net batch_dice=True")]
    #[doc(alias = "smp DiceLoss")]
    BatchWise,
    /// One subset of everything, `DL_BCI`: |Φ| = 1.
    #[doc(alias = "Keras axis=None")]
    AllWise,
}

impl Partition {
    /// The four partitions, from the finest to the coarsest.
    pub const ALL: [Self; 4] = [Self::ImageWise, Self::ClassWise, Self::BatchWise, Self::AllWise];

    /// |Φ|: the number of subsets for `batch` samples of `classes` classes.
    pub const fn subsets(self, batch: usize, classes: usize) -> usize {
        match self {
            Self::ImageWise => batch * classes,
            Self::ClassWise => batch,
            Self::BatchWise => classes,
            Self::AllWise => 1,
        }
    }

    /// The index φ ∈ 0..|Φ| of the subset that map `(b, c)` belongs to.
    pub const fn subset(self, b: usize, c: usize, classes: usize) -> usize {
        match self {
            Self::ImageWise => b * classes + c,
            Self::ClassWise => b,
            Self::BatchWise => c,
            Self::AllWise => 0,
        }
    }

    /// Whether a subset holds more than one class (CI and BCI).
    pub const fn mixes_classes(self) -> bool {
        matches!(self, Self::ClassWise | Self::AllWise)
    }

    /// Whether a subset holds more than one sample (BI and BCI): then ranks have to share their sums.
    pub const fn mixes_samples(self) -> bool {
        matches!(self, Self::BatchWise | Self::AllWise)
    }

    /// The paper's index of DL: `"I"`, `"CI"`, `"BI"` or `"BCI"`.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::ImageWise => "I",
            Self::ClassWise => "CI",
            Self::BatchWise => "BI",
            Self::AllWise => "BCI",
        }
    }
}

/// The paper's symbol, which [`FromStr`] reads back.
impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.symbol())
    }
}

/// Reads the paper's symbols (`I`, `CI`, `BI`, `BCI`) and the words `image`, `class`, `batch`, `all`, also
/// with `-wise`; case does not matter.
impl FromStr for Partition {
    type Err = DiceError;

    fn from_str(name: &str) -> Result<Self, DiceError> {
        let lower = name.trim().to_ascii_lowercase();
        match lower.strip_suffix("-wise").unwrap_or(&lower) {
            "i" | "image" => Ok(Self::ImageWise),
            "ci" | "class" => Ok(Self::ClassWise),
            "bi" | "batch" => Ok(Self::BatchWise),
            "bci" | "all" => Ok(Self::AllWise),
            _ => Err(DiceError::UnknownName {
                what: "partition",
                name: name.to_owned(),
                accepted: "I (image), CI (class), BI (batch), BCI (all)".to_owned(),
            }),
        }
    }
}
