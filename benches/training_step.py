#!/usr/bin/env python3
"""Times one training step of a small U-Net, ours against PyTorch.

A step is forward, image-wise Dice on sigmoid outputs, backward and Adam, on an image [2, 1, 32, 48, 32]. The network is
`UNetConfig::small(1, 1, base, 3)`: three resolutions, pre-activation blocks (instance normalisation, leaky ReLU,
3×3×3 convolution with bias; the first convolution bare), max pooling, nearest upsampling, concatenated skips.

Each measurement is a process of its own, ours and PyTorch's in turn. Times are medians over all steps of all rounds;
memory is the peak resident set of the process, with what its libraries take before the first step.
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
INPUT = (2, 1, 32, 48, 32)
LEVELS = 3
WARM_UP = 3
COLUMNS = ["base", "threads", "ours_ms", "torch_ms", "ratio", "cpu_ratio", "ours_mib", "torch_mib"]


def unet(base):
    """The network of `UNetConfig::small(1, 1, base, LEVELS)`."""
    import torch
    from torch import nn

    def block(inputs, outputs, kernel=3, bare=False):
        conv = nn.Conv3d(inputs, outputs, kernel, padding=kernel // 2)
        if bare:
            return conv
        norm = nn.InstanceNorm3d(inputs, eps=1e-3, affine=True)
        return nn.Sequential(norm, nn.LeakyReLU(0.01, inplace=True), conv)

    def pair(inputs, outputs, bare=False):
        return nn.Sequential(block(inputs, outputs, bare=bare), block(outputs, outputs))

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            widths = [base << level for level in range(LEVELS)]
            self.encoder = nn.ModuleList(
                pair(inputs, outputs, bare=level == 0)
                for level, (inputs, outputs) in enumerate(zip([INPUT[1], *widths], widths[:-1]))
            )
            self.bottom = pair(widths[-2], widths[-1])
            self.decoder = nn.ModuleList(
                pair(skip + deeper, skip) for skip, deeper in zip(widths[-2::-1], widths[:0:-1])
            )
            self.head = block(base, 1, kernel=1)
            self.pool = nn.MaxPool3d(2)
            self.up = nn.Upsample(scale_factor=2, mode="nearest")

        def forward(self, x):
            skips = []
            for level in self.encoder:
                skips.append(level(x))
                x = self.pool(skips[-1])
            x = self.bottom(x)
            for level in self.decoder:
                x = level(torch.cat([skips.pop(), self.up(x)], 1))
            return self.head(x)

    return UNet()


def run_torch(base, threads, repetitions):
    """Measures PyTorch in this process; the counterpart of the example `training_step` of dicewise-train."""
    import resource

    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = unet(base)
    # The quickest of PyTorch's implementations of Adam.
    adam = torch.optim.Adam(network.parameters(), lr=1e-3, eps=1e-7, fused=True)
    image = torch.randn(INPUT)
    target = (image > 0).float()
    before_mib = memory_mib("VmRSS:")

    def step():
        adam.zero_grad(set_to_none=True)
        prediction = torch.sigmoid(network(image))
        voxels = (2, 3, 4)
        overlap = (prediction * target).sum(voxels)
        union = prediction.sum(voxels) + target.sum(voxels)
        loss = 1 - ((2 * overlap + 1e-7) / (union + 1e-7)).mean()
        loss.backward()
        adam.step()
        return loss.item()

    for _ in range(WARM_UP):
        step()
    start = resource.getrusage(resource.RUSAGE_SELF)
    steps_ms = []
    for _ in range(repetitions):
        clock = time.perf_counter()
        loss = step()
        steps_ms.append((time.perf_counter() - clock) * 1e3)
    end = resource.getrusage(resource.RUSAGE_SELF)
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
    }


def memory_mib(field):
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith(field))
    return int(line.split()[1]) / 1024


def build():
    # With the program, so that dependencies keep the features it was built with.
    command = "cargo build --release --example training_step -p dicewise-train -p dicewise-cli"
    command = [*command.split(), "--message-format", "json-render-diagnostics"]
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


def compare(binary, base, threads, rounds, repetitions):
    """One row of the table: `rounds` measurements of each side, in turn."""
    arguments = [base, threads, repetitions]
    ours, peers = [], []
    for number in range(rounds):
        progress(f"base {base}, {threads} threads: round {number + 1} of {rounds}")
        ours.append(measure([binary, *arguments], threads))
        peers.append(measure([sys.executable, __file__, "--torch", *arguments], threads))
    counts = {result["parameters"] for result in ours + peers}
    if len(counts) != 1:
        sys.exit(f"the two networks differ: {counts} parameters")

    def steps(results):
        return statistics.median(ms for result in results for ms in result["steps_ms"])

    def median(results, key):
        return statistics.median(result[key] for result in results)

    # Neighbouring measurements see the most similar load.
    by_round = [steps([mine]) / steps([theirs]) for mine, theirs in zip(ours, peers)]
    return {
        "base": base,
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
        "ours_mib": max(result["peak_mib"] for result in ours),
        "torch_mib": max(result["peak_mib"] for result in peers),
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
    parser.add_argument("--base", type=int, nargs="+", default=[8, 16], help="channels at the finest resolution")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each side")
    parser.add_argument("--repetitions", type=int, default=20, help="timed steps a measurement")
    parser.add_argument("--torch", type=int, nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.torch:
        print(json.dumps(run_torch(*args.torch)))
        return
    binary = args.binary or build()
    rows = [
        compare(binary, base, threads, args.rounds, args.repetitions)
        for base in args.base
        for threads in args.threads
    ]
    progress("")
    if args.json:
        print(json.dumps(rows, indent=2))
        return
    print(table(rows))
    for base, parameters in {row["base"]: row["parameters"] for row in rows}.items():
        print(f"base {base}: {parameters} parameters in both networks")


if __name__ == "__main__":
    main()
