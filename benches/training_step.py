#!/usr/bin/env python3
"""Times a training step, or a prediction, ours against PyTorch.

A step is forward, image-wise Dice, backward and Adam. Networks (`--network`):

* a number: `UNetConfig::small(1, 1, NUMBER, 3)` on an image [2, 1, 32, 48, 32];
* `brats`, `acdc`: the two networks of the paper on [2, 4, 32, 48, 48] and [2, 1, 32, 48, 48];
* `brats-full`, `acdc-full`: the same on the paper's batches, [8, 4, 48, 80, 80] and [2, 1, 48, 192, 192];
* `predict`: the BRATS network over a volume of 120 × 120 × 78 voxels with four channels (240 × 240 × 155 at 2 mm).

All are U-Nets of pre-activation blocks (normalisation, activation, convolution with bias; the first convolution bare) with
max pooling, nearest upsampling and concatenated skips.

Each measurement is a process of its own, ours and PyTorch's in turn. Times are medians over all steps of all rounds;
memory is the peak resident set of the process, with what its libraries take before the first step.

With `--device gpu` ours is on a graphics processor through Vulkan or Metal, with `--device cuda` through CUDA; PyTorch is on
CUDA in both, in f32 without TF32. Memory is then what each has reserved on the card.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VOLUME = (78, 120, 120)
WINDOW = (80, 128, 128)
COLUMNS = ["network", "threads", "ours_ms", "torch_ms", "ratio", "cpu_ratio", "ours_mib", "torch_mib", "memory_ratio"]


def configuration(network):
    """Widths, kernels (z, y, x), pooling, normalisation and input of a network, as `UNetConfig` has them."""
    if network in ("brats", "brats-full", "predict"):
        return {
            "channels": (4, 1), "input": (8, 4, 48, 80, 80) if network == "brats-full" else (2, 4, 32, 48, 48),
            "encoder": [(30, 30), (60, 60), (120, 120), (240, 240)], "bottom": (480, 240),
            "decoder": [(240, 120), (120, 60), (60, 30), (30, 30)],
            "kernels": [(3, 3, 3)] * 2, "pooling": [(2, 2, 2)] * 4, "batch_norm": False, "prelu": False,
        }
    if network in ("acdc", "acdc-full"):
        return {
            "channels": (1, 4), "input": (2, 1, 48, 192, 192) if network == "acdc-full" else (2, 1, 32, 48, 48),
            "encoder": [(c, c) for c in (16, 32, 64, 128)], "bottom": (256, 256),
            "decoder": [(c, c) for c in (128, 64, 32, 16)],
            "kernels": [(3, 3, 3), (1, 3, 3)], "pooling": [(1, 2, 2)] + [(2, 2, 2)] * 3,
            "batch_norm": True, "prelu": True,
        }
    base = int(network)
    return {
        "channels": (1, 1), "input": (2, 1, 32, 48, 32),
        "encoder": [(base, base), (2 * base, 2 * base)], "bottom": (4 * base, 4 * base),
        "decoder": [(2 * base, 2 * base), (base, base)],
        "kernels": [(3, 3, 3)] * 2, "pooling": [(2, 2, 2)] * 2, "batch_norm": False, "prelu": False,
    }


def unet(config):
    """The network that `UNetConfig::init` makes."""
    import torch
    from torch import nn

    def block(inputs, outputs, kernel, bare=False):
        conv = nn.Conv3d(inputs, outputs, kernel, padding=tuple(k // 2 for k in kernel))
        if bare:
            return conv
        if config["batch_norm"]:
            norm = nn.BatchNorm3d(inputs, eps=1e-3, momentum=0.01)
        else:
            norm = nn.InstanceNorm3d(inputs, eps=1e-3, affine=True)
        activation = nn.PReLU(inputs, init=0.0) if config["prelu"] else nn.LeakyReLU(0.01, inplace=True)
        return nn.Sequential(norm, activation, conv)

    def pair(inputs, outputs, bare=False):
        first, second = config["kernels"]
        return nn.Sequential(block(inputs, outputs[0], first, bare), block(outputs[0], outputs[1], second))

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            inputs, outputs = config["channels"]
            encoder, decoder = [], []
            for level, widths in enumerate(config["encoder"]):
                encoder.append(pair(inputs, widths, bare=level == 0))
                inputs = widths[1]
            self.bottom = pair(inputs, config["bottom"])
            inputs = config["bottom"][1]
            for widths, skip in zip(config["decoder"], config["encoder"][::-1]):
                decoder.append(pair(skip[1] + inputs, widths))
                inputs = widths[1]
            self.encoder, self.decoder = nn.ModuleList(encoder), nn.ModuleList(decoder)
            self.head = block(inputs, outputs, (1, 1, 1))
            self.pools = nn.ModuleList(nn.MaxPool3d(window) for window in config["pooling"])
            self.ups = nn.ModuleList(nn.Upsample(scale_factor=window) for window in config["pooling"][::-1])

        def forward(self, x):
            skips = []
            for level, pool in zip(self.encoder, self.pools):
                skips.append(level(x))
                x = pool(skips[-1])
            x = self.bottom(x)
            for level, up in zip(self.decoder, self.ups):
                x = level(torch.cat([skips.pop(), up(x)], 1))
            return self.head(x)

    return UNet()


def training(network, config, device):
    import torch

    # The quickest of PyTorch's implementations of Adam.
    adam = torch.optim.Adam(network.parameters(), lr=1e-3, eps=1e-7, fused=True)
    image = torch.randn(config["input"]).to(device)
    first = image[:, :1]
    if config["channels"][1] == 1:
        activation, target = torch.sigmoid, (first > 0).float()
    else:
        thresholds = torch.tensor([-2 / 3, 0, 2 / 3], device=device)
        classes = torch.bucketize(first[:, 0], thresholds)
        target = torch.nn.functional.one_hot(classes, 4).movedim(-1, 1).float().contiguous()

        def activation(logits):
            return torch.softmax(logits, 1)

    def step():
        adam.zero_grad(set_to_none=True)
        prediction = activation(network(image))
        voxels = (2, 3, 4)
        overlap = (prediction * target).sum(voxels)
        union = prediction.sum(voxels) + target.sum(voxels)
        loss = 1 - ((2 * overlap + 1e-7) / (union + 1e-7)).mean()
        loss.backward()
        adam.step()
        return loss.item()

    return step


def prediction(network, device):
    import torch

    network.eval()
    volume = torch.randn(1, 4, *VOLUME).to(device)
    padding = [side for full, size in zip(WINDOW[::-1], VOLUME[::-1]) for side in (0, full - size)]

    def step():
        with torch.inference_mode():
            probabilities = torch.sigmoid(network(torch.nn.functional.pad(volume, padding)))
            return probabilities[:, :, : VOLUME[0], : VOLUME[1], : VOLUME[2]].contiguous().mean().item()

    return step


def run_torch(name, threads, repetitions, device):
    """Measures PyTorch in this process; the counterpart of the example `training_step` of dicewise-train."""
    import resource

    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    config = configuration(name)
    network = unet(config).to(device)
    step = prediction(network, device) if name == "predict" else training(network, config, device)
    before_mib = memory_mib("VmRSS:")
    for _ in range(min(3, repetitions)):
        step()
    start = resource.getrusage(resource.RUSAGE_SELF)
    steps_ms = []
    for _ in range(repetitions):
        clock = time.perf_counter()
        loss = step()
        steps_ms.append((time.perf_counter() - clock) * 1e3)
    end = resource.getrusage(resource.RUSAGE_SELF)
    # `step` reads the loss, so the card has nothing left to do but the optimiser's last step.
    of_card = {} if device == "cpu" else {"device_reserved_mib": torch.cuda.max_memory_reserved(device) / 2**20}
    system = end.ru_stime - start.ru_stime
    return {
        "parameters": sum(p.numel() for p in network.parameters()),
        "loss": loss,
        "steps_ms": steps_ms,
        "cpu_ms": (end.ru_utime - start.ru_utime + system) * 1e3 / repetitions,
        "system_ms": system * 1e3 / repetitions,
        "page_faults": (end.ru_minflt - start.ru_minflt) / repetitions,
        "before_mib": before_mib,
        "peak_mib": memory_mib("VmHWM:"),
        **of_card,
    }


def memory_mib(field):
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith(field))
    return int(line.split()[1]) / 1024


def build(device):
    # With the program, so that dependencies keep the features it was built with.
    command = "cargo build --release --example training_step -p dicewise-train -p dicewise-cli"
    features = {"cpu": [], "gpu": ["--features", "dicewise-cli/wgpu,dicewise-cli/autotune"],
                "cuda": ["--features", "dicewise-cli/cuda,dicewise-cli/autotune"]}[device]
    command = [*command.split(), *features, "--message-format", "json-render-diagnostics"]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if built.returncode:
        sys.exit("the example does not build")
    messages = map(json.loads, built.stdout.splitlines())
    return next(m["executable"] for m in messages if m.get("target", {}).get("name") == "training_step")


def measure(command, threads):
    # PyTorch's threads otherwise spin while they wait, which takes the processor from whatever else runs.
    settings = {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [str(part) for part in command], env=os.environ | settings, stdout=subprocess.PIPE, check=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def compare(binary, network, threads, rounds, repetitions, device):
    """One row of the table: `rounds` measurements of each side, in turn."""
    arguments = [network, threads, repetitions]
    ours, peers = [], []
    for number in range(rounds):
        progress(f"{network}, {threads} threads: round {number + 1} of {rounds}")
        ours.append(measure([binary, *arguments, device], threads))
        theirs = "cpu" if device == "cpu" else "cuda"
        peers.append(measure([sys.executable, __file__, "--torch", *arguments, theirs], threads))
    counts = {result["parameters"] for result in ours + peers}
    if len(counts) != 1:
        sys.exit(f"the two networks differ: {counts} parameters")

    def steps(results):
        return statistics.median(ms for result in results for ms in result["steps_ms"])

    def median(results, key):
        return statistics.median(result[key] for result in results)

    memory = "peak_mib" if device == "cpu" else "device_reserved_mib"
    # Neighbouring measurements see the most similar load.
    by_round = [steps([mine]) / steps([theirs]) for mine, theirs in zip(ours, peers)]
    return {
        "network": network,
        "base": int(network) if network.isdigit() else None,
        "threads": threads,
        "parameters": counts.pop(),
        "ours_ms": steps(ours),
        "torch_ms": steps(peers),
        "ratio": steps(ours) / steps(peers),
        "ratio_of_rounds": by_round,
        "ours_cpu_ms": median(ours, "cpu_ms"),
        "torch_cpu_ms": median(peers, "cpu_ms"),
        "cpu_ratio": median(ours, "cpu_ms") / median(peers, "cpu_ms"),
        "ours_system_ms": median(ours, "system_ms"),
        "torch_system_ms": median(peers, "system_ms"),
        "ours_page_faults": median(ours, "page_faults"),
        "torch_page_faults": median(peers, "page_faults"),
        "ours_mib": max(result[memory] for result in ours),
        "torch_mib": max(result[memory] for result in peers),
        "memory_ratio": max(result[memory] for result in ours) / max(result[memory] for result in peers),
        "ours_before_mib": median(ours, "before_mib"),
        "torch_before_mib": median(peers, "before_mib"),
    }


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def table(rows):
    cells = [COLUMNS] + [
        [f"{row[c]:.2f}" if "ratio" in c else f"{row[c]:.1f}" if "_" in c else str(row[c]) for c in COLUMNS]
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths)) for line in cells)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON array of rows instead of a table")
    parser.add_argument("--binary", type=Path, help="the built example `training_step`; otherwise cargo builds it")
    parser.add_argument("--network", nargs="+", default=["8", "16"], help="a number, brats[-full], acdc[-full], predict")
    parser.add_argument("--device", choices=["cpu", "gpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each side")
    parser.add_argument("--repetitions", type=int, default=20, help="timed steps a measurement")
    parser.add_argument("--torch", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.torch:
        name, threads, repetitions, device = args.torch
        print(json.dumps(run_torch(name, int(threads), int(repetitions), device)))
        return
    binary = args.binary or build(args.device)
    rows = [
        compare(binary, network, threads, args.rounds, args.repetitions, args.device)
        for network in args.network
        for threads in args.threads
    ]
    progress("")
    if args.json:
        print(json.dumps(rows, indent=2))
        return
    print(table(rows))
    for network, parameters in {row["network"]: row["parameters"] for row in rows}.items():
        print(f"{network}: {parameters} parameters in both networks")


if __name__ == "__main__":
    main()
