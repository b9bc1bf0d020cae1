"""The Dice loss and the metrics of segmentations for NumPy arrays, without PyTorch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dicewise import _core
from dicewise._settings import Activation, Missing, Partition, Settings, Similarity

__all__ = ["DiceLoss", "Dsc", "DscMean", "dsc", "mean_dsc", "volume_difference_ml"]

_LABEL_TYPES = ("uint8", "uint16", "int16", "int32", "int64")
_FLOATS = ("float32", "float64", "float16")


def _readable(array: NDArray[Any], dtype: np.dtype[Any] | None = None) -> NDArray[Any]:
    """The array as the core reads it: contiguous, aligned, in the byte order of the machine. Copied where it is not."""
    dtype = array.dtype if dtype is None else dtype
    return np.require(array, dtype.newbyteorder("="), ["C_CONTIGUOUS", "ALIGNED"])


def _memory(array: NDArray[Any]) -> tuple[int, str, int]:
    return array.ctypes.data, array.dtype.name, array.size


def _optional(array: NDArray[Any] | None) -> tuple[int, str, int] | None:
    return None if array is None else _memory(array)


class DiceLoss:
    """The Dice loss DL for a partition Φ and a smoothing term ε, Eq. 3; see :class:`dicewise.torch.DiceLoss`.

    Takes the same settings, ``epsilon="heuristic"`` and ranks excepted. Arrays are used in place where they are
    C-contiguous, aligned and in the byte order of the machine, and copied once where they are not.

    Shapes:
        - prediction: ``[B, C, ...]``, float32, float64 or float16.
        - target: label map ``[B, ...]`` or ``[B, 1, ...]`` (uint8, uint16, int16, int32, int64), or maps
          ``[B, C, ...]`` in [0, 1] of floats, integers or bool; with C = 1 also a mask ``[B, ...]`` of integers or
          bool.
        - presence: ``[B, C]`` bool. mask: ``[B, ...]`` bool.

    Raises:
        ValueError, TypeError: for arguments that do not fit, naming what is accepted.

    Example:
        >>> loss = DiceLoss(partition="image", epsilon=1e-7, activation="none")
        >>> p = np.full((1, 2, 4), 0.5, dtype=np.float32)
        >>> value, gradient = loss.value_and_gradient(p, np.array([[0, 0, 1, 1]]))
        >>> round(value, 6)
        0.5
    """

    def __init__(
        self,
        partition: Partition,
        epsilon: float | Sequence[float],
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
    ) -> None:
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

    def __repr__(self) -> str:
        return f"DiceLoss({self.settings.text()})"

    def value(
        self,
        prediction: NDArray[Any],
        target: ArrayLike,
        presence: ArrayLike | None = None,
        mask: ArrayLike | None = None,
    ) -> float:
        """DL, Eq. 3, plus the weighted cross-entropy."""
        given = self._read(prediction, target, presence, mask)
        return self._value(given, self._sums(given))

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
            ValueError: if ``out`` has another shape or type than the prediction, is not C-contiguous or not writeable,
                or shares memory with another argument.
        """
        given = self._read(prediction, target, presence, mask)
        out = np.empty_like(given.prediction) if out is None else _checked_out(out, given)
        sums = self._sums(given)
        self.settings.core(given.prediction.shape[1]).gradient(
            given.dimensions, _memory(given.prediction), _memory(given.target), _optional(given.mask),
            self.settings.ignore_index, len(given.prediction), _memory(sums), _optional(given.presence), None, 0, 1.0,
            _memory(out),
        )  # fmt: skip
        return self._value(given, sums), out

    def sums(
        self,
        prediction: NDArray[Any],
        target: ArrayLike,
        presence: ArrayLike | None = None,
        mask: ArrayLike | None = None,
    ) -> dict[str, NDArray[np.float64]]:
        """The sums over voxels, each ``[B, C]``: overlap Σyp, target Σy and prediction Σp."""
        sums = self._sums(self._read(prediction, target, presence, mask))
        return {"overlap": sums[0], "target": sums[1], "prediction": sums[2]}

    def _read(self, prediction, target, presence, mask) -> _Given:
        if not isinstance(prediction, np.ndarray) or prediction.dtype.name not in _FLOATS:
            raise TypeError(f"prediction is {_kind(prediction)}: it must be an array of float32, float64 or float16")
        if prediction.ndim < 3:
            raise ValueError(f"prediction has shape {list(prediction.shape)}: it must be [B, C, ...] with voxels")
        if prediction.size == 0:
            raise ValueError(f"prediction has shape {list(prediction.shape)}: every dimension must be at least 1")
        self.settings.check_presence(presence)
        batch, classes, *spatial = prediction.shape
        mask = _as_truth("mask", mask, (batch, *spatial))
        presence = _as_truth("presence", presence, (batch, classes))
        target, counts = _as_target(prediction, np.asarray(target), self.settings.ignore_index)
        if counts is not None:
            mask = counts if mask is None else mask & counts
        return _Given(_readable(prediction), target, presence, mask)

    def _sums(self, given: _Given) -> NDArray[np.float64]:
        batch, classes = given.prediction.shape[:2]
        core = self.settings.core(classes)
        sums = np.empty((core.sum_rows, batch, classes))
        core.sums(
            given.dimensions, _memory(given.prediction), _memory(given.target), _optional(given.mask),
            self.settings.ignore_index, _optional(given.presence), _memory(sums),
        )  # fmt: skip
        return sums

    def _value(self, given: _Given, sums: NDArray[np.float64]) -> float:
        batch, classes = given.prediction.shape[:2]
        return self.settings.core(classes).value((batch, classes), _memory(sums), _optional(given.presence), None)


class _Given(NamedTuple):
    """What a user passed, as the core reads it."""

    prediction: NDArray[Any]
    target: NDArray[Any]
    presence: NDArray[np.bool_] | None
    mask: NDArray[np.bool_] | None

    @property
    def dimensions(self) -> tuple[int, int, int]:
        """B, C and the voxels of a map."""
        batch, classes, *spatial = self.prediction.shape
        return batch, classes, int(np.prod(spatial))


def _kind(value: object) -> str:
    return f"an array of {value.dtype}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"


def _as_target(prediction, target, ignore_index) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """The target as label map or maps; with one class, integers are its mask, and the second is where they count."""
    if target.dtype == bool:
        target = target.view(np.uint8)
    batch, classes, *spatial = prediction.shape
    one_map, one_channel = (batch, *spatial), (batch, 1, *spatial)
    if target.dtype.kind == "f" and target.shape == prediction.shape:
        return _readable(target, None if target.dtype.name in _FLOATS else np.dtype(np.float64)), None
    is_mask = target.shape == prediction.shape or classes == 1 and target.shape == one_map
    if target.dtype.kind in "iu" and is_mask:
        counts = target.reshape(one_map) != ignore_index if classes == 1 and ignore_index is not None else None
        # Wider integers in float32, where nothing else becomes 0 or 1: as a byte, 256 would be 0.
        maps = _readable(target, np.dtype(np.uint8 if target.dtype.itemsize == 1 else np.float32))
        return maps, counts
    if target.dtype.name in _LABEL_TYPES and target.shape in (one_map, one_channel):
        return _readable(target), None
    raise ValueError(
        f"target is {_kind(target)} of shape {list(target.shape)}: a label map is {list(one_map)} or "
        f"{list(one_channel)} of {', '.join(_LABEL_TYPES)}, dense targets are {list(prediction.shape)}"
    )


def _checked_out(out: NDArray[Any], given: _Given) -> NDArray[Any]:
    """Memory for the gradient, which the core writes to without looking."""
    prediction = given.prediction
    if not isinstance(out, np.ndarray) or out.shape != prediction.shape or out.dtype != prediction.dtype:
        raise ValueError(
            f"out is {_kind(out)} of shape {list(np.shape(out))}: it must be an array of {prediction.dtype} and shape "
            f"{list(prediction.shape)}"
        )
    if not (out.flags.c_contiguous and out.flags.aligned and out.flags.writeable):
        raise ValueError("out is not C-contiguous, not aligned or read-only: give it an array of np.empty")
    for argument, array in given._asdict().items():
        if array is not None and np.shares_memory(out, array):
            raise ValueError(f"out shares memory with the {argument}: give it memory of its own")
    return out


def _as_truth(argument, value, shape):
    if value is None:
        return None
    array = np.asarray(value)
    if array.dtype != bool or array.shape != shape:
        raise ValueError(
            f"{argument} is {_kind(array)} of shape {list(array.shape)}: it must be bool of shape {list(shape)}"
        )
    return _readable(array)


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
    prediction, target = _readable(prediction, kind), _readable(target, kind)
    return Dsc(*_core.voxel_counts(_memory(prediction), _memory(target), int(label)))


def mean_dsc(cases: Sequence[Dsc], empty_truth: Literal["skip", "formula"] | tuple[float, float]) -> DscMean:
    """Mean DSC over cases.

    Args:
        cases: what :func:`dsc` returned.
        empty_truth: what a case with empty truth contributes; it has no default, because it moves the mean.
            ``"skip"``: nothing. ``"formula"``: Eq. 2, so 0 for false positives, and 0/0 is left out (nnU-Net).
            A pair of scores: (both empty, false positives); challenges often take (1, 0).
    """
    counts = [(c.overlap, c.prediction, c.target) for c in cases]
    if isinstance(empty_truth, str):
        return DscMean(*_core.mean_dsc(counts, empty_truth))
    both_empty, false_positives = empty_truth
    return DscMean(*_core.mean_dsc(counts, "score", (both_empty, false_positives)))


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
