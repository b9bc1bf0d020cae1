"""The settings of a loss: checked once, handed to the Rust core, and small enough to be a key."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Sequence
from typing import Any, Literal, get_args

from dicewise import _core

Partition = Literal["image", "class", "batch", "all"]
Activation = Literal["none", "sigmoid", "softmax"]
Similarity = Literal["dice", "squared-dice", "jaccard", "tversky", "generalized-dice", "generalized-dice-simple"]
Missing = Literal["as-empty", "leaf", "leaf-inferred", "marginal", "marginal-inferred"]

PARTITIONS = get_args(Partition)
ACTIVATIONS = get_args(Activation)
SIMILARITIES = get_args(Similarity)
MISSING = get_args(Missing)


def one_of(argument: str, value: object, accepted: Sequence[str]) -> str:
    """``value`` if it is one of the accepted words."""
    if value not in accepted:
        words = ", ".join(f'"{word}"' for word in accepted)
        raise ValueError(f"{argument} is {value!r}: use one of {words}")
    return str(value)


def numbers(argument: str, value: float | Sequence[float]) -> tuple[float, ...]:
    """One number, or one for each class, as a tuple."""
    if isinstance(value, str):
        raise TypeError(f"{argument} is {value!r}: give a number, or one for each class")
    if hasattr(value, "tolist"):  # arrays and tensors
        value = value.tolist()
    try:
        return tuple(float(v) for v in value) if isinstance(value, Sequence) else (float(value),)
    except TypeError as error:
        raise TypeError(f"{argument} is {value!r}: give a number, or one for each class") from error


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything about a loss but its input. Does not depend on the number of classes, which only data tell."""

    partition: str
    numerator: tuple[float, ...]
    denominator: tuple[float, ...]
    activation: str = "none"
    weights: tuple[float, ...] | None = None
    normalised: bool = True
    background: bool = True
    missing: str = "as-empty"
    # Whether `missing` was given: then somebody has thought of what a presence does.
    missing_given: bool = False
    ignore_index: int | None = None
    cross_entropy: float = 0.0
    similarity: str = "dice"
    alpha: float = 0.5
    beta: float = 0.5
    focal_exponent: float = 1.0

    @classmethod
    def of(
        cls,
        partition: str,
        epsilon: float | Sequence[float],
        activation: str,
        *,
        numerator_epsilon: float | Sequence[float] | None = None,
        class_weights: Sequence[float] | None = None,
        normalised: bool = True,
        background: bool = True,
        missing: str | None = None,
        ignore_index: int | None = None,
        cross_entropy: float = 0.0,
        similarity: str = "dice",
        alpha: float | None = None,
        beta: float | None = None,
        focal_exponent: float = 1.0,
        **unknown: Any,
    ) -> Settings:
        """Checks what can be checked without data."""
        if unknown:
            accepted = [name for name in cls.of.__annotations__ if name not in ("unknown", "return")]
            raise TypeError(f"unknown setting {', '.join(unknown)}: use {', '.join(accepted)}")
        denominator = numbers("epsilon", epsilon)
        numerator = denominator if numerator_epsilon is None else numbers("numerator_epsilon", numerator_epsilon)
        if len(numerator) == 1 and len(denominator) > 1:
            numerator *= len(denominator)
        if len(denominator) == 1 and len(numerator) > 1:
            denominator *= len(numerator)
        if any((given is not None) != (similarity == "tversky") for given in (alpha, beta)):
            raise ValueError('alpha and beta belong to similarity="tversky": give both there and none elsewhere')
        settings = cls(
            partition=one_of("partition", partition, PARTITIONS),
            numerator=numerator,
            denominator=denominator,
            activation=one_of("activation", activation, ACTIVATIONS),
            weights=None if class_weights is None else numbers("class_weights", class_weights),
            normalised=bool(normalised),
            background=bool(background),
            missing=one_of("missing", "as-empty" if missing is None else missing, MISSING),
            missing_given=missing is not None,
            ignore_index=None if ignore_index is None else int(ignore_index),
            cross_entropy=float(cross_entropy),
            similarity=one_of("similarity", similarity, SIMILARITIES),
            alpha=0.5 if alpha is None else float(alpha),
            beta=0.5 if beta is None else float(beta),
            focal_exponent=float(focal_exponent),
        )
        # What is wrong whatever the number of classes is said now, not at the first batch.
        settings.core(next((len(v) for v in (settings.weights, denominator) if v and len(v) > 1), 2))
        return settings

    def check_presence(self, presence: object) -> None:
        """Refuses a declaration of missing labels where nobody said what happens to them."""
        if presence is not None and not self.missing_given:
            raise ValueError(
                'presence is given, but not what happens to missing labels: set missing="leaf" or "marginal", '
                'or missing="as-empty" to take their empty maps for the truth'
            )

    def text(self, **written: object) -> str:
        """The arguments that are not default, as Python takes them; ``written`` stands for those of its names."""
        default = Settings(self.partition, self.denominator, self.denominator, self.activation)
        shown = {"partition": self.partition, "epsilon": _as_given(self.denominator), "activation": self.activation}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name != "missing_given" and value != getattr(default, field.name):
                shown[_ARGUMENTS.get(field.name, field.name)] = _as_given(value)
        return ", ".join(f"{name}={value!r}" for name, value in (shown | written).items())

    @property
    def key(self) -> str:
        """These settings as text, which :func:`of_key` reads back."""
        return json.dumps(dataclasses.asdict(self))

    @property
    def sum_rows(self) -> int:
        """How many sums of each map pass between the steps."""
        return self.core(2).sum_rows

    def core(self, classes: int) -> _core.Loss:
        """The Rust loss for a number of classes."""
        return _core_loss(self, classes)


# Arguments whose fields have other names.
_ARGUMENTS = {"numerator": "numerator_epsilon", "weights": "class_weights"}


def _as_given(value: object) -> object:
    return value[0] if isinstance(value, tuple) and len(value) == 1 else value


@functools.lru_cache(maxsize=256)
def of_key(key: str) -> Settings:
    """The settings that :attr:`Settings.key` wrote."""
    fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in json.loads(key).items()}
    return Settings(**fields)


@functools.lru_cache(maxsize=256)
def _core_loss(settings: Settings, classes: int) -> _core.Loss:
    weights = settings.weights
    if classes == 1 and settings.activation == "softmax":
        # A gradient that is 0 everywhere would look like a training that does not learn.
        raise ValueError('softmax over one channel is 1 whatever its logits are: set activation="sigmoid"')
    if not settings.background:
        if classes == 1:
            raise ValueError("background=False leaves out class 0, but there is only one class: set background=True")
        weights = (0.0, *(weights or (1.0,) * classes)[1:])
    return _core.Loss(
        partition=settings.partition,
        numerator=list(settings.numerator),
        denominator=list(settings.denominator),
        activation=settings.activation,
        weights=None if weights is None else list(weights),
        normalised=settings.normalised,
        missing=settings.missing,
        similarity=settings.similarity,
        alpha=settings.alpha,
        beta=settings.beta,
        focal_exponent=settings.focal_exponent,
        cross_entropy=settings.cross_entropy,
    )
