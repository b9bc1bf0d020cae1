"""dicewise.numpy: the loss and the metrics without PyTorch."""

import subprocess
import sys

import numpy as np
import pytest
import reference
import torch

import dicewise.numpy as dn


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_value_and_gradient_are_the_equations(batch, dtype):
    logits, labels, mask = batch
    loss = dn.DiceLoss("batch", 1e-3, "softmax", cross_entropy=1.0, missing="leaf")
    presence = np.array([[True, True, True, False], [True, False, True, True]])
    value, gradient = loss.value_and_gradient(
        logits.numpy().astype(dtype), labels.numpy(), presence=presence, mask=mask.numpy()
    )
    x = logits.clone().requires_grad_()
    expected = reference.loss(
        x, reference.one_hot(labels, 4), partition="batch", epsilon=1e-3, activation="softmax", cross_entropy=1.0,
        missing="leaf", presence=presence, keep=mask,
    )  # fmt: skip
    (expected_gradient,) = torch.autograd.grad(expected, x)
    tolerance = 1e-11 if dtype == np.float64 else 2e-6
    assert abs(value - expected.item()) < tolerance
    assert gradient.dtype == dtype
    assert np.linalg.norm(gradient - expected_gradient.numpy()) < 5 * tolerance * expected_gradient.norm().item()


def test_arrays_in_any_order_and_a_given_buffer(batch):
    logits, labels, _ = batch
    p, y = logits.softmax(1).numpy(), labels.numpy()
    loss = dn.DiceLoss("image", 1e-5, "none")
    value, gradient = loss.value_and_gradient(p, y)
    out = np.empty_like(p)
    again, same = loss.value_and_gradient(np.asfortranarray(p), np.asfortranarray(y), out=out)
    assert again == value == loss.value(p, y) and same is out and np.array_equal(out, gradient)
    sums = loss.sums(p, y)
    assert np.allclose(sums["prediction"], p.reshape(2, 4, -1).sum(-1))
    assert np.array_equal(sums["target"], [[(s == c).sum() for c in range(4)] for s in y])


def test_mistakes_are_named(batch):
    logits, labels, _ = batch
    p, y = logits.softmax(1).numpy(), labels.numpy()
    loss = dn.DiceLoss("image", 1e-5, "none")
    with pytest.raises(TypeError, match="must be an array of float32"):
        loss.value(p.tolist(), y)
    with pytest.raises(ValueError, match="a label map is"):
        loss.value(p, y[:1])
    with pytest.raises(ValueError, match=r"bool of shape \[2, 4\]"):
        loss.value(p, y, presence=np.ones((2, 3), bool))
    with pytest.raises(ValueError, match="out has shape"):
        loss.value_and_gradient(p, y, out=np.empty((2, 4), p.dtype))
    with pytest.raises(ValueError, match="shares memory"):
        loss.value_and_gradient(p, y, out=p)
    with pytest.raises(ValueError, match="apply softmax or sigmoid first"):
        loss.value(10 * p, y)


def test_dsc_is_eq_2_and_undefined_for_empty_truth():
    prediction, target = np.array([0, 1, 1, 2, 2, 2]), np.array([0, 1, 0, 2, 2, 0])
    assert dn.dsc(prediction, target, 1).value == 2 * 1 / (2 + 1)
    assert dn.dsc(prediction, target, 2).value == 2 * 2 / (3 + 2)
    assert dn.dsc(prediction == 1, target == 1).value == 2 / 3
    assert dn.dsc(prediction, target, 7).value is None
    assert dn.dsc(prediction.astype(np.uint8), target.astype(np.int16), 2) == dn.dsc(prediction, target, 2)
    with pytest.raises(ValueError, match="bring both onto one grid"):
        dn.dsc(prediction, target[:5])
    with pytest.raises(TypeError, match="must be integers or bool"):
        dn.dsc(prediction.astype(float), target)


def test_a_mean_names_its_policy_for_empty_truth():
    cases = [dn.Dsc(1, 2, 2), dn.Dsc(0, 0, 0), dn.Dsc(0, 5, 0)]
    assert dn.mean_dsc(cases, "skip") == dn.DscMean(0.5, 1, 1, 1, 1)
    assert dn.mean_dsc(cases, "formula").mean == 0.25
    assert dn.mean_dsc(cases, (1.0, 0.0)).mean == 0.5
    assert dn.mean_dsc(cases[1:], "skip").mean is None
    with pytest.raises(ValueError, match="empty_truth must be"):
        dn.mean_dsc(cases, "zero")
    with pytest.raises(ValueError, match="give a number from 0 to 1"):
        dn.mean_dsc(cases, (2.0, 0.0))


def test_volume_difference_in_ml():
    probabilities, target = np.full((10, 10), 0.25, np.float32), np.ones((10, 10), np.uint8)
    assert dn.volume_difference_ml(probabilities, target, 0.008) == pytest.approx((25 - 100) * 0.008, rel=1e-14)
    assert dn.volume_difference_ml(target, target * 2, 1.0, label=2) == -100
    with pytest.raises(ValueError, match="has no volume"):
        dn.volume_difference_ml(target, target, 0.0)


def test_it_does_not_import_torch():
    code = "import dicewise, dicewise.numpy, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
