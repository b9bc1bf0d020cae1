"""Softmax + Dice + cross-entropy as people run it: each a function (logits, labels [B, 1, ...]) → loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def monai(classes):
    """MONAI 1.6 DiceCELoss."""
    from monai.losses import DiceCELoss

    return DiceCELoss(to_onehot_y=True, softmax=True, batch=True)


def nnunet(classes):
    """nnU-Net's DC_and_CE_loss as its trainer builds it, but with the background in Dice, as every loss here."""
    from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
    from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss

    return DC_and_CE_loss(
        {"batch_dice": True, "smooth": 1e-5, "do_bg": True, "ddp": False}, {}, dice_class=MemoryEfficientSoftDiceLoss
    )


def smp(classes):
    """segmentation_models_pytorch's DiceLoss beside PyTorch's cross-entropy."""
    from segmentation_models_pytorch.losses import DiceLoss

    dice = DiceLoss(mode="multiclass")

    def loss(logits, labels):
        labels = labels[:, 0]
        # Its one_hot wants two spatial dimensions.
        return dice(logits.flatten(3), labels.flatten(2)) + F.cross_entropy(logits, labels)

    return loss


def torch_onehot(classes):
    """The formula in PyTorch with a one-hot target."""

    def loss(logits, labels):
        log_p = logits.flatten(2).log_softmax(1)
        p, label = log_p.exp(), labels.flatten(2)
        y = torch.zeros_like(p).scatter_(1, label, 1.0)
        overlap, union = (p * y).sum((0, 2)), (p + y).sum((0, 2))
        return (1 - (2 * overlap + 1e-5) / (union + 1e-5)).mean() - (log_p * y).sum(1).mean()

    return loss


def torch_gather(classes):
    """The formula in PyTorch without a one-hot target: the fastest that we found."""

    def loss(logits, labels):
        label = labels.flatten(2)
        log_p = logits.flatten(2).log_softmax(1)
        p = log_p.exp()
        at = log_p.gather(1, label)[:, 0]
        flat = label[:, 0].reshape(-1)
        zeros = torch.zeros(classes, dtype=p.dtype, device=p.device)
        overlap = zeros.scatter_add(0, flat, at.exp().reshape(-1))
        target = zeros.scatter_add(0, flat, torch.ones_like(flat, dtype=p.dtype))
        union = p.sum((0, 2)) + target
        return (1 - (2 * overlap + 1e-5) / (union + 1e-5)).mean() - at.mean()

    return loss


def torch_where(classes):
    """The formula in PyTorch with a comparison in the place of a one-hot target, which a compiler can fuse."""

    def loss(logits, labels):
        label = labels.flatten(2)
        log_p = logits.flatten(2).log_softmax(1)
        p = log_p.exp()
        y = label == torch.arange(classes, device=label.device)[:, None]
        overlap = torch.where(y, p, 0.0).sum((0, 2))
        union = p.sum((0, 2)) + y.sum((0, 2))
        entropy = -torch.where(y, log_p, 0.0).sum(1).mean()
        return (1 - (2 * overlap + 1e-5) / (union + 1e-5)).mean() + entropy

    return loss


def compiled(formulation):
    """torch.compile of a formulation."""

    def build(classes):
        return torch.compile(formulation(classes), dynamic=False)

    build.__doc__ = f"torch.compile of {formulation.__name__}"
    return build


def dicewise(classes):
    """This package, with a fresh gradient each time as PyTorch makes it."""
    from dicewise.torch import DiceLoss

    return DiceLoss(partition="batch", epsilon=1e-5, activation="softmax", cross_entropy=1.0)


LOSSES = {
    "MONAI DiceCELoss": monai,
    "nnU-Net DC_and_CE_loss": nnunet,
    "smp DiceLoss + cross_entropy": smp,
    "torch, one-hot": torch_onehot,
    "torch, gather": torch_gather,
    "torch.compile, one-hot": compiled(torch_onehot),
    "torch.compile, gather": compiled(torch_gather),
    "torch.compile, where": compiled(torch_where),
    "dicewise": dicewise,
}
