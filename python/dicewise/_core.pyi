"""The Rust core. Private: arrays are passed as (address, type, length), and nothing checks that they are there."""

from typing import Any, Final

Memory = tuple[int, str, int]
Dimensions = tuple[int, int, int]
Situation = tuple[int, int, int, float]

__version__: Final[str]

class Loss:
    def __init__(
        self,
        *,
        partition: str,
        numerator: list[float],
        denominator: list[float],
        activation: str,
        weights: list[float] | None,
        normalised: bool,
        missing: str,
        similarity: str,
        alpha: float,
        beta: float,
        focal_exponent: float,
        cross_entropy: float,
    ) -> None: ...
    @property
    def sum_rows(self) -> int: ...
    def sums(
        self,
        dimensions: Dimensions,
        prediction: Memory,
        target: Memory,
        mask: Memory | None,
        ignore_index: int | None,
        presence: Memory | None,
        out: Memory,
    ) -> None: ...
    def value(
        self, dimensions: tuple[int, int], sums: Memory, presence: Memory | None, epsilon: Memory | None
    ) -> float: ...
    def coefficients(
        self,
        dimensions: tuple[int, int],
        sums: Memory,
        presence: Memory | None,
        epsilon: Memory | None,
        first: int,
        out: Memory,
    ) -> None: ...
    def groups(
        self, dimensions: tuple[int, int], sizes: Memory | None, presence: Memory | None, out: Memory
    ) -> None: ...
    def gradient(
        self,
        dimensions: Dimensions,
        prediction: Memory,
        target: Memory,
        mask: Memory | None,
        ignore_index: int | None,
        batch: int,
        sums: Memory,
        presence: Memory | None,
        epsilon: Memory | None,
        first: int,
        scale: float,
        out: Memory,
    ) -> None: ...

def explain(loss: Loss, situation: Situation) -> dict[str, Any]: ...
def explain_preset(name: str, situation: Situation) -> dict[str, Any]: ...
def presets() -> list[str]:
    """Names of losses as others ship them, for :func:`dicewise.explain`."""

def heuristic_epsilon(mean_target_size: float) -> float:
    """ε = v̂: the paper's I_ε for objects of v̂ voxels on average (Eq. 5 with a = ½, b = 2)."""

def solve_epsilon(mean_target_size: float, overlap: float, union: float) -> list[float]:
    """All ε that solve Eq. 5 for overlap a and union b, in units of v̂: two, one, or none."""

def voxel_counts(prediction: Memory, target: Memory, label: int) -> tuple[int, int, int]: ...
def mean_dsc(
    cases: list[tuple[int, int, int]], policy: str, scores: tuple[float, float] | None = None
) -> tuple[float | None, int, int, int, int]: ...
def volume_difference_ml(prediction_sum: float, target_sum: float, voxel_volume_ml: float) -> float: ...
