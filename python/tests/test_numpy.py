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


@pytest.mark.parametrize("kind", [">f8", ">f4", ">f2", "unaligned"])
def test_the_order_of_bytes_and_alignment_do_not_matter(batch, kind):
    """Against the same numbers as the machine stores them."""
    logits, labels, _ = batch
    x, y, soft = logits.numpy(), labels.numpy(), reference.one_hot(labels, 4).numpy() * 0.5
    loss = dn.DiceLoss("batch", 1e-5, "softmax")

    def stored(array, dtype):
        if kind != "unaligned":
            return array.astype(dtype)
        moved = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
        moved[:] = array
        assert not moved.flags.aligned
        return moved

    given = stored(x, kind)
    for target in (stored(y, ">i2"), stored(soft, kind)):
        plain = target.astype(target.dtype.newbyteorder("="))
        value, gradient = loss.value_and_gradient(given, target)
        expected, expected_gradient = loss.value_and_gradient(given.astype(given.dtype.newbyteorder("=")), plain)
        assert value == expected and gradient.dtype.isnative and np.array_equal(gradient, expected_gradient)


def test_the_gradient_is_written_only_where_it_may_be(batch):
    logits, labels, _ = batch
    p, y = logits.softmax(1).numpy(), labels.numpy()
    loss = dn.DiceLoss("image", 1e-5, "none", missing="leaf")
    with pytest.raises(ValueError, match=r"out is an array of float64 of shape \[2, 4\]"):
        loss.value_and_gradient(p, y, out=np.empty((2, 4)))
    with pytest.raises(ValueError, match="out shares memory with the prediction"):
        loss.value_and_gradient(p, y, out=p)
    kept = np.zeros_like(p)
    kept.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        loss.value_and_gradient(p, y, out=kept)
    assert not kept.any()
    out = np.empty_like(p)
    mask = out.view(bool).reshape(-1)[: y.size].reshape(y.shape)
    presence = out.view(bool).reshape(-1)[:8].reshape(2, 4)
    out.view(np.uint8)[:] = 1
    for name, shared in (("mask", mask), ("presence", presence)):
        with pytest.raises(ValueError, match=f"out shares memory with the {name}"):
            loss.value_and_gradient(p, y, out=out, **{name: shared})


def test_one_class_takes_a_mask_and_labels_may_have_a_channel(batch):
    """As dicewise.torch."""
    logits, labels, mask = batch
    x, wanted, keep = logits[:, :1].numpy(), labels.numpy() == 1, mask.numpy()
    loss = dn.DiceLoss("image", 1e-5, "sigmoid", cross_entropy=1.0)
    value, gradient = loss.value_and_gradient(x, wanted[:, None].astype(np.float64))
    for target in (wanted, wanted[:, None], wanted.astype(np.uint8), wanted.astype(np.int64), wanted.astype(np.int8)):
        again, same = loss.value_and_gradient(x, target)
        assert again == value and np.array_equal(same, gradient)
    ignoring = dn.DiceLoss("image", 1e-5, "sigmoid", cross_entropy=1.0, ignore_index=255)
    assert ignoring.value(x, np.where(keep, wanted, 255)) == loss.value(x, wanted, mask=keep)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        loss.value(x, wanted * 256)
    several = dn.DiceLoss("image", 1e-5, "softmax")
    assert several.value(logits.numpy(), labels[:, None].numpy()) == several.value(logits.numpy(), labels.numpy())
    two = dn.DiceLoss("image", 1e-5, "softmax")
    assert two.value(logits[:, :2].numpy(), wanted) == two.value(logits[:, :2].numpy(), wanted.astype(int))
    with pytest.raises(ValueError, match="softmax over one channel"):
        several.value(x, wanted)


def test_mistakes_are_named(batch):
    logits, labels, _ = batch
    p, y = logits.softmax(1).numpy(), labels.numpy()
    loss = dn.DiceLoss("image", 1e-5, "none")
    with pytest.raises(TypeError, match="must be an array of float32"):
        loss.value(p.tolist(), y)
    with pytest.raises(ValueError, match="a label map is"):
        loss.value(p, y[:1])
    with pytest.raises(ValueError, match=r"bool of shape \[2, 4\]"):
        dn.DiceLoss("image", 1e-5, "none", missing="leaf").value(p, y, presence=np.ones((2, 3), bool))
    with pytest.raises(ValueError, match='set missing="leaf"'):
        loss.value(p, y, presence=np.ones((2, 4), bool))
    with pytest.raises(TypeError, match="unexpected keyword argument 'smooth'"):
        dn.DiceLoss("image", 1e-5, "none", smooth=1.0)
    with pytest.raises(ValueError, match="labels must be 0 to 3"):
        loss.value(p, y + 1)
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
