use crate::{DiceError, DiceSums, SegmentationLoss, kernel::MapSums};

/// Step 1 of a [`SegmentationLoss`]: all that the loss has to know about the voxels, in `f64`.
///
/// # Several ranks
///
/// As with [`DiceSums`]: ranks share their sums before step 2 when Φ spans the batch, and always if the mean of the
/// cross-entropy is to be that of the whole batch. Either gather and [`concat`](Self::concat), or put
/// [`to_flat`](Self::to_flat) of every rank into its own samples of one zero-filled array `[fields, ΣB, C]`,
/// all-reduce, and read it back with [`SegmentationLoss::sums_from_flat`]. Take the terms of the whole, with the
/// presence of the whole, and keep [`SegmentationTerms::rows`](crate::SegmentationTerms::rows) of the own samples.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentationSums {
    dice: DiceSums,
    cross_entropy: Option<CrossEntropySums>,
}

/// Sums of the cross-entropy and the voxels that count, `[B, C]` each; of a sample, with class 0, for softmax.
#[derive(Clone, Debug, PartialEq)]
struct CrossEntropySums {
    sum: Vec<f64>,
    voxels: Vec<f64>,
}

impl SegmentationSums {
    pub(super) fn new(dice: DiceSums, cross_entropy: Option<&[MapSums]>) -> Self {
        let cross_entropy = cross_entropy.map(|maps| CrossEntropySums {
            sum: maps.iter().map(|map| map.cross_entropy).collect(),
            voxels: maps.iter().map(|map| map.voxels).collect(),
        });
        Self { dice, cross_entropy }
    }

    /// Those that the Dice loss needs.
    pub fn dice(&self) -> &DiceSums {
        &self.dice
    }

    /// The sum of the cross-entropy and the number of voxels that count, `[B, C]` each, if measured. For softmax,
    /// those of a sample stand with its class 0.
    pub fn cross_entropy(&self) -> Option<(&[f64], &[f64])> {
        self.cross_entropy.as_ref().map(|sums| (sums.sum.as_slice(), sums.voxels.as_slice()))
    }

    /// Stacks the sums of several ranks along the batch.
    ///
    /// # Errors
    /// As [`DiceSums::concat`]; parts of different losses.
    pub fn concat(parts: &[Self]) -> Result<Self, DiceError> {
        let dice: Vec<_> = parts.iter().map(|part| part.dice.clone()).collect();
        let dice = DiceSums::concat(&dice)?;
        let measured: Vec<_> = parts.iter().filter_map(|part| part.cross_entropy.as_ref()).collect();
        if !measured.is_empty() && measured.len() != parts.len() {
            return Err(DiceError::CrossEntropySums);
        }
        let stack = |field: fn(&CrossEntropySums) -> &Vec<f64>| {
            measured.iter().flat_map(|sums| field(sums)).copied().collect::<Vec<f64>>()
        };
        let cross_entropy = (!measured.is_empty())
            .then(|| CrossEntropySums { sum: stack(|sums| &sums.sum), voxels: stack(|sums| &sums.voxels) });
        Ok(Self { dice, cross_entropy })
    }

    /// All sums in one array `[fields, B, C]`: overlap, target, prediction; then, as far as the loss has them
    /// measured, background overlap; squared target, squared prediction; cross-entropy, its voxels.
    pub fn to_flat(&self) -> Vec<f64> {
        let dice = &self.dice;
        let mut flat = [dice.overlap(), dice.target(), dice.prediction()].concat();
        let optional = [dice.background_overlap(), dice.target_square(), dice.prediction_square()];
        optional.into_iter().flatten().for_each(|field| flat.extend_from_slice(field));
        if let Some(sums) = &self.cross_entropy {
            flat.extend_from_slice(&sums.sum);
            flat.extend_from_slice(&sums.voxels);
        }
        flat
    }
}

impl SegmentationLoss {
    /// How many sums of each map this loss needs: the first dimension of [`SegmentationSums::to_flat`].
    pub fn sum_fields(&self) -> usize {
        3 + usize::from(self.dice.missing_labels().is_marginal())
            + 2 * usize::from(self.dice.similarity().is_squared())
            + 2 * usize::from(self.cross_entropy_weight.is_some())
    }

    /// The sums of this loss from one array `[fields, B, C]`, the reverse of [`SegmentationSums::to_flat`].
    ///
    /// # Errors
    /// A dimension of 0, a slice that is not fields·B·C long, a sum that is not finite.
    pub fn sums_from_flat(
        &self,
        batch: usize,
        classes: usize,
        flat: &[f64],
    ) -> Result<SegmentationSums, DiceError> {
        let (fields, maps) = (self.sum_fields(), batch * classes);
        if flat.len() != fields * maps {
            let shape = format!("[{fields}, {batch}, {classes}]");
            let (expected, found) = (fields * maps, flat.len());
            return Err(DiceError::Length { argument: "flat sums", shape, expected, found });
        }
        for (dimension, size) in [("batch", batch), ("classes", classes)] {
            if size == 0 {
                return Err(DiceError::ZeroDimension { dimension });
            }
        }
        let mut rest = flat.chunks_exact(maps).map(<[f64]>::to_vec);
        let mut next = || rest.next().unwrap_or_default();
        let mut dice = DiceSums::from_parts(batch, classes, next(), next(), next())?;
        if self.dice.missing_labels().is_marginal() {
            dice = dice.with_background_overlap(next())?;
        }
        if self.dice.similarity().is_squared() {
            dice = dice.with_squares(next(), next())?;
        }
        let cross_entropy = match self.cross_entropy_weight {
            None => None,
            Some(_) => {
                let (sum, voxels) = (next(), next());
                crate::sums::check_sums("cross-entropy", &sum, batch, classes)?;
                crate::sums::check_sums("voxel", &voxels, batch, classes)?;
                Some(CrossEntropySums { sum, voxels })
            }
        };
        Ok(SegmentationSums { dice, cross_entropy })
    }
}
