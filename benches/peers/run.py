"""Forward + backward of Dice + cross-entropy: MONAI, nnU-Net, smp, PyTorch, torch.compile and dicewise, in turn.

    python benches/peers/run.py                      # all shapes; about 15 minutes on two quiet cores
    python benches/peers/run.py --shape 2,14,96,96,96 --rounds 5 --only dicewise --only "MONAI DiceCELoss"
    python benches/peers/run.py --device cuda        # on a graphics card

Every shape is run in a process of its own. There, every loss is called once (which compiles it, and is not counted),
then all in turn, round by round, so that what else the machine does meets all of them. Reported are medians of wall
time and of the process's CPU time, the latter also as a multiple of a bound: the bytes that must move (logits and
labels twice, the gradient once) at the bandwidth measured in the same rounds. Memory is measured in a further process
for each loss: by how much its highest resident set exceeds that with the inputs alone. On a graphics card times are
wall times, between two points where it has nothing left to do, the bandwidth is the card's, and memory is what PyTorch
allocates there.

Results go to benches/peers/results/: one JSON a shape, a Markdown table of all, and with --plot a picture.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from losses import LOSSES  # noqa: E402

SHAPES = ["2,4,192,192,48", "2,14,96,96,96", "1,105,96,96,96"]


def inputs(shape, device):
    """Random logits and labels; the latter cost dicewise most, which finds classes by runs of voxels."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape, generator=generator).mul_(2)
    labels = torch.randint(0, shape[1], (shape[0], 1, *shape[2:]), generator=generator)
    return logits.to(device).requires_grad_(), labels.to(device)


def step(loss, logits, labels):
    """What a training does with a loss; the gradient is dropped as after an optimiser's step."""
    loss(logits, labels).backward()
    logits.grad = None


def timed(function, device):
    """Wall and CPU seconds; the CPU time is that of all threads."""
    settle(device)
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    settle(device)
    return time.perf_counter() - wall, time.process_time() - cpu


def settle(device):
    """Waits for what a graphics card has been told to do."""
    if device != "cpu":
        torch.cuda.synchronize(device)


class Bandwidth:
    """Bytes a second, read and written: a = 1.5 b over arrays larger than any cache, on all threads."""

    def __init__(self, device):
        size = 1 << (26 if device == "cpu" else 28)
        self.device, self.a, self.b = device, torch.zeros(size, device=device), torch.ones(size, device=device)
        self.rates = []

    def measure(self):
        """One pass; wall time, because that is what memory limits."""
        wall, _ = timed(lambda: torch.mul(self.b, 1.5, out=self.a), self.device)
        self.rates.append(2 * self.a.nbytes / wall)

    def best(self):
        """The highest of the rounds: the machine's, not that of a disturbed moment."""
        return max(self.rates)


def measure_times(shape, names, rounds, device):
    """Median wall and CPU seconds of each loss, and what else belongs to them."""
    logits, labels = inputs(shape, device)
    losses = {}
    for name in names:
        try:
            losses[name] = LOSSES[name](shape[1])
            step(losses[name], logits, labels)
        except Exception as error:  # a compiler that is missing, say
            print(f"{name}: left out: {type(error).__name__}: {str(error)[:200]}", file=sys.stderr)
            losses.pop(name, None)
    bandwidth, times = Bandwidth(device), {name: [] for name in losses}
    for _ in range(rounds):
        bandwidth.measure()
        for name, loss in losses.items():
            times[name].append(timed(lambda loss=loss: step(loss, logits, labels), device))
    moved = 3 * logits.nbytes + 2 * labels.nbytes
    values = {name: loss(logits.detach(), labels).item() for name, loss in losses.items()}
    return {
        "shape": shape,
        "device": device,
        "threads": torch.get_num_threads(),
        "rounds": rounds,
        "bandwidth_bytes_per_s": bandwidth.best(),
        "bound_wall_s": moved / bandwidth.best(),
        # CPU seconds of a pass that keeps every thread waiting for memory.
        "bound_cpu_s": moved / bandwidth.best() * torch.get_num_threads(),
        "logits_bytes": logits.nbytes,
        "losses": {
            name: {
                "wall_s": statistics.median(wall for wall, _ in seconds),
                "cpu_s": statistics.median(cpu for _, cpu in seconds),
                "value": values[name],
            }
            for name, seconds in times.items()
        },
    }


def measure_memory_of_card(shape, name, device):
    """By how many bytes the most that is allocated in a step exceeds the inputs."""
    loss = LOSSES[name](shape[1])
    logits, labels = inputs(shape, device)
    step(loss, logits, labels)
    settle(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    step(loss, logits, labels)
    settle(device)
    return torch.cuda.max_memory_allocated(device) - before


def measure_memory(shape, name):
    """By how many bytes the highest resident set of two steps exceeds that with the inputs alone."""
    small = [shape[0], shape[1], *(8 for _ in shape[2:])]
    loss = LOSSES[name](shape[1])
    if "compile" not in name:
        # Load whatever is loaded on first use. A compiled loss depends on the shape; its first step is its only one.
        step(loss, *inputs(small, "cpu"))
    logits, labels = inputs(shape, "cpu")
    if "compile" in name:
        step(loss, logits, labels)
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5")
    before = peak()
    step(loss, logits, labels)
    return peak() - before


def peak():
    """Highest resident set so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def machine(device):
    """Processor or card, versions and load."""
    names = {"monai": None, "nnunetv2": None, "segmentation-models-pytorch": None, "torch": None}
    from importlib import metadata

    for name in names:
        try:
            names[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            names[name] = "not installed"
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        cpu = next((line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line), cpu)
    if device != "cpu":
        cpu = torch.cuda.get_device_name(device)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {"processor": cpu, "cores": os.cpu_count(), "python": platform.python_version(), "load": load, **names}


def child(*arguments):
    """This script in another process; its last line is JSON."""
    # OpenMP's threads otherwise spin while they wait, and count as CPU time of whoever waits.
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    done = subprocess.run(
        [sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE, text=True, env=environment
    )
    return json.loads(done.stdout.splitlines()[-1])


def main():
    """Parses arguments; see the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", action="append", help="B,C,voxels; may be repeated")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", action="append", choices=list(LOSSES), help="a loss; may be repeated")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--plot", type=Path, help="draws the table (needs matplotlib)")
    parser.add_argument("--child", choices=["times", "memory"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    names = arguments.only or list(LOSSES)
    shapes = [[int(n) for n in text.split(",")] for text in arguments.shape or SHAPES]
    device = arguments.device
    if arguments.child == "times":
        print(json.dumps(measure_times(shapes[0], names, arguments.rounds, device)))
        return
    if arguments.child == "memory":
        of_card = device != "cpu"
        memory = measure_memory_of_card(shapes[0], names[0], device) if of_card else measure_memory(shapes[0], names[0])
        print(json.dumps(memory))
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    only = [part for name in names for part in ("--only", name)]
    results = []
    for shape in shapes:
        text = ",".join(map(str, shape))
        same = ("--shape", text, "--device", device)
        found = child("--child", "times", *same, "--rounds", str(arguments.rounds), *only)
        found["machine"] = machine(device)
        for name, entry in found["losses"].items():
            if not arguments.no_memory:
                entry["memory_bytes"] = child("--child", "memory", *same, "--only", name)
        (arguments.out / f"{text.replace(',', 'x')}.json").write_text(json.dumps(found, indent=2) + "\n")
        results.append(found)
    from table import markdown

    text = markdown(results)
    (arguments.out / "table.md").write_text(text)
    print(text)
    if arguments.plot:
        from plot import draw

        draw(results, arguments.plot)


if __name__ == "__main__":
    main()
