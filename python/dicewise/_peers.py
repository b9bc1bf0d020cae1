"""Losses of other packages, read from their attributes.

Nothing is imported: an object is recognised by the module and the name of its class. What of a loss the settings cannot
say is a note, and what would make the explanation wrong is refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from dicewise._settings import Settings


@dataclasses.dataclass(frozen=True)
class Reading:
    """What :func:`dicewise.explain` needs to know of a loss.

    Attributes:
        settings: those of its Dice.
        notes: what they do not say.
        classes: C, where the loss tells it.
        factor: what its Dice is multiplied by.
        heuristic: whether ε is the size of the objects, whatever the settings have.
    """

    settings: Settings
    notes: tuple[str, ...] = ()
    classes: int | None = None
    factor: float = 1.0
    heuristic: bool = False

    def beside(self, note: str | None, weight: float, other_weight: float) -> Reading:
        """This Dice with its weight, in a sum with another loss."""
        if weight == 0:
            raise ValueError("the weight of Dice is 0: nothing is left to explain")
        notes = self.notes if note is None or other_weight == 0 else (*self.notes, note)
        return dataclasses.replace(self, notes=notes, factor=self.factor * float(weight))


def read(loss: object, batch_size: int, classes: int | None) -> Reading:
    """Reads a loss object for B images and C classes, or as many as the loss tells.

    Raises:
        TypeError: for a class that is not known.
        ValueError: for a parameter that no settings of dicewise stand for, naming it.
    """
    kind = type(loss)
    # torch.compile wraps a module and keeps it as `_orig_mod`.
    if kind.__name__ == "OptimizedModule":
        return read(loss._orig_mod, batch_size, classes)  # type: ignore[attr-defined]
    for base in kind.__mro__:
        package = base.__module__.partition(".")[0]
        reader = _READERS.get((package, base.__name__))
        if reader is not None:
            reading = reader(loss, batch_size, classes)
            if base is kind:
                return reading
            note = f"{kind.__name__} is explained as {package}'s {base.__name__}: what it overrides is not seen"
            return dataclasses.replace(reading, notes=(*reading.notes, note))
    known = ", ".join(sorted({f"{package}'s {name}" for package, name in _READERS}))
    package = kind.__module__.partition(".")[0]
    raise TypeError(f"{package}.{kind.__name__} is no loss that explain knows: it reads {known}")


def cross_entropy_effect(missing: str) -> str:
    """What a cross-entropy does with maps without ground truth, for a treatment of missing labels."""
    if missing.endswith("inferred"):
        return "the cross-entropy beside it leaves maps without ground truth alone, too"
    if missing == "as-empty":
        return "the cross-entropy beside it teaches them to be empty, whatever Φ and ε are"
    return "the cross-entropy beside it teaches empty ones to be empty and leaves those declared missing alone"


def cross_entropy_note(missing: str = "as-empty") -> str:
    """The same as a note on an explanation."""
    return f"this is what the Dice term does with maps without ground truth; {cross_entropy_effect(missing)}"


_FOCAL = (
    "this is what the Dice term does with maps without ground truth; the focal loss beside it teaches them to be empty"
)
_TOP_K = (
    "this is what the Dice term does with maps without ground truth; the cross-entropy beside it teaches them to be "
    "empty where their prediction is among the worst"
)
_RUNNING = "ε is the mean size of what was seen in training; here it is object_voxels"
_RESOLUTIONS = "this is the loss of one resolution: deep supervision adds up those of all of them, weighed"


def _dicewise(loss: Any, batch_size: int, classes: int | None) -> Reading:
    if hasattr(loss, "mapped"):  # dicewise.monai: its arguments are mapped for a batch and a number of classes
        classes = classes or loss.known_classes
        inner, factor = loss.mapped(classes or 3, batch_size)
        return Reading(inner.settings, classes=classes, factor=factor)
    heuristic = getattr(loss, "object_size", None) is not None
    return Reading(loss.settings, (_RUNNING,) if heuristic else (), heuristic=heuristic)


def _dicewise_deep_supervision(loss: Any, batch_size: int, classes: int | None) -> Reading:
    return _deeply_supervised(read(loss.losses[0], batch_size, classes))


def _deeply_supervised(reading: Reading) -> Reading:
    return dataclasses.replace(reading, notes=(*reading.notes, _RESOLUTIONS))


def _monai(loss: Any, batch_size: int, classes: int | None) -> Reading:
    if loss.squared_pred and loss.jaccard:
        raise ValueError("squared_pred=True with jaccard=True cannot be explained: it is no loss of dicewise")
    weights, mean_weight, told = _monai_weights(loss, classes)
    settings = Settings.of(
        partition="batch" if loss.batch else "image",
        epsilon=loss.smooth_dr,
        numerator_epsilon=loss.smooth_nr,
        activation="none",
        class_weights=weights,
        background=loss.include_background or classes == 1,
        ignore_index=loss.ignore_index,
        similarity="jaccard" if loss.jaccard else "squared-dice" if loss.squared_pred else "dice",
    )
    factor, notes = _monai_reduction(loss, _monai_terms(loss, batch_size, classes or told or 3))
    return Reading(settings, notes, told, factor * mean_weight)


def _monai_weights(loss: Any, classes: int | None) -> tuple[list[float] | None, float, int | None]:
    """Class weights with the background's, their mean by which MONAI's loss is larger than a weighted mean, and C."""
    if loss.class_weight is None:
        return None, 1.0, None
    given = loss.class_weight.tolist()
    if not isinstance(given, list):
        return None, 1.0 if _monai_counted(loss, classes or 3) == 1 else float(given), None
    weights = given if loss.include_background else [0.0, *given]
    if len(given) == 1:  # MONAI ignores the weight of a single class
        return None, 1.0, len(weights)
    return weights, sum(given) / len(given), len(weights)


def _monai_counted(loss: Any, classes: int) -> int:
    """How many classes Dice has."""
    return classes if loss.include_background or classes == 1 else classes - 1


def _monai_terms(loss: Any, batch_size: int, classes: int) -> int:
    """How many 1 − D there are."""
    counted = _monai_counted(loss, classes)
    return counted if loss.batch else counted * batch_size


def _monai_reduction(loss: Any, terms: int) -> tuple[float, tuple[str, ...]]:
    """What the reduction multiplies the mean of its terms by, and notes on it and on the activation."""
    notes = []
    if loss.other_act is not None:
        notes.append("other_act is unknown: this is the derivative with respect to what it returns")
    if loss.reduction == "none":
        notes.append('reduction="none" is explained as the mean of what it returns')
    return float(terms) if loss.reduction == "sum" else 1.0, tuple(notes)


def _monai_tversky(loss: Any, batch_size: int, classes: int | None) -> Reading:
    # (TP + s) / (TP + αFP + βFN + s): ours has 2 TP in the numerator, so its ε is 2s.
    settings = Settings.of(
        partition="batch" if loss.batch else "image",
        epsilon=2 * loss.smooth_dr,
        numerator_epsilon=2 * loss.smooth_nr,
        activation="none",
        background=loss.include_background or classes == 1,
        ignore_index=loss.ignore_index,
        similarity="tversky",
        alpha=loss.alpha,
        beta=loss.beta,
    )
    factor, notes = _monai_reduction(loss, _monai_terms(loss, batch_size, classes or 3))
    return Reading(settings, notes, factor=factor)


def _monai_generalized(loss: Any, batch_size: int, classes: int | None) -> Reading:
    weighing = str(getattr(loss.w_type, "value", loss.w_type))
    settings = Settings.of(
        partition="all" if loss.batch else "class",
        epsilon=loss.smooth_dr,
        numerator_epsilon=loss.smooth_nr,
        activation="none",
        background=loss.include_background or classes == 1,
        # With equal weights, generalized Dice is Dice over all classes.
        similarity={"square": "generalized-dice", "simple": "generalized-dice-simple", "uniform": "dice"}[weighing],
    )
    factor, notes = _monai_reduction(loss, 1 if loss.batch else batch_size)
    return Reading(settings, notes, factor=factor)


def _monai_dice_ce(loss: Any, batch_size: int, classes: int | None) -> Reading:
    return _monai(loss.dice, batch_size, classes).beside(cross_entropy_note(), loss.lambda_dice, loss.lambda_ce)


def _monai_dice_focal(loss: Any, batch_size: int, classes: int | None) -> Reading:
    return _monai(loss.dice, batch_size, classes).beside(_FOCAL, loss.lambda_dice, loss.lambda_focal)


def _monai_generalized_focal(loss: Any, batch_size: int, classes: int | None) -> Reading:
    reading = _monai_generalized(loss.generalized_dice, batch_size, classes)
    return reading.beside(_FOCAL, loss.lambda_gdl, loss.lambda_focal)


def _nnunet(loss: Any, _: int, classes: int | None) -> Reading:
    if getattr(loss, "clip_tp", None):
        raise ValueError(f"clip_tp is {loss.clip_tp}: it cannot be explained, because it is an ε for empty maps only")
    settings = Settings.of(
        partition="batch" if loss.batch_dice else "image",
        epsilon=loss.smooth,
        activation="none",
        background=loss.do_bg,
    )
    notes = ("with ddp=True, batch_size is that of all ranks together",) if loss.ddp and loss.batch_dice else ()
    return Reading(settings, notes)


def _nnunet_compound(loss: Any, batch_size: int, classes: int | None) -> Reading:
    return _nnunet_with(cross_entropy_note(), loss, batch_size, classes)


def _nnunet_top_k(loss: Any, batch_size: int, classes: int | None) -> Reading:
    return _nnunet_with(_TOP_K, loss, batch_size, classes)


def _nnunet_with(note: str, loss: Any, batch_size: int, classes: int | None) -> Reading:
    reading = read(loss.dc, batch_size, classes).beside(note, loss.weight_dice, loss.weight_ce)
    ignored = getattr(loss, "ignore_label", None)
    return dataclasses.replace(reading, settings=dataclasses.replace(reading.settings, ignore_index=ignored))


def _nnunet_deep_supervision(loss: Any, batch_size: int, classes: int | None) -> Reading:
    return _deeply_supervised(read(loss.loss, batch_size, classes))


def _smp(loss: Any, batch_size: int, classes: int | None) -> Reading:
    return _smp_of(loss, batch_size, classes, similarity="dice")


def _smp_jaccard(loss: Any, batch_size: int, classes: int | None) -> Reading:
    return _smp_of(loss, batch_size, classes, similarity="jaccard")


def _smp_tversky(loss: Any, batch_size: int, classes: int | None) -> Reading:
    reading = _smp_of(loss, batch_size, classes, similarity="tversky", alpha=loss.alpha, beta=loss.beta)
    if loss.gamma == 1:
        return reading
    note = f"gamma multiplies every derivative by {loss.gamma:g} L^{loss.gamma - 1:g}, which is not shown"
    return dataclasses.replace(reading, notes=(*reading.notes, note))


def _smp_of(loss: Any, batch_size: int, classes: int | None, **similarity: Any) -> Reading:
    if loss.mode == "binary":
        if classes not in (None, 1):
            raise ValueError(f'classes is {classes}: with mode="binary" it must be 1, or left out')
        classes = 1
    weights = _smp_weights(loss, classes)
    notes = ["a class without ground truth in the whole batch is left out (value 0, gradient 0)"]
    if loss.log_loss:
        notes.append("log_loss divides every derivative of a class by its D, which is not shown")
    # smp has half of our numerator and denominator, so its smooth weighs twice; clamp(denominator, min=eps) differs
    # from an ε in the denominator by at most that.
    settings = Settings.of(
        partition="batch",
        epsilon=2 * (loss.smooth + loss.eps),
        numerator_epsilon=2 * loss.smooth,
        activation="none",
        class_weights=weights,
        # With one image, the class without ground truth has none in the whole batch.
        missing="leaf-inferred" if batch_size == 1 else "as-empty",
        ignore_index=loss.ignore_index,
        **similarity,
    )
    return Reading(settings, tuple(notes), classes if weights is None else len(weights))


def _smp_weights(loss: Any, classes: int | None) -> list[float] | None:
    """Class weights, 0 for what ``classes`` of smp leaves out."""
    given = None if loss.class_weights is None else loss.class_weights.tolist()
    if loss.classes is None:
        return given
    counted = loss.classes.tolist()
    total = len(given) if given is not None else classes or max(3, *(c + 1 for c in counted))
    return [(given[c] if given is not None else 1.0) if c in counted else 0.0 for c in range(total)]


def _kornia(loss: Any, _: int, classes: int | None) -> Reading:
    micro = loss.average == "micro"
    weights = None if loss.weight is None else loss.weight.tolist()
    if micro and weights is not None:
        raise ValueError('weight with average="micro" cannot be explained: weights of classes enter one Dice there')
    settings = Settings.of(
        partition="class" if micro else "image",
        epsilon=loss.eps,
        numerator_epsilon=0.0,
        activation="none",
        class_weights=weights,
        ignore_index=loss.ignore_index,
    )
    return Reading(settings, () if micro else (_KORNIA_ABSENT,), _length(weights))


def _kornia_tversky(loss: Any, _: int, classes: int | None) -> Reading:
    settings = Settings.of(
        partition="image",
        epsilon=2 * loss.eps,
        numerator_epsilon=0.0,
        activation="none",
        ignore_index=loss.ignore_index,
        similarity="tversky",
        alpha=loss.alpha,
        beta=loss.beta,
    )
    return Reading(settings, (_KORNIA_ABSENT,))


def _length(weights: Sequence[float] | None) -> int | None:
    return None if weights is None else len(weights)


_KORNIA_ABSENT = "classes without ground truth are left out of their image's mean"

_READERS: dict[tuple[str, str], Callable[[Any, int, int | None], Reading]] = {
    ("dicewise", "DiceLoss"): _dicewise,
    ("dicewise", "DiceCELoss"): _dicewise,
    ("dicewise", "DeepSupervisedLoss"): _dicewise_deep_supervision,
    ("monai", "DiceLoss"): _monai,
    ("monai", "MaskedDiceLoss"): _monai,
    ("monai", "DiceCELoss"): _monai_dice_ce,
    ("monai", "DiceFocalLoss"): _monai_dice_focal,
    ("monai", "GeneralizedDiceLoss"): _monai_generalized,
    ("monai", "GeneralizedDiceFocalLoss"): _monai_generalized_focal,
    ("monai", "TverskyLoss"): _monai_tversky,
    ("nnunetv2", "SoftDiceLoss"): _nnunet,
    ("nnunetv2", "MemoryEfficientSoftDiceLoss"): _nnunet,
    ("nnunetv2", "DC_and_CE_loss"): _nnunet_compound,
    ("nnunetv2", "DC_and_BCE_loss"): _nnunet_compound,
    ("nnunetv2", "DC_and_topk_loss"): _nnunet_top_k,
    ("nnunetv2", "DeepSupervisionWrapper"): _nnunet_deep_supervision,
    ("segmentation_models_pytorch", "DiceLoss"): _smp,
    ("segmentation_models_pytorch", "JaccardLoss"): _smp_jaccard,
    ("segmentation_models_pytorch", "TverskyLoss"): _smp_tversky,
    ("kornia", "DiceLoss"): _kornia,
    ("kornia", "TverskyLoss"): _kornia_tversky,
}
