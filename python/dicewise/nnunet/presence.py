"""presence.csv: which labels of which case somebody has annotated."""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path


class PresenceTable:
    """The cases of a dataset with the labels that are annotated in them.

    A file like this, with a column for each foreground label of dataset.json:

    .. code-block:: text

        case,edema,enhancing tumour
        Brats18_A_1,annotated,annotated
        Brats18_B_1,annotated,missing

    A case without a line is annotated in all labels, and so is the background.
    """

    def __init__(self, labels: Sequence[str], rows: Mapping[str, Sequence[bool]]) -> None:
        self.labels = tuple(labels)
        self._rows = {case: tuple(row) for case, row in rows.items()}
        # Where each case stands, for messages.
        self._places = {case: "presence" for case in rows}

    @classmethod
    def read(cls, path: str | Path, labels: Sequence[str]) -> PresenceTable:
        """Reads the file for these foreground labels, in the order of their channels.

        Raises:
            ValueError: naming file, line and what is accepted.
        """
        rows: dict[str, list[bool]] = {}
        places: dict[str, str] = {}
        with open(path, newline="", encoding="utf-8") as file:
            lines = csv.reader(file)
            header = next(lines, [])
            if header[:1] != ["case"] or sorted(header[1:]) != sorted(labels):
                raise ValueError(
                    f"{path}: line 1 is {','.join(header)}: it must be case, then {', '.join(labels)} in any order"
                )
            for line, entries in enumerate(lines, start=2):
                if not entries:
                    continue
                if len(entries) != len(header):
                    raise ValueError(f"{path}: line {line} has {len(entries)} entries: it must have {len(header)}")
                case, words = entries[0], dict(zip(header[1:], entries[1:], strict=True))
                if case in rows:
                    raise ValueError(f"{path}: line {line}: {case} has a line already")
                for label, word in words.items():
                    if word not in ("annotated", "missing"):
                        raise ValueError(
                            f"{path}: line {line}: {label} of {case} is {word!r}: use annotated or missing"
                        )
                rows[case] = [words[label] == "annotated" for label in labels]
                places[case] = f"{path}: line {line}"
        table = cls(labels, rows)
        table._places = places
        return table

    def check(self, cases: Collection[str]) -> str:
        """Compares the table with the cases of the dataset, and says how much it declares.

        Raises:
            ValueError: for a case that is none of them, which would count as annotated without a word.
        """
        for case, place in self._places.items():
            if case not in cases:
                some = ", ".join(sorted(cases)[:3])
                raise ValueError(
                    f"{place}: {case} is no case of the dataset: use its names, such as {some} (without _0000 and "
                    "the file ending)"
                )
        missing = sum(not annotated for row in self._rows.values() for annotated in row)
        return f"{missing} labels missing, in {len(self._rows)} of {len(cases)} cases that have a line"

    def of(self, cases: Sequence[str], *, background: bool) -> list[list[bool]]:
        """Presence ``[B, C]`` of these cases, with a first column for the background if it is a channel."""
        everything = (True,) * len(self.labels)
        first = [True] if background else []
        return [[*first, *self._rows.get(case, everything)] for case in cases]
