"""TensorBoard itself reads what `dicewise run` writes, and it is what metrics.csv says."""

import csv
import os
import shutil
import subprocess
from pathlib import Path

import pytest

event_accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="the package tensorboard is not installed"
)

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENT = """
name = "events"
seeds = [0]
data = { phantom = "tumour", phantom_cases = { HGG = 4, LGG = 4 }, phantom_shape = [8, 8, 8] }
target = { activation = "sigmoid", labels = { tumour = [1] } }
split = { train = { HGG = 3, LGG = 3 }, test = { HGG = 1, LGG = 1 } }
partial = { label = "tumour", group = "LGG" }
network = { base = 2, levels = 2 }
training = { iterations = 12, learning_rate = 1e-2 }
cells = [{ labelling = "partial", settings = ["BI"], batch_sizes = [2] }]
"""


def program():
    """The program: $DICEWISE, the release build, or the one on the path."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = target / "release" / "dicewise"
    found = os.environ.get("DICEWISE") or (str(built) if built.is_file() else shutil.which("dicewise"))
    return found or pytest.skip("the program `dicewise` is not built: cargo build --release")


def test_tensorboard_reads_every_number_of_metrics_csv(tmp_path):
    experiment, out = tmp_path / "events.toml", tmp_path / "results"
    experiment.write_text(EXPERIMENT, encoding="utf-8")
    subprocess.run([program(), "run", experiment, "--out", out], check=True, capture_output=True)
    cell = out / "partial-BI-b2-seed0" / "fold_0"
    with open(cell / "metrics.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12

    # 0: keep every scalar. A record with a wrong checksum ends the file for TensorBoard.
    events = event_accumulator.EventAccumulator(str(cell / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    tags = set(events.Tags()["scalars"])
    assert {"loss", "learning_rate", "push_present", "push_empty"} <= tags
    for tag in tags:
        written = {int(row["iteration"]): float(row[tag]) for row in rows if row[tag]}
        read = {event.step: event.value for event in events.Scalars(tag)}
        # Scalars are kept in single precision.
        assert read == pytest.approx(written, rel=1e-6), tag
