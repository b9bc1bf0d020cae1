use std::{fmt, str::FromStr};

use super::{Explanation, Scenario, explain, generalized};
use crate::{ClassWeights, DiceError, DiceLoss, Epsilon, MissingLabels, MissingRule, Partition};

/// A loss as others ship it, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Preset {
    /// MONAI `DiceLoss()`: I, ε = 1e-5.
    MonaiDefault,
    /// MONAI `DiceLoss(batch=True)`: BI, ε = 1e-5.
    MonaiBatch,
    /// MONAI `DiceLoss(smooth_nr=0)`: I, ε = 1e-5 in the denominator only.
    MonaiNumeratorZero,
    /// MONAI `GeneralizedDiceLoss()`: classes weighed by 1/(Σy)² within each image, ε = 1e-5.
    MonaiGeneralized,
    /// nnU-Net's trainer with `batch_dice` off: I without background, ε = 1e-5.
    NnunetBatchDiceOff,
    /// nnU-Net's trainer with `batch_dice` on: BI without background, ε = 1e-5.
    NnunetBatchDice,
    /// nnU-Net `SoftDiceLoss()` as its constructor defaults: I with background, ε = 1.
    NnunetSoftDiceConstructor,
    /// segmentation-models-pytorch `DiceLoss(mode="multiclass")`: BI, ε = 1e-7 in the denominator only.
    Smp,
    /// Keras `Dice()`: BCI, ε = 1e-7.
    Keras,
    /// kornia `dice_loss(average="micro")`: CI, ε = 1e-8 in the denominator only.
    Kornia,
    /// The paper's I_ε: I, ε = size of the object.
    PaperIEps,
    /// Leaf Dice as the paper ran it: I without background, missing inferred, ε = 1e-7 in the denominator.
    PaperLeaf,
    /// Marginal Dice as the paper ran it: I with background, missing inferred, ε = 1e-7.
    PaperMarginal,
    /// Declared leaf with BI, ε = 1e-7: missing labels are ignored and empty ones learnt in the same batch.
    DeclaredLeafBatch,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 14] = [
        Self::MonaiDefault,
        Self::MonaiBatch,
        Self::MonaiNumeratorZero,
        Self::MonaiGeneralized,
        Self::NnunetBatchDiceOff,
        Self::NnunetBatchDice,
        Self::NnunetSoftDiceConstructor,
        Self::Smp,
        Self::Keras,
        Self::Kornia,
        Self::PaperIEps,
        Self::PaperLeaf,
        Self::PaperMarginal,
        Self::DeclaredLeafBatch,
    ];

    /// The name that [`FromStr`] reads, e.g. `"monai-default"`.
    pub fn name(self) -> &'static str {
        match self {
            Self::MonaiDefault => "monai-default",
            Self::MonaiBatch => "monai-batch",
            Self::MonaiNumeratorZero => "monai-numerator-zero",
            Self::MonaiGeneralized => "monai-generalized",
            Self::NnunetBatchDiceOff => "nnunet-batch-dice-off",
            Self::NnunetBatchDice => "nnunet-batch-dice",
            Self::NnunetSoftDiceConstructor => "nnunet-soft-dice-constructor",
            Self::Smp => "smp",
            Self::Keras => "keras",
            Self::Kornia => "kornia",
            Self::PaperIEps => "paper-i-eps",
            Self::PaperLeaf => "paper-leaf",
            Self::PaperMarginal => "paper-marginal",
            Self::DeclaredLeafBatch => "declared-leaf-batch",
        }
    }

    /// The loss for `classes` classes and objects of `object_size` voxels (which only I_ε depends on);
    /// `None` for generalized Dice, which is no member of the family of Eq. 3.
    ///
    /// # Errors
    /// Fewer than two classes where the background is left out; a size that is not finite or negative.
    pub fn loss(self, classes: usize, object_size: f64) -> Result<Option<DiceLoss>, DiceError> {
        use Partition::{AllWise, BatchWise, ClassWise, ImageWise};
        let loss = |partition, epsilon| DiceLoss::new(partition, epsilon);
        let foreground = |loss: DiceLoss| loss.with_class_weights(ClassWeights::without_background(classes)?);
        Ok(Some(match self {
            Self::MonaiDefault => loss(ImageWise, Epsilon::uniform(1e-5)?)?,
            Self::MonaiBatch => loss(BatchWise, Epsilon::uniform(1e-5)?)?,
            Self::MonaiNumeratorZero => loss(ImageWise, Epsilon::new(0.0, 1e-5)?)?,
            Self::MonaiGeneralized => return Ok(None),
            Self::NnunetBatchDiceOff => foreground(loss(ImageWise, Epsilon::uniform(1e-5)?)?)?,
            Self::NnunetBatchDice => foreground(loss(BatchWise, Epsilon::uniform(1e-5)?)?)?,
            Self::NnunetSoftDiceConstructor => loss(ImageWise, Epsilon::uniform(1.0)?)?,
            Self::Smp => loss(BatchWise, Epsilon::new(0.0, 1e-7)?)?,
            Self::Keras => loss(AllWise, Epsilon::uniform(1e-7)?)?,
            Self::Kornia => loss(ClassWise, Epsilon::new(0.0, 1e-8)?)?,
            Self::PaperIEps => loss(ImageWise, Epsilon::uniform(object_size)?)?,
            Self::PaperLeaf => foreground(loss(ImageWise, Epsilon::new(0.0, 1e-7)?)?)?
                .with_missing_labels(MissingLabels::Leaf(MissingRule::Inferred))?,
            Self::PaperMarginal => loss(ImageWise, Epsilon::uniform(1e-7)?)?
                .with_missing_labels(MissingLabels::Marginal(MissingRule::Inferred))?,
            Self::DeclaredLeafBatch => loss(BatchWise, Epsilon::uniform(1e-7)?)?
                .with_missing_labels(MissingLabels::Leaf(MissingRule::Declared))?,
        }))
    }

    /// What this loss does in a scenario.
    ///
    /// # Errors
    /// As [`Preset::loss`] and [`explain`].
    pub fn explain(self, scenario: &Scenario) -> Result<Explanation, DiceError> {
        match self.loss(scenario.shape().classes(), scenario.object_size())? {
            Some(loss) => explain(&loss, scenario),
            None => generalized::explain(1e-5, scenario),
        }
    }
}

/// The preset's name.
impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Reads the names of [`Preset::name`].
impl FromStr for Preset {
    type Err = DiceError;

    fn from_str(name: &str) -> Result<Self, DiceError> {
        Self::ALL.into_iter().find(|preset| preset.name() == name.trim()).ok_or_else(|| {
            DiceError::UnknownName {
                what: "preset",
                name: name.to_owned(),
                accepted: Self::ALL.map(Self::name).join(", "),
            }
        })
    }
}
