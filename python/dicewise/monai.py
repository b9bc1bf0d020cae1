"""Dice losses with MONAI's argument names: a changed import line, the same values and gradients.

.. code-block:: text

    from dicewise.monai import DiceCELoss        # was: from monai.losses import DiceCELoss

The arguments are mapped to Φ and ε, and the log of ``dicewise.monai`` says which behaviour they result in: once for
each configuration, number of classes and, with ``batch=True``, number of images in a batch. What cannot be mapped is
refused. MONAI itself is not needed.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from dicewise import explain
from dicewise._explain import typical_object
from dicewise._peers import cross_entropy_effect
from dicewise._settings import Activation, Missing, Settings
from dicewise.torch import DiceLoss as _DiceLoss

__all__ = ["DiceCELoss", "DiceLoss"]

_log = logging.getLogger("dicewise.monai")
_said: set[str] = set()


class DiceLoss(nn.Module):
    """``monai.losses.DiceLoss`` with the fused kernels, plus ``presence`` and ``missing``.

    .. code-block:: text

        batch=False → Φ = image      batch=True → Φ = batch      smooth_nr, smooth_dr → ε of numerator, denominator

    Args:
        include_background, to_onehot_y, sigmoid, softmax, squared_pred, jaccard, smooth_nr, smooth_dr, batch, weight,
            ignore_index: as in MONAI 1.6.
        reduction: ``"mean"`` or ``"sum"``; ``"none"`` is refused.
        other_act: refused; apply it before the loss.
        soft_label: refused; MONAI's formula for it is another loss. Soft targets need no flag here.
        missing: what happens to labels that ``presence`` declares missing, see :class:`dicewise.torch.DiceLoss`. Must
            be given with a presence, ``"as-empty"`` to do nothing.

    Shapes:
        - input: ``[B, C, ...]``.
        - target: ``[B, 1, ...]`` labels with ``to_onehot_y``, else ``[B, C, ...]``.
        - presence: ``[B, C]`` bool, True where annotated.

    Raises:
        ValueError: for arguments that cannot be mapped, a presence without ``missing``, and shapes that do not fit.

    Warns:
        UserWarning: where MONAI does: for one channel with ``softmax``, ``to_onehot_y`` or
            ``include_background=False``, which are ignored then.
    """

    def __init__(
        self,
        include_background: bool = True,
        to_onehot_y: bool = False,
        sigmoid: bool = False,
        softmax: bool = False,
        other_act: Callable[..., Any] | None = None,
        squared_pred: bool = False,
        jaccard: bool = False,
        reduction: str = "mean",
        smooth_nr: float = 1e-5,
        smooth_dr: float = 1e-5,
        batch: bool = False,
        weight: Sequence[float] | float | torch.Tensor | None = None,
        soft_label: bool = False,
        ignore_index: int | None = None,
        *,
        missing: Missing | None = None,
    ) -> None:
        super().__init__()
        if sigmoid and softmax:
            raise ValueError("sigmoid=True and softmax=True exclude each other: set one of them")
        if other_act is not None:
            raise ValueError("other_act is not supported: apply it before the loss and set neither sigmoid nor softmax")
        if soft_label:
            raise ValueError("soft_label=True is not supported: leave it out, soft targets need no flag here")
        if squared_pred and jaccard:
            raise ValueError("squared_pred=True with jaccard=True is not supported: set one of them")
        reduction = str(getattr(reduction, "value", reduction))
        if reduction not in ("mean", "sum"):
            raise ValueError(f'reduction is {reduction!r}: use "mean" or "sum"')
        self.include_background, self.to_onehot_y = include_background, to_onehot_y
        self.sigmoid, self.softmax = sigmoid, softmax
        self.reduction, self.batch = reduction, batch
        self.weight: list[float] | float | None = (
            None if weight is None else torch.as_tensor(weight, dtype=torch.float64).tolist()
        )
        self.missing = missing
        self._fixed: dict[str, Any] = {
            "partition": "batch" if batch else "image",
            "epsilon": float(smooth_dr),
            "numerator_epsilon": float(smooth_nr),
            "missing": missing,
            "ignore_index": ignore_index,
            "similarity": "jaccard" if jaccard else "squared-dice" if squared_pred else "dice",
        }
        self._losses: dict[int, tuple[_DiceLoss, float]] = {}
        self._explained: set[tuple[int, int]] = set()
        # A mistake in the arguments shows now, not at the first batch.
        self._check_arguments()

    def forward(
        self,
        input: torch.Tensor,
        target: torch.Tensor,
        presence: torch.Tensor | Sequence[Sequence[bool]] | None = None,
    ) -> torch.Tensor:
        """The loss of a batch, as MONAI computes it."""
        batch, classes = input.shape[:2]
        if classes not in self._losses:
            self._losses[classes] = self._build(classes)
            self._warn_of_one_channel(classes)
        loss, factor = self.mapped(classes, batch)
        target, mask = self._target(input, target)
        value = factor * loss(input, target, presence, mask)
        if (classes, batch) not in self._explained:
            self._explained.add((classes, batch))
            self._say(classes, batch, input[0, 0].numel(), presence is not None)
        return value

    @property
    def known_classes(self) -> int | None:
        """C where the arguments or a batch told it, channels of background included."""
        if isinstance(self.weight, list):
            return len(self.weight) + (not self.include_background)
        return next(iter(self._losses), None)

    @property
    def settings(self) -> Settings:
        """The settings of dicewise that the arguments are mapped to."""
        return self.mapped(self.known_classes or 2, 1)[0].settings

    def mapped(self, classes: int, batch: int) -> tuple[_DiceLoss, float]:
        """The same loss of dicewise for a number of classes, and what it is multiplied by for a batch of that size."""
        loss, factor = self._losses[classes] if classes in self._losses else self._build(classes)
        if self.reduction == "sum":
            counted = classes - (not self._has_background(classes))
            factor = factor * counted * (1 if self.batch else batch)
        return loss, factor

    def _check_arguments(self) -> None:
        self._build(len(self.weight) + (not self.include_background) if isinstance(self.weight, list) else 2)

    def _has_background(self, classes: int) -> bool:
        return self.include_background or classes == 1

    def _build(self, classes: int, **more: Any) -> tuple[_DiceLoss, float]:
        """The loss for a number of classes, and what it is multiplied by."""
        activation: Activation = "sigmoid" if self.sigmoid else "softmax" if self.softmax and classes > 1 else "none"
        background = self._has_background(classes)
        weights: list[float] | None = None
        factor = 1.0
        counted = classes - (not background)
        weight = self.weight if counted > 1 else None
        if isinstance(weight, list):
            if len(weight) != counted:
                raise ValueError(
                    f"weight has {len(weight)} values: it needs {counted}, one for each class"
                    + ("" if background else " but the background")
                )
            # MONAI averages w (1 − D): the normalised loss times the mean weight.
            weights, factor = ([] if background else [0.0]) + weight, sum(weight) / counted
        elif weight is not None:
            if not weight >= 0:
                raise ValueError(f"weight is {weight}: it must be at least 0")
            factor = weight
        loss = _DiceLoss(activation=activation, background=background, class_weights=weights, **self._fixed, **more)
        return loss, factor

    def _target(self, input: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The target as dicewise takes it, and where it counts if that is not everywhere."""
        classes, ignored = input.shape[1], self._fixed["ignore_index"]
        if self.to_onehot_y and classes > 1:
            if target.ndim != input.ndim or target.shape[1] != 1:
                raise ValueError(
                    f"target has shape {list(target.shape)}: with to_onehot_y=True it must be [B, 1, ...] with labels"
                )
            # MONAI's labels are often of a float type.
            return target.long() if target.is_floating_point() else target, None
        if target.shape != input.shape:
            raise ValueError(
                f"target has shape {list(target.shape)} and input {list(input.shape)}: they must be equal, "
                "or set to_onehot_y=True for labels [B, 1, ...]"
            )
        if ignored is None:
            return target, None
        if classes > 1:
            raise ValueError("ignore_index needs labels: set to_onehot_y=True and pass [B, 1, ...]")
        counts = target != ignored
        return target.masked_fill(~counts, 0), counts

    def _warn_of_one_channel(self, classes: int) -> None:
        for name, given in (
            ("softmax=True", self.softmax),
            ("to_onehot_y=True", self.to_onehot_y),
            ("include_background=False", not self.include_background),
        ):
            if classes == 1 and given:
                hint = ": logits of one channel need sigmoid=True" if self.softmax else ""
                warnings.warn(f"single channel prediction, {name} is ignored{hint}", stacklevel=3)

    def _say(self, classes: int, batch: int, voxels: int, declared: bool) -> None:
        """Logs which behaviour results for batches like this one; a training never ends because of it."""
        line = (
            f"{type(self).__name__}: Φ = {self._fixed['partition']}, ε = {self._fixed['numerator_epsilon']:g} / "
            f"{self._fixed['epsilon']:g}, C = {classes}" + (f", B = {batch}" if self.batch else "")
        )
        if not declared and self.missing in ("leaf", "marginal"):
            line += f', missing="{self.missing}" without a presence: every label counts as annotated'
        if line not in _said:
            _said.add(line)
            _log.warning("%s: %s", line, self._verdict(classes, batch, voxels))

    def _verdict(self, classes: int, batch: int, voxels: int) -> str:
        size = typical_object(voxels, classes)
        try:
            found = explain(self, batch_size=batch, classes=classes, voxels=voxels, object_voxels=size)
        except ValueError as error:
            return f"dicewise.explain has no verdict ({error})"
        settings = self._losses[classes][0].settings
        beside = f"; {cross_entropy_effect(settings.missing)}" if settings.cross_entropy else ""
        verdict = f"the Dice term {_VERB[found.on_empty]} maps without ground truth{beside}"
        return f"{verdict}. dicewise.explain(loss) says more."


_VERB = {"ignores it": "ignores", "in between": "weakly empties", "learns that it is empty": "learns to empty"}


class DiceCELoss(DiceLoss):
    """``monai.losses.DiceCELoss``: λ_dice · Dice + λ_ce · cross-entropy, both in the same two passes.

    Arguments as in MONAI 1.6. Refused: what :class:`DiceLoss` refuses, ``reduction="sum"``, ``weight``,
    ``label_smoothing``, ``lambda_dice=0``, and ``sigmoid=True`` with several classes, to which MONAI adds a *softmax*
    cross-entropy.
    """

    def __init__(
        self,
        include_background: bool = True,
        to_onehot_y: bool = False,
        sigmoid: bool = False,
        softmax: bool = False,
        other_act: Callable[..., Any] | None = None,
        squared_pred: bool = False,
        jaccard: bool = False,
        reduction: str = "mean",
        smooth_nr: float = 1e-5,
        smooth_dr: float = 1e-5,
        batch: bool = False,
        weight: torch.Tensor | None = None,
        lambda_dice: float = 1.0,
        lambda_ce: float = 1.0,
        label_smoothing: float = 0.0,
        *,
        missing: Missing | None = None,
    ) -> None:
        if weight is not None:
            raise ValueError("weight is not supported with the cross-entropy: leave it out")
        if label_smoothing:
            raise ValueError(f"label_smoothing is {label_smoothing}: it is not supported, leave it out")
        if str(getattr(reduction, "value", reduction)) != "mean":
            raise ValueError(f'reduction is {reduction!r}: with the cross-entropy it must be "mean"')
        if not lambda_dice > 0:
            raise ValueError(f"lambda_dice is {lambda_dice}: it must be above 0")
        if not lambda_ce >= 0:
            raise ValueError(f"lambda_ce is {lambda_ce}: it must be at least 0")
        self.lambda_dice, self.lambda_ce = float(lambda_dice), float(lambda_ce)
        super().__init__(
            include_background, to_onehot_y, sigmoid, softmax, other_act, squared_pred, jaccard, reduction,
            smooth_nr, smooth_dr, batch, missing=missing,
        )  # fmt: skip

    @property
    def known_classes(self) -> int | None:
        """As for Dice; without softmax, the cross-entropy is that of one class."""
        return 1 if self.lambda_ce and not self.softmax else super().known_classes

    def _check_arguments(self) -> None:
        # Which activation is right depends on the number of classes: one with sigmoid, several with softmax.
        self._build(1 if self.sigmoid else 2)

    def _build(self, classes: int, **more: Any) -> tuple[_DiceLoss, float]:
        if self.lambda_ce:
            if classes > 1 and not self.softmax:
                raise ValueError(
                    "MONAI adds a softmax cross-entropy to several classes, whatever the activation of Dice: "
                    "set softmax=True; for sigmoid with binary cross-entropy use dicewise.torch.DiceLoss"
                )
            if classes == 1 and not self.sigmoid:
                raise ValueError("one class needs sigmoid=True: its cross-entropy is taken of logits")
            more["cross_entropy"] = self.lambda_ce / self.lambda_dice
        loss, factor = super()._build(classes, **more)
        return loss, factor * self.lambda_dice
