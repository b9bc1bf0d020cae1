"""``dicewise.explain``: what a loss teaches on present, empty and missing maps, before any training."""

from __future__ import annotations

import dataclasses
from typing import Any

from dicewise import _core, _peers
from dicewise._peers import Reading
from dicewise._settings import Settings


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What a loss does in a batch in which one map has no ground truth; ``print`` it.

    Derivatives are means over voxels of ∂L/∂p; above 0 pushes the prediction down. The verdicts compare the one on the
    map without ground truth with the one beside the object of a map that has one: below 1e-3 of it the map is ignored,
    from 0.1 on it is learnt. They are those of the Dice term; notes say what a loss beside it does.

    Attributes:
        loss: Φ, ε and the other settings in words.
        situation: the batch in words.
        present_inside: ∂L/∂p on the object of a map that has one.
        present_outside: beside that object.
        empty: mean ∂L/∂p on the map without ground truth if it is annotated, that is, really empty.
        missing: the same if it is declared missing.
        on_empty, on_missing: ``ignores it``, ``in between`` or ``learns that it is empty``.
        text: all of this as a table, without the notes.
        factor: what the loss multiplies its Dice by. The numbers here are without it; the verdicts do not depend on it.
        notes: what numbers and verdicts leave out.
    """

    loss: str
    situation: str
    present_inside: float
    present_outside: float
    empty: float
    missing: float
    on_empty: str
    on_missing: str
    text: str
    factor: float = 1.0
    notes: tuple[str, ...] = ()

    @property
    def learns_empty(self) -> bool:
        """Whether Dice teaches from a map that is annotated and empty that the structure is absent."""
        return self.on_empty.startswith("learns")

    def __str__(self) -> str:
        return "\n".join((self.text, *(f"note: {note}" for note in self.notes)))


def explain(
    loss: object = None,
    *,
    batch_size: int = 2,
    classes: int | None = None,
    voxels: int = 64 * 64,
    object_voxels: float | None = None,
    **settings: Any,
) -> Explanation:
    """Explains what a loss teaches on maps without ground truth.

    Args:
        loss: the name of a loss as others ship it (:func:`dicewise.presets`), or a loss object:
            of dicewise, of MONAI (DiceLoss, DiceCELoss, DiceFocalLoss, GeneralizedDiceLoss, GeneralizedDiceFocalLoss,
            MaskedDiceLoss, TverskyLoss), of nnU-Net (SoftDiceLoss, MemoryEfficientSoftDiceLoss, DC_and_CE_loss,
            DC_and_BCE_loss, DC_and_topk_loss, also wrapped for deep supervision), of segmentation_models_pytorch
            (DiceLoss, JaccardLoss, TverskyLoss) or of kornia (DiceLoss, TverskyLoss). Its attributes are read; it is
            not run. None: a loss with ``settings``.
        batch_size: B; the last image has no ground truth in class 1. A loss does not know it: give that of your
            training, because with B = 1 batch-wise Dice ignores what it learns with B = 2.
        classes: C, background included. Left out: as many as the loss has weights or ε for, or else 3.
        voxels: voxels of a map.
        object_voxels: size of every object in voxels. Left out: 400, or less where the objects of all classes would
            take more than half of the map.
        settings: ``partition`` and ``epsilon``, and any other setting of :class:`dicewise.torch.DiceLoss`.

    Raises:
        TypeError, ValueError: for a loss that is not known or cannot be explained, and for numbers that do not fit,
            naming what is accepted.

    Example:
        >>> print(explain("monai-default").on_empty)
        ignores it
        >>> explain(partition="batch", epsilon=1e-5).learns_empty
        True
    """
    if loss is not None and settings:
        raise TypeError(f"a loss has its settings: leave out {', '.join(settings)}")
    if isinstance(loss, str):
        found = _core.explain_preset(loss, _situation(batch_size, classes or 3, voxels, object_voxels))
        return _explanation(found, 1.0, ())
    reading = _of_settings(settings) if loss is None else _peers.read(loss, int(batch_size), classes)
    chosen = reading.settings
    classes = int(classes or reading.classes or _classes_of(chosen))
    situation = _situation(batch_size, classes, voxels, object_voxels)
    if reading.heuristic:
        chosen = dataclasses.replace(chosen, numerator=situation[3:], denominator=situation[3:])
    if chosen.ignore_index is not None and 0 <= chosen.ignore_index < classes:
        raise ValueError(
            f"the loss ignores label {chosen.ignore_index}, one of the {classes} classes: what it teaches then depends "
            "on where that class is, which cannot be explained"
        )
    return _explanation(_core.explain(chosen.core(classes), situation), reading.factor, _notes(reading))


def typical_object(voxels: int, classes: int) -> float:
    """A size for the objects of every class when nothing is known of them: together a twentieth of the voxels.

    But a voxel each, where so many fit.
    """
    return min(max(1.0, _share(voxels, 20 * classes)), _share(voxels, 2 * classes))


def _share(voxels: int, parts: int) -> float:
    """One of so many parts, in whole voxels where there are enough of them."""
    return float(voxels // parts or voxels / parts)


def _situation(batch_size: int, classes: int, voxels: int, object_voxels: float | None) -> tuple[int, int, int, float]:
    if object_voxels is None:
        object_voxels = min(400.0, _share(voxels, 2 * max(1, classes - 1)))
    return int(batch_size), int(classes), int(voxels), float(object_voxels)


def _of_settings(settings: dict[str, Any]) -> Reading:
    missing = [name for name in ("partition", "epsilon") if name not in settings]
    if missing:
        raise TypeError(f"give {' and '.join(missing)}, the name of a preset, or a loss object")
    heuristic = isinstance(settings["epsilon"], str)
    if heuristic and settings["epsilon"] != "heuristic":
        raise ValueError(f'epsilon is {settings["epsilon"]!r}: give a number, or "heuristic"')
    # The number only stands in for the size of the objects, which is not known yet.
    given = {"activation": "none", **settings, **({"epsilon": 1.0} if heuristic else {})}
    return Reading(Settings.of(**given), heuristic=heuristic)


def _classes_of(settings: Settings) -> int:
    """C where settings have a value for each class, else 3."""
    lengths = [len(values) for values in (settings.weights, settings.denominator) if values and len(values) > 1]
    return lengths[0] if lengths else 3


def _notes(reading: Reading) -> tuple[str, ...]:
    notes = list(reading.notes)
    if reading.factor != 1:
        notes.append(f"the loss is {reading.factor:g} times this one, and so is every derivative")
    if reading.settings.cross_entropy:
        notes.append(_peers.cross_entropy_note(reading.settings.missing))
    return tuple(notes)


# The core writes the paper's symbols, which are no words of `partition`.
_WORDS = {"DL_I": "Φ = image", "DL_CI": "Φ = class", "DL_BI": "Φ = batch", "DL_BCI": "Φ = all"}


def _explanation(found: dict[str, Any], factor: float, notes: tuple[str, ...]) -> Explanation:
    symbol, comma, rest = found["loss"].partition(",")
    loss = _WORDS.get(symbol, symbol) + comma + rest
    text = found["text"].replace(found["loss"], loss, 1)
    return Explanation(**{**found, "loss": loss, "text": text}, factor=factor, notes=notes)
