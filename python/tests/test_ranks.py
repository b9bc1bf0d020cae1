"""Two processes with half a batch each are one process with the whole; none waits for one that refuses its half."""

import sys

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

from dicewise.torch import DiceLoss

OPTIONS = {
    "batch": {"partition": "batch", "epsilon": 1e-3, "activation": "softmax"},
    "all, sigmoid": {"partition": "all", "epsilon": 1e-3, "activation": "sigmoid"},
    "leaf": {"partition": "batch", "epsilon": 1e-3, "activation": "softmax", "missing": "leaf"},
    "marginal with cross-entropy": {
        "partition": "batch", "epsilon": 1e-3, "activation": "softmax", "missing": "marginal", "cross_entropy": 1.0,
    },
    "image, ignored voxels": {
        "partition": "image", "epsilon": 1e-3, "activation": "softmax", "cross_entropy": 1.0, "ignore_index": 9,
    },
    "heuristic": {"partition": "image", "epsilon": "heuristic", "activation": "softmax"},
}  # fmt: skip


def whole_batch():
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(3, 3, 4, 5, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 3, (3, 4, 5), generator=generator)
    labels[0, 0], labels[2] = 9, 0
    presence = torch.tensor([[True, True, True], [True, True, False], [True, False, True]])
    return x, labels, presence


def arguments(options):
    x, labels, presence = whole_batch()
    if "ignore_index" not in options:
        labels = labels.masked_fill(labels == 9, 0)
    return x, labels, presence if "missing" in options else None


def rank(number, path, results):
    """One process: two samples on the first rank, one on the second."""
    dist.init_process_group("gloo", init_method=f"file://{path}", rank=number, world_size=2)
    own = slice(0, 2) if number == 0 else slice(2, 3)
    found = {}
    for name, options in OPTIONS.items():
        x, labels, presence = arguments(options)
        loss = DiceLoss(**options, process_group=dist.group.WORLD)
        mine = x[own].clone().requires_grad_()
        value = loss(mine, labels[own], None if presence is None else presence[own])
        value.backward()
        # A framework averages over ranks.
        found[name] = (value.item(), mine.grad / 2)
    try:
        options = OPTIONS["leaf"]
        x, labels, presence = arguments(options)
        DiceLoss(**options, process_group=dist.group.WORLD)(x[own], labels[own], presence[own] if number else None)
    except ValueError as error:
        found["one with presence"] = str(error)
    for name, mistake in {"NaN": torch.nan, "infinite": torch.inf}.items():
        x, labels, _ = arguments(OPTIONS["batch"])
        mine = x[own].clone()
        mine[0, 0, 0, 0] = mistake if number else 0.0
        try:
            DiceLoss(**OPTIONS["batch"], process_group=dist.group.WORLD)(mine, labels[own])
        except ValueError as error:
            found[name] = str(error)
    torch.save(found, f"{results}/{number}.pt")
    dist.destroy_process_group()


@pytest.mark.skipif(sys.platform == "win32" or not dist.is_available(), reason="needs torch.distributed with gloo")
def test_two_gloo_ranks_are_one_with_the_whole_batch(tmp_path):
    multiprocessing.spawn(rank, (str(tmp_path / "meeting"), str(tmp_path)), nprocs=2)
    parts = [torch.load(tmp_path / f"{number}.pt") for number in range(2)]
    for name, options in OPTIONS.items():
        x, labels, presence = arguments(options)
        x.requires_grad_()
        value = DiceLoss(**options)(x, labels, presence)
        value.backward()
        assert all(abs(part[name][0] - value.item()) < 1e-13 for part in parts), name
        gradient = torch.cat([part[name][1] for part in parts])
        assert torch.allclose(gradient, x.grad, rtol=1e-10, atol=1e-16), name
    assert all("on all of them or on none" in part["one with presence"] for part in parts)
    for mistake in ("NaN", "infinite"):
        assert "on rank [1] was refused" in parts[0][mistake] and "must be finite" in parts[1][mistake]
