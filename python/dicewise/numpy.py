"""The Dice loss and the metrics of segmentations for NumPy arrays, without PyTorch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dicewise import _core
from dicewise._settings import Settings

__all__ = ["DiceLoss", "Dsc", "DscMean", "dsc", "mean_dsc", "volume_difference_ml"]

_LABEL_TYPES = ("uint8", "uint16", "int16", "int32", "int64")


def _memory(array: NDArray[Any]) -> tuple[int, str, int]:
    return array.ctypes.data, array.dtype.name, array.size


def _optional(array: NDArray[Any] | None) -> tuple[int, str, int] | None:
    return None if array is None else _memory(array)


class DiceLoss:
    """The Dice loss DL for a partition Φ and a smoothing term ε, Eq. 3; see :class:`dicewise.torch.DiceLoss`.

    Takes the same settings, ``epsilon="heuristic"`` and ranks excepted. Arrays are used in place where they are
    C-contiguous and copied once where they are not.

    Shapes:
        - prediction: ``[B, C, ...]``, float32, float64 or float16.
        - target: label map ``[B, ...]`` of integers, or maps ``[B, C, ...]`` in [0, 1].
        - presence: ``[B, C]`` bool. mask: ``[B, ...]`` bool.

    Example:
        >>> loss = DiceLoss(partition="image", epsilon=1e-7, activation="none")
        >>> p = np.full((1, 2, 4), 0.5, dtype=np.float32)
        >>> value, gradient = loss.value_and_gradient(p, np.array([[0, 0, 1, 1]]))
        >>> round(value, 6)
        0.5
    """

    def __init__(self, partition: str, epsilon: float | Sequence[float], activation: str, **settings: Any) -> None:
        self.settings = Settings.of(partition, epsilon, activation, **settings)

    def value(
        self,
        prediction: NDArray[Any],
        target: ArrayLike,
        presence: ArrayLike | None = None,
        mask: ArrayLike | None = None,
    ) -> float:
        """DL, Eq. 3, plus the weighted cross-entropy."""
        return self._forward(prediction, target, presence, mask)[0]

    def value_and_gradient(
        self,
        prediction: NDArray[Any],
        target: ArrayLike,
        presence: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        out: NDArray[Any] | None = None,
    ) -> tuple[float, NDArray[Any]]:
        """DL and ∂DL/∂prediction, Eq. 3 and 4; the gradient is written into ``out`` if given.

        Raises:
            ValueError: if ``out`` has another shape or type than the prediction, or is not C-contiguous.
        """
        value, sums, prediction, target, presence, mask = self._forward(prediction, target, presence, mask)
        if out is None:
            out = np.empty_like(prediction)
        elif out.shape != prediction.shape or out.dtype != prediction.dtype or not out.flags.c_contiguous:
            raise ValueError(
                f"out has shape {list(out.shape)} and type {out.dtype}: it must be C-contiguous, "
                f"{list(prediction.shape)} and {prediction.dtype}"
            )
        elif np.shares_memory(out, target) or np.shares_memory(out, prediction):
            raise ValueError("out shares memory with the prediction or the target: give it memory of its own")
        batch, classes = prediction.shape[:2]
        self.settings.core(classes).gradient(
            _dimensions(prediction), _memory(prediction), _memory(target), _optional(mask), self.settings.ignore_index,
            batch, _memory(sums), _optional(presence), None, 0, 1.0, _memory(out),
        )  # fmt: skip
        return value, out

    def sums(
        self,
        prediction: NDArray[Any],
        target: ArrayLike,
        presence: ArrayLike | None = None,
        mask: ArrayLike | None = None,
    ) -> dict[str, NDArray[np.float64]]:
        """The sums over voxels, each ``[B, C]``: overlap Σyp, target Σy and prediction Σp."""
        sums = self._forward(prediction, target, presence, mask)[1]
        return {"overlap": sums[0], "target": sums[1], "prediction": sums[2]}

    def _forward(self, prediction, target, presence, mask):
        if not isinstance(prediction, np.ndarray) or prediction.dtype.name not in ("float32", "float64", "float16"):
            raise TypeError(f"prediction is {_kind(prediction)}: it must be an array of float32, float64 or float16")
        if prediction.ndim < 3:
            raise ValueError(f"prediction has shape {list(prediction.shape)}: it must be [B, C, ...] with voxels")
        if prediction.size == 0:
            raise ValueError(f"prediction has shape {list(prediction.shape)}: every dimension must be at least 1")
        prediction = np.ascontiguousarray(prediction)
        batch, classes, *spatial = prediction.shape
        target = _as_target(prediction, np.asarray(target))
        mask = _as_truth("mask", mask, (batch, *spatial))
        presence = _as_truth("presence", presence, (batch, classes))
        core = self.settings.core(classes)
        sums = np.empty((core.sum_rows, batch, classes))
        core.sums(
            _dimensions(prediction), _memory(prediction), _memory(target), _optional(mask), self.settings.ignore_index,
            _optional(presence), _memory(sums),
        )  # fmt: skip
        value = core.value((batch, classes), _memory(sums), _optional(presence), None)
        return value, sums, prediction, target, presence, mask


def _dimensions(prediction: NDArray[Any]) -> tuple[int, int, int]:
    batch, classes, *spatial = prediction.shape
    return batch, classes, int(np.prod(spatial))


def _kind(value: object) -> str:
    return f"an array of {value.dtype}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"


def _as_target(prediction, target):
    one_map = (prediction.shape[0], *prediction.shape[2:])
    if target.dtype.kind == "f" and target.shape == prediction.shape:
        return np.ascontiguousarray(target, dtype=None if target.dtype.name in _FLOATS else prediction.dtype)
    if target.shape == one_map and target.dtype.name in _LABEL_TYPES:
        return np.ascontiguousarray(target)
    if target.dtype.kind in "biu" and target.shape == prediction.shape:
        return np.ascontiguousarray(target, dtype=prediction.dtype)
    raise ValueError(
        f"target is {_kind(target)} of shape {list(target.shape)}: a label map is {list(one_map)} of "
        f"{', '.join(_LABEL_TYPES)}, dense targets are {list(prediction.shape)}"
    )


_FLOATS = ("float32", "float64", "float16")


def _as_truth(argument, value, shape):
    if value is None:
        return None
    array = np.asarray(value)
    if array.dtype != bool or array.shape != shape:
        raise ValueError(
            f"{argument} is {_kind(array)} of shape {list(array.shape)}: it must be bool of shape {list(shape)}"
        )
    return np.ascontiguousarray(array)


@dataclasses.dataclass(frozen=True)
class Dsc:
    """Voxels of one label of one case, and their DSC, Eq. 2."""

    overlap: int
    prediction: int
    target: int

    @property
    def value(self) -> float | None:
        """2|Y ∩ Ỹ| / (|Y| + |Ỹ|); None where the target is empty: Eq. 2 says nothing about such a case."""
        return 2 * self.overlap / (self.target + self.prediction) if self.target else None


@dataclasses.dataclass(frozen=True)
class DscMean:
    """A mean DSC and the cases that it rests on."""

    mean: float | None
    scored: int
    defined: int
    both_empty: int
    false_positives: int


def dsc(prediction: ArrayLike, target: ArrayLike, label: int = 1) -> Dsc:
    """The DSC of a label in two label maps (or boolean masks) over the same voxels, Eq. 2.

    Example:
        >>> dsc([[0, 1], [1, 0]], [[0, 1], [0, 0]]).value
        0.6666666666666666
    """
    prediction, target = np.asarray(prediction), np.asarray(target)
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction has shape {list(prediction.shape)} and target {list(target.shape)}: "
            "bring both onto one grid first"
        )
    kind = np.result_type(prediction, target)
    if kind.kind == "b":
        kind = np.dtype(np.uint8)
    if kind.name not in _LABEL_TYPES:
        kind = np.dtype(np.int64) if kind.kind in "iu" and kind.name != "uint64" else kind
    if kind.name not in _LABEL_TYPES:
        raise TypeError(f"label maps are of type {prediction.dtype} and {target.dtype}: they must be integers or bool")
    prediction, target = (np.ascontiguousarray(a, dtype=kind) for a in (prediction, target))
    return Dsc(*_core.voxel_counts(_memory(prediction), _memory(target), int(label)))


def mean_dsc(cases: Sequence[Dsc], empty_truth: str | tuple[float, float]) -> DscMean:
    """Mean DSC over cases.

    Args:
        cases: what :func:`dsc` returned.
        empty_truth: what a case with empty truth contributes; it has no default, because it moves the mean.
            ``"skip"``: nothing. ``"formula"``: Eq. 2, so 0 for false positives, and 0/0 is left out (nnU-Net).
            A pair of scores: (both empty, false positives); challenges often take (1, 0).
    """
    policy, scores = ("score", tuple(empty_truth)) if not isinstance(empty_truth, str) else (empty_truth, None)
    return DscMean(*_core.mean_dsc([(c.overlap, c.prediction, c.target) for c in cases], policy, scores))


def volume_difference_ml(
    prediction: ArrayLike, target: ArrayLike, voxel_volume_ml: float, label: int | None = None
) -> float:
    """ΔV = V(prediction) − V(target) in ml: below 0 where the prediction is too small.

    Args:
        prediction: label map, mask, or probabilities, which are summed without a threshold as in the paper's BRATS
            table.
        target: the same for the truth.
        voxel_volume_ml: volume of a voxel in ml, a thousandth of the product of the spacing in mm.
        label: counts this label in both; None sums what is given.
    """

    def volume(array: ArrayLike) -> float:
        values = np.asarray(array)
        return float((values == label).sum() if label is not None else values.sum(dtype=np.float64))

    return _core.volume_difference_ml(volume(prediction), volume(target), float(voxel_volume_ml))
