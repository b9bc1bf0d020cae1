"""What users pass, checked and brought into the few forms that the kernels take."""

from __future__ import annotations

import torch

LABEL_TYPES = (torch.uint8, torch.int16, torch.int32, torch.int64)
PREDICTION_TYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def check_prediction(prediction: torch.Tensor) -> None:
    """A float tensor ``[B, C, ...]``."""
    if not isinstance(prediction, torch.Tensor):
        raise TypeError(f"prediction is a {type(prediction).__name__}: it must be a torch.Tensor")
    if prediction.dtype not in PREDICTION_TYPES:
        raise TypeError(f"prediction is of type {prediction.dtype}: it must be float32, float64, float16 or bfloat16")
    if prediction.ndim < 3:
        raise ValueError(f"prediction has shape {list(prediction.shape)}: it must be [B, C, ...] with voxels")
    if prediction.numel() == 0:
        raise ValueError(f"prediction has shape {list(prediction.shape)}: every dimension must be at least 1")
    if prediction.layout != torch.strided:
        raise TypeError(f"prediction is {prediction.layout}: it must be dense, use prediction.to_dense()")


def as_target(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The target as label map ``[B, ...]`` or as maps ``[B, C, ...]``; with one class, integers are its mask.

    A view of the caller's memory, never a copy: it is kept until the backward pass.
    """
    if not isinstance(target, torch.Tensor):
        raise TypeError(f"target is a {type(target).__name__}: it must be a torch.Tensor")
    if target.requires_grad:
        raise ValueError("target requires a gradient, but the loss has none for it: use target.detach()")
    if target.device != prediction.device:
        raise ValueError(
            f"target is on {target.device} and prediction on {prediction.device}: use target.to(prediction.device)"
        )
    batch, classes, *spatial = prediction.shape
    one_map, one_channel = [batch, *spatial], [batch, 1, *spatial]
    shape = list(target.shape)
    if shape not in (one_map, one_channel, list(prediction.shape)):
        raise ValueError(
            f"target has shape {shape}, which does not belong to a prediction of shape {list(prediction.shape)}: "
            f"a label map is {one_map} or {one_channel}, dense targets are {list(prediction.shape)}"
        )
    if target.is_floating_point():
        if shape != list(prediction.shape) and classes > 1:
            raise TypeError(
                f"target is a label map of type {target.dtype}: labels must be integers, use target.long(); "
                f"soft targets have one map for each class, {list(prediction.shape)}"
            )
    if target.dtype == torch.bool:
        target = target.view(torch.uint8)
    if classes == 1 or shape == list(prediction.shape):
        return target.reshape(prediction.shape)
    if target.dtype not in LABEL_TYPES:
        raise TypeError(
            f"target is of type {target.dtype}: labels must be uint8, int16, int32 or int64, use target.long()"
        )
    return target.reshape(one_map)


def counted(labels: torch.Tensor, ignore_index: int | None) -> torch.Tensor | None:
    """Where integers are not the ignored one; None if there is none or their type has no such number.

    PyTorch compares in the type of the tensor, where −1 is 255 as a byte.
    """
    if ignore_index is None:
        return None
    kind = torch.iinfo(labels.dtype)
    return labels != ignore_index if kind.min <= ignore_index <= kind.max else None


def as_mask(prediction: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor | None:
    """The mask as ``[B, ...]`` of truth values."""
    if mask is None:
        return None
    batch, _, *spatial = prediction.shape
    if mask.dtype != torch.bool:
        raise TypeError(f"mask is of type {mask.dtype}: it must be bool, True where a voxel counts; use mask.bool()")
    if list(mask.shape) not in ([batch, *spatial], [batch, 1, *spatial]):
        raise ValueError(f"mask has shape {list(mask.shape)}: it must be {[batch, *spatial]} or {[batch, 1, *spatial]}")
    if mask.device != prediction.device:
        raise ValueError(
            f"mask is on {mask.device} and prediction on {prediction.device}: use mask.to(prediction.device)"
        )
    return mask.reshape(batch, *spatial)


def as_presence(prediction: torch.Tensor, presence: object) -> torch.Tensor | None:
    """Presence ``[B, C]`` on the CPU, where the scalar maths is."""
    if presence is None:
        return None
    given = torch.as_tensor(presence)
    if list(given.shape) != list(prediction.shape[:2]):
        raise ValueError(
            f"presence has shape {list(given.shape)}: it must be [B, C] = {list(prediction.shape[:2])}, "
            "True where the label of a class is annotated"
        )
    if given.dtype != torch.bool and not bool(((given == 0) | (given == 1)).all()):
        raise ValueError("presence must hold truth values: True where the label of a class is annotated")
    return given.to("cpu", torch.bool).contiguous()
