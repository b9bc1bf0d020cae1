"""The reference of these tests: Eq. 3 and the cross-entropy written out in float64 and differentiated by PyTorch.

Shares no code with dicewise. One-hot targets, one subset after the other, nothing clever.
"""

import torch


def one_hot(labels, classes):
    """Labels [B, ...] as maps [B, C, ...]; a label that is no class has no map."""
    return torch.stack([labels == c for c in range(classes)], dim=1).double()


def subsets(partition, batch, classes):
    """Φ: the (b, c) of each subset."""
    maps = [(b, c) for b in range(batch) for c in range(classes)]
    key = {"image": lambda m: m, "class": lambda m: m[0], "batch": lambda m: m[1], "all": lambda m: 0}[partition]
    groups = {}
    for m in maps:
        groups.setdefault(key(m), []).append(m)
    return list(groups.values())


def similarity(kind, overlap, y, p, y2, p2, eps_n, eps_d, alpha, beta):
    if kind == "dice":
        return (2 * overlap + eps_n) / (y + p + eps_d)
    if kind == "squared-dice":
        return (2 * overlap + eps_n) / (y2 + p2 + eps_d)
    if kind == "jaccard":
        return (2 * overlap + eps_n) / (2 * (y + p - overlap) + eps_d)
    if kind == "tversky":
        return (2 * overlap + eps_n) / (2 * (overlap + alpha * (p - overlap) + beta * (y - overlap)) + eps_d)
    raise ValueError(kind)


def loss(
    x,
    y,
    *,
    partition,
    epsilon,
    activation="none",
    numerator_epsilon=None,
    class_weights=None,
    normalised=True,
    background=True,
    missing="as-empty",
    presence=None,
    keep=None,
    cross_entropy=0.0,
    similarity_kind="dice",
    alpha=0.5,
    beta=0.5,
    gamma=1.0,
):
    """The loss of logits or probabilities x [B, C, ...] and dense y; keep [B, ...] is False where a voxel is out."""
    x, y = x.double().flatten(2), y.double().flatten(2)
    batch, classes, voxels = x.shape
    keep = torch.ones(batch, voxels, dtype=torch.bool) if keep is None else keep.flatten(1)
    w = keep.double()[:, None]
    p = {"none": lambda v: v, "sigmoid": torch.sigmoid, "softmax": lambda v: v.softmax(1)}[activation](x)
    if missing.endswith("inferred"):
        annotated = (y * w).sum(-1) > 0
        if missing.startswith("marginal"):
            annotated[:, 0] = True
    elif missing == "as-empty" or presence is None:
        annotated = torch.ones(batch, classes, dtype=torch.bool)
    else:
        annotated = torch.as_tensor(presence)
    q = p
    if missing.startswith("marginal"):
        merged = torch.where(annotated[..., None], 0.0, p).sum(1)
        q = torch.where(annotated[..., None], p, 0.0)
        q = torch.cat([q[:, :1] + merged[:, None], q[:, 1:]], dim=1)
    weights = [1.0] * classes if class_weights is None else list(class_weights)
    if not background:
        weights[0] = 0.0
    mixes = partition in ("class", "all")

    def at(values, c):
        values = [values] if isinstance(values, (int, float)) else list(values)
        return values[c] if len(values) > 1 else values[0]

    numerator = epsilon if numerator_epsilon is None else numerator_epsilon
    phi = subsets(partition, batch, classes)
    total, norm = torch.zeros((), dtype=torch.float64), 0.0
    for maps in phi:
        c0 = maps[0][1]
        share = 1.0 if mixes else weights[c0]
        norm += share if normalised else 1.0
        counted = [(b, c) for b, c in maps if annotated[b, c] and not (mixes and weights[c] == 0.0)]
        if not counted:
            d = torch.ones((), dtype=torch.float64)
        else:
            sums = [(q[b, c] * y[b, c], y[b, c], q[b, c], y[b, c] ** 2, q[b, c] ** 2, w[b, 0]) for b, c in counted]
            o, sy, sp, sy2, sp2 = (sum((s[i] * s[5]).sum() for s in sums) for i in range(5))
            d = similarity(similarity_kind, o, sy, sp, sy2, sp2, at(numerator, c0), at(epsilon, c0), alpha, beta)
        total = total + share * (1 - d) ** gamma if normalised else total + share * d
    value = total / norm if normalised else 1 - total / norm
    if cross_entropy:
        if activation == "softmax":
            entropy, count = torch.zeros((), dtype=torch.float64), w.sum()
            for b in range(batch):
                merge = [c for c in range(classes) if missing != "as-empty" and not annotated[b, c]]
                p_b = p[b].clone()
                if merge:
                    group = [0, *[c for c in merge if c != 0]]
                    p_b = torch.stack([p[b][group].sum(0) if c in group else p[b][c] for c in range(classes)])
                entropy = entropy - (w[b, 0] * (y[b] * p_b.log()).sum(0)).sum()
        else:
            entropies = -(y * p.log() + (1 - y) * (1 - p).log()) * w
            entropies = torch.where(annotated[..., None], entropies, 0.0)
            entropy, count = entropies.sum(), (w.expand_as(y) * annotated[..., None]).sum()
        value = value + cross_entropy * entropy / count
    return value
