//! The loss module.
use std::sync::Arc;

use burn::backend::{Dispatch, Flex};
use burn::module::Module;
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{DType, Tensor};
use burn_flex::FlexTensor;
use dicewise::{Activation, DiceError, DiceLoss, DiceSums, Presence, Shape, Similarity, Target};

use crate::ops::{DiceOps, is_f32, is_half};

/// The Dice loss of Eq. 3 on probabilities, differentiated by Eq. 4.
#[derive(Module, Debug)]
pub struct SoftDiceLoss {
    #[module(skip)]
    loss: DiceLoss,
}

/// What [`SoftDiceLoss::forward`] returns.
#[derive(Clone, Debug)]
pub struct DiceValue {
    /// The loss, shape `[1]`: call `backward` on it.
    pub tensor: Tensor<1>,
    /// The same number on the host; reading it costs no transfer.
    pub loss: f64,
    /// Σyp, Σy and Σp of each sample and class, for logs.
    pub sums: DiceSums,
}

impl SoftDiceLoss {
    /// A module around a configured loss.
    pub fn new(loss: DiceLoss) -> Self {
        Self { loss }
    }

    /// The loss of a prediction.
    ///
    /// ```text
    /// DL = 1 − (1/|Φ|) Σ_{φ∈Φ} (2 Σ_φ y p + ε) / (Σ_φ (y + p) + ε)                     (Eq. 3)
    /// ```
    ///
    /// `presence` says which (sample, class) labels are annotated; without it all are.
    ///
    /// # Shapes
    /// - prediction: `[B, C, …]`, probabilities
    /// - target: `[B, C, …]`, values in [0, 1], converted to the prediction's precision; no gradient flows into it
    ///
    /// Tensors of `f16` and `bf16` are computed with in `f32`; the loss and the gradient are then of their type again.
    ///
    /// # Errors
    /// Squared Dice, whose derivative needs the prediction; prediction and target of different shapes; in f32 and
    /// shorter types on the CPU backend, values that are not finite or outside [0, 1]; elsewhere, where only sums reach
    /// the host, sums that are not finite or that values in [0, 1] cannot have; and what [`DiceLoss::terms`] refuses.
    pub fn forward<const D: usize>(
        &self,
        prediction: Tensor<D>,
        target: Tensor<D>,
        presence: Option<&Presence>,
    ) -> Result<DiceValue, DiceError> {
        let shape = self.checked_shape(&prediction, &target)?;
        let target = target.detach().cast(prediction.dtype());
        let sums = self.sums(&prediction, &target, shape)?;
        let terms = self.loss.terms(&sums, presence)?;
        let loss = terms.loss;
        let tensor = <Dispatch as DiceOps>::dice_loss(
            prediction.into_dispatch(),
            target.into_dispatch(),
            Arc::new(terms),
        );
        Ok(DiceValue { tensor: Tensor::from_dispatch(tensor), loss, sums })
    }

    /// The loss of the probabilities that an activation makes of logits.
    ///
    /// As [`forward`](Self::forward) of `activation(logits)`, softmax over the classes. On graphics processors the
    /// activation is part of the two voxel passes, so that neither probabilities nor their gradient need memory.
    ///
    /// # Shapes
    /// As [`forward`](Self::forward), with logits for probabilities.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_logits<const D: usize>(
        &self,
        logits: Tensor<D>,
        target: Tensor<D>,
        activation: Activation,
        presence: Option<&Presence>,
    ) -> Result<DiceValue, DiceError> {
        #[cfg(feature = "gpu")]
        if activation != Activation::None {
            let shape = self.checked_shape(&logits, &target)?;
            let target = target.clone().detach().cast(logits.dtype());
            let background = self.loss.missing_labels().is_marginal();
            let (plain, plain_target) = (logits.clone().inner(), target.clone().inner());
            if let Some(sums) = crate::gpu::sums(&plain, &plain_target, activation, background) {
                let sums = in_range(sums?, shape)?;
                let terms = self.loss.terms(&sums, presence)?;
                let loss = terms.loss;
                let tensor = crate::gpu::loss_of_logits(logits, target, activation, terms);
                return Ok(DiceValue { tensor, loss, sums });
            }
        }
        let prediction = match activation {
            Activation::None => logits,
            Activation::Sigmoid => sigmoid(logits),
            Activation::Softmax => softmax(logits, 1),
        };
        self.forward(prediction, target, presence)
    }

    /// The shape of both, if this loss can be computed of them.
    fn checked_shape<const D: usize>(
        &self,
        prediction: &Tensor<D>,
        target: &Tensor<D>,
    ) -> Result<Shape, DiceError> {
        // The derivative of the others is affine in y, which is all that the backward pass keeps.
        if self.loss.similarity() == Similarity::SquaredDice {
            return Err(DiceError::DerivativeNeedsPrediction);
        }
        let (shape, found) = (shape(prediction)?, target.dims());
        if prediction.dims() != found {
            return Err(DiceError::Length {
                argument: "dense target",
                shape: format!("{:?} of the prediction (the target's is {found:?})", prediction.dims()),
                expected: shape.elements(),
                found: found.iter().product(),
            });
        }
        Ok(shape)
    }

    fn sums<const D: usize>(
        &self,
        prediction: &Tensor<D>,
        target: &Tensor<D>,
        shape: Shape,
    ) -> Result<DiceSums, DiceError> {
        let (prediction, target) = (prediction.clone().inner(), target.clone().inner());
        #[cfg(feature = "gpu")]
        {
            let background = self.loss.missing_labels().is_marginal();
            if let Some(sums) = crate::gpu::sums(&prediction, &target, Activation::None, background) {
                return in_range(sums?, shape);
            }
        }
        let (prediction, target) = (widened(prediction), widened(target));
        match (host_array(&prediction), host_array(&target)) {
            (Some(p), Some(y)) => {
                self.loss.sums(p.storage::<f32>(), &Target::dense(shape, y.storage::<f32>())?)
            }
            _ => self.sums_on_device(prediction, target, shape),
        }
    }

    /// The sums by tensor operations: 3·B·C numbers travel to the host, or 4·B·C for marginal treatment.
    fn sums_on_device<const D: usize>(
        &self,
        prediction: Tensor<D>,
        target: Tensor<D>,
        shape: Shape,
    ) -> Result<DiceSums, DiceError> {
        let (batch, classes) = (shape.batch(), shape.classes());
        let flat = [batch, classes, shape.voxels()];
        let (p, y): (Tensor<3>, Tensor<3>) = (prediction.reshape(flat), target.reshape(flat));
        let host = |maps: Tensor<3>| -> Vec<f64> {
            let data = maps.sum_dim(2).into_data().convert::<f64>();
            data.try_to_vec().expect("just converted to f64")
        };
        let overlap = host(y.clone() * p.clone());
        let sums = DiceSums::from_parts(batch, classes, overlap, host(y.clone()), host(p.clone()))?;
        let sums = in_range(sums, shape)?;
        if !self.loss.missing_labels().is_marginal() {
            return Ok(sums);
        }
        let background = y.slice([0..batch, 0..1]);
        sums.with_background_overlap(host(p * background))
    }
}

fn shape<const D: usize>(prediction: &Tensor<D>) -> Result<Shape, DiceError> {
    let dims = prediction.dims();
    let (batch, classes) = (dims.first().copied().unwrap_or(0), dims.get(1).copied().unwrap_or(0));
    Shape::new(batch, classes, dims.iter().skip(2).product())
}

/// Sums that values in [0, 1] can have: all that is known of the values on a device.
fn in_range(sums: DiceSums, shape: Shape) -> Result<DiceSums, DiceError> {
    check_range("sum of the prediction", sums.prediction(), shape)?;
    check_range("sum of the target", sums.target(), shape)?;
    Ok(sums)
}

/// Sums over maps of values in [0, 1] lie between 0 and I, up to the rounding that single values are allowed.
fn check_range(argument: &'static str, sums: &[f64], shape: Shape) -> Result<(), DiceError> {
    let voxels = shape.voxels() as f64;
    match sums.iter().find(|&&sum| sum < -1e-4 * voxels || sum > (1.0 + 1e-4) * voxels) {
        None => Ok(()),
        Some(&value) => Err(DiceError::Domain {
            argument,
            value,
            accepted: "over one map it must lie between 0 and the number of voxels; if these are logits, apply \
                       softmax or sigmoid first",
        }),
    }
}

/// In a type that sums of voxels fit into: f16 ends at 65,504, and 2048 + 1 is 2048 there.
fn widened<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if is_half(tensor.dtype()) { tensor.cast(DType::F32) } else { tensor }
}

/// The tensor's memory, if it is an f32 tensor of Burn's CPU backend.
fn host_array<const D: usize>(tensor: &Tensor<D>) -> Option<FlexTensor> {
    let tensor = tensor.clone().try_into_primitive::<Flex>().ok()?;
    is_f32(&tensor).then(|| tensor.to_contiguous())
}
