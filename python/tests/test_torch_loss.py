"""Value and gradient of dicewise.torch.DiceLoss against the equations differentiated by PyTorch (reference.py)."""

import functools
import itertools

import pytest
import reference
import torch

from dicewise.torch import DiceLoss

PRESENCE = [[True, True, True, False], [True, False, True, True]]

# What is written here is passed to DiceLoss and, translated below, to the reference.
OPTIONS = {
    **{
        f"{partition}-{activation}": {"partition": partition, "epsilon": 0.3, "activation": activation}
        for partition, activation in itertools.product(
            ("image", "class", "batch", "all"), ("none", "sigmoid", "softmax")
        )
    },
    "per-class ε": {"partition": "batch", "epsilon": [1.0, 20.0, 3.0, 40.0], "activation": "softmax"},
    "numerator ε 0": {"partition": "image", "epsilon": 1e-3, "numerator_epsilon": 0.0, "activation": "softmax"},
    "weights": {
        "partition": "image", "epsilon": 0.1, "activation": "softmax", "class_weights": [0.5, 1.0, 2.0, 0.0],
    },
    "unnormalised weights": {
        "partition": "batch", "epsilon": 0.1, "activation": "softmax", "class_weights": [0.0, 1.0, 1.0, 1.0],
        "normalised": False,
    },
    "no background": {"partition": "batch", "epsilon": 1e-5, "activation": "softmax", "background": False},
    "no background, all-wise": {"partition": "all", "epsilon": 1e-5, "activation": "softmax", "background": False},
    **{
        f"{missing}-{partition}": {
            "partition": partition, "epsilon": 1e-3, "activation": "softmax", "missing": missing,
        }
        for missing, partition in itertools.product(
            ("leaf", "leaf-inferred", "marginal", "marginal-inferred"), ("image", "class", "batch", "all")
        )
    },
    "leaf with sigmoid": {"partition": "batch", "epsilon": 1e-3, "activation": "sigmoid", "missing": "leaf"},
    "cross-entropy": {"partition": "batch", "epsilon": 1e-5, "activation": "softmax", "cross_entropy": 0.7},
    "cross-entropy of all classes": {
        "partition": "batch", "epsilon": 1e-5, "activation": "softmax", "cross_entropy": 1.0, "background": False,
    },
    "cross-entropy, leaf": {
        "partition": "batch", "epsilon": 1e-3, "activation": "softmax", "cross_entropy": 1.0, "missing": "leaf",
    },
    "cross-entropy, leaf inferred": {
        "partition": "image", "epsilon": 1e-3, "activation": "softmax", "cross_entropy": 1.0,
        "missing": "leaf-inferred",
    },
    "cross-entropy, marginal": {
        "partition": "image", "epsilon": 1e-3, "activation": "softmax", "cross_entropy": 1.0, "missing": "marginal",
    },
    "binary cross-entropy": {"partition": "image", "epsilon": 1e-5, "activation": "sigmoid", "cross_entropy": 2.0},
    "binary cross-entropy, leaf": {
        "partition": "image", "epsilon": 1e-5, "activation": "sigmoid", "cross_entropy": 1.0, "missing": "leaf",
    },
    **{
        f"classes switched off, {partition}": {
            "partition": partition, "epsilon": 0.1, "activation": "softmax", "class_weights": [0.0, 2.0, 0.0, 2.0],
        }
        for partition in ("class", "all")
    },
    **{
        f"{similarity}, {missing}": {
            "partition": "batch", "epsilon": 0.1, "activation": "softmax", "missing": missing,
            "similarity": similarity, **more,
        }
        for (similarity, more), missing in itertools.product(
            {"squared-dice": {}, "jaccard": {}, "tversky": {"alpha": 0.3, "beta": 0.7}}.items(), ("leaf", "marginal")
        )
        # The square of a merged probability is no sum of squares: refused.
        if (similarity, missing) != ("squared-dice", "marginal")
    },
    "squared": {"partition": "image", "epsilon": 0.1, "activation": "softmax", "similarity": "squared-dice"},
    "jaccard": {"partition": "batch", "epsilon": 0.1, "activation": "softmax", "similarity": "jaccard"},
    "tversky": {
        "partition": "image", "epsilon": 0.1, "activation": "sigmoid", "similarity": "tversky",
        "alpha": 0.3, "beta": 0.7,
    },
    "focal tversky": {
        "partition": "batch", "epsilon": 0.1, "activation": "softmax", "similarity": "tversky",
        "alpha": 0.3, "beta": 0.7, "focal_exponent": 0.75,
    },
}  # fmt: skip


@pytest.fixture(params=OPTIONS.values(), ids=OPTIONS.keys())
def options(request):
    return request.param


@pytest.fixture(params=["labels", "dense", "masked", "ignored"])
def case(request, batch):
    """Logits, the target as a user gives it, more settings, more arguments; y and kept voxels for the reference."""
    logits, labels, mask = batch
    y = reference.one_hot(labels, 4)
    if request.param == "labels":
        return logits, labels, {}, {}, y, None
    if request.param == "masked":
        return logits, labels, {}, {"mask": mask}, y, mask
    if request.param == "ignored":
        labels = labels.masked_fill(~mask, 255)
        return logits, labels, {"ignore_index": 255}, {}, reference.one_hot(labels, 4), mask
    soft = (0.8 * y + 0.05) / 1.0
    soft[1, 2] = 0.0
    return logits, soft, {}, {}, soft, None


def value_and_gradient(function, x):
    x = x.detach().clone().requires_grad_()
    value = function(x)
    (gradient,) = torch.autograd.grad(value, x)
    return value.detach().double(), gradient.double()


def declared(options):
    """The presence that a loss with these options looks at."""
    return PRESENCE if options.get("missing") in ("leaf", "marginal") else None


def expected(options, x, y, keep):
    arguments = dict(options)
    for ours, theirs in (("similarity", "similarity_kind"), ("focal_exponent", "gamma")):
        if ours in arguments:
            arguments[theirs] = arguments.pop(ours)
    return value_and_gradient(lambda v: reference.loss(v, y, presence=declared(options), keep=keep, **arguments), x)


def test_every_option_is_the_equation_and_its_derivative(voxel_pass, options, case):
    x, target, settings, arguments, y, keep = case
    if options["activation"] == "none":
        x = x.softmax(1)
    value, gradient = expected(options, x, y, keep)
    for dtype, tolerance in ((torch.float64, 1e-11), (torch.float32, 2e-6)):
        loss = DiceLoss(**options, **settings)
        given = target.to(dtype) if target.is_floating_point() else target
        call = functools.partial(loss, target=given, presence=declared(options), **arguments)
        found, found_gradient = value_and_gradient(call, x.to(dtype))
        assert abs(found - value) <= tolerance * max(1.0, abs(value))
        assert (found_gradient - gradient).norm() <= 5 * tolerance * gradient.norm()


def generalized(x, y, *, partition, power, epsilon, annotated):
    """Generalized Dice of softmax: w_c = 1/T_c^power over the annotated maps of a subset, the largest for T_c = 0."""
    p, y, annotated = x.softmax(1).flatten(2), y.flatten(2), torch.tensor(annotated, dtype=torch.float64)
    overlap, target, both = ((v.sum(-1) * annotated) for v in (y * p, y, y + p))
    if partition == "all":
        overlap, target, both = (v.sum(0, keepdim=True) for v in (overlap, target, both))
        annotated = annotated.amax(0, keepdim=True)
    w = torch.where(target > 0, target, torch.inf) ** -power
    w = torch.where((target == 0) & (annotated > 0), w.amax(1, keepdim=True), w)
    return (1 - (2 * (w * overlap).sum(1) + epsilon) / ((w * both).sum(1) + epsilon)).mean()


GENERALIZED = {
    f"{similarity}-{partition}-{missing}": {
        "partition": partition, "epsilon": 0.1, "activation": "softmax", "similarity": similarity, "missing": missing,
    }
    for similarity, partition, missing in itertools.product(
        ("generalized-dice", "generalized-dice-simple"), ("class", "all"), ("as-empty", "leaf")
    )
}  # fmt: skip


@pytest.mark.parametrize("options", GENERALIZED.values(), ids=GENERALIZED.keys())
def test_generalized_dice_weighs_classes_by_their_size(voxel_pass, batch, options):
    logits, labels, _ = batch
    y, loss = reference.one_hot(labels, 4), DiceLoss(**options)
    power = 2 if options["similarity"] == "generalized-dice" else 1
    annotated = declared(options) or [[True] * 4] * 2

    def theirs(x):
        return generalized(x, y, partition=options["partition"], power=power, epsilon=0.1, annotated=annotated)

    def ours(x):
        return loss(x, labels, declared(options))

    for found, wanted in zip(value_and_gradient(ours, logits), value_and_gradient(theirs, logits), strict=True):
        assert torch.allclose(found, wanted, rtol=1e-10, atol=1e-14)


def small(options):
    """Predictions [2, 4, 3, 3], labels with an ignored one, and a mask: as many voxels as gradcheck has time for."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2, 4, 3, 3, generator=generator, dtype=torch.float64)
    x = x.softmax(1) if options["activation"] == "none" else x
    labels = torch.randint(0, 4, (2, 3, 3), generator=generator)
    labels[:, 0, 0], labels[0, 1, 1] = 3, 9
    return x.requires_grad_(), labels, torch.rand(2, 3, 3, generator=generator) > 0.2


ALL = {
    **OPTIONS,
    **GENERALIZED,
    "heuristic": {
        "partition": "batch", "epsilon": "heuristic", "activation": "softmax", "object_voxels": [9.0, 2.0, 1.0, 3.0],
    },
}  # fmt: skip


@pytest.mark.parametrize("target", ["ignored labels", "masked maps"])
@pytest.mark.parametrize("options", ALL.values(), ids=ALL.keys())
def test_gradcheck_passes_for_every_option(voxel_pass, options, target):
    x, labels, mask = small(options)
    loss = DiceLoss(**options, ignore_index=9)
    if target == "masked maps":
        labels, arguments = 0.8 * reference.one_hot(labels, 4) + 0.05, {"mask": mask}
    else:
        arguments = {}
    function = functools.partial(loss, target=labels, presence=declared(options), **arguments)
    assert torch.autograd.gradcheck(function, (x,), eps=1e-7, atol=1e-7)


@pytest.mark.parametrize("labels_type", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_label_types_agree(voxel_pass, batch, labels_type):
    logits, labels, _ = batch
    loss = DiceLoss("batch", 1e-5, "softmax", cross_entropy=1.0)
    assert loss(logits, labels.to(labels_type)) == loss(logits, labels)
    assert loss(logits, labels[:, None].to(labels_type)) == loss(logits, labels)


@pytest.mark.parametrize("ignored", [-1, -100, 300])
def test_a_number_that_the_type_does_not_have_ignores_nothing(voxel_pass, batch, ignored):
    """As bytes, −1, −100 and 300 would be 255, 156 and 44."""
    logits, labels, _ = batch
    loss = DiceLoss("batch", 1e-5, "softmax", ignore_index=ignored)
    assert loss(logits, labels.to(torch.uint8)) == DiceLoss("batch", 1e-5, "softmax")(logits, labels)
    wrong, one = labels.to(torch.uint8), DiceLoss("batch", 1e-5, "sigmoid", ignore_index=ignored)
    wrong[0, 0, 0, 0] = ignored % 256
    with pytest.raises(ValueError, match="no class"):
        loss(logits, wrong)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        one(logits[:, :1], wrong.clamp_min(1).where(wrong > 3, torch.zeros_like(wrong)))


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
def test_overlapping_masks_of_any_integer_type_are_maps(voxel_pass, batch, kind):
    logits, labels, mask = batch
    maps = torch.stack([labels > 0, labels == 2, labels == 1, labels == 3], dim=1)
    loss = DiceLoss("image", 1e-5, "sigmoid", cross_entropy=1.0)
    expected = value_and_gradient(lambda v: loss(v, maps.double(), mask=mask), logits)
    for target in (maps.to(kind), maps.to(kind).contiguous(memory_format=torch.channels_last_3d)):
        found = value_and_gradient(lambda v, target=target: loss(v, target, mask=mask), logits)
        assert found[0] == expected[0] and torch.equal(found[1], expected[1])
    if kind == torch.bool:
        return
    # The low byte of 256 is 0.
    for wrong in (2, -1) + ((256,) if kind not in (torch.uint8, torch.int8) else ()):
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            loss(logits, (maps * wrong).to(kind))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_soft_targets_are_not_rounded_to_the_type_of_the_logits(voxel_pass, batch, dtype):
    logits, labels, _ = batch
    x, soft = logits.to(dtype), 0.9 * reference.one_hot(labels, 4) + 0.0123
    options = {"partition": "batch", "epsilon": 1e-5, "activation": "softmax"}
    for target in (soft, soft.float()):
        assert abs(DiceLoss(**options)(x, target) - reference.loss(x.double(), target, **options)) < 1e-6


def test_one_class_takes_an_integer_mask(voxel_pass, batch):
    logits, labels, mask = batch
    x, wanted = logits[:, :1], (labels == 1)
    loss = DiceLoss("image", 1e-5, "sigmoid", cross_entropy=1.0)
    dense = value_and_gradient(lambda v: loss(v, wanted[:, None].double()), x)
    for target in (wanted, wanted[:, None], wanted.int()):
        found = value_and_gradient(lambda v, target=target: loss(v, target), x)
        assert found[0] == dense[0] and torch.equal(found[1], dense[1])
    ignoring = DiceLoss("image", 1e-5, "sigmoid", cross_entropy=1.0, ignore_index=255)
    found = value_and_gradient(lambda v: ignoring(v, wanted.int().masked_fill(~mask, 255)), x)
    masked = value_and_gradient(lambda v: loss(v, wanted, mask=mask), x)
    assert found[0] == masked[0] and torch.equal(found[1], masked[1])
    assert (found[1][~mask[:, None]] == 0).all()


def test_leaf_with_everything_missing_is_zero_with_gradient_zero(voxel_pass, batch):
    logits, labels, _ = batch
    loss = DiceLoss("batch", 1e-7, "softmax", missing="leaf")
    value, gradient = value_and_gradient(lambda x: loss(x, labels, [[False] * 4] * 2), logits)
    assert value == 0 and (gradient == 0).all()


def test_heuristic_epsilon_is_the_mean_size_of_what_was_seen(voxel_pass, batch):
    logits, labels, _ = batch
    sizes = reference.one_hot(labels, 4).flatten(2).sum(-1)
    running = DiceLoss("image", "heuristic", "softmax", missing="leaf")
    # Class 2 of the second sample is declared missing, so it says nothing about the size of class 2.
    presence = torch.tensor([[True] * 4, [True, True, False, True]])
    seen = (sizes * presence).sum(0) / presence.sum(0)
    fixed = DiceLoss("image", "heuristic", "softmax", missing="leaf", object_voxels=seen)
    other = torch.zeros_like(labels)
    # Before it has learnt, a batch goes by itself; neither evaluation nor no_grad teaches it.
    assert running.eval()(logits, labels, presence) == fixed(logits, labels, presence)
    with torch.no_grad():
        running.train()(logits, other, presence)
    assert running(logits, labels, presence) == fixed(logits, labels, presence)
    with torch.no_grad():
        assert running(logits, other, presence) == fixed(logits, other, presence)
    running.eval()
    assert running(logits, other, presence) == fixed(logits, other, presence)
    revived = DiceLoss("image", "heuristic", "softmax", missing="leaf")
    revived.load_state_dict(running.state_dict())
    assert revived.eval()(logits, labels, presence) == fixed(logits, labels, presence)
