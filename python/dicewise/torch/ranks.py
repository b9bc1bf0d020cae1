"""Sums of several ranks: with Φ = batch or all, a subset spans the samples of all of them."""

from __future__ import annotations

import torch
import torch.distributed as dist


@torch.compiler.disable
def gather(
    sums: torch.Tensor, presence: torch.Tensor | None, group: dist.ProcessGroup | None
) -> tuple[torch.Tensor, torch.Tensor | None, int]:
    """Stacks the sums ``[rows, B, C]`` and presence ``[B, C]`` of all ranks along the batch.

    Returns them with the place of this rank's first sample. Ranks may have batches of different size; all must
    declare a presence, or none. About 7·B·C numbers travel.
    """
    rows, batch, classes = sums.shape
    world, rank = dist.get_world_size(group), dist.get_rank(group)
    device = torch.device("cuda", torch.cuda.current_device()) if "nccl" in dist.get_backend(group) else sums.device

    facts = torch.tensor([batch, classes, int(presence is not None)], device=device)
    all_facts = [torch.empty_like(facts) for _ in range(world)]
    dist.all_gather(all_facts, facts, group=group)
    batches, class_counts, declares = torch.stack(all_facts).cpu().T.tolist()
    if len(set(class_counts)) > 1:
        raise ValueError(f"the ranks predict different numbers of classes, {class_counts}: they must agree")
    if len(set(declares)) > 1:
        raise ValueError("some ranks give a presence and some do not: give it on all of them or on none")

    own = torch.zeros(rows + 1, max(batches), classes, dtype=torch.float64, device=device)
    own[:rows, :batch] = sums
    if presence is not None:
        own[rows, :batch] = presence
    everyone = [torch.empty_like(own) for _ in range(world)]
    dist.all_gather(everyone, own, group=group)
    stacked = torch.cat([part[:, :size].cpu() for part, size in zip(everyone, batches, strict=True)], dim=1)
    present = stacked[rows].bool() if presence is not None else None
    return stacked[:rows].contiguous(), present, sum(batches[:rank])
