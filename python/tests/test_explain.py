"""dicewise.explain against the autograd of the packages whose losses it explains."""

import sys

import pytest
import torch

import dicewise
import dicewise.__main__
import dicewise.monai
from dicewise import _peers
from dicewise.torch import DiceLoss

VOXELS, OBJECT = 64 * 64, 400


def scenario(batch=2, classes=3):
    """The situation of an explanation: objects in each class but the background, none of class 1 in the last image."""
    labels = torch.zeros(batch, 1, VOXELS, dtype=torch.long)
    for label in range(1, classes):
        labels[:, 0, (label - 1) * OBJECT : label * OBJECT] = label
    labels[-1, 0, :OBJECT] = 0
    return torch.full((batch, classes, VOXELS), 1 / classes, dtype=torch.float64, requires_grad=True), labels


def measured(loss, batch=2, classes=3):
    """Mean ∂L/∂p of class 1 on the empty map, and beside the object of the map that has one."""
    p, labels = scenario(batch, classes)
    (gradient,) = torch.autograd.grad(loss(p, labels), p)
    return gradient[-1, 1].mean().item(), gradient[0, 1, 3 * OBJECT :].mean().item()


def one_hot(labels, classes=3):
    return torch.cat([labels == c for c in range(classes)], dim=1)


def square(v):
    return v.reshape(v.shape[0], -1, 64, 64)


# How each package wants probabilities [B, C, voxels] and labels [B, 1, voxels].
CALLS = {
    "monai": lambda loss, p, y: loss(p, one_hot(y, p.shape[1]).double()),
    "nnunetv2": lambda loss, p, y: loss(p, one_hot(y, p.shape[1])),
    "segmentation_models_pytorch": lambda loss, p, y: loss(square(p), square(y)[:, 0]),
}


def call(loss):
    package = type(loss).__module__.partition(".")[0]
    return lambda p, y: CALLS[package](loss, p, y)


def monai_losses():
    monai = pytest.importorskip("monai.losses")
    return [
        monai.DiceLoss(), monai.DiceLoss(batch=True), monai.DiceLoss(smooth_nr=0.0), monai.DiceLoss(soft_label=True),
        monai.DiceLoss(squared_pred=True), monai.DiceLoss(squared_pred=True, batch=True), monai.DiceLoss(jaccard=True),
        monai.DiceLoss(include_background=False, smooth_nr=400.0, smooth_dr=400.0), monai.DiceLoss(reduction="sum"),
        monai.DiceLoss(reduction="sum", batch=True, include_background=False), monai.DiceLoss(weight=3.0, batch=True),
        monai.DiceLoss(weight=[1.0, 2.0, 0.5]), monai.DiceLoss(weight=[2.0, 0.5], include_background=False, batch=True),
        monai.DiceLoss(ignore_index=255),
        monai.GeneralizedDiceLoss(), monai.GeneralizedDiceLoss(batch=True), monai.GeneralizedDiceLoss(w_type="simple"),
        monai.GeneralizedDiceLoss(w_type="uniform"), monai.GeneralizedDiceLoss(w_type="uniform", batch=True),
        monai.GeneralizedDiceLoss(smooth_nr=400.0, smooth_dr=400.0), monai.GeneralizedDiceLoss(reduction="sum"),
        monai.GeneralizedDiceLoss(include_background=False, smooth_nr=0.1, batch=True),
        monai.TverskyLoss(), monai.TverskyLoss(alpha=0.1, beta=0.9, batch=True, include_background=False),
        monai.TverskyLoss(alpha=0.7, beta=0.3, smooth_nr=50.0, smooth_dr=60.0, reduction="sum"),
        monai.DiceCELoss(lambda_dice=0.5, lambda_ce=0.0, batch=True),
        monai.DiceFocalLoss(lambda_dice=2.0, lambda_focal=0.0, include_background=False),
        monai.GeneralizedDiceFocalLoss(lambda_gdl=2.0, lambda_focal=0.0, batch=True),
    ]  # fmt: skip


def nnunet_losses():
    nnunet = pytest.importorskip("nnunetv2.training.loss.dice")
    return [
        nnunet.SoftDiceLoss(ddp=False), nnunet.SoftDiceLoss(batch_dice=True, smooth=1e-5, ddp=False, do_bg=False),
        nnunet.SoftDiceLoss(smooth=0.0, ddp=False), nnunet.MemoryEfficientSoftDiceLoss(smooth=1e-5, ddp=False),
    ]  # fmt: skip


def smp_losses():
    smp = pytest.importorskip("segmentation_models_pytorch.losses")
    kinds = (
        (smp.DiceLoss, {}), (smp.DiceLoss, {"smooth": 100.0}), (smp.DiceLoss, {"classes": [1, 2]}),
        (smp.DiceLoss, {"class_weights": [1.0, 3.0, 0.5]}), (smp.JaccardLoss, {"smooth": 10.0}),
        (smp.DiceLoss, {"class_weights": [1.0, 3.0, 0.5], "classes": [0, 1]}), (smp.JaccardLoss, {}),
        (smp.TverskyLoss, {"alpha": 0.1, "beta": 0.9}), (smp.TverskyLoss, {"alpha": 0.7, "beta": 0.6, "smooth": 5.0}),
    )  # fmt: skip
    return [kind(mode="multiclass", from_logits=False, **arguments) for kind, arguments in kinds]


@pytest.mark.parametrize("losses", [monai_losses, nnunet_losses, smp_losses])
@pytest.mark.parametrize("batch", [1, 2, 3])
def test_loss_objects_of_others_are_read_right(losses, batch):
    for loss in losses():
        explanation = dicewise.explain(loss, batch_size=batch, voxels=VOXELS, object_voxels=OBJECT)
        empty, beside = measured(call(loss), batch)
        name = f"{type(loss).__name__} {loss.__dict__}"
        assert abs(explanation.factor * explanation.empty - empty) <= 2e-3 * abs(empty) + 1e-16, name
        if batch > 1:  # with one image, "beside" is of the same image with its object in place
            assert abs(explanation.factor * explanation.present_outside - beside) <= 2e-3 * abs(beside), name


@pytest.mark.parametrize("arguments", [{"log_loss": True}, {"gamma": 2.0, "alpha": 0.1, "beta": 0.9}], ids=str)
def test_what_only_multiplies_all_derivatives_is_a_note(arguments):
    smp = pytest.importorskip("segmentation_models_pytorch.losses")
    loss = (smp.TverskyLoss if "gamma" in arguments else smp.DiceLoss)("multiclass", from_logits=False, **arguments)
    explanation = dicewise.explain(loss, voxels=VOXELS, object_voxels=OBJECT)
    empty, beside = measured(call(loss))
    assert abs(explanation.empty / explanation.present_outside - empty / beside) <= 2e-3 * empty / beside
    assert any(next(iter(arguments)) in note for note in explanation.notes)


def test_one_class_and_many_classes_are_read_right():
    monai = pytest.importorskip("monai.losses")
    smp = pytest.importorskip("segmentation_models_pytorch.losses")
    labels = torch.zeros(2, 1, 64, 64, dtype=torch.float64)
    labels[0].view(-1)[:OBJECT] = 1
    for loss in (smp.DiceLoss("binary", from_logits=False), monai.DiceLoss(include_background=False, batch=True)):
        p = torch.full((2, 1, 64, 64), 0.5, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(loss(p, labels), p)
        found = dicewise.explain(loss, classes=1)
        assert abs(found.empty - gradient[1].mean().item()) <= 2e-3 * found.empty
    assert "C = 1," in dicewise.explain(smp.DiceLoss("binary")).situation
    for weight in (3.0, [3.0]):
        loss = monai.DiceLoss(weight=weight, include_background=False, batch=True)
        p, labels = scenario(classes=2)
        (gradient,) = torch.autograd.grad(loss(p, one_hot(labels, 2).double()), p)
        found = dicewise.explain(loss, classes=2)
        assert abs(found.factor * found.empty - gradient[1, 1].mean().item()) <= 2e-3 * found.empty
    for classes in (6, 12, 40):
        for loss in (monai.DiceLoss(batch=True), monai.DiceLoss(weight=[1.0] * classes)):
            told = {} if loss.class_weight is not None else {"classes": classes}
            found = dicewise.explain(loss, **told, voxels=40 * VOXELS, object_voxels=40 * OBJECT / classes)
            assert f"C = {classes}," in found.situation
            assert dicewise.explain(loss, classes=classes).on_empty == found.on_empty


def test_the_command_takes_any_number_of_classes(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["dicewise", "--classes", "14", "--voxels", "100"])
    assert dicewise.__main__.main() == 0
    assert len(capsys.readouterr().out.splitlines()) == len(dicewise.presets())


def test_what_cannot_be_explained_is_refused():
    monai = pytest.importorskip("monai.losses")
    nnunet = pytest.importorskip("nnunetv2.training.loss.dice")
    smp = pytest.importorskip("segmentation_models_pytorch.losses")
    kornia = pytest.importorskip("kornia.losses")
    for loss, message in (
        (monai.DiceLoss(squared_pred=True, jaccard=True), "squared_pred=True with jaccard=True"),
        (monai.DiceLoss(ignore_index=0), "ignores label 0, one of the 3 classes"),
        (monai.DiceCELoss(lambda_dice=0.0), "the weight of Dice is 0"),
        (nnunet.SoftDiceLoss(clip_tp=1.0), "clip_tp is 1.0"),
        (smp.DiceLoss("multiclass", ignore_index=1), "ignores label 1"),
        (kornia.DiceLoss(weight=torch.ones(3)), "weight with average"),
        (DiceLoss("image", 1.0, "softmax", ignore_index=2), "ignores label 2"),
    ):
        with pytest.raises(ValueError, match=message):
            dicewise.explain(loss)
    with pytest.raises(ValueError, match='classes is 3: with mode="binary" it must be 1'):
        dicewise.explain(smp.DiceLoss("binary"), classes=3)


def test_a_subclass_is_read_as_what_it_is_made_of_and_says_so():
    monai = pytest.importorskip("monai.losses")

    class Own(monai.DiceLoss):
        pass

    found = dicewise.explain(Own(batch=True))
    assert found.empty == dicewise.explain(monai.DiceLoss(batch=True)).empty
    assert "Own is explained as monai's DiceLoss: what it overrides is not seen" in found.notes
    assert dicewise.explain(monai.MaskedDiceLoss()).notes == ()


def test_kornia_is_read_right():
    kornia = pytest.importorskip("kornia.losses")
    # It takes a softmax itself, so the derivative with respect to p cannot be had; that of logits can.
    micro, macro = kornia.DiceLoss(), kornia.DiceLoss(average="macro")
    read = _peers.read(micro, 2, 3).settings
    ours = DiceLoss(read.partition, read.denominator, "softmax", numerator_epsilon=read.numerator)
    labels = scenario()[1].reshape(2, 64, 64)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    (found,) = torch.autograd.grad(ours(x, labels), x)
    (expected,) = torch.autograd.grad(micro(x, labels), x)
    assert (found - expected).norm() <= 1e-5 * expected.norm()
    assert dicewise.explain(micro).learns_empty and dicewise.explain(macro).on_empty.startswith("ignores")
    # Only classes that are there enter a macro mean, so equality is where all are.
    full = scenario()[1].reshape(2, 64, 64)[:1].repeat(2, 1, 1)
    weight = torch.tensor([1.0, 2.0, 0.5])
    for theirs in (kornia.DiceLoss(average="macro", weight=weight), kornia.TverskyLoss(alpha=0.2, beta=0.7)):
        read = _peers.read(theirs, 2, 3).settings
        ours = DiceLoss(
            read.partition, read.denominator, "softmax", numerator_epsilon=read.numerator, class_weights=read.weights,
            **({"similarity": "tversky", "alpha": 0.2, "beta": 0.7} if read.similarity == "tversky" else {}),
        )  # fmt: skip
        (found,) = torch.autograd.grad(ours(x, full), x)
        (expected,) = torch.autograd.grad(theirs(x, full), x)
        assert (found - expected).norm() <= 1e-5 * expected.norm()
        assert (read.alpha, read.beta) == ((0.2, 0.7) if read.similarity == "tversky" else (0.5, 0.5))
        assert dicewise.explain(theirs).on_empty.startswith("ignores")


def test_compound_and_wrapped_losses_are_read_through():
    compound = pytest.importorskip("nnunetv2.training.loss.compound_losses")
    deep = pytest.importorskip("nnunetv2.training.loss.deep_supervision")
    dice = pytest.importorskip("nnunetv2.training.loss.dice")
    settings = {"batch_dice": True, "smooth": 1e-5, "do_bg": False, "ddp": False}
    plain = compound.DC_and_CE_loss(settings, {}, dice_class=dice.MemoryEfficientSoftDiceLoss)
    regions = compound.DC_and_BCE_loss({}, {**settings, "do_bg": True})
    for loss in (plain, deep.DeepSupervisionWrapper(plain, [1.0, 0.5]), compound.DC_and_topk_loss(settings, {})):
        found = dicewise.explain(loss)
        assert found.empty == dicewise.explain("nnunet-batch-dice").empty
        assert any("cross-entropy" in note for note in found.notes) and "cross-entropy" in str(found)
    assert dicewise.explain(regions).empty == dicewise.explain("monai-batch").empty
    weighed = dicewise.explain(compound.DC_and_CE_loss(settings, {}, weight_dice=0.5, weight_ce=0))
    assert weighed.factor == 0.5 and not any("cross-entropy" in note for note in weighed.notes)
    with pytest.raises(ValueError, match="ignores label 1"):
        dicewise.explain(compound.DC_and_CE_loss(settings, {}, ignore_label=1))


def logit_gradient(loss, labels, *more):
    """Mean derivative of the logits of class 1 on the map without ground truth; above 0 empties it."""
    x = torch.zeros(*labels.shape[:1], 3, VOXELS, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(x, labels, *more), x)
    return gradient[1, 1].mean().item()


def test_a_loss_beside_dice_is_never_forgotten():
    monai = pytest.importorskip("monai.losses")
    labels = scenario()[1]
    arguments = {"softmax": True, "to_onehot_y": True}
    losses = [monai.DiceCELoss(**arguments), dicewise.monai.DiceCELoss(**arguments), monai.DiceFocalLoss(**arguments),
              DiceLoss("image", 1e-5, "softmax", cross_entropy=1.0)]  # fmt: skip
    dice_alone = logit_gradient(monai.DiceLoss(**arguments), labels)
    for loss in losses:
        found = dicewise.explain(loss)
        assert found.empty == dicewise.explain("monai-default").empty
        # What is beside Dice empties the map, and the notes say so.
        assert logit_gradient(loss, labels) > 2 * dice_alone > 0
        assert any("what the Dice term does" in note and "to be empty" in note for note in found.notes)
    settings = {"partition": "image", "epsilon": 1e-5, "activation": "softmax", "cross_entropy": 1.0}
    assert any("cross-entropy" in note for note in dicewise.explain(**settings).notes)
    assert dicewise.explain(monai.DiceCELoss(lambda_ce=0.0)).notes == ()


@pytest.mark.parametrize("treatment", ["leaf", "marginal"])
def test_the_note_on_cross_entropy_knows_the_treatment_of_missing_labels(treatment):
    labels, missing = scenario()[1], [[True, True, True], [True, False, True]]
    settings = {"partition": "image", "epsilon": 1e-5, "activation": "softmax", "cross_entropy": 1.0}
    declared = DiceLoss(**settings, missing=treatment)
    assert logit_gradient(declared, labels, missing) < 0 < logit_gradient(declared, labels)
    (note,) = dicewise.explain(declared).notes
    assert "teaches empty ones to be empty" in note and "leaves those declared missing alone" in note
    inferred = DiceLoss(**settings, missing=f"{treatment}-inferred")
    assert logit_gradient(inferred, labels) < 0
    (note,) = dicewise.explain(inferred).notes
    assert "leaves maps without ground truth alone" in note


def test_words_are_those_that_python_takes():
    found = dicewise.explain(partition="batch", epsilon=1e-5)
    assert found.loss.startswith("Φ = batch, ε = 1e-5") and found.loss in str(found) and "DL_" not in str(found)
    assert all("DL_" not in str(dicewise.explain(name)) for name in dicewise.presets())


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
        dicewise.explain("smp", voxels=100, object_voxels=60)


def test_the_heuristic_epsilon_solves_eq_5():
    assert dicewise.heuristic_epsilon(400.0) == 400.0
    for overlap, union in ((0.5, 4.0), (0.3, 1.9)):
        for epsilon in dicewise.solve_epsilon(400.0, overlap, union):
            left = 2 * overlap * 400 / (union * 400) ** 2
            assert abs(epsilon / (400 + epsilon) ** 2 - left) < 1e-12 * left
    assert dicewise.solve_epsilon(400.0, 1.0, 2.0) == []
