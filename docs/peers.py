"""What released packages teach on a map without ground truth, measured with their own autograd: docs/peers.md.

    python docs/peers.py            # prints the table
    python docs/peers.py --write    # renews it in docs/peers.md

Two images of 64 × 64 voxels, three classes, an object of 400 voxels in classes 1 and 2, but none of class 1 in the
second image; the prediction is ⅓ everywhere. Shown is the mean of ∂L/∂p over class 1 of the second image, by the
package itself and by the same loss of dicewise, and the verdict of `dicewise.explain` for the package's object.
"""

from __future__ import annotations

import argparse
import logging
from importlib import metadata
from pathlib import Path

import torch

import dicewise
from dicewise.torch import DiceLoss

PAGE = Path(__file__).with_name("peers.md")
BEGIN, END = "<!-- begin: python docs/peers.py --write -->", "<!-- end -->"
VOXELS, OBJECT = 64 * 64, 400


def situation():
    """Probabilities [2, 3, 64, 64] of ⅓, and labels [2, 1, 64, 64]."""
    labels = torch.zeros(2, 1, VOXELS, dtype=torch.long)
    labels[:, 0, :OBJECT] = 1
    labels[:, 0, OBJECT : 2 * OBJECT] = 2
    labels[1, 0, :OBJECT] = 0
    return torch.full((2, 3, 64, 64), 1 / 3, dtype=torch.float64, requires_grad=True), labels.reshape(2, 1, 64, 64)


def empty_map(loss):
    """Mean ∂L/∂p over the map without ground truth."""
    p, labels = situation()
    (gradient,) = torch.autograd.grad(loss(p, labels), p)
    return gradient[1, 1].mean().item()


def one_hot(labels):
    """[B, 1, ...] → [B, 3, ...]"""
    return torch.cat([labels == c for c in range(3)], dim=1)


def rows():
    """Name, the package's object, how it is called, and the same of dicewise."""
    from monai.losses import DiceLoss as Monai
    from monai.losses import GeneralizedDiceLoss, TverskyLoss
    from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss, SoftDiceLoss
    from segmentation_models_pytorch.losses import DiceLoss as Smp
    from segmentation_models_pytorch.losses import JaccardLoss

    def maps(loss, kind=torch.float64):
        return lambda p, y: loss(p, one_hot(y).to(kind))

    def ours(partition, epsilon, **more):
        return DiceLoss(partition, epsilon, "none", **more)

    monai, batch, numerator = Monai(), Monai(batch=True), Monai(smooth_nr=0.0)
    yield "MONAI `DiceLoss()`", monai, maps(monai), ours("image", 1e-5)
    yield "MONAI `DiceLoss(batch=True)`", batch, maps(batch), ours("batch", 1e-5)
    yield "MONAI `DiceLoss(smooth_nr=0)`", numerator, maps(numerator), ours("image", 1e-5, numerator_epsilon=0.0)
    general = GeneralizedDiceLoss()
    yield "MONAI `GeneralizedDiceLoss()`", general, maps(general), ours("class", 1e-5, similarity="generalized-dice")
    tversky, same = TverskyLoss(alpha=0.3, beta=0.7), {"similarity": "tversky", "alpha": 0.3, "beta": 0.7}
    yield "MONAI `TverskyLoss(alpha=0.3, beta=0.7)`", tversky, maps(tversky), ours("image", 2e-5, **same)
    off = MemoryEfficientSoftDiceLoss(smooth=1e-5, do_bg=False, ddp=False)
    yield "nnU-Net trainer, `batch_dice` off", off, maps(off, torch.bool), ours("image", 1e-5, background=False)
    on = MemoryEfficientSoftDiceLoss(smooth=1e-5, do_bg=False, batch_dice=True, ddp=False)
    yield "nnU-Net trainer, `batch_dice` on", on, maps(on, torch.bool), ours("batch", 1e-5, background=False)
    default = SoftDiceLoss(ddp=False)
    yield "nnU-Net `SoftDiceLoss()`", default, maps(default, torch.bool), ours("image", 1.0)
    smp = Smp(mode="multiclass", from_logits=False)
    yield 'smp `DiceLoss("multiclass")`', smp, lambda p, y: smp(p, y[:, 0]), ours("batch", 2e-7, numerator_epsilon=0.0)
    jaccard = JaccardLoss(mode="multiclass", from_logits=False)
    same = {"numerator_epsilon": 0.0, "similarity": "jaccard"}
    yield 'smp `JaccardLoss("multiclass")`', jaccard, lambda p, y: jaccard(p, y[:, 0]), ours("batch", 2e-7, **same)
    large = Monai(smooth_nr=OBJECT, smooth_dr=OBJECT)
    name = "the paper's I_ε: MONAI `DiceLoss(smooth_nr=400, smooth_dr=400)`"
    yield name, large, maps(large), ours("image", OBJECT)


def table():
    """The rows as Markdown."""
    lines = [
        "| loss as shipped | on the empty map | the same loss of dicewise | acts as |",
        "|:--|--:|--:|:--|",
    ]
    for name, loss, call, same in rows():
        theirs, ours = empty_map(call), empty_map(same)
        verdict = dicewise.explain(loss, batch_size=2, classes=3, voxels=VOXELS, object_voxels=OBJECT).on_empty
        lines.append(f"| {name} | {theirs:.1e} | {ours:.1e} | {verdict} |")
    packages = ("monai", "nnunetv2", "segmentation-models-pytorch", "torch")
    versions = ", ".join(f"{package} {metadata.version(package).partition('+')[0]}" for package in packages)
    return "\n".join([*lines, "", f"Measured with {versions}."])


def main():
    """Prints the table or writes it into the page."""
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="renew the table in docs/peers.md")
    text = table()
    if not parser.parse_args().write:
        print(text)
        return
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
