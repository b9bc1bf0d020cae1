"""Fourteen defects, planted one at a time: what `dicewise check` reports, beside nnU-Net's `verify_dataset_integrity`.

Needs nibabel, and cargo to build the program (or DICEWISE_PROGRAM, the path of one that is built).
nnunetv2 is optional.
"""

import contextlib
import io
import json
import os
import shutil
import subprocess
import types
from pathlib import Path

import numpy as np
import pytest

nib = pytest.importorskip("nibabel")

ROOT = Path(__file__).resolve().parents[2]
CASES = "abcd"
SHAPE = (16, 12, 10)
AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])


class Planted:
    """A dataset of two modalities and two labels, in which something is wrong."""

    def __init__(self, root):
        self.root = root
        for folder in ["imagesTr", "labelsTr"]:
            (root / folder).mkdir(parents=True)
        self.describe()
        x, y, z = np.indices(SHAPE)
        for number, case in enumerate(CASES):
            draw = np.random.default_rng(number)
            labels = ((x - 5) ** 2 + (y - 6) ** 2 + (z - 5) ** 2 <= (3 + number) ** 2).astype("u1")
            labels[(x - 4 - number % 2) ** 2 + (y - 7) ** 2 + (z - 4) ** 2 <= 4] = 2
            for channel, contrast in enumerate([[0, 40, 80], [0, -30, 20]]):
                image = 100 + np.array(contrast, "f4")[labels] + draw.uniform(-8, 8, SHAPE)
                self.save(self.image(case, channel), image.astype("f4"))
            self.save(self.label(case), labels)

    def describe(self, **changes):
        description = {
            "channel_names": {"0": "T1", "1": "T2"},
            "labels": {"background": 0, "big": 1, "small": 2},
            "numTraining": len(CASES),
            "file_ending": ".nii.gz",
        }
        (self.root / "dataset.json").write_text(json.dumps(description | changes))

    def image(self, case, channel):
        return self.root / f"imagesTr/{case}_{channel:04}.nii.gz"

    def label(self, case):
        return self.root / f"labelsTr/{case}.nii.gz"

    def save(self, path, data, affine=AFFINE):
        nib.save(nib.Nifti1Image(data, affine), path)

    def change(self, path, change=None, affine=AFFINE):
        data = np.asarray(nib.load(path).dataobj).copy()
        self.save(path, data if change is None else change(data), affine)

    def cut(self, path, size):
        path.write_bytes(path.read_bytes()[:size])


def filled(value, at=...):
    def change(data):
        data[at] = value
        return data

    return change


def header_only(planted):
    plain = planted.root / "plain.nii"
    planted.save(plain, np.asarray(nib.load(planted.image("a", 0)).dataobj))
    planted.cut(plain, 352)
    plain.rename(planted.image("a", 0))


def other_affine(row, column, value):
    affine = AFFINE.copy()
    affine[row, column] = value
    return affine


VOXEL = (3, 2, 1)
PLANTS = {
    "image cut in half": lambda p: p.cut(p.image("a", 0), p.image("a", 0).stat().st_size // 2),
    "image is a header only": header_only,
    "NaN voxel": lambda p: p.change(p.image("a", 1), filled(np.nan, VOXEL)),
    "infinite voxel": lambda p: p.change(p.image("a", 1), filled(np.inf, VOXEL)),
    "NaN label": lambda p: p.change(p.label("a"), lambda data: filled(np.nan, VOXEL)(data.astype("f4"))),
    "all-background label map": lambda p: p.change(p.label("a"), filled(0)),
    "constant image": lambda p: p.change(p.image("a", 1), filled(3)),
    "undeclared label": lambda p: p.change(p.label("a"), filled(7, VOXEL)),
    "other shape": lambda p: p.change(p.label("a"), lambda data: data[:, :, :-1]),
    "other spacing": lambda p: p.change(p.label("a"), affine=other_affine(2, 2, 3.0)),
    "other origin": lambda p: p.change(p.label("a"), affine=other_affine(0, 3, 5.0)),
    "missing label map": lambda p: p.label("a").unlink(),
    "missing channel": lambda p: p.image("a", 1).unlink(),
    "fewer cases than announced": lambda p: p.describe(numTraining=5),
}


@pytest.fixture(scope="session")
def dicewise():
    """The program's `check --json`: exit code and report."""
    program = os.environ.get("DICEWISE_PROGRAM")
    if program is None:
        cargo = shutil.which("cargo")
        if cargo is None:
            pytest.skip("no cargo to build the program with")
        command = [cargo, "build", "--release", "--locked", "-p", "dicewise-cli", "--message-format=json"]
        built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        messages = [json.loads(line) for line in built.stdout.splitlines()]
        program = next(m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "dicewise")

    def check(folder):
        done = subprocess.run([program, "check", "--json", folder], capture_output=True, text=True)
        assert done.returncode in (0, 1), done.stderr
        return done.returncode, json.loads(done.stdout)

    return check


def test_a_sound_dataset_passes(dicewise, tmp_path):
    code, report = dicewise(Planted(tmp_path / "data").root)
    assert (code, report["defects"]) == (0, [])


@pytest.mark.parametrize("name", PLANTS)
def test_every_planted_defect_is_reported(dicewise, tmp_path, name):
    planted = Planted(tmp_path / "data")
    PLANTS[name](planted)
    code, report = dicewise(planted.root)
    assert code == 1 and len(report["defects"]) == 1, report["defects"]


def test_nnunet_reports_fewer_of_them(tmp_path):
    verify = pytest.importorskip("nnunetv2.experiment_planning.verify_dataset_integrity")

    # In this process instead of a pool of them, which would import torch anew for every dataset.
    class Here:
        def __init__(self, processes):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def starmap(self, function, arguments):
            return [function(*each) for each in arguments]

    verify.multiprocessing = types.SimpleNamespace(get_context=lambda kind: types.SimpleNamespace(Pool=Here))

    def reports(root):
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said):
                verify.verify_dataset_integrity(str(root), 1)
        except Exception:
            return True
        # The last lines say what to make of "error messages" above them.
        said = said.getvalue().split("####")[0].lower()
        return "warning" in said or "error" in said

    assert not reports(Planted(tmp_path / "sound").root)
    found = {}
    for name, plant in PLANTS.items():
        planted = Planted(tmp_path / name.replace(" ", "_"))
        plant(planted)
        found[name] = reports(planted.root)
    print(f"nnU-Net reports {sum(found.values())} of {len(found)}; silent: {[n for n, f in found.items() if not f]}")
    assert sum(found.values()) < len(found)
