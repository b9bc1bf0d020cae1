"""Training samples a second with all augmentations, ours against MONAI's equivalent pipeline.

    python benches/loader/run.py            # a table; needs monai, torch, and Rust
    python benches/loader/run.py --json

Two experiments, as their files in experiments/ say: `brats` (4 channels and a soft map of 120 x 120 x 78 voxels:
affine, elastic, crop to 80 x 80 x 48, flip, intensity) and `acdc` (1 channel and 4 soft maps of 192 x 192 x 48:
rotation, scale, noise). Cases are in memory on both sides. MONAI is measured in the forms a user could choose:

- `loader`: torch's DataLoader with as many worker processes as we have threads;
- `threads`: as many threads of one process, without DataLoader (not for the slow form of brats);
- `fused` (brats): affine, elastic and crop as one `Rand3DElasticd`, which interpolates once and only inside the crop.

Each round measures all of them in turn; the table has medians over the rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

# glibc keeps what is freed instead of giving each volume back to the system, for both sides: `dicewise` does so by
# itself.
SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
}
if any(os.environ.get(key) != value for key, value in SETTINGS.items()):
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | SETTINGS)

import numpy as np  # noqa: E402
import torch  # noqa: E402
from monai.data import DataLoader, Dataset  # noqa: E402
from monai.transforms import (  # noqa: E402
    Compose,
    Rand3DElasticd,
    RandAffined,
    RandFlipd,
    RandGaussianNoised,
    RandScaleIntensityd,
    RandShiftIntensityd,
    SpatialCropd,
)

CASES = 4
SAMPLES = {"brats": 4, "acdc": 4}
KEYS = ["image", "label"]
DEGREES_15 = np.deg2rad(14.9924)


def cases(name):
    """Noise, and a box as the label."""
    shape, channels, classes = ((78, 120, 120), 4, 1) if name == "brats" else ((48, 192, 192), 1, 4)
    rng = np.random.default_rng(0)
    label = np.zeros((classes, *shape), np.float32)
    box = tuple(slice(n // 3, 2 * n // 3) for n in shape)
    if classes > 1:
        label[0] = 1
        label[(0, *box)] = 0
    label[(-1, *box)] = 1
    image = [rng.random((channels, *shape), np.float32) for _ in range(CASES)]
    return [{"image": torch.from_numpy(x), "label": torch.from_numpy(label.copy())} for x in image]


def transforms(name, fused):
    """Normal draws become uniform ones of the same deviation, which MONAI has for moves."""
    wide = 3**0.5
    if name == "acdc":
        return Compose(
            [
                RandAffined(
                    KEYS,
                    prob=1,
                    rotate_range=(2.0, 0, 0),
                    scale_range=(0.05,) * 3,
                    mode="bilinear",
                    padding_mode="zeros",
                ),
                RandGaussianNoised("image", prob=1, std=0.1, sample_std=False),
            ]
        )
    moves = dict(rotate_range=(wide * DEGREES_15, 0, 0), translate_range=(4 * wide, 6 * wide, 6 * wide))
    # On a full grid, as smooth as ours: sigma of 6 in 40 points over 120 voxels would be 18, which takes longer.
    elastic = dict(prob=1, sigma_range=(6, 6), magnitude_range=(50, 50), mode="bilinear", padding_mode="zeros")
    if fused:
        place = [Rand3DElasticd(KEYS, spatial_size=(48, 80, 80), **moves, **elastic)]
    else:
        place = [
            RandAffined(KEYS, prob=1, mode="bilinear", padding_mode="zeros", **moves),
            Rand3DElasticd(KEYS, **elastic),
            SpatialCropd(KEYS, roi_center=(39, 60, 60), roi_size=(48, 80, 80)),
        ]
    return Compose(
        [
            *place,
            RandFlipd(KEYS, prob=0.5, spatial_axis=2),
            RandShiftIntensityd("image", offsets=0.05 * wide, prob=1),
            RandScaleIntensityd("image", factors=0.05 * wide, prob=1),
        ]
    )


class Loader:
    """MONAI in worker processes."""

    def __init__(self, name, workers, fused):
        data = cases(name) * (SAMPLES[name] // CASES)
        dataset = Dataset(data, transforms(name, fused))
        self.loader = DataLoader(dataset, batch_size=1, num_workers=workers, persistent_workers=True)

    def seconds(self):
        started = time.perf_counter()
        for batch in self.loader:
            assert batch["image"].shape[0] == 1
        return time.perf_counter() - started


class Threads:
    """MONAI in threads."""

    def __init__(self, name, workers, fused):
        self.data, self.transforms = cases(name) * (SAMPLES[name] // CASES), transforms(name, fused)
        self.pool = ThreadPoolExecutor(workers)

    def seconds(self):
        started = time.perf_counter()
        list(self.pool.map(self.transforms, self.data))
        return time.perf_counter() - started


class Ours:
    """The example `loader` of dicewise-data, which waits between repetitions."""

    def __init__(self, name, workers, _fused):
        build = ["cargo", "build", "--release", "--locked", "-p", "dicewise-data", "--example", "loader"]
        messages = subprocess.run([*build, "--message-format", "json"], check=True, stdout=subprocess.PIPE, text=True)
        built = [json.loads(line) for line in messages.stdout.splitlines()]
        program = [m["executable"] for m in built if m.get("target", {}).get("name") == "loader"][-1]
        command = [program, name, str(workers), str(SAMPLES[name])]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def seconds(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", nargs="+", default=["brats", "acdc"])
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    for name in args.experiments:
        for workers in args.workers:
            forms = {"ours": Ours(name, workers, False)}
            forms["MONAI loader"] = Loader(name, workers, False)
            if name == "acdc":
                forms["MONAI threads"] = Threads(name, workers, False)
            else:
                forms["MONAI fused, loader"] = Loader(name, workers, True)
                forms["MONAI fused, threads"] = Threads(name, workers, True)
            # The first round starts workers and warms caches.
            rounds = [{form: it.seconds() for form, it in forms.items()} for _ in range(args.rounds + 1)][1:]
            rate = {form: SAMPLES[name] / statistics.median(r[form] for r in rounds) for form in forms}
            results.append({"experiment": name, "workers": workers, "samples_a_second": rate, "rounds": rounds})
            if not args.json:
                print(f"{name}, {workers} worker{'s' * (workers > 1)}: samples a second")
                for form, value in rate.items():
                    ratio = "" if form == "ours" else f"   ours is {rate['ours'] / value:.1f} times that"
                    print(f"  {form:22}{value:8.2f}{ratio}", flush=True)
    if args.json:
        print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
