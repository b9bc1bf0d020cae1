"""dicewise.torch.DiceLoss in a training: number formats, memory, autograd, compilation, mistakes."""

import gc
import shutil
import weakref

import numpy as np
import pytest
import reference
import torch

from dicewise._settings import Settings
from dicewise.torch import DiceLoss, twopass


def make(**more):
    return DiceLoss(partition="batch", epsilon=1e-5, activation="softmax", cross_entropy=1.0, **more)


def test_inputs_that_are_not_contiguous_give_the_same_result(voxel_pass, batch):
    logits, labels, mask = batch
    loss = make()
    plain = logits.clone().requires_grad_()
    loss(plain, labels, mask=mask).backward()
    strided = logits.clone(memory_format=torch.channels_last_3d).requires_grad_()
    turned = labels.permute(3, 0, 1, 2).contiguous().permute(1, 2, 3, 0)
    every_other = torch.stack([mask, ~mask], dim=-1)[..., 0]
    assert not strided.is_contiguous() and not turned.is_contiguous() and not every_other.is_contiguous()
    value = loss(strided, turned, mask=every_other)
    value.backward()
    assert value == loss(plain, labels, mask=mask)
    assert torch.equal(strided.grad, plain.grad)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_neither_overflows_nor_loses_the_sums(voxel_pass, dtype):
    # Σp of one map is about 10⁶: 16 times what float16 can hold.
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(1, 2, 128, 128, 128, generator=generator).to(dtype).requires_grad_()
    labels = torch.randint(0, 2, (1, 128, 128, 128), generator=generator, dtype=torch.uint8)
    loss = make()(logits, labels)
    scale = 65536.0
    (loss * scale).backward()
    exact = logits.detach().double().requires_grad_()
    expected = reference.loss(
        exact, reference.one_hot(labels, 2), partition="batch", epsilon=1e-5, activation="softmax", cross_entropy=1.0
    )
    (gradient,) = torch.autograd.grad(expected, exact)
    assert loss.dtype == torch.float32 and logits.grad.dtype == dtype
    assert abs(loss.double() - expected) < 1e-3 * expected
    assert (logits.grad.double() / scale - gradient).norm() < 5e-3 * gradient.norm()


def test_autocast_changes_nothing(voxel_pass, batch):
    logits, labels, _ = batch
    loss, x = make(), logits.float().requires_grad_()
    plain = loss(x, labels)
    plain.backward()
    gradient, x.grad = x.grad, None
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = loss(x, labels)
    cast.backward()
    assert cast == plain and torch.equal(x.grad, gradient)


def test_a_network_trains_through_autocast(batch):
    _, labels, _ = batch
    torch.manual_seed(0)
    network, loss = torch.nn.Conv3d(4, 4, 3, padding=1), make()
    images = reference.one_hot(labels, 4).float()
    optimizer, values = torch.optim.SGD(network.parameters(), lr=0.5), []
    for _ in range(20):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = network(images)
            assert logits.dtype == torch.bfloat16
            value = loss(logits, labels)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.5 * values[0]


TARGETS = {
    "labels": lambda y, maps: y,
    "byte labels": lambda y, maps: y.to(torch.uint8),
    "labels with a channel": lambda y, maps: y[:, None],
    "soft maps of the logits' type": lambda y, maps: maps.float(),
    "soft maps of another type": lambda y, maps: maps.double(),
    "soft maps in half precision": lambda y, maps: maps.bfloat16(),
    "overlapping bool masks": lambda y, maps: maps.bool(),
    "overlapping byte masks": lambda y, maps: maps.to(torch.uint8),
    "overlapping integer masks": lambda y, maps: maps.long(),
    "masks that are not contiguous": lambda y, maps: maps.bool().contiguous(memory_format=torch.channels_last_3d),
    "one bool mask": lambda y, maps: y == 1,
    "one integer mask": lambda y, maps: (y == 1).int(),
    "one integer mask with ignored voxels": lambda y, maps: (y == 1).int().masked_fill(y == 3, 255),
}


@pytest.mark.parametrize("kind", TARGETS)
def test_nothing_of_the_size_of_the_input_is_kept(voxel_pass, batch, kind):
    logits, labels, mask = batch
    target, one = TARGETS[kind](labels, reference.one_hot(labels, 4)), kind.startswith("one")
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        x = logits[:, : 1 if one else None].float().clone().requires_grad_()
        DiceLoss("batch", 1e-5, "sigmoid", cross_entropy=1.0, ignore_index=255)(x, target, mask=mask)
    callers = {t.untyped_storage().data_ptr() for t in (x, target, mask)}
    own = [t for t in kept if t.untyped_storage().data_ptr() not in callers]
    assert own and sum(t.untyped_storage().nbytes() for t in own) <= 8 * 8 * 2 * 4


def test_inputs_are_released_with_the_graph(batch):
    logits, labels, _ = batch
    x = logits.clone().requires_grad_()
    value = make()(x * 1.0, labels)
    value.backward()
    watched = weakref.ref(x)
    del x, value
    gc.collect()
    assert watched() is None


def test_changing_the_logits_in_place_is_noticed(batch):
    logits, labels, _ = batch
    x = logits.clone().requires_grad_() * 1.0
    value = make()(x, labels)
    x.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


def test_a_second_derivative_is_refused(voxel_pass, batch):
    logits, labels, _ = batch
    x = logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(make()(x, labels), x, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        gradient.sum().backward()


@pytest.mark.parametrize("partition", ["image", "batch"])
def test_it_compiles_without_a_graph_break(batch, partition):
    logits, labels, _ = batch
    loss = DiceLoss(partition, 1e-5, "softmax", missing="leaf", cross_entropy=1.0)
    presence = torch.tensor([[True, True, True, False]] * 2)

    def step(x, y, presence):
        return loss(2 * x, y, presence) * 3

    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    for size in (7, 5):
        x, y = logits[..., :size].clone().requires_grad_(), labels[..., :size]
        plain = step(x, y, presence)
        (expected,) = torch.autograd.grad(plain, x)
        value = compiled(x, y, presence)
        (gradient,) = torch.autograd.grad(value, x)
        assert value == plain and torch.equal(gradient, expected)


def test_inductor_compiles_it_with_a_network(batch):
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        pytest.skip("no C++ compiler, which torch.compile with inductor needs on the CPU")
    logits, labels, _ = batch
    network, loss = torch.nn.Conv3d(4, 4, 1), make()

    def step(images, y):
        return loss(torch.nn.functional.leaky_relu(network(images)), y)

    images = logits.float()
    expected = torch.autograd.grad(plain := step(images, labels), network.parameters())
    value = torch.compile(step, fullgraph=True, backend="inductor")(images, labels)
    found = torch.autograd.grad(value, network.parameters())
    assert torch.allclose(value, plain, rtol=1e-6)
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-7) for a, b in zip(found, expected, strict=True))


def test_an_extra_pass_for_inferred_labels_is_taken_only_where_it_is_used(batch, monkeypatch):
    logits, labels, _ = batch
    monkeypatch.setattr("dicewise.torch.ops._fused", False)
    passes, sizes = [], twopass.sizes
    monkeypatch.setattr(twopass, "sizes", lambda *given: passes.append(1) or sizes(*given))
    DiceLoss("image", 1e-5, "softmax", missing="leaf-inferred")(logits, labels)
    DiceLoss("image", 1e-5, "sigmoid", missing="leaf-inferred", cross_entropy=1.0)(logits, labels)
    assert not passes
    DiceLoss("image", 1e-5, "softmax", missing="leaf-inferred", cross_entropy=1.0)(logits, labels)
    assert len(passes) == 1


def test_the_operators_keep_pytorchs_rules(batch):
    logits, labels, mask = batch
    key = make()._key
    sums = torch.ops.dicewise.sums(logits, labels, mask, None, key)
    checks = ("test_schema", "test_faketensor")
    torch.library.opcheck(torch.ops.dicewise.sums.default, (logits, labels, mask, None, key), test_utils=checks)
    torch.library.opcheck(torch.ops.dicewise.value.default, (sums, None, None, key), test_utils=checks)
    gradient = (logits, labels, mask, sums, None, None, torch.tensor(1.0), 0, key)
    torch.library.opcheck(torch.ops.dicewise.gradient.default, gradient, test_utils=checks)


def test_meta_tensors_get_shapes_without_values():
    x = torch.empty(2, 3, 8, 8, dtype=torch.bfloat16, device="meta")
    y = torch.empty(2, 8, 8, dtype=torch.uint8, device="meta")
    sums = torch.ops.dicewise.sums(x, y, None, None, make()._key)
    gradient = torch.ops.dicewise.gradient(x, y, None, sums, None, None, torch.tensor(1.0), 0, make()._key)
    assert sums.shape == (5, 2, 3) and gradient.shape == x.shape and gradient.dtype == x.dtype


def broken(logits, labels):
    """Mistakes: what is passed, the type of the error, and what its message has to say."""
    x = logits.float()
    soft = reference.one_hot(labels, 4)
    return [
        ((x.numpy(), labels), {}, TypeError, "must be a torch.Tensor"),
        ((x.long(), labels), {}, TypeError, "must be float32, float64, float16 or bfloat16"),
        ((x[0, 0, 0], labels), {}, ValueError, r"must be \[B, C, ...\]"),
        ((x, labels[:1]), {}, ValueError, r"a label map is \[2, 5, 6, 7\]"),
        ((x, labels.float()), {}, TypeError, r"use target.long\(\)"),
        ((x, soft.float().requires_grad_()), {}, ValueError, r"use target.detach\(\)"),
        ((x, labels.to("meta")), {}, ValueError, r"use target.to\(prediction.device\)"),
        ((x, labels.to(torch.int8)), {}, TypeError, r"use target.long\(\)"),
        ((x, labels + 1), {}, ValueError, "labels must be 0 to 3;"),
        ((x, 3 * soft), {}, ValueError, r"must lie in \[0, 1\]"),
        ((x, labels), {"mask": labels}, TypeError, r"use mask.bool\(\)"),
        ((x, labels), {"mask": labels[0] > 0}, ValueError, r"must be \[2, 5, 6, 7\]"),
        ((x, labels), {"presence": [[True] * 3] * 2}, ValueError, r"must be \[B, C\] = \[2, 4\]"),
        ((x, labels), {"presence": [[0.5] * 4] * 2}, ValueError, "truth values"),
        ((torch.full_like(x, torch.nan), labels), {}, ValueError, "nan|NaN|finite"),
    ]


def test_mistakes_are_named_with_their_remedy(voxel_pass, batch):
    logits, labels, _ = batch
    for arguments, named, error, message in broken(logits, labels):
        with pytest.raises(error, match=message):
            make(missing="leaf")(*arguments, **named)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        DiceLoss("image", 1e-5, "none")(logits, labels)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"partition": "macro"}, ValueError, "partition is 'macro': use one of \"image\""),
        ({"activation": "relu"}, ValueError, "activation is 'relu'"),
        ({"epsilon": -1.0}, ValueError, "ε is -1"),
        ({"epsilon": "small"}, TypeError, "epsilon is 'small'"),
        ({"epsilon": 0.0, "numerator_epsilon": 1.0}, ValueError, "divide by zero"),
        ({"partition": "all", "epsilon": [1.0, 2.0]}, ValueError, 'use partition="image" or "batch"; "all" mixes'),
        ({"partition": "all", "class_weights": [1.0, 2.0]}, ValueError, 'partition="all" has no Dice of one class'),
        ({"similarity": "generalized-dice"}, ValueError, 'use partition="class" or "all"; "image" has one'),
        ({"alpha": 0.3}, ValueError, "alpha and beta belong"),
        ({"similarity": "tversky", "alpha": 0.3}, ValueError, "alpha and beta belong"),
        ({"partition": "all", "epsilon": "heuristic"}, ValueError, 'use partition="image"'),
        ({"class_weights": [0.0, 0.0]}, ValueError, "at least one class must count"),
        ({"missing": "skip"}, ValueError, "missing is 'skip'"),
        ({"missing": "marginal", "background": False}, ValueError, "marginal"),
        ({"missing": "marginal", "activation": "sigmoid"}, ValueError, "marginal|softmax"),
        ({"cross_entropy": -1.0}, ValueError, "cross-entropy weight"),
        ({"cross_entropy": 1.0, "activation": "none"}, ValueError, "activation"),
        ({"similarity": "tversky"}, ValueError, "alpha and beta"),
        ({"object_voxels": 5.0}, ValueError, 'epsilon="heuristic"'),
    ],
)
def test_settings_that_make_no_loss_are_refused_at_once(settings, error, message):
    with pytest.raises(error, match=message):
        DiceLoss(**{"partition": "image", "epsilon": 1e-5, "activation": "softmax", **settings})


def test_what_depends_on_the_number_of_classes_is_said_at_the_first_batch(batch):
    logits, labels, _ = batch
    with pytest.raises(ValueError, match="2 values of ε were given for 4 classes"):
        DiceLoss("image", [1.0, 2.0], "softmax")(logits, labels)
    for partition in ("image", "batch"):
        with pytest.raises(ValueError, match="softmax over one channel"):
            DiceLoss(partition, 1.0, "softmax")(logits[:, :1], labels == 1)
    with pytest.raises(ValueError, match="there is only one class"):
        DiceLoss("image", 1.0, "sigmoid", background=False)(logits[:, :1], labels)


def test_a_declaration_needs_to_know_what_happens_to_missing_labels(batch):
    logits, labels, _ = batch
    presence = [[True] * 4, [True, True, True, False]]
    with pytest.raises(ValueError, match='set missing="leaf" or "marginal"'):
        make()(logits, labels, presence)
    # Who compares treatments says so, and may keep the presence.
    for missing in ("as-empty", "leaf-inferred", "marginal-inferred"):
        loss = make(missing=missing)
        assert loss(logits, labels, presence) == loss(logits, labels)


def test_settings_may_be_arrays_and_are_shown_as_arguments():
    loss = DiceLoss("batch", np.array([1.0, 2.0]), "softmax", class_weights=torch.tensor([0.0, 1.0]), missing="leaf")
    shown = "partition='batch', epsilon=(1.0, 2.0), activation='softmax', class_weights=(0.0, 1.0), missing='leaf'"
    assert repr(loss) == f"DiceLoss({shown})"
    assert eval(repr(loss), {"DiceLoss": DiceLoss}).settings == loss.settings
    assert repr(DiceLoss("image", 1e-5, "sigmoid", numerator_epsilon=0.0)).endswith("numerator_epsilon=0.0)")
    assert "epsilon='heuristic'" in repr(DiceLoss("image", "heuristic", "softmax"))
    with pytest.raises(TypeError, match="unknown setting smooth: use partition, epsilon"):
        Settings.of("image", 1.0, "none", smooth=1.0)
