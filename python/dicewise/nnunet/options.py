"""What the trainer is told: by environment variables, or by a ``dicewise`` section of the plans."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from dicewise._settings import MISSING, PARTITIONS, Missing, Partition, one_of


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of the trainer's loss.

    Each is read from the environment, ``DICEWISE_PARTITION`` and so on, or else from the section ``dicewise`` of the
    plans' configuration (``"3d_fullres": {..., "dicewise": {"partition": "batch", "epsilon": 1e-5}}``), or else from
    that of the plans. Φ and ε have no default.

    Attributes:
        partition: Φ: ``image`` is nnU-Net's ``batch_dice: false``, ``batch`` its ``batch_dice: true``; ``class``,
            ``all``.
        epsilon: ε in voxels of the patch, or ``heuristic``: the mean size of each class in the patches of training,
            for each resolution of deep supervision.
        missing: what happens to labels that presence.csv declares missing: ``as-empty``, ``leaf``, ``marginal``, …
            Must be given with presence; ``leaf`` and ``marginal`` need it, the inferred ones do without.
        presence: path of presence.csv; left out, every label counts as annotated.
        background: whether Dice has the background class; nnU-Net's has not (with regions there is none).
        cross_entropy: weight of the cross-entropy, 1 as in nnU-Net.
        epochs, iterations, validation_iterations: a shorter training than nnU-Net's 1000 epochs of 250 and 50 steps.
    """

    partition: Partition
    epsilon: float | Literal["heuristic"]
    missing: Missing = "as-empty"
    presence: str | None = None
    background: bool = False
    cross_entropy: float = 1.0
    epochs: int | None = None
    iterations: int | None = None
    validation_iterations: int | None = None

    @classmethod
    def read(
        cls,
        environment: Mapping[str, str],
        configuration: Mapping[str, Any],
        plans: Mapping[str, Any],
    ) -> Options:
        """Reads and checks them.

        Raises:
            ValueError: naming the variable or key, its value and what is accepted; for a presence without a treatment
                of missing labels, and a treatment of declared ones without presence.
        """
        sections = {"the configuration in the plans": configuration, "the plans": plans}
        names = [field.name for field in dataclasses.fields(cls)]
        for place, section in sections.items():
            if unknown := sorted(set(section) - set(names)):
                raise ValueError(f"`dicewise` of {place} has the unknown key `{unknown[0]}`: use {', '.join(names)}")
        given: dict[str, Any] = {}
        for name in names:
            variable = f"DICEWISE_{name.upper()}"
            if variable in environment:
                given[name] = _parse(variable, name, environment[variable])
            else:
                for place, section in sections.items():
                    if name in section:
                        given[name] = _parse(f"`{name}` of `dicewise` in {place}", name, section[name])
                        break
        for name in ("partition", "epsilon"):
            if name not in given:
                raise ValueError(
                    f"{name} is not set: export DICEWISE_{name.upper()}, or write it into `dicewise` of the plans; "
                    "it has no default, because it decides what maps without ground truth teach"
                )
        _check_missing(given)
        return cls(**given)


def _check_missing(given: Mapping[str, Any]) -> None:
    """A presence that nothing uses, and a treatment that nothing is declared for, are mistakes."""
    if "presence" in given and "missing" not in given:
        raise ValueError(
            "presence is set, but not what happens to missing labels: export DICEWISE_MISSING=leaf or marginal, "
            "or as-empty to take their empty maps for the truth"
        )
    if given.get("missing") in ("leaf", "marginal") and "presence" not in given:
        raise ValueError(
            f"missing is {given['missing']!r}, but nothing declares labels missing: export DICEWISE_PRESENCE, the path "
            f'of presence.csv, or use "{given["missing"]}-inferred" to take every empty label for a missing one'
        )


def _parse(place: str, name: str, value: Any) -> Any:
    text = str(value).strip()
    try:
        if name == "partition":
            return one_of(place, text, PARTITIONS)
        if name == "missing":
            return one_of(place, text, MISSING)
        if name == "presence":
            return text
        if name == "background":
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        if name == "epsilon" and text == "heuristic":
            return text
        if name in ("epsilon", "cross_entropy"):
            number = float(text)
            if not 0 <= number < float("inf"):
                raise ValueError
            return number
        number = int(text)
        if number < 1:
            raise ValueError
        return number
    except (ValueError, KeyError) as error:
        if name in ("partition", "missing"):
            raise
        accepted = {
            "background": "use true or false",
            "epsilon": 'use a number of voxels, at least 0, or "heuristic"',
            "cross_entropy": "use a number, at least 0",
        }.get(name, "use a whole number, at least 1")
        raise ValueError(f"{place} is {value!r}: {accepted}") from error
