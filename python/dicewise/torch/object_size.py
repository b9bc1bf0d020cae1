"""The heuristic ε from the targets that training sees."""

from __future__ import annotations

import torch
from torch import nn

from dicewise.torch.twopass import TARGET


class RunningObjectSize(nn.Module):
    """ε = E Σy of each class (Eq. 5): the mean size over the annotated labels seen so far, empty ones counting 0.

    Learns in training mode and stays as it is in evaluation. Its state travels with ``state_dict``. At least one voxel,
    so that a class that was never seen has an ε.
    """

    def __init__(self) -> None:
        super().__init__()
        self.voxels: list[float] = []
        self.labels: list[float] = []

    @torch.compiler.disable
    def forward(self, sums: torch.Tensor, presence: torch.Tensor | None) -> torch.Tensor:
        """ε for each class, ``[C]`` in float64, after having seen this batch."""
        target = sums[TARGET]
        annotated = torch.ones_like(target) if presence is None else presence.to(target.dtype)
        if not self.voxels:
            self.voxels, self.labels = [0.0] * target.shape[1], [0.0] * target.shape[1]
        if len(self.voxels) != target.shape[1]:
            raise ValueError(f"predictions have {target.shape[1]} classes, earlier ones had {len(self.voxels)}")
        if self.training or not any(self.labels):
            self.voxels = [v + n for v, n in zip(self.voxels, (target * annotated).sum(0).tolist(), strict=True)]
            self.labels = [v + n for v, n in zip(self.labels, annotated.sum(0).tolist(), strict=True)]
        sizes = [max(1.0, voxels / max(1.0, labels)) for voxels, labels in zip(self.voxels, self.labels, strict=True)]
        return torch.tensor(sizes, dtype=torch.float64)

    def get_extra_state(self) -> dict[str, list[float]]:
        """Σ of sizes and number of labels, for each class."""
        return {"voxels": self.voxels, "labels": self.labels}

    def set_extra_state(self, state: dict[str, list[float]]) -> None:
        """Takes up where a checkpoint left."""
        self.voxels, self.labels = list(state["voxels"]), list(state["labels"])
