use std::ops::Range;

use crate::{Activation, DiceError, DiceTerms, Presence, SegmentationLoss, SegmentationSums};

/// Step 2 of a [`SegmentationLoss`]: the loss, and all that its gradient needs beside input and target.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SegmentationTerms {
    /// L = w_D · DL + w_CE · CE.
    pub loss: f64,
    /// CE, not yet multiplied by its weight; 0 without cross-entropy.
    pub cross_entropy: f64,
    /// DL, not yet multiplied by its weight, and the derivative of it with respect to p.
    pub dice: DiceTerms,
    /// w_CE / N, `[B, C]`; 0 for maps that are left out.
    pub(super) cross_entropy_factor: Vec<f64>,
    /// g(c), `[B, C]`, for categorical cross-entropy; otherwise empty.
    pub(super) groups: Vec<usize>,
}

impl SegmentationTerms {
    /// w_CE / N, `[B, C]`: by what the derivative of a voxel's cross-entropy is multiplied; 0 for maps that are
    /// left out. For fronts that write the gradient themselves.
    pub fn cross_entropy_factor(&self) -> &[f64] {
        &self.cross_entropy_factor
    }

    /// The class that each class is merged into in categorical cross-entropy, `[B, C]`; otherwise empty. For the
    /// same fronts.
    pub fn groups(&self) -> &[usize] {
        &self.groups
    }

    /// The terms of some of the samples, e.g. of one rank's; the loss stays that of the whole batch.
    ///
    /// # Errors
    /// A range that is empty or reaches beyond the batch.
    pub fn rows(&self, samples: Range<usize>) -> Result<Self, DiceError> {
        let dice = self.dice.rows(samples.clone())?;
        let maps = samples.start * dice.classes..samples.end * dice.classes;
        Ok(Self {
            loss: self.loss,
            cross_entropy: self.cross_entropy,
            dice,
            cross_entropy_factor: self.cross_entropy_factor[maps.clone()].to_vec(),
            groups: self.groups.get(maps).unwrap_or_default().to_vec(),
        })
    }
}

impl SegmentationLoss {
    /// Step 2, scalar maths: the loss, and the derivative's coefficients for each map.
    ///
    /// # Errors
    /// As [`DiceLoss::terms`](crate::DiceLoss::terms); sums that another loss has measured.
    pub fn terms(
        &self,
        sums: &SegmentationSums,
        presence: Option<&Presence>,
    ) -> Result<SegmentationTerms, DiceError> {
        let dice = self.dice.terms(sums.dice(), presence)?;
        let (batch, classes) = (dice.batch, dice.classes);
        let mut cross_entropy = 0.0;
        let mut cross_entropy_factor = vec![0.0; batch * classes];
        let mut groups = Vec::new();
        match (self.cross_entropy_weight, sums.cross_entropy()) {
            (None, None) => {}
            (Some(weight), Some((sum, voxels))) => {
                let sizes = Some(sums.dice().target());
                let counted = match self.activation {
                    Activation::Softmax => {
                        groups = self.groups(batch, classes, sizes, presence)?;
                        vec![true; batch * classes]
                    }
                    _ => self.dice.annotated(batch, classes, sizes, presence)?,
                };
                let total = |sums: &[f64]| -> f64 {
                    sums.iter().zip(&counted).filter(|&(_, &counted)| counted).map(|(sum, _)| sum).sum()
                };
                let count = total(voxels);
                if count > 0.0 {
                    cross_entropy = total(sum) / count;
                    for (factor, &counted) in cross_entropy_factor.iter_mut().zip(&counted) {
                        *factor = if counted { weight / count } else { 0.0 };
                    }
                }
            }
            _ => return Err(DiceError::CrossEntropySums),
        }
        let loss = self.dice_weight * dice.loss
            + self.cross_entropy_weight.map_or(0.0, |weight| weight * cross_entropy);
        Ok(SegmentationTerms { loss, cross_entropy, dice, cross_entropy_factor, groups })
    }
}
