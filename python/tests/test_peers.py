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


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("smooth", [(1e-5, 1e-5), (3.0, 40.0)])
@pytest.mark.parametrize("kind", ["square", "simple", "uniform"])
def test_monai_generalized_dice(volume, batch, background, smooth, kind):
    x, labels = volume
    labels = labels.clone()
    labels[1][labels[1] == 2] = 0  # an infinite weight, which becomes the largest finite one
    numerator, denominator = smooth
    theirs = monai.GeneralizedDiceLoss(
        softmax=True, to_onehot_y=True, batch=batch, include_background=background, w_type=kind,
        smooth_nr=numerator, smooth_dr=denominator,
    )  # fmt: skip
    ours = DiceLoss(
        "all" if batch else "class", denominator, "softmax", numerator_epsilon=numerator, background=background,
        similarity={"square": "generalized-dice", "simple": "generalized-dice-simple", "uniform": "dice"}[kind],
    )  # fmt: skip
    assert_equal(lambda v: ours(v, labels), lambda v: theirs(v, labels), x)


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize(("alpha", "beta", "smooth"), [(0.5, 0.5, 1e-5), (0.1, 0.9, 1e-5), (0.7, 0.6, 2.0)])
def test_monai_tversky(volume, batch, background, alpha, beta, smooth):
    x, labels = volume
    theirs = monai.TverskyLoss(
        softmax=True, to_onehot_y=True, batch=batch, include_background=background, alpha=alpha, beta=beta,
        smooth_nr=smooth, smooth_dr=smooth,
    )  # fmt: skip
    # (TP + s) / (TP + αFP + βFN + s): ε = 2s for the form with 2 TP.
    ours = DiceLoss(
        "batch" if batch else "image", 2 * smooth, "softmax", similarity="tversky", alpha=alpha, beta=beta,
        background=background,
    )  # fmt: skip
    assert_equal(lambda v: ours(v, labels), lambda v: theirs(v, labels), x)


@pytest.mark.parametrize("soft", [False, True])
def test_monai_ignored_voxels_of_one_class(volume, soft):
    x, labels = volume
    x, labels = x[:, :1], (labels == 1).float()
    if soft:
        labels = 0.25 + 0.5 * labels
    labels[:, :, 2:4] = 255
    for batch in (False, True):
        ours, theirs = (p.DiceLoss(sigmoid=True, batch=batch, ignore_index=255) for p in (dicewise.monai, monai))
        assert_equal(lambda v, ours=ours: ours(v, labels), lambda v, theirs=theirs: theirs(v, labels), x)


@pytest.mark.parametrize("classes", [12, 14, 40])
def test_any_number_of_classes(classes, caplog):
    """More classes than objects of some fixed size fit into the volume, or than it has voxels."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, classes, 3, 4, 2, generator=generator)
    labels = torch.randint(0, classes, (2, 1, 3, 4, 2), generator=generator)
    ours, theirs = (package.DiceCELoss(softmax=True, to_onehot_y=True) for package in (dicewise.monai, monai))
    with caplog.at_level(logging.WARNING, "dicewise.monai"):
        assert_equal(lambda v: ours(v, labels), lambda v: theirs(v, labels), x)
    assert "maps without ground truth; the cross-entropy beside it teaches them to be empty" in caplog.text


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
            loss = dicewise.monai.DiceLoss(**arguments)
            loss(x, labels)
            loss(x[:1], labels[:1])
        loss = dicewise.monai.DiceLoss(**arguments, batch=True)
        for _ in range(2):
            loss(x, labels)
            loss(x[:1], labels[:1])
    said = [record.message for record in caplog.records]
    assert len(said) == 3
    assert "Φ = image" in said[0] and "ignores maps without ground truth" in said[0]
    assert "Φ = batch" in said[1] and "B = 2" in said[1] and "learns to empty maps without ground truth" in said[1]
    # The last batch of an epoch can be smaller, and with one image batch-wise Dice behaves otherwise.
    assert "Φ = batch" in said[2] and "B = 1" in said[2] and "ignores maps without ground truth" in said[2]


def test_the_monai_names_say_what_the_volume_decides(caplog):
    # ε = 20: an empty map of 8³ voxels is learnt (1/3 of them are predicted), one of 64³ hardly.
    loss = dicewise.monai.DiceLoss(softmax=True, to_onehot_y=True, smooth_nr=20.0, smooth_dr=20.0)
    with caplog.at_level(logging.WARNING, "dicewise.monai"):
        loss(torch.zeros(1, 3, 8, 8, 8), torch.zeros(1, 1, 8, 8, 8))
        type(loss)(softmax=True, to_onehot_y=True, smooth_nr=20.0, smooth_dr=20.0, batch=True)(
            torch.zeros(1, 3, 64, 64, 64), torch.zeros(1, 1, 64, 64, 64)
        )
    small, large = (record.message for record in caplog.records)
    assert "learns to empty" in small and "weakly empties" in large


def test_a_presence_is_not_dropped_in_silence(volume, caplog):
    x, labels = volume
    presence = [[True, True, True], [True, True, False]]
    arguments = {"softmax": True, "to_onehot_y": True}
    with pytest.raises(ValueError, match='presence is given, but not what happens .* set missing="leaf"'):
        dicewise.monai.DiceLoss(**arguments)(x, labels, presence)
    leaf = dicewise.monai.DiceLoss(**arguments, missing="leaf", smooth_nr=1.5e-5)
    with caplog.at_level(logging.WARNING, "dicewise.monai"):
        assert leaf(x, labels) != leaf(x, labels, presence)
    assert 'missing="leaf" without a presence: every label counts as annotated' in caplog.text


@pytest.mark.parametrize("ignored", ["softmax", "to_onehot_y"])
def test_one_channel_warns_as_monai_does(volume, ignored):
    x, labels = volume
    x, labels = x[:, :1].sigmoid(), (labels == 1).float()
    values = []
    for package in (dicewise.monai, monai):
        with pytest.warns(UserWarning, match=f"single channel prediction, .?{ignored}=True"):
            values.append(package.DiceLoss(**{ignored: True})(x, labels))
    assert abs(values[0] - values[1]) < 1e-6


def test_explain_reads_the_monai_names_like_monais_own(volume):
    x, labels = volume
    for arguments in (
        {"reduction": "sum", "batch": True}, {"weight": [1.0, 2.0, 3.0, 4.0]}, {"weight": 2.0, "squared_pred": True},
        {"weight": [1.0, 2.0], "include_background": False, "reduction": "sum"},
    ):  # fmt: skip
        ours, theirs = (dicewise.explain(package.DiceLoss(**arguments)) for package in (dicewise.monai, monai))
        assert ours == theirs
    assert dicewise.monai.DiceLoss(weight=[1.0, 2.0, 3.0]).settings.weights == (1.0, 2.0, 3.0)
    assert "C = 1," in dicewise.explain(dicewise.monai.DiceCELoss(sigmoid=True)).situation


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


@pytest.mark.parametrize(("alpha", "beta", "smooth"), [(0.5, 0.5, 0.0), (0.1, 0.9, 0.0), (0.7, 0.6, 3.0)])
def test_smp_tversky(volume, alpha, beta, smooth):
    x, labels = volume
    theirs = smp.TverskyLoss(mode="multiclass", alpha=alpha, beta=beta, smooth=smooth)
    ours = DiceLoss("batch", 2 * smooth, "softmax", similarity="tversky", alpha=alpha, beta=beta)
    assert_equal(lambda v: ours(v, labels), lambda v: theirs(v.flatten(3), labels[:, 0].flatten(2)), x)


def test_smp_focal_tversky_of_one_class(volume):
    # smp raises the mean over classes to γ, the paper of focal Tversky each class: of one class they are the same.
    x, labels = volume
    x, labels = x[:, :1], (labels == 1).float()
    theirs = smp.TverskyLoss(mode="binary", alpha=0.3, beta=0.7, gamma=0.75)
    ours = DiceLoss("batch", 0.0, "sigmoid", similarity="tversky", alpha=0.3, beta=0.7, focal_exponent=0.75)
    assert_equal(lambda v: ours(v, labels), lambda v: theirs(v, labels), x)


@pytest.mark.parametrize("smooth", [0.0, 3.0])
def test_smp_jaccard(volume, smooth):
    x, labels = volume
    theirs = smp.JaccardLoss(mode="multiclass", smooth=smooth)
    ours = DiceLoss("batch", 2 * smooth, "softmax", similarity="jaccard")
    assert_equal(lambda v: ours(v, labels), lambda v: theirs(v.flatten(3), labels[:, 0].flatten(2)), x)


def test_kornia_tversky(volume):
    x, labels = volume
    x, labels = x.flatten(3), labels[:, 0].flatten(2)
    theirs = kornia.TverskyLoss(alpha=0.2, beta=0.7, eps=1e-8)
    ours = DiceLoss("image", 2e-8, "softmax", numerator_epsilon=0.0, similarity="tversky", alpha=0.2, beta=0.7)
    assert_equal(lambda v: ours(v, labels), lambda v: theirs(v, labels), x)


@pytest.mark.parametrize(("average", "partition"), [("micro", "class"), ("macro", "image")])
def test_kornia(volume, average, partition):
    x, labels = volume
    x, labels = x.flatten(3), labels[:, 0].flatten(2)
    theirs = kornia.DiceLoss(average=average)
    ours = DiceLoss(partition, 1e-8, "softmax", numerator_epsilon=0.0)
    assert_equal(lambda v: ours(v, labels), lambda v: theirs(v, labels), x)
