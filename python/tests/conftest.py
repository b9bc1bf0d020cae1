"""Shared by the tests: small batches, and which of the two voxel passes runs."""

import os
from pathlib import Path

import pytest
import torch

from dicewise.torch import ops

# The batches are small: threads would only wait for each other.
torch.set_num_threads(1)


@pytest.fixture(params=["fused", "twopass"])
def voxel_pass(request, monkeypatch):
    """Runs a test on the Rust kernels, then on the plain PyTorch of other devices."""
    monkeypatch.setattr(ops, "_fused", request.param == "fused")
    return request.param


@pytest.fixture
def batch():
    """Logits [2, 4, 5, 6, 7], labels with class 2 empty in the second sample, and a mask; float64."""
    generator = torch.Generator().manual_seed(7)
    logits = 2 * torch.randn(2, 4, 5, 6, 7, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 4, (2, 5, 6, 7), generator=generator)
    labels[1][labels[1] == 2] = 0
    mask = torch.rand(2, 5, 6, 7, generator=generator) > 0.2
    return logits, labels, mask


@pytest.fixture
def data():
    """The folder of real data, or a visible skip."""
    folder = os.environ.get("DICEWISE_DATA")
    if not folder:
        pytest.skip("DICEWISE_DATA is not set: no real data")
    if not Path(folder, "hippocampus", "imagesTr").is_dir():
        pytest.skip(f"DICEWISE_DATA={folder} has no hippocampus/imagesTr")
    return Path(folder)
