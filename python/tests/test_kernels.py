"""The network operations of `dicewise-kernels`, forward and backward, against PyTorch in float64.

Drives the example `operation` of the crate, under every instruction set that the machine has. Needs cargo, or the built
example in the environment variable DICEWISE_OPERATION.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
functional = torch.nn.functional

ROOT = Path(__file__).resolve().parents[2]
EPSILON = 1e-3


@pytest.fixture(scope="session")
def example():
    if built := os.environ.get("DICEWISE_OPERATION"):
        return built
    if shutil.which("cargo") is None:
        pytest.skip("needs cargo, or the built example in DICEWISE_OPERATION")
    # With the program, so that dependencies keep the features it was built with.
    command = "cargo build --release --example operation -p dicewise-kernels -p dicewise-cli"
    command = [*command.split(), "--message-format", "json-render-diagnostics"]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    return next(m["executable"] for m in messages if m.get("target", {}).get("name") == "operation")


@pytest.fixture(params=["", "avx2", "portable"], ids=["best", "avx2", "portable"])
def level(request):
    """Asks for an instruction set; a machine without it takes its best."""
    return request.param


def check(example, level, name, reference, arrays, **settings):
    """`name` of f32 `arrays` against `reference` of the same in f64: output and all gradients."""
    inputs = [torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in arrays]
    output = reference(*inputs)
    upstream = np.random.default_rng(99).standard_normal(output.shape).astype(np.float32)
    output.backward(torch.tensor(upstream, dtype=torch.float64))
    expected = [output.detach(), *(x.grad for x in inputs)]

    def text(value):
        return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)

    done = subprocess.run(
        [example, name, *(f"{key}={text(value)}" for key, value in settings.items())],
        input=b"".join(array.astype("<f4").tobytes() for array in [*arrays, upstream]),
        env=os.environ | {"DICEWISE_KERNELS": level},
        stdout=subprocess.PIPE,
        check=True,
    )
    actual = np.frombuffer(done.stdout, "<f4").astype(np.float64)
    assert actual.size == sum(e.numel() for e in expected)
    for number, e in enumerate(expected):
        mine, actual = actual[: e.numel()].reshape(e.shape), actual[e.numel() :]
        scale = max(float(e.abs().max()), 1e-3)
        error = float(np.abs(mine - e.numpy()).max()) / scale
        assert error < 1e-5, f"result {number} (0 is the output): {error:.1e} of {scale:.2e}"


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def activated(x, gamma, beta, slope, norm):
    axes = (2, 3, 4) if norm == "instance" else (0, 2, 3, 4)
    mean, variance = x.mean(axes, keepdim=True), x.var(axes, correction=0, keepdim=True)

    def channels(v):
        return v.reshape(1, -1, 1, 1, 1)

    v = channels(gamma) * (x - mean) / torch.sqrt(variance + EPSILON) + channels(beta)
    return functional.prelu(v, slope)


@pytest.mark.parametrize("stride", [(1, 1, 1), (2, 2, 2), (1, 2, 2)])
@pytest.mark.parametrize("kernel", [(3, 3, 3), (1, 3, 3), (1, 1, 1), (5, 3, 1)])
@pytest.mark.parametrize("channels", [(1, 8), (5, 7), (13, 30)])
def test_convolution(example, level, channels, kernel, stride):
    inputs, outputs = channels
    x, weight, bias = normal(1, 2, inputs, 5, 7, 11), normal(2, outputs, inputs, *kernel), normal(3, outputs)
    padding = tuple(k // 2 for k in kernel)
    check(
        example,
        level,
        "conv3d",
        lambda x, w, b: functional.conv3d(x, w, b, stride=stride, padding=padding),
        [x, weight, bias],
        input=x.shape,
        weight=weight.shape,
        stride=stride,
    )


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("slopes", [1, 5])
def test_normalisation_with_activation(example, level, norm, slopes):
    x = 3 * normal(1, 3, 5, 4, 5, 9) + 2
    vectors = [normal(2, 5) + 1.5, normal(3, 5), 0.1 * normal(4, slopes) + 0.2]
    check(
        example,
        level,
        "norm_act",
        lambda *p: activated(*p, norm),
        [x, *vectors],
        input=x.shape,
        slopes=slopes,
        norm=norm,
    )


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("factor", [(2, 2, 2), (1, 2, 2)])
@pytest.mark.parametrize("stride", [(1, 1, 1), (2, 2, 2)])
def test_block_over_joined_channels(example, level, norm, factor, stride):
    size = (4, 6, 14)
    fine, coarse = normal(1, 2, 5, *size), normal(2, 2, 4, *(s // f for s, f in zip(size, factor, strict=False)))
    weight = normal(3, 11, 9, 3, 3, 3)
    vectors = [normal(4, 9) + 1.5, normal(5, 9), 0.1 * normal(6, 9) + 0.2, normal(7, 11)]

    def reference(fine, coarse, weight, gamma, beta, slope, bias):
        x = torch.cat([fine, functional.interpolate(coarse, scale_factor=factor, mode="nearest")], 1)
        return functional.conv3d(activated(x, gamma, beta, slope, norm), weight, bias, stride, padding=1)

    check(
        example,
        level,
        "norm_act_conv3d",
        reference,
        [fine, coarse, weight, *vectors],
        input=fine.shape,
        coarse=coarse.shape,
        weight=weight.shape,
        slopes=9,
        norm=norm,
        factor=factor,
        stride=stride,
    )


@pytest.mark.parametrize("window", [(2, 2, 2), (1, 2, 2), (2, 1, 3)])
def test_max_pooling(example, level, window):
    x = normal(1, 2, 3, 4, 6, 12)
    check(
        example,
        level,
        "max_pool3d",
        lambda x: functional.max_pool3d(x, window),
        [x],
        input=x.shape,
        window=window,
    )


@pytest.mark.parametrize("mode", ["nearest", "trilinear"])
@pytest.mark.parametrize("factor", [(2, 2, 2), (1, 2, 2), (3, 1, 2)])
def test_upsampling(example, level, mode, factor):
    x = normal(1, 2, 3, 3, 4, 5)
    options = {"mode": mode} | ({"align_corners": False} if mode == "trilinear" else {})
    size = tuple(s * f for s, f in zip(x.shape[2:], factor, strict=False))
    check(
        example,
        level,
        f"upsample_{mode}3d",
        lambda x: functional.interpolate(x, size=size, **options),
        [x],
        input=x.shape,
        factor=factor,
    )
