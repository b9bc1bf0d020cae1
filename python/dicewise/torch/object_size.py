"""The heuristic ε from the targets that training sees."""

from __future__ import annotations

import torch
from torch import nn

from dicewise.torch.twopass import TARGET


class RunningObjectSize(nn.Module):
    """ε = E Σy of each class (Eq. 5): the mean size over the annotated labels seen so far, empty ones counting 0.

    Learns from batches that have a gradient, in training mode; stays as it is under ``torch.no_grad()`` and after
    ``eval()``. Before it has learnt anything, a batch goes by its own sizes. Its state travels with ``state_dict``. At
    least one voxel, so that a class that was never seen has an ε.
    """

    def __init__(self) -> None:
        super().__init__()
        self.voxels: list[float] = []
        self.labels: list[float] = []

    @torch.compiler.disable
    def forward(self, sums: torch.Tensor, presence: torch.Tensor | None, has_gradient: bool) -> torch.Tensor:
        """ε for each class, ``[C]`` in float64, after having seen this batch."""
        target = sums[TARGET]
        annotated = torch.ones_like(target) if presence is None else presence.to(target.dtype)
        if self.voxels and len(self.voxels) != target.shape[1]:
            raise ValueError(f"predictions have {target.shape[1]} classes, earlier ones had {len(self.voxels)}")
        voxels, labels = (target * annotated).sum(0).tolist(), annotated.sum(0).tolist()
        learns = self.training and has_gradient
        if self.voxels and learns:
            voxels = [a + b for a, b in zip(self.voxels, voxels, strict=True)]
            labels = [a + b for a, b in zip(self.labels, labels, strict=True)]
        elif self.voxels:
            voxels, labels = self.voxels, self.labels
        if learns:
            self.voxels, self.labels = voxels, labels
        sizes = [max(1.0, size / max(1.0, number)) for size, number in zip(voxels, labels, strict=True)]
        return torch.tensor(sizes, dtype=torch.float64)

    def get_extra_state(self) -> dict[str, list[float]]:
        """Σ of sizes and number of labels, for each class."""
        return {"voxels": self.voxels, "labels": self.labels}

    def set_extra_state(self, state: dict[str, list[float]]) -> None:
        """Takes up where a checkpoint left."""
        self.voxels, self.labels = list(state["voxels"]), list(state["labels"])
