"""The Dice loss for PyTorch: fused kernels on the CPU, plain PyTorch elsewhere, free Φ and ε everywhere."""

from dicewise.torch import ops as _ops  # registers torch.ops.dicewise  # noqa: F401
from dicewise.torch.buffers import release_memory
from dicewise.torch.loss import DiceLoss

__all__ = ["DiceLoss", "release_memory"]
