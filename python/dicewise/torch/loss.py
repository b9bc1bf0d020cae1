"""The Dice loss as a PyTorch module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.distributed as dist
from torch import nn

from dicewise._settings import Activation, Missing, Partition, Settings, Similarity
from dicewise.torch import inputs, ranks
from dicewise.torch.object_size import RunningObjectSize


class _Dice(torch.autograd.Function):
    """Steps 2 and 3: from sums to the loss, and Eq. 4 as the backward pass."""

    @staticmethod
    def forward(ctx, prediction, target, mask, sums, presence, epsilon, first, factor, key):
        ctx.save_for_backward(prediction, target, mask, sums, presence, epsilon)
        ctx.first, ctx.factor, ctx.key = first, factor, key
        loss = torch.ops.dicewise.value(sums, presence, epsilon, key)
        wide = torch.float64 if prediction.dtype == torch.float64 else torch.float32
        return loss.to(prediction.device, wide)

    @staticmethod
    def backward(ctx, scale):
        prediction, target, mask, sums, presence, epsilon = ctx.saved_tensors
        gradient = torch.ops.dicewise.gradient(
            prediction, target, mask, sums, presence, epsilon, scale * ctx.factor, ctx.first, ctx.key
        )
        return gradient, None, None, None, None, None, None, None, None


class DiceLoss(nn.Module):
    r"""The Dice loss for a partition Φ and a smoothing term ε, Eq. 3, with its derivative, Eq. 4.

    .. code-block:: text

        DL = 1 − (1/|Φ|) Σ_{φ∈Φ} (2 Σ_φ y p + ε) / (Σ_φ (y + p) + ε)

    where p is the activated prediction, y the target, and φ a subset of the [B, C] maps. Neither Φ nor ε has a
    default: together they decide whether a map without ground truth is ignored or learnt to be empty, see
    :func:`dicewise.explain`.

    Between forward and backward pass it keeps a few B·C numbers and references to its inputs. On the CPU both are
    one pass of fused Rust kernels over the tensors' memory; elsewhere the same in plain PyTorch. What is not
    contiguous, and masks of integers other than bool and uint8, are copied for the time of each pass.

    Args:
        partition: Φ. ``"image"``: one Dice for each sample and class (MONAI ``batch=False``); ``"class"``: for each
            sample, all classes together; ``"batch"``: for each class, all samples together (MONAI ``batch=True``,
            nnU-Net ``batch_dice``); ``"all"``: one for everything (Keras).
        epsilon: ε in numerator and denominator, in voxels: one number, or one for each class. ``"heuristic"`` is
            the paper's I_ε, the mean size E Σy of each class (Eq. 5): the sizes in ``object_voxels``, or else a
            running mean over the annotated labels seen in training, empty ones counting 0, at least 1 voxel. It
            learns from calls with gradients enabled, and not after ``eval()``.
        activation: what turns the prediction into p: ``"none"``, ``"sigmoid"`` or ``"softmax"`` (over dimension 1, of
            two classes or more).
        numerator_epsilon: another ε for the numerator; with 0, a map without ground truth has gradient exactly 0.
        class_weights: one weight ≥ 0 for each class, background included.
        normalised: whether the mean divides by the sum of the weights (else by their number).
        background: False gives class 0 the weight 0. The cross-entropy has all classes in any case.
        missing: what happens to labels that ``presence`` declares missing. ``"as-empty"``, which None is: nothing, the
            zero map is the truth; ``"leaf"``: they leave their subset; ``"marginal"``: their prediction is added to the
            background's (softmax). ``"leaf-inferred"``, ``"marginal-inferred"``: missing is what has Σy = 0,
            whatever is declared. With a presence it must be given.
        ignore_index: a label whose voxels count nowhere and get gradient exactly 0.
        cross_entropy: weight of a cross-entropy added to Dice: with softmax the mean over voxels of −log p_y, where
            missing classes are merged into the background; with sigmoid the mean over voxels and annotated maps.
        similarity: D, of which the loss is 1 − D, in the place of Dice: ``"squared-dice"`` (V-Net, MONAI
            ``squared_pred``), ``"jaccard"``, ``"tversky"`` (with ``alpha`` for false positives, ``beta`` for false
            negatives), ``"generalized-dice"`` and ``"generalized-dice-simple"`` (classes weighed by 1/(Σy)² and 1/Σy).
            ε is that of the form with 2 Σyp in the numerator, for all of them.
        focal_exponent: γ of the focal Tversky loss: each subset's 1 − D is raised to it.
        object_voxels: mean size of each class in voxels, for ``epsilon="heuristic"``.
        process_group: ranks that share a batch, e.g. ``torch.distributed.group.WORLD``. Every rank then has the loss
            of the whole batch, and a gradient that, *averaged* over ranks as DistributedDataParallel does, is that of
            one process with the whole batch. Without it, a rank knows its own samples only, which matters with
            Φ = batch or all, and with a cross-entropy whose voxels are masked.

    Shapes:
        - prediction: ``[B, C, ...]``, float32, float64, float16 or bfloat16; sums are float64 for each of them.
        - target: label map ``[B, ...]`` or ``[B, 1, ...]`` (uint8, int16, int32, int64), or soft or overlapping maps
          ``[B, C, ...]`` in [0, 1], of any of the prediction's types, bool or integers; with C = 1 also a mask
          ``[B, ...]`` of these.
        - presence: ``[B, C]`` bool, True where the label of a class is annotated.
        - mask: ``[B, ...]`` bool, True where a voxel counts.
        - result: scalar, float32 (float64 for float64).

    Raises:
        ValueError, TypeError: for arguments that do not fit, naming what is accepted.

    Example:
        >>> loss = DiceLoss(partition="batch", epsilon=1e-5, activation="softmax", missing="leaf")
        >>> logits = torch.zeros(2, 3, 8, 8, 8, requires_grad=True)
        >>> labels = torch.zeros(2, 8, 8, 8, dtype=torch.uint8)
        >>> loss(logits, labels, presence=[[True, True, False], [True, True, True]]).backward()

    References:
        Tilborghs et al., The Dice loss in the context of missing or empty labels: introducing Φ and ε,
        MICCAI 2022, arXiv 2207.09521.
    """

    def __init__(
        self,
        partition: Partition,
        epsilon: float | Sequence[float] | Literal["heuristic"],
        activation: Activation,
        *,
        numerator_epsilon: float | Sequence[float] | None = None,
        class_weights: Sequence[float] | None = None,
        normalised: bool = True,
        background: bool = True,
        missing: Missing | None = None,
        ignore_index: int | None = None,
        cross_entropy: float = 0.0,
        similarity: Similarity = "dice",
        alpha: float | None = None,
        beta: float | None = None,
        focal_exponent: float = 1.0,
        object_voxels: float | Sequence[float] | None = None,
        process_group: dist.ProcessGroup | None = None,
    ) -> None:
        super().__init__()
        self.object_size: RunningObjectSize | None = None
        if isinstance(epsilon, str) and epsilon == "heuristic":
            if numerator_epsilon is not None:
                raise ValueError('epsilon="heuristic" is ε of numerator and denominator: leave out numerator_epsilon')
            if object_voxels is None:
                if partition not in ("image", "batch"):
                    raise ValueError(
                        f'epsilon="heuristic" is one ε per class, which Φ = "{partition}" mixes: use partition="image"'
                    )
                self.object_size = RunningObjectSize()
            epsilon = 1.0 if object_voxels is None else object_voxels
        elif object_voxels is not None:
            raise ValueError('object_voxels is for epsilon="heuristic" only')
        self.settings = Settings.of(
            partition,
            epsilon,
            activation,
            numerator_epsilon=numerator_epsilon,
            class_weights=class_weights,
            normalised=normalised,
            background=background,
            missing=missing,
            ignore_index=ignore_index,
            cross_entropy=cross_entropy,
            similarity=similarity,
            alpha=alpha,
            beta=beta,
            focal_exponent=focal_exponent,
        )
        self._key = self.settings.key
        self.process_group = process_group

    def forward(
        self,
        prediction: torch.Tensor,
        target: torch.Tensor,
        presence: torch.Tensor | Sequence[Sequence[bool]] | None = None,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """DL of a batch, Eq. 3, plus the weighted cross-entropy; see the class for shapes."""
        inputs.check_prediction(prediction)
        target = inputs.as_target(prediction, target)
        mask = inputs.as_mask(prediction, mask)
        self.settings.check_presence(presence)
        present = inputs.as_presence(prediction, presence)
        has_gradient = torch.is_grad_enabled()
        with torch.no_grad():
            if self.process_group is None:
                sums = torch.ops.dicewise.sums(prediction.detach(), target, mask, present, self._key)
                first, factor = 0, 1
            else:
                sums, present, first = ranks.sums(prediction, target, mask, present, self._key, self.process_group)
                factor = dist.get_world_size(self.process_group)
            epsilon = None
            if self.object_size is not None:
                epsilon = self.object_size(sums, present, has_gradient)
        return _Dice.apply(prediction, target, mask, sums, present, epsilon, first, factor, self._key)

    def extra_repr(self) -> str:
        """The arguments that are not default."""
        return self.settings.text(**({} if self.object_size is None else {"epsilon": "heuristic"}))
