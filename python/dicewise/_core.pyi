"""The Rust core. Private: arrays are passed as (address, type, length), and nothing checks that they are there."""

from typing import Any, Final, final

__all__ = [
    "Loss",
    "__version__",
    "explain",
    "explain_preset",
    "heuristic_epsilon",
    "mean_dsc",
    "presets",
    "solve_epsilon",
    "volume_difference_ml",
    "voxel_counts",
]

# Address, type of the elements, number of elements.
_Memory = tuple[int, str, int]
# B, C and the voxels of a map.
_Dimensions = tuple[int, int, int]
# B and C.
_Maps = tuple[int, int]
# B, C, voxels of a map, voxels of an object.
_Situation = tuple[int, int, int, float]

__version__: Final[str]

@final
class Loss:
    """A loss with all its settings. What passes from one of its steps to the next is its sums, [sum_rows, B, C]."""

    def __new__(
        cls,
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
    ) -> Loss: ...
    @property
    def sum_rows(self) -> int:
        """How many sums of each map there are."""
    def sums(
        self,
        dimensions: _Dimensions,
        prediction: _Memory,
        target: _Memory,
        mask: _Memory | None,
        ignore_index: int | None,
        presence: _Memory | None,
        out: _Memory,
    ) -> None:
        """Step 1: writes the sums. Bytes that are as many as the maps have voxels are maps, other integers labels."""

    def value(self, maps: _Maps, sums: _Memory, presence: _Memory | None, epsilon: _Memory | None) -> float:
        """Step 2: the loss of a batch of these sums. ``epsilon`` [C] stands for that of the settings."""

    def coefficients(
        self,
        maps: _Maps,
        sums: _Memory,
        presence: _Memory | None,
        epsilon: _Memory | None,
        first: int,
        out: _Memory,
    ) -> None:
        """Step 2 for another voxel pass: a, b, c, row, cross-entropy factor and group of each map, [6, B', C]."""

    def groups(self, maps: _Maps, sizes: _Memory | None, presence: _Memory | None, out: _Memory) -> None:
        """For another voxel pass: the class that each is merged into in the cross-entropy."""

    def gradient(
        self,
        dimensions: _Dimensions,
        prediction: _Memory,
        target: _Memory,
        mask: _Memory | None,
        ignore_index: int | None,
        batch: int,
        sums: _Memory,
        presence: _Memory | None,
        epsilon: _Memory | None,
        first: int,
        scale: float,
        out: _Memory,
    ) -> None:
        """Step 3: writes ``scale`` times the gradient for the samples from ``first`` on of the batch of these sums."""

def explain(loss: Loss, situation: _Situation) -> dict[str, Any]:
    """What a loss teaches in a situation: derivatives, verdicts, text."""

def explain_preset(name: str, situation: _Situation) -> dict[str, Any]:
    """The same for a loss as others ship it, by its name in :func:`presets`."""

def presets() -> list[str]:
    """Names of losses as others ship them, for :func:`dicewise.explain`."""

def heuristic_epsilon(mean_target_size: float) -> float:
    """ε = v̂: the paper's I_ε for objects of v̂ voxels on average (Eq. 5 with a = ½, b = 2)."""

def solve_epsilon(mean_target_size: float, overlap: float, union: float) -> list[float]:
    """All ε that solve Eq. 5, in voxels, for overlap a and union b in units of v̂: two, one, or none."""

def voxel_counts(prediction: _Memory, target: _Memory, label: int) -> tuple[int, int, int]:
    """Voxels of ``label`` in both, in the prediction, and in the target."""

def mean_dsc(
    cases: list[tuple[int, int, int]], policy: str, scores: tuple[float, float] | None = None
) -> tuple[float | None, int, int, int, int]:
    """Mean DSC, then cases scored, defined, both empty, false positives."""

def volume_difference_ml(prediction_sum: float, target_sum: float, voxel_volume_ml: float) -> float:
    """V(prediction) − V(target) in ml, of Σ over voxels of each and the volume of a voxel."""
