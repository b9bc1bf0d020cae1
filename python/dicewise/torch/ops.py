"""The three steps of the loss as PyTorch operators, so that ``torch.compile`` sees them as whole.

``sums`` reads the voxels once, ``value`` is the scalar maths of Φ, ε and missing labels, ``gradient`` writes the
gradient. On the CPU the voxel passes are the fused Rust kernels on the tensors' own memory, elsewhere
:mod:`dicewise.torch.twopass`; the scalar maths is the same Rust code for all devices. What passes between the steps,
``[rows, B, C]`` in float64, is small and always on the CPU.
"""

from __future__ import annotations

import torch

from dicewise import _core
from dicewise._settings import Settings, of_key
from dicewise.torch import buffers, inputs, twopass

_library = torch.library.Library("dicewise", "DEF")
_library.define("sums(Tensor prediction, Tensor target, Tensor? mask, Tensor? presence, str settings) -> Tensor")
_library.define("value(Tensor sums, Tensor? presence, Tensor? epsilon, str settings) -> Tensor")
_library.define(
    "gradient(Tensor prediction, Tensor target, Tensor? mask, Tensor sums, Tensor? presence, Tensor? epsilon, "
    "Tensor scale, int first, str settings) -> Tensor"
)


def memory(tensor: torch.Tensor) -> tuple[int, str, int]:
    """What the core needs to use a contiguous CPU tensor in place. The caller keeps the tensor alive."""
    return tensor.data_ptr(), str(tensor.dtype).removeprefix("torch."), tensor.numel()


def _optional(tensor: torch.Tensor | None) -> tuple[int, str, int] | None:
    return None if tensor is None else memory(tensor)


def dimensions(prediction: torch.Tensor) -> tuple[int, int, int]:
    """B, C and voxels of a map."""
    batch, classes = prediction.shape[:2]
    return batch, classes, prediction[0, 0].numel() if prediction.ndim > 2 else 1


def core_of(key: str, classes: int) -> tuple[_core.Loss, Settings]:
    """The Rust loss of a settings key."""
    settings = of_key(key)
    return settings.core(classes), settings


def _in_place(prediction, target, mask, ignore_index):
    """Prediction, target and mask as the core reads them. What has to be copied lives for one pass."""
    is_mask = target.ndim == prediction.ndim and not target.is_floating_point()
    if is_mask and prediction.shape[1] == 1:
        # In the core, ignore_index is for label maps.
        counts = inputs.counted(target[:, 0], ignore_index)
        mask = mask if counts is None else counts if mask is None else mask & counts
    if is_mask and target.dtype != torch.uint8:
        # Nothing else becomes 0 or 1 in float16; as a byte, 256 would be 0.
        target = target.half()
    return prediction.contiguous(), target.contiguous(), None if mask is None else mask.contiguous()


def _sums_fused(prediction, target, mask, presence, settings):
    core, fixed = core_of(settings, prediction.shape[1])
    prediction, target, mask = _in_place(prediction, target, mask, fixed.ignore_index)
    sums = torch.empty(core.sum_rows, *prediction.shape[:2], dtype=torch.float64)
    core.sums(
        dimensions(prediction), memory(prediction), memory(target), _optional(mask), fixed.ignore_index,
        _optional(presence), memory(sums),
    )  # fmt: skip
    return sums


def _gradient_fused(prediction, target, mask, sums, presence, epsilon, scale, first, settings):
    core, fixed = core_of(settings, prediction.shape[1])
    prediction, target, mask = _in_place(prediction, target, mask, fixed.ignore_index)
    gradient = buffers.empty_like(prediction)
    core.gradient(
        dimensions(prediction), memory(prediction), memory(target), _optional(mask), fixed.ignore_index,
        sums.shape[1], memory(sums), _optional(presence), _optional(epsilon), first, float(scale), memory(gradient),
    )  # fmt: skip
    return gradient


def _value(sums, presence, epsilon, settings):
    core, _ = core_of(settings, sums.shape[2])
    loss = core.value(tuple(sums.shape[1:]), memory(sums), _optional(presence), _optional(epsilon))
    return torch.tensor(loss, dtype=torch.float64)


def _sums_twopass(prediction, target, mask, presence, settings):
    core, fixed = core_of(settings, prediction.shape[1])
    groups = None
    if fixed.cross_entropy and fixed.activation == "softmax":
        # Which labels are missing is inferred from the target, which takes a pass of its own.
        sizes = twopass.sizes(prediction, target, mask, fixed) if "inferred" in fixed.missing else None
        groups = torch.empty(prediction.shape[:2], dtype=torch.int64)
        core.groups(tuple(groups.shape), _optional(sizes), _optional(presence), memory(groups))
    return twopass.sums(prediction, target, mask, groups, fixed)


def _gradient_twopass(prediction, target, mask, sums, presence, epsilon, scale, first, settings):
    core, fixed = core_of(settings, prediction.shape[1])
    coefficients = torch.empty(6, *prediction.shape[:2], dtype=torch.float64)
    core.coefficients(
        tuple(sums.shape[1:]), memory(sums), _optional(presence), _optional(epsilon), first, memory(coefficients)
    )
    return twopass.gradient(prediction, target, mask, coefficients, scale, fixed)


def _sums_cpu(*arguments):
    return (_sums_fused if _fused else _sums_twopass)(*arguments)


def _gradient_cpu(*arguments):
    return (_gradient_fused if _fused else _gradient_twopass)(*arguments)


# Tests set this to False to run on the CPU what runs on other devices.
_fused = True

_library.impl("sums", _sums_cpu, "CPU")
_library.impl("gradient", _gradient_cpu, "CPU")
_library.impl("value", _value, "CPU")
_library.impl("sums", _sums_twopass, "CompositeExplicitAutograd")
_library.impl("gradient", _gradient_twopass, "CompositeExplicitAutograd")


def _no_second_derivative(ctx, *_):
    raise RuntimeError(
        "the Dice loss of dicewise has no second derivative: its gradient, taken with create_graph=True, cannot be "
        "differentiated again"
    )


# Without this, a gradient penalty on this loss would silently have no gradient of its own.
torch.library.register_autograd("dicewise::gradient", _no_second_derivative, lib=_library)


@torch.library.register_fake("dicewise::sums", lib=_library)
def _(prediction, target, mask, presence, settings):
    return torch.empty(of_key(settings).sum_rows, *prediction.shape[:2], dtype=torch.float64, device="cpu")


@torch.library.register_fake("dicewise::value", lib=_library)
def _(sums, presence, epsilon, settings):
    return torch.empty((), dtype=torch.float64, device="cpu")


@torch.library.register_fake("dicewise::gradient", lib=_library)
def _(prediction, target, mask, sums, presence, epsilon, scale, first, settings):
    return torch.empty_like(prediction, memory_format=torch.contiguous_format)
