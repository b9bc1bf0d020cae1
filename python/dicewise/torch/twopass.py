"""The two voxel passes in plain PyTorch, for devices that the fused kernels do not know.

The same shape as theirs: one read of the input for the sums, one read and one write for the gradient, in blocks of
voxels, so that softmax, one-hot and products never exist for more than a block. Nothing but the sums is kept in
between; the backward pass recomputes the activation.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from dicewise._settings import Settings
from dicewise.torch import inputs

# Elements of a block [b, C, n]: large enough to hide the start of an operation, small beside any input that matters.
BLOCK = 1 << 22

# The rows that a block is measured in, and those of the coefficients, in the order of python/src/loss.rs.
OVERLAP, TARGET, PREDICTION, BACKGROUND, TARGET_SQUARE, PREDICTION_SQUARE, CROSS_ENTROPY, VOXELS = range(8)
A, B, C, ROW, CE, GROUP = range(6)


class _Block:
    """Some voxels of one sample: input [C, n], target as labels [n] or maps [C, n], and which voxels count [n]."""

    def __init__(self, sample, voxels, x, labels, maps, counts):
        self.sample, self.voxels, self.x = sample, voxels, x
        self.labels, self.maps, self.counts = labels, maps, counts

    def truth(self) -> torch.Tensor:
        """y, [C, n], 0 where a voxel does not count."""
        if self.labels is None:
            y = self.maps.to(self.x.dtype)
        else:
            classes = torch.arange(self.x.shape[0], device=self.x.device)
            y = (self.labels == classes[:, None]).to(self.x.dtype)
        return y if self.counts is None else y.masked_fill(~self.counts, 0.0)


def _blocks(prediction, target, mask, settings: Settings) -> Iterator[_Block]:
    batch, classes = prediction.shape[:2]
    is_labels = target.ndim < prediction.ndim
    # With one class, integers are its mask, in which a number can be ignored as in a label map.
    may_ignore = is_labels or classes == 1 and not target.is_floating_point()
    # Samples are flattened one by one: a tensor that is not contiguous is then copied one sample at a time.
    step = max(1, BLOCK // classes)
    wide = torch.float64 if prediction.dtype == torch.float64 else torch.float32
    for b in range(batch):
        x_b, y_b = prediction[b].flatten(1), target[b].flatten(0 if is_labels else 1)
        mask_b = None if mask is None else mask[b].flatten()
        for start in range(0, x_b.shape[1], step):
            voxels = slice(start, start + step)
            x = x_b[:, voxels].to(wide)
            y = y_b[..., voxels]
            counts = None if mask_b is None else mask_b[voxels]
            kept = inputs.counted(y.flatten(), settings.ignore_index) if may_ignore else None
            if kept is not None:
                counts = kept if counts is None else counts & kept
            if counts is not None:
                # Selected, not multiplied: 0 · NaN in a voxel that does not count would be NaN.
                x = x.masked_fill(~counts, 0.0)
            yield _Block(b, voxels, x, y if is_labels else None, None if is_labels else y, counts)


def _activate(x: torch.Tensor, activation: str) -> torch.Tensor:
    if activation == "softmax":
        return x.softmax(0)
    return x.sigmoid() if activation == "sigmoid" else x


def _merge(values: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    """Σ over the classes that are merged with each class, [C, n]; ``group[c]`` is the class that c is merged into."""
    return torch.zeros_like(values).index_add_(0, group, values)[group]


def sums(prediction, target, mask, groups, settings: Settings) -> torch.Tensor:
    """Step 1: the sums that the settings need, ``[sum_rows, B, C]`` in float64 on the CPU.

    ``groups[b, c]`` is the class that class c is merged into in a cross-entropy with softmax, see the core's
    ``groups``; without such a cross-entropy it is None.
    """
    batch, classes = prediction.shape[:2]
    device = prediction.device
    # Where the device has no float64 (MPS), sums of a block are float32; blocks are added in float64 on the host.
    wide = torch.float32 if device.type == "mps" else torch.float64
    owners, parts = [], []
    # Autocast would compute some of this in half precision.
    with torch.autocast(device.type, enabled=False):
        for block in _blocks(prediction, target, mask, settings):
            owners.append(block.sample)
            group = None if groups is None else groups[block.sample].tolist()
            parts.append(_block_sums(block, group, settings, wide))
    host = torch.stack(parts).to("cpu", torch.float64)
    rows, lowest, highest, largest = host[:, :8], host[:, 8].amin(), host[:, 9].amax(), host[:, 10].amax()
    total = torch.zeros(8, batch, classes, dtype=torch.float64)
    for sample, part in zip(owners, rows, strict=True):
        total[:, sample] += part
    _check(prediction, target, total, lowest.item(), highest.item(), largest.item())
    if settings.activation == "softmax":
        # The cross-entropy is one of a sample, not of its maps; it is kept with class 0.
        total[CROSS_ENTROPY, :, 0] = total[CROSS_ENTROPY].sum(-1)
        total[[CROSS_ENTROPY, VOXELS], :, 1:] = 0.0
    needed = [OVERLAP, TARGET, PREDICTION]
    if settings.missing.startswith("marginal"):
        needed += [BACKGROUND]
    if settings.similarity == "squared-dice":
        needed += [TARGET_SQUARE, PREDICTION_SQUARE]
    if settings.cross_entropy:
        needed += [CROSS_ENTROPY, VOXELS]
    return total[needed]


def sizes(prediction, target, mask, settings: Settings) -> torch.Tensor:
    """Σ y of each map, ``[B, C]`` in float64 on the CPU."""
    wide = torch.float32 if prediction.device.type == "mps" else torch.float64
    owners, parts = [], []
    for block in _blocks(prediction, target, mask, settings):
        owners.append(block.sample)
        parts.append(block.truth().sum(-1, dtype=wide))
    # To the host at once: every copy waits for the device.
    total = torch.zeros(prediction.shape[:2], dtype=torch.float64)
    return total.index_add_(0, torch.tensor(owners), torch.stack(parts).to("cpu", torch.float64))


def _block_sums(block: _Block, group: list[int] | None, settings: Settings, wide: torch.dtype) -> torch.Tensor:
    """The rows above of one block, the lowest and the highest of what must be a probability, and the largest input."""
    x, counts = block.x, block.counts
    p, y = _activate(x, settings.activation), block.truth()
    if counts is not None:
        p = p.masked_fill(~counts, 0.0)
    entropy = torch.zeros_like(x)
    if group is not None:
        entropy = -y * _merged_log_softmax(x, group)
    elif settings.cross_entropy:
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(x, y, reduction="none")
    if counts is not None:
        entropy = entropy.masked_fill(~counts, 0.0)
    voxels = x.new_full((x.shape[0],), x.shape[1], dtype=wide) if counts is None else counts.sum().expand(x.shape[0])
    rows = [v.sum(-1, dtype=wide) for v in (p * y, y, p, p * y[0], y * y, p * p, entropy)]
    low, high = torch.minimum(p, y).amin(-1), torch.maximum(p, y).amax(-1)
    # An infinite logit has a probability.
    largest = torch.linalg.vector_norm(x, ord=torch.inf, dim=-1)
    return torch.stack([*rows, voxels.to(wide), low.to(wide), high.to(wide), largest.to(wide)])


def _merged_log_softmax(x: torch.Tensor, group: list[int]) -> torch.Tensor:
    """log Σ p over the classes that are merged with each class, [C, n]."""
    log_p = x.log_softmax(0)
    missing = [c for c, into in enumerate(group) if c != into]
    if missing:
        members = [0, *missing]
        log_p[members] = log_p[members].logsumexp(0)
    return log_p


def _check(prediction, target, total, lowest, highest, largest) -> None:
    """Without another pass: NaN and infinity show in the extremes, labels that are no class in the counts."""
    if not largest < torch.inf:
        raise ValueError(f"prediction is {largest} somewhere, or −{largest}: it must be finite; look into the network")
    if not (lowest >= -1e-4 and highest <= 1 + 1e-4):
        value = lowest if not lowest >= -1e-4 else highest
        raise ValueError(
            f"prediction or dense target is {value} somewhere: it must lie in [0, 1] after the activation; "
            "if these are logits, set activation, and if they are NaN, look for the reason in the network"
        )
    if target.ndim < prediction.ndim:
        labelled, voxels = total[TARGET].sum().item(), total[VOXELS, :, 0].sum().item()
        if labelled != voxels:
            raise ValueError(
                f"{voxels - labelled:.0f} labels are no class: labels must be 0 to {prediction.shape[1] - 1}; "
                "a label to leave out is declared with ignore_index"
            )


def gradient(prediction, target, mask, coefficients, scale, settings: Settings) -> torch.Tensor:
    """Step 3: the gradient with respect to the prediction, times ``scale``.

    With respect to probabilities it is a − b·y_row + c·p; then it is chained through the activation, and that of the
    cross-entropy, p Σy − y' p/p' (softmax) or p − y (sigmoid), is added.
    """
    out = torch.empty_like(prediction, memory_format=torch.contiguous_format)
    wide = torch.float64 if prediction.dtype == torch.float64 else torch.float32
    device = prediction.device
    indices = coefficients[[ROW, GROUP]].to(device, torch.long)
    # As in the fused kernels, what is too large for the type becomes the largest: ∞ · 0 would be NaN.
    most = torch.finfo(wide).max
    factors = coefficients[[A, B, C, CE]].clamp(-most, most).to(device, wide) * scale.to(device, wide)
    factors = factors.clamp(-most, most)
    with torch.autocast(device.type, enabled=False):
        for block in _blocks(prediction, target, mask, settings):
            a, b, c, ce = factors[:, block.sample, :, None]
            row, group = indices[:, block.sample]
            p, y = _activate(block.x, settings.activation), block.truth()
            g = a - b * y[row] + c * p
            if settings.activation == "softmax":
                g = p * (g - (p * g).sum(0))
                if settings.cross_entropy:
                    g += ce * (p * y.sum(0) - _merge(y, group) * p / _merge(p, group).clamp_min(_TINY))
            elif settings.activation == "sigmoid":
                g = g * p * (1 - p)
                if settings.cross_entropy:
                    g += ce * (p - y)
            if block.counts is not None:
                g = g.masked_fill(~block.counts, 0.0)
            out[block.sample].flatten(1)[:, block.voxels] = g.to(out.dtype)
    return out


# Smaller than any probability whose share in a merged class matters.
_TINY = 1e-30
