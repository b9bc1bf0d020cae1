"""dicewise.explain against the autograd of the packages whose losses it explains."""

import pytest
import torch

import dicewise
import dicewise.monai
from dicewise import _peers
from dicewise.torch import DiceLoss

VOXELS, OBJECT = 64 * 64, 400


def scenario():
    """The situation of an explanation: B = 2, C = 3, 400 voxels an object, class 1 absent from the second image."""
    labels = torch.zeros(2, 1, VOXELS, dtype=torch.long)
    labels[:, 0, :OBJECT] = 1
    labels[:, 0, OBJECT : 2 * OBJECT] = 2
    labels[1, 0, :OBJECT] = 0
    return torch.full((2, 3, VOXELS), 1 / 3, dtype=torch.float64, requires_grad=True), labels


def measured(loss):
    """Mean ∂L/∂p of class 1 on the empty map, and beside the object of the map that has one."""
    p, labels = scenario()
    (gradient,) = torch.autograd.grad(loss(p, labels), p)
    return gradient[1, 1].mean().item(), gradient[0, 1, 3 * OBJECT :].mean().item()


def one_hot(labels):
    return torch.cat([labels == c for c in range(3)], dim=1).double()


def peers():
    monai = pytest.importorskip("monai.losses")
    smp = pytest.importorskip("segmentation_models_pytorch.losses")
    nnunet = pytest.importorskip("nnunetv2.training.loss.dice")
    square = lambda v: v.reshape(v.shape[0], -1, 64, 64)  # noqa: E731
    images = [
        monai.DiceLoss(), monai.DiceLoss(batch=True), monai.DiceLoss(smooth_nr=0.0), monai.GeneralizedDiceLoss(),
        monai.DiceLoss(squared_pred=True), monai.DiceLoss(squared_pred=True, batch=True), monai.DiceLoss(jaccard=True),
        monai.DiceLoss(include_background=False, smooth_nr=400.0, smooth_dr=400.0),
        nnunet.SoftDiceLoss(ddp=False), nnunet.SoftDiceLoss(batch_dice=True, smooth=1e-5, ddp=False, do_bg=False),
        nnunet.MemoryEfficientSoftDiceLoss(smooth=1e-5, ddp=False),
    ]  # fmt: skip
    found = [(loss, lambda p, y, loss=loss: loss(p, one_hot(y).bool() if "nnunet" in loss.__module__ else one_hot(y)))
             for loss in images]  # fmt: skip
    for loss in (
        smp.DiceLoss(mode="multiclass", from_logits=False),
        smp.DiceLoss("multiclass", from_logits=False, smooth=100.0),
    ):
        found.append((loss, lambda p, y, loss=loss: loss(square(p), square(y)[:, 0])))
    return found


def test_loss_objects_of_others_are_read_right():
    for loss, run in peers():
        explanation = dicewise.explain(loss, voxels=VOXELS, object_voxels=OBJECT)
        empty, beside = measured(run)
        assert abs(explanation.empty - empty) <= 2e-3 * abs(empty) + 1e-16, type(loss)
        assert abs(explanation.present_outside - beside) <= 2e-3 * abs(beside), type(loss)


def test_kornia_is_read_right():
    kornia = pytest.importorskip("kornia.losses")
    # It takes a softmax itself, so the derivative with respect to p cannot be had; that of logits can.
    micro, macro = kornia.DiceLoss(), kornia.DiceLoss(average="macro")
    read, _ = _peers.read(micro, OBJECT)
    ours = DiceLoss(read.partition, read.denominator, "softmax", numerator_epsilon=read.numerator)
    labels = scenario()[1].reshape(2, 64, 64)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    (found,) = torch.autograd.grad(ours(x, labels), x)
    (expected,) = torch.autograd.grad(micro(x, labels), x)
    assert (found - expected).norm() <= 1e-5 * expected.norm()
    assert dicewise.explain(micro).learns_empty and dicewise.explain(macro).on_empty.startswith("ignores")


def test_compound_and_wrapped_losses_are_read_through():
    monai = pytest.importorskip("monai.losses")
    compound = pytest.importorskip("nnunetv2.training.loss.compound_losses")
    deep = pytest.importorskip("nnunetv2.training.loss.deep_supervision")
    dice = pytest.importorskip("nnunetv2.training.loss.dice")
    plain = compound.DC_and_CE_loss(
        {"batch_dice": True, "smooth": 1e-5, "do_bg": False, "ddp": False}, {},
        dice_class=dice.MemoryEfficientSoftDiceLoss,
    )  # fmt: skip
    for loss in (plain, deep.DeepSupervisionWrapper(plain, [1.0, 0.5])):
        found = dicewise.explain(loss)
        assert found.empty == dicewise.explain("nnunet-batch-dice").empty
        assert any("cross-entropy" in note for note in found.notes) and "cross-entropy" in str(found)
    assert dicewise.explain(monai.DiceCELoss()).empty == dicewise.explain("monai-default").empty


def test_our_own_objects_and_settings_agree():
    found = dicewise.explain(partition="batch", epsilon=1e-7, missing="leaf")
    assert found == dicewise.explain(DiceLoss("batch", 1e-7, "softmax", missing="leaf"))
    assert found.empty == dicewise.explain("declared-leaf-batch").empty
    assert found.learns_empty and found.on_missing.startswith("ignores")
    monai_names = dicewise.explain(dicewise.monai.DiceLoss(softmax=True))
    assert monai_names.empty == dicewise.explain("monai-default").empty
    heuristic = dicewise.explain(partition="image", epsilon="heuristic", object_voxels=400.0)
    assert heuristic.empty == dicewise.explain("paper-i-eps").empty
    assert dicewise.explain(DiceLoss("image", "heuristic", "softmax"), object_voxels=400.0).empty == heuristic.empty


def test_mistakes_say_what_is_accepted():
    with pytest.raises(ValueError, match="unknown preset `monai`: use one of monai-default"):
        dicewise.explain("monai")
    with pytest.raises(TypeError, match="torch.CrossEntropyLoss is no loss that explain knows"):
        dicewise.explain(torch.nn.CrossEntropyLoss())
    with pytest.raises(TypeError, match="give epsilon"):
        dicewise.explain(partition="image")
    with pytest.raises(ValueError, match="leave room for background"):
        dicewise.explain("smp", voxels=100)


def test_the_heuristic_epsilon_solves_eq_5():
    assert dicewise.heuristic_epsilon(400.0) == 400.0
    for overlap, union in ((0.5, 4.0), (0.3, 1.9)):
        for epsilon in dicewise.solve_epsilon(400.0, overlap, union):
            left = 2 * overlap * 400 / (union * 400) ** 2
            assert abs(epsilon / (400 + epsilon) ** 2 - left) < 1e-12 * left
    assert dicewise.solve_epsilon(400.0, 1.0, 2.0) == []
