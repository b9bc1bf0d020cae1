"""Losses of other packages, read from their attributes.

Nothing is imported: an object is recognised by the module and the name of its class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dicewise._settings import Settings

Reading = tuple[Settings, list[str]]


def read(loss: object, object_voxels: float) -> Reading | str:
    """The settings of a loss object with notes on what they leave out, or the name of a preset."""
    kind = type(loss)
    # torch.compile wraps a module and keeps it as `_orig_mod`.
    if kind.__name__ == "OptimizedModule":
        return read(loss._orig_mod, object_voxels)  # type: ignore[attr-defined]
    package = kind.__module__.partition(".")[0]
    # Subclasses of a known loss count as it.
    for base in kind.__mro__:
        reader = _READERS.get((base.__module__.partition(".")[0], base.__name__))
        if reader is not None:
            return reader(loss, object_voxels)
    known = ", ".join(sorted({f"{package}'s {name}" for package, name in _READERS}))
    raise TypeError(f"{package}.{kind.__name__} is no loss that explain knows: it reads {known}")


def _dicewise(loss: Any, object_voxels: float) -> Reading:
    if getattr(loss, "object_size", None) is not None:
        changed = {**loss.settings.__dict__, "numerator": (object_voxels,), "denominator": (object_voxels,)}
        return Settings(**changed), ["ε is the mean size of what was seen in training; here it is object_voxels"]
    return loss.settings, []


def _monai(loss: Any, _: float) -> Reading:
    notes = []
    similarity = "dice"
    if loss.jaccard:
        similarity = "jaccard"
    if loss.squared_pred:
        similarity = "squared-dice"
    if loss.squared_pred and loss.jaccard:
        notes.append("squared_pred with jaccard is explained as squared Dice")
    if loss.class_weight is not None:
        notes.append("class weights scale the derivative of a class and do not change its verdict")
    if loss.other_act is not None:
        notes.append("other_act is unknown: this is the derivative with respect to what it returns")
    settings = Settings.of(
        partition="batch" if loss.batch else "image",
        epsilon=loss.smooth_dr,
        numerator_epsilon=loss.smooth_nr,
        activation="none",
        background=loss.include_background,
        similarity=similarity,
    )
    return settings, notes


def _monai_dice_ce(loss: Any, object_voxels: float) -> Reading:
    settings, notes = _monai(loss.dice, object_voxels)
    return settings, [*notes, _CROSS_ENTROPY]


def _monai_generalized(loss: Any, _: float) -> str:
    return "monai-generalized"


def _nnunet(loss: Any, _: float) -> Reading:
    settings = Settings.of(
        partition="batch" if loss.batch_dice else "image",
        epsilon=loss.smooth,
        activation="none",
        background=loss.do_bg,
    )
    return settings, []


def _nnunet_compound(loss: Any, object_voxels: float) -> Reading:
    found = read(loss.dc, object_voxels)
    assert not isinstance(found, str)
    return found[0], [*found[1], _CROSS_ENTROPY]


def _nnunet_deep_supervision(loss: Any, object_voxels: float) -> Reading | str:
    return read(loss.loss, object_voxels)


def _smp(loss: Any, _: float) -> Reading:
    notes = []
    if loss.log_loss:
        notes.append("log_loss divides the derivative of a class by its Dice and does not change its sign")
    notes.append("a class without ground truth in the whole batch is left out (value 0, gradient 0)")
    # smp halves numerator and denominator, so its smooth weighs twice; clamp(denominator, min=eps) differs from an ε in
    # the denominator by at most that.
    settings = Settings.of(
        partition="batch", epsilon=2 * (loss.smooth + loss.eps), numerator_epsilon=2 * loss.smooth, activation="none"
    )
    return settings, notes


def _kornia(loss: Any, _: float) -> Reading:
    micro = loss.average == "micro"
    settings = Settings.of(
        partition="class" if micro else "image", epsilon=loss.eps, numerator_epsilon=0.0, activation="none"
    )
    return settings, [] if micro else ["classes without ground truth are left out of their image's mean"]


_CROSS_ENTROPY = "the cross-entropy beside Dice teaches an empty map to be empty, whatever Φ and ε are"

_READERS: dict[tuple[str, str], Callable[[Any, float], Reading | str]] = {
    ("dicewise", "DiceLoss"): _dicewise,
    ("monai", "DiceLoss"): _monai,
    ("monai", "DiceCELoss"): _monai_dice_ce,
    ("monai", "GeneralizedDiceLoss"): _monai_generalized,
    ("nnunetv2", "SoftDiceLoss"): _nnunet,
    ("nnunetv2", "MemoryEfficientSoftDiceLoss"): _nnunet,
    ("nnunetv2", "DC_and_CE_loss"): _nnunet_compound,
    ("nnunetv2", "DC_and_BCE_loss"): _nnunet_compound,
    ("nnunetv2", "DeepSupervisionWrapper"): _nnunet_deep_supervision,
    ("segmentation_models_pytorch", "DiceLoss"): _smp,
    ("kornia", "DiceLoss"): _kornia,
}
