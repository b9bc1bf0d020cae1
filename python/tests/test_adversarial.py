"""Bad and extreme input in every number format of both fronts, for every Φ.

Bad input is an error; whatever is legal has a loss in [0, 1] and a gradient without NaN, which is infinite only where
float16 or bfloat16 cannot hold what Eq. 4 gives. Every test runs with arrays of NumPy and with both voxel passes of
PyTorch.
"""

import numpy as np
import pytest
import torch

import dicewise.numpy
import dicewise.torch
from dicewise.torch import ops

PARTITIONS = ("image", "class", "batch", "all")
FRONTS = ("numpy", "fused", "twopass")
# NumPy has no bfloat16.
TYPES = [(front, t) for front in FRONTS for t in ("float64", "float32", "float16", "bfloat16")]
TYPES.remove(("numpy", "bfloat16"))
SHAPE = (2, 2, 300)
VOXELS = 300
PLACES = (0, 255, 256, VOXELS - 1)


@pytest.fixture(params=TYPES, ids=[f"{front}-{name}" for front, name in TYPES])
def front(request, monkeypatch):
    """Value and gradient as float64 of float64 arrays, which are rounded to the type of the front first."""
    name, kind = request.param
    monkeypatch.setattr(ops, "_fused", name == "fused")

    def run(p, y, partition="image", epsilon=1e-7, activation="none", **more):
        soft = np.asarray(y).dtype.kind == "f"
        if name == "numpy":
            loss = dicewise.numpy.DiceLoss(partition, epsilon, activation, **more)
            value, gradient = loss.value_and_gradient(p.astype(kind), y.astype(kind) if soft else y)
            return value, gradient.astype(np.float64)
        dtype = getattr(torch, kind)
        loss = dicewise.torch.DiceLoss(partition, epsilon, activation, **more)
        x = torch.from_numpy(p).to(dtype).requires_grad_()
        target = torch.from_numpy(y)
        value = loss(x, target.to(dtype) if soft else target)
        value.backward()
        return value.item(), x.grad.double().numpy()

    run.kind = kind
    return run


def maps(kind, seed):
    """The first sample's maps are of one kind; the second's are mixed."""
    values = np.random.default_rng(seed).random(SHAPE)
    if kind != "mixed":
        values[0] = {"empty": 0.0, "full": 1.0, "half": 0.5, "tiny": 1e-38}[kind]
    return values


def labels():
    return np.random.default_rng(2).integers(0, 2, (2, VOXELS))


KINDS = ("empty", "full", "half", "tiny", "mixed")


@pytest.mark.parametrize("partition", PARTITIONS)
def test_whatever_is_legal_has_a_loss_of_0_to_1_and_a_finite_gradient(front, partition):
    for epsilon in (0.0, 1e-300, 1e-7, 1.0, 1e9):
        # |∂L/∂p| ≤ 2/(|Φ| (U + ε)): of a subset with nothing in it, more than these can hold.
        beyond = epsilon < {"float16": 1e-4, "bfloat16": 1e-38}.get(front.kind, 0.0)
        for of_p in KINDS:
            for of_y in KINDS:
                value, gradient = front(maps(of_p, 0), maps(of_y, 1), partition, epsilon)
                case = f"ε {epsilon}, {of_p} predicted, {of_y} true"
                assert 0 <= value <= 1, f"{case}: {value}"
                assert not np.isnan(gradient).any(), case
                assert beyond or np.isfinite(gradient).all(), case


@pytest.mark.parametrize("partition", PARTITIONS)
def test_an_empty_subset_without_smoothing_is_a_limit_and_not_nan(front, partition):
    value, gradient = front(np.zeros(SHAPE), np.zeros(SHAPE), partition, 0.0)
    assert value == 0 and (gradient == 0).all()


@pytest.mark.parametrize("activation", ["none", "sigmoid", "softmax"])
def test_predictions_that_are_not_finite_are_refused_wherever_they_are(front, activation):
    for value in (np.nan, np.inf, -np.inf):
        for place in PLACES:
            p = maps("mixed", 0)
            p[1, 1, place] = value
            with pytest.raises(ValueError, match=r"(?i)nan|inf|finite"):
                front(p, labels(), activation=activation)


def test_predictions_and_targets_outside_of_0_to_1_are_refused(front):
    for value in (1.01, -0.01, 7.5, -40.0, 3e4):
        for place in PLACES:
            wrong = maps("mixed", 0)
            wrong[0, 1, place] = value
            with pytest.raises(ValueError, match=r"\[0, 1\]|softmax or sigmoid"):
                front(wrong, labels())
            with pytest.raises(ValueError, match=r"\[0, 1\]"):
                front(maps("mixed", 0), wrong)


def test_targets_that_are_not_finite_are_refused(front):
    for value in (np.nan, np.inf, -np.inf):
        wrong = maps("mixed", 1)
        wrong[1, 0, 256] = value
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            front(maps("mixed", 0), wrong)


@pytest.mark.parametrize("kind", ["uint8", "int16", "int32", "int64"])
def test_labels_outside_of_the_classes_are_refused(front, kind):
    # The low byte, word and double word of the last ones are classes.
    outside = {"uint8": [2, 255], "int16": [-1, 2, 256], "int32": [-1, 1 << 16], "int64": [-1, 1 << 8, 1 << 32]}
    for label in outside[kind]:
        for place in PLACES:
            y = labels().astype(kind)
            y[1, place] = label
            with pytest.raises(ValueError, match="labels? .*(no class|outside|0..)"):
                front(maps("mixed", 0), y, activation="softmax")


@pytest.mark.parametrize("shape", [(0, 2, 300), (2, 0, 300), (2, 2, 0)])
def test_nothing_is_refused(front, shape):
    with pytest.raises(ValueError, match="at least 1"):
        front(np.zeros(shape), np.zeros(shape))


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_large_logits_are_fine(front, activation):
    x = np.where(np.arange(1200).reshape(SHAPE) % 2 == 0, 6e4, -6e4)
    value, gradient = front(x, labels(), activation=activation, cross_entropy=1.0)
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_sums_of_many_voxels_lose_nothing(front):
    """128³ voxels of ½, half of them object: Σp = 2²⁰, where float16 ends at 65,504. O = n/4 and U = n, so D = ½."""
    n = 128**3
    y = (np.arange(n) % 2).astype(np.float64).reshape(1, 1, n)
    value, _ = front(np.full((1, 1, n), 0.5), y)
    assert abs(value - 0.5) < 1e-6
