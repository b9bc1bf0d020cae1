"""Sums of several ranks: with Φ = batch or all, a subset spans the samples of all of them."""

from __future__ import annotations

import torch
import torch.distributed as dist


@torch.compiler.disable
def sums(
    prediction: torch.Tensor,
    target: torch.Tensor,
    mask: torch.Tensor | None,
    presence: torch.Tensor | None,
    settings: str,
    group: dist.ProcessGroup,
) -> tuple[torch.Tensor, torch.Tensor | None, int]:
    """Step 1 on every rank: the sums ``[rows, B, C]`` and presence ``[B, C]`` of all, stacked along the batch.

    Returns them with the place of this rank's first sample. Ranks may have batches of different size; all must
    declare a presence, or none. About 7·B·C numbers travel.

    Raises:
        ValueError: on all ranks, if one of them has refused its batch or they do not fit together.
    """
    own, failure = torch.empty(0, *prediction.shape[:2], dtype=torch.float64), None
    try:
        own = torch.ops.dicewise.sums(prediction.detach(), target, mask, presence, settings)
    except Exception as error:  # whatever it is, the other ranks must hear of it, or they wait for this one
        failure = error
    batches = _agree(own, presence, failure, group)
    stacked = _stack(own, presence, batches, group)
    present = None if presence is None else stacked[-1].bool()
    rows = len(own)
    return stacked[:rows].contiguous(), present, sum(batches[: dist.get_rank(group)])


def _agree(own, presence, failure, group) -> list[int]:
    """The batch size of each rank, once all have sums that belong together."""
    facts = torch.tensor([*own.shape[1:], int(presence is not None), int(failure is not None)])
    batches, classes, declares, failed = torch.stack(_gather(facts, group)).T.tolist()
    if failure is not None:
        raise failure
    if any(failed):
        refusing = [rank for rank, has_failed in enumerate(failed) if has_failed]
        raise ValueError(f"no loss of this batch: its part on rank {refusing} was refused, see the error there")
    if len(set(classes)) > 1:
        raise ValueError(f"the ranks predict different numbers of classes, {classes}: they must agree")
    if len(set(declares)) > 1:
        raise ValueError("some ranks give a presence and some do not: give it on all of them or on none")
    return batches


def _stack(own, presence, batches, group) -> torch.Tensor:
    """Sums and, as last row, presence of all ranks, ``[rows + 1, B, C]``."""
    rows, batch, classes = own.shape
    padded = torch.zeros(rows + 1, max(batches), classes, dtype=torch.float64)
    padded[:rows, :batch] = own
    if presence is not None:
        padded[rows, :batch] = presence
    parts = _gather(padded, group)
    return torch.cat([part[:, :size] for part, size in zip(parts, batches, strict=True)], dim=1)


def _gather(own: torch.Tensor, group: dist.ProcessGroup) -> list[torch.Tensor]:
    """A CPU tensor of every rank, all of one shape."""
    if "nccl" in dist.get_backend(group):
        own = own.to(torch.device("cuda", torch.cuda.current_device()))
    parts = [torch.empty_like(own) for _ in range(dist.get_world_size(group))]
    dist.all_gather(parts, own, group=group)
    return [part.cpu() for part in parts]
