"""``dicewise.explain``: what a loss teaches on present, empty and missing maps, before any training."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from dicewise import _core, _peers
from dicewise._settings import Settings


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What a loss does in a batch in which one map has no ground truth; ``print`` it.

    Derivatives are means over voxels of ∂L/∂p; above 0 pushes the prediction down. The verdicts compare the one on the
    map without ground truth with the one beside the object of a map that has one: below 1e-3 of it the map is ignored,
    from 0.1 on it is learnt.
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
    notes: tuple[str, ...] = ()

    @property
    def learns_empty(self) -> bool:
        """Whether a map that is annotated and empty teaches that the structure is absent."""
        return self.on_empty.startswith("learns")

    def __str__(self) -> str:
        return "\n".join((self.text, *(f"note: {note}" for note in self.notes)))


def explain(
    loss: object = None,
    *,
    batch_size: int = 2,
    classes: int = 3,
    voxels: int = 64 * 64,
    object_voxels: float = 400.0,
    **settings: Any,
) -> Explanation:
    """Explains what a loss teaches on maps without ground truth.

    Args:
        loss: the name of a loss as others ship it (:func:`dicewise.presets`), or a loss object:
            of dicewise, of MONAI (DiceLoss, DiceCELoss, GeneralizedDiceLoss), of nnU-Net
            (SoftDiceLoss, MemoryEfficientSoftDiceLoss, DC_and_CE_loss, DC_and_BCE_loss, also wrapped for deep
            supervision), of segmentation_models_pytorch (DiceLoss) or of kornia (DiceLoss). Its attributes are read;
            it is not run. None: a loss with ``settings``.
        batch_size: B; the last image has no ground truth in class 1.
        classes: C, background included.
        voxels: voxels of a map.
        object_voxels: size of every object in voxels.
        settings: ``partition`` and ``epsilon``, and any other setting of :class:`dicewise.torch.DiceLoss`.

    Example:
        >>> print(explain("monai-default").on_empty)
        ignores it
        >>> explain(partition="batch", epsilon=1e-5).learns_empty
        True
    """
    situation = (int(batch_size), int(classes), int(voxels), float(object_voxels))
    if isinstance(loss, str):
        if settings:
            raise TypeError(f"a preset has its settings: leave out {', '.join(settings)}")
        return Explanation(**_core.explain_preset(loss, situation))
    notes: Sequence[str] = ()
    if loss is not None:
        if settings:
            raise TypeError(f"a loss object has its settings: leave out {', '.join(settings)}")
        found = _peers.read(loss, object_voxels)
        if isinstance(found, str):
            return Explanation(**_core.explain_preset(found, situation))
        chosen, notes = found
    else:
        missing = [name for name in ("partition", "epsilon") if name not in settings]
        if missing:
            raise TypeError(f"give {' and '.join(missing)}, the name of a preset, or a loss object")
        if isinstance(settings["epsilon"], str):
            if settings["epsilon"] != "heuristic":
                raise ValueError(f'epsilon is {settings["epsilon"]!r}: give a number, or "heuristic"')
            settings["epsilon"] = object_voxels
        settings.setdefault("activation", "none")
        chosen = Settings.of(**settings)
    return Explanation(**_core.explain(chosen.core(situation[1]), situation), notes=tuple(notes))
