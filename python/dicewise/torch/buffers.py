"""Memory for gradients that is used again.

PyTorch gives the memory of a large CPU tensor back to the system when the tensor is dropped, and the next gradient then
waits for fresh pages: longer than the kernel that fills it. Memory that a gradient had is kept here until the next one
of the same size, as PyTorch does itself on graphics cards.
"""

from __future__ import annotations

import mmap
import sys
import threading

import torch

# Below, malloc keeps the memory itself.
SMALLEST = 1 << 20

_lock = threading.Lock()
_kept: list[mmap.mmap] = []
# How many references there are to memory that no tensor uses, counted as `empty_like` and `release_memory` do.
_probe = [object()]
_ALONE = sys.getrefcount(_probe[0])


def empty_like(tensor: torch.Tensor) -> torch.Tensor:
    """A contiguous CPU tensor of the same shape and type, its values undefined; its own for as long as it lives."""
    size = tensor.numel() * tensor.element_size()
    if size < SMALLEST:
        return torch.empty_like(tensor, memory_format=torch.contiguous_format)
    with _lock:
        free = [i for i in range(len(_kept)) if sys.getrefcount(_kept[i]) == _ALONE]
        fitting = next((i for i in free if len(_kept[i]) == size), None)
        if fitting is None:
            # What is kept is never more than what has been in use at the same time.
            for i in reversed(free):
                del _kept[i]
            _kept.append(_memory(size))
            fitting = -1
        # The tensor refers to the memory.
        return torch.frombuffer(_kept[fitting], dtype=tensor.dtype).view(tensor.shape)


def release_memory() -> None:
    """Gives the memory of gradients that have been dropped back to the system."""
    with _lock:
        for i in reversed(range(len(_kept))):
            if sys.getrefcount(_kept[i]) == _ALONE:
                del _kept[i]


def _memory(size: int) -> mmap.mmap:
    if hasattr(mmap, "MAP_PRIVATE"):
        # Not shared with processes that are forked.
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return mmap.mmap(-1, size)
