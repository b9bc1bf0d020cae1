"""Equal to MONAI, nnU-Net, segmentation_models_pytorch and kornia, value and gradient, wherever theirs is correct."""

import logging
import warnings

import pytest
import reference
import torch

import dicewise.monai
from dicewise.torch import DiceLoss

monai = pytest.importorskip("monai.losses")
kornia = pytest.importorskip("kornia.losses")
smp = pytest.importorskip("segmentation_models_pytorch.losses")
nnunet_dice = pytest.importorskip("nnunetv2.training.loss.dice")
nnunet_compound = pytest.importorskip("nnunetv2.training.loss.compound_losses")


@pytest.fixture
def volume():
    """Logits [2, 3, 8, 9, 10] and labels with every class in every image, float32."""
    generator = torch.Generator().manual_seed(11)
    return (
        torch.randn(2, 3, 8, 9, 10, generator=generator),
        torch.randint(0, 3, (2, 1, 8, 9, 10), generator=generator),
    )


def value_and_gradient(function, x):
    x = x.detach().clone().requires_grad_()
    value = function(x)
    (gradient,) = torch.autograd.grad(value, x)
    return value.detach(), gradient


def assert_equal(ours, theirs, x, offset=0.0):
    (value, gradient), (expected, expected_gradient) = value_and_gradient(ours, x), value_and_gradient(theirs, x)
    assert abs(value - (expected + offset)) <= 1e-5 * max(1.0, abs(expected))
    assert (gradient - expected_gradient).norm() <= 1e-5 * expected_gradient.norm()


MONAI_DICE = [
    {"softmax": True, "to_onehot_y": True},
    {"softmax": True, "to_onehot_y": True, "batch": True},
    {"softmax": True, "to_onehot_y": True, "include_background": False},
    {"softmax": True, "to_onehot_y": True, "include_background": False, "batch": True, "smooth_nr": 0.0},
    {"softmax": True, "to_onehot_y": True, "smooth_nr": 2.0, "smooth_dr": 30.0},
    {"softmax": True, "to_onehot_y": True, "squared_pred": True},
    {"softmax": True, "to_onehot_y": True, "jaccard": True, "smooth_nr": 0.5, "smooth_dr": 0.7},
    {"softmax": True, "to_onehot_y": True, "weight": [1.0, 2.0, 0.5]},
    {"softmax": True, "to_onehot_y": True, "weight": [2.0, 0.5], "include_background": False, "batch": True},
    {"softmax": True, "to_onehot_y": True, "weight": 3.0},
    {"softmax": True, "to_onehot_y": True, "reduction": "sum"},
    {"softmax": True, "to_onehot_y": True, "reduction": "sum", "batch": True, "include_background": False},
    {"softmax": True, "to_onehot_y": True, "ignore_index": 255},
    {"sigmoid": True},
    {"sigmoid": True, "batch": True, "squared_pred": True},
    {},
]


@pytest.mark.parametrize("arguments", MONAI_DICE, ids=str)
def test_monai_dice(volume, arguments):
    x, labels = volume
    if "ignore_index" in arguments:
        labels = labels.clone()
        labels[:, :, 0] = 255
    if not arguments.get("to_onehot_y"):
        labels = reference.one_hot(labels[:, 0], 3).float()
    if not arguments.get("softmax") and not arguments.get("sigmoid"):
        x = x.softmax(1)
    ours, theirs = dicewise.monai.DiceLoss(**arguments), monai.DiceLoss(**arguments)
    assert_equal(lambda v: ours(v, labels), lambda v: theirs(v, labels), x)


@pytest.mark.parametrize("arguments", [{}, {"batch": True}, {"weight": 2.0}, {"include_background": False}], ids=str)
def test_monai_dice_of_one_class(volume, arguments):
    x, labels = volume
    x, labels = x[:, :1], (labels == 1).float()
    ours, theirs = (package.DiceLoss(sigmoid=True, **arguments) for package in (dicewise.monai, monai))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert_equal(lambda v: ours(v, labels), lambda v: theirs(v, labels), x)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"include_background": False, "batch": True},
        {"lambda_dice": 0.5, "lambda_ce": 2.0},
        {"squared_pred": True, "smooth_nr": 0.0},
        {"lambda_ce": 0.0},
    ],
    ids=str,
)
def test_monai_dice_with_cross_entropy(volume, arguments):
    x, labels = volume
    arguments = {"softmax": True, "to_onehot_y": True, **arguments}
    ours, theirs = dicewise.monai.DiceCELoss(**arguments), monai.DiceCELoss(**arguments)
    assert_equal(lambda v: ours(v, labels.float()), lambda v: theirs(v, labels.float()), x)


def test_monai_dice_with_binary_cross_entropy(volume):
    x, labels = volume
    ours, theirs = (package.DiceCELoss(sigmoid=True) for package in (dicewise.monai, monai))
    assert_equal(lambda v: ours(v, (labels == 1).float()), lambda v: theirs(v, (labels == 1).float()), x[:, :1])


def test_monai_generalized_dice(volume):
    x, labels = volume
    for batch, partition in ((False, "class"), (True, "all")):
        ours = DiceLoss(partition, 1e-5, "softmax", similarity="generalized-dice")
        theirs = monai.GeneralizedDiceLoss(softmax=True, to_onehot_y=True, batch=batch)
        assert_equal(lambda v, ours=ours: ours(v, labels), lambda v, theirs=theirs: theirs(v, labels), x)


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        ({"sigmoid": True, "softmax": True}, "exclude each other"),
        ({"other_act": torch.tanh}, "apply it before the loss"),
        ({"soft_label": True}, "soft targets need no flag"),
        ({"squared_pred": True, "jaccard": True}, "set one of them"),
        ({"reduction": "none"}, 'use "mean" or "sum"'),
        ({"weight": [1.0, -1.0]}, "at least 0"),
    ],
)
def test_what_the_monai_names_cannot_do_is_refused(refused, message):
    with pytest.raises(ValueError, match=message):
        dicewise.monai.DiceLoss(**refused)


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        ({"softmax": True, "weight": torch.ones(3)}, "weight is not supported"),
        ({"softmax": True, "label_smoothing": 0.1}, "label_smoothing"),
        ({"softmax": True, "reduction": "sum"}, "must be"),
        ({"softmax": True, "lambda_dice": 0.0}, "above 0"),
        ({}, "softmax=True"),
    ],
)
def test_what_the_monai_names_cannot_do_with_cross_entropy_is_refused(refused, message):
    with pytest.raises(ValueError, match=message):
        dicewise.monai.DiceCELoss(**refused)


def test_the_monai_names_say_once_which_behaviour_results(volume, caplog):
    x, labels = volume
    arguments = {"softmax": True, "to_onehot_y": True, "smooth_nr": 1.25e-5, "smooth_dr": 1.25e-5}
    with caplog.at_level(logging.WARNING, "dicewise.monai"):
        for _ in range(2):
            dicewise.monai.DiceLoss(**arguments)(x, labels)
        dicewise.monai.DiceLoss(**arguments, batch=True)(x, labels)
    said = [record.message for record in caplog.records]
    assert len(said) == 2
    assert "Φ = image" in said[0] and "ignores maps without ground truth" in said[0]
    assert "Φ = batch" in said[1] and "learns to empty maps without ground truth" in said[1]


@pytest.mark.parametrize("batch_dice", [False, True])
@pytest.mark.parametrize("do_bg", [False, True])
@pytest.mark.parametrize("smooth", [1e-5, 1.0])
@pytest.mark.parametrize("name", ["SoftDiceLoss", "MemoryEfficientSoftDiceLoss"])
def test_nnunet_soft_dice(volume, batch_dice, do_bg, smooth, name):
    x, labels = volume
    theirs = getattr(nnunet_dice, name)(
        apply_nonlin=lambda v: v.softmax(1), batch_dice=batch_dice, do_bg=do_bg, smooth=smooth, ddp=False
    )
    ours = DiceLoss("batch" if batch_dice else "image", smooth, "softmax", background=do_bg)
    # nnU-Net minimises −Dice.
    assert_equal(lambda v: ours(v, labels), lambda v: theirs(v, labels), x, offset=1.0)


@pytest.mark.parametrize("batch_dice", [False, True])
@pytest.mark.parametrize("ignore", [None, 3])
def test_nnunet_dice_and_cross_entropy(volume, batch_dice, ignore):
    x, labels = volume
    if ignore is not None:
        labels = labels.clone()
        labels[:, :, 2:4] = ignore
    theirs = nnunet_compound.DC_and_CE_loss(
        {"batch_dice": batch_dice, "smooth": 1e-5, "do_bg": False, "ddp": False}, {}, ignore_label=ignore,
        dice_class=nnunet_dice.MemoryEfficientSoftDiceLoss,
    )  # fmt: skip
    ours = DiceLoss(
        "batch" if batch_dice else "image", 1e-5, "softmax", background=False, cross_entropy=1.0, ignore_index=ignore
    )
    assert_equal(lambda v: ours(v, labels), lambda v: theirs(v, labels), x, offset=1.0)


def test_nnunet_dice_and_binary_cross_entropy_of_regions(volume):
    x, labels = volume
    regions = torch.cat([labels > 0, labels == 2, labels == 1], dim=1)
    theirs = nnunet_compound.DC_and_BCE_loss({}, {"batch_dice": True, "do_bg": True, "smooth": 1e-5, "ddp": False})
    ours = DiceLoss("batch", 1e-5, "sigmoid", cross_entropy=1.0)
    assert_equal(lambda v: ours(v, regions), lambda v: theirs(v, regions), x, offset=1.0)


@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_smp_multiclass(volume, smooth):
    x, labels = volume
    theirs = smp.DiceLoss(mode="multiclass", smooth=smooth)
    # (O + s) / (½ (Y + P) + s): Eq. 3 with ε = 2s.
    ours = DiceLoss("batch", 2 * smooth, "softmax")
    # smp flattens its voxels itself, but wants two spatial dimensions of labels.
    assert_equal(lambda v: ours(v, labels), lambda v: theirs(v.flatten(3), labels[:, 0].flatten(2)), x)


def test_smp_multilabel_and_binary(volume):
    x, labels = volume
    maps = reference.one_hot(labels[:, 0], 3).float()
    multilabel, binary = smp.DiceLoss(mode="multilabel"), smp.DiceLoss(mode="binary")
    ours = DiceLoss("batch", 0.0, "sigmoid")
    assert_equal(lambda v: ours(v, maps), lambda v: multilabel(v, maps), x)
    assert_equal(lambda v: ours(v, maps[:, 1:2]), lambda v: binary(v, maps[:, 1:2]), x[:, 1:2])


@pytest.mark.parametrize(("average", "partition"), [("micro", "class"), ("macro", "image")])
def test_kornia(volume, average, partition):
    x, labels = volume
    x, labels = x.flatten(3), labels[:, 0].flatten(2)
    theirs = kornia.DiceLoss(average=average)
    ours = DiceLoss(partition, 1e-8, "softmax", numerator_epsilon=0.0)
    assert_equal(lambda v: ours(v, labels), lambda v: theirs(v, labels), x)
