"""The nnU-Net trainer: the loss it builds, its options, and a training of two epochs on real images."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from dicewise.nnunet import Options, PresenceTable

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "nnunet.md"


def test_options_come_from_the_environment_then_the_configuration_then_the_plans():
    environment = {"DICEWISE_EPSILON": "heuristic", "DICEWISE_EPOCHS": "2"}
    configuration, plans = {"epsilon": 3, "missing": "leaf"}, {"partition": "image", "missing": "marginal"}
    options = Options.read(environment, configuration, plans)
    assert options == Options(partition="image", epsilon="heuristic", missing="leaf", epochs=2)


@pytest.mark.parametrize(
    ("environment", "configuration", "message"),
    [
        ({}, {"epsilon": 1}, "partition is not set: export DICEWISE_PARTITION"),
        ({}, {"partition": "batch"}, "epsilon is not set"),
        ({"DICEWISE_PARTITION": "macro"}, {"epsilon": 1}, "DICEWISE_PARTITION is 'macro': use one of \"image\""),
        ({"DICEWISE_EPSILON": "-1"}, {"partition": "batch"}, "DICEWISE_EPSILON is '-1': use a number of voxels"),
        ({}, {"partition": "batch", "epsilon": 1, "epochs": 0}, "`epochs` of `dicewise` in the configuration"),
        ({}, {"partition": "batch", "epsilon": 1, "smooth": 0}, "unknown key `smooth`"),
    ],
)
def test_mistakes_in_options_name_the_place(environment, configuration, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Options.read(environment, configuration, {})


def test_presence_is_read_by_name_and_case(tmp_path):
    file = tmp_path / "presence.csv"
    file.write_text("case,core,edema\nA,annotated,missing\nB,missing,missing\n")
    table = PresenceTable.read(file, ["edema", "core"])
    assert table.of(["B", "C", "A"], background=True) == [[True, False, False], [True] * 3, [True, False, True]]
    assert table.of(["A"], background=False) == [[False, True]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case,edema\nA,annotated\n", "line 1 is case,edema"),
        ("case,edema,core\nA,annotated\n", "line 2 has 2 entries"),
        ("case,edema,core\nA,annotated,no\n", "line 2: core of A is 'no': use annotated or missing"),
        ("case,edema,core\nA,missing,missing\nA,missing,missing\n", "line 3: A has a line already"),
    ],
)
def test_mistakes_in_presence_name_the_line(tmp_path, text, message):
    file = tmp_path / "presence.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)):
        PresenceTable.read(file, ["edema", "core"])


def trainer(monkeypatch, *, regions=False, ignore=None, batch_dice=True, supervision=True, **environment):
    """A trainer with just what building a loss needs."""
    module = pytest.importorskip("dicewise.nnunet.trainer")
    for name, value in environment.items():
        monkeypatch.setenv(f"DICEWISE_{name.upper()}", value)
    made = object.__new__(module.nnUNetTrainerDicewise)
    made.is_ddp, made.enable_deep_supervision = False, supervision
    made.label_manager = SimpleNamespace(
        has_regions=regions, ignore_label=ignore, num_segmentation_heads=3, has_ignore_label=ignore is not None
    )
    made.configuration_manager = SimpleNamespace(batch_dice=batch_dice, batch_size=2, patch_size=[8, 8, 8])
    made.options = Options.read(os.environ, {}, {})
    made._get_deep_supervision_scales = lambda: [1, 0.5, 0.25]
    made._do_i_compile = lambda: False
    made.print_to_log_file = lambda *_: None
    made.presence = None
    return made


@pytest.mark.parametrize("kind", ["labels", "ignore", "regions", "regions with ignore", "one resolution"])
@pytest.mark.parametrize("batch_dice", [False, True])
def test_with_nnunets_epsilon_the_loss_is_nnunets_own(monkeypatch, kind, batch_dice):
    regions, ignore = kind.startswith("regions"), 3 if "ignore" in kind else None
    made = trainer(
        monkeypatch, regions=regions, ignore=ignore, batch_dice=batch_dice, supervision=kind != "one resolution",
        partition="batch" if batch_dice else "image", epsilon="1e-5",
    )  # fmt: skip
    theirs = super(type(made), made)._build_loss()
    ours = made._build_loss()
    generator = torch.Generator().manual_seed(2)
    outputs, targets = [], []
    for size in (8, 4, 2):
        outputs.append(torch.randn(2, 3, size, size, size, generator=generator, requires_grad=True))
        labels = torch.randint(0, 3 if ignore is None else 4, (2, 1, size, size, size), generator=generator)
        if regions:
            maps = [labels > 0, labels == 2, labels == 1] + ([labels == 3] if ignore else [])
            labels = torch.cat(maps, dim=1)
        targets.append(labels if regions else labels.to(torch.int16))
    if kind == "one resolution":
        outputs, targets = outputs[0], targets[0]
    leaves = outputs if isinstance(outputs, list) else [outputs]
    found, expected = ours(outputs, targets), theirs(outputs, targets)
    assert abs(found - (expected + 1)) < 1e-5
    pairs = zip(*(torch.autograd.grad(v, leaves, allow_unused=True) for v in (found, expected)), strict=True)
    for gradient, expected_gradient in pairs:
        if expected_gradient is not None:
            assert (gradient - expected_gradient).norm() <= 1e-5 * expected_gradient.norm()


def test_a_declared_missing_label_leaves_the_loss(monkeypatch):
    made = trainer(monkeypatch, supervision=False, partition="batch", epsilon="1e-5", missing="leaf")
    loss = made._build_loss()
    made.loss, made.presence = loss, PresenceTable(["a", "b"], {"case1": (True, False)})
    made._tell_presence({"keys": ["case0", "case1"]})
    assert loss.presence == [[True] * 3, [True, True, False]]
    x = torch.randn(2, 3, 4, 4, 4, requires_grad=True)
    y = torch.zeros(2, 1, 4, 4, 4, dtype=torch.int16)
    y[0, 0, 0] = 2
    loss(x, y).backward()
    declared = x.grad.clone()
    x.grad = None
    loss.presence = None
    loss(x, y).backward()
    # In case1, label b is pushed down where nothing was declared; declared missing, it goes with the background.
    assert (x.grad[1, 2] > 0).all() and (declared[1, 2] < 0).all()


def run(command, environment):
    """A line of the documentation's example."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command], env=environment, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}"
    return done.stdout


def raw_dataset(source, folder, cases=6):
    """A few real hippocampus cases in nnU-Net's raw layout."""
    images = sorted(source.joinpath("hippocampus", "imagesTr").glob("*.nii.gz"))[:cases]
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    for image in images:
        case = image.name.removesuffix(".nii.gz")
        shutil.copy(image, folder / "imagesTr" / f"{case}_0000.nii.gz")
        shutil.copy(source / "hippocampus" / "labelsTr" / image.name, folder / "labelsTr" / image.name)
    description = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "anterior": 1, "posterior": 2},
        "numTraining": len(images),
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    first = images[0].name.removesuffix(".nii.gz")
    (folder / "presence.csv").write_text(f"case,anterior,posterior\n{first},annotated,missing\n")


def shrink(plans):
    """Plans of a network that a CPU trains in seconds."""
    content = json.loads(plans.read_text())
    configuration = content["configurations"]["3d_fullres"]
    configuration["batch_size"], configuration["patch_size"] = 2, [32, 32, 32]
    network = configuration["architecture"]["arch_kwargs"]
    network["features_per_stage"] = [4 * 2**stage for stage in range(network["n_stages"])]
    plans.write_text(json.dumps(content))


def test_the_documentations_example_trains_on_real_hippocampus_cases(tmp_path, data):
    pytest.importorskip("nnunetv2")
    block = re.search(r"```sh\n(.*?)```", EXAMPLE.read_text(), re.DOTALL)
    assert block, f"{EXAMPLE} has no example"
    install, plan, train, *more = [
        line for line in block.group(1).replace("\\\n", " ").splitlines() if line and not line.startswith("#")
    ]
    assert "install" in install and "plan" in plan and "nnUNetTrainerDicewise" in train
    folders = {name: tmp_path / name for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")}
    raw_dataset(data, folders["nnUNet_raw"] / "Dataset004_Hippocampus")
    commands = Path(sys.executable).parent
    environment = {
        **os.environ, **{name: str(path) for name, path in folders.items()},
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "nnUNet_n_proc_DA": "1", "nnUNet_def_n_proc": "1",
        "DICEWISE_EPOCHS": "2", "DICEWISE_ITERATIONS": "2", "DICEWISE_VALIDATION_ITERATIONS": "1",
    }  # fmt: skip
    shim = Path(run(install, environment).split(maxsplit=1)[1].strip())
    try:
        assert shim.exists()
        run(f"{plan} -np 1 -npfp 1", environment)
        shrink(folders["nnUNet_preprocessed"] / "Dataset004_Hippocampus" / "nnUNetPlans.json")
        output = run(f"{train} -device cpu", {**environment, "nnUNet_n_proc_DA": "0"})
        assert "Epoch 1" in output and "learns that it is empty" in output and "Mean Validation Dice" in output
        results = folders["nnUNet_results"] / "Dataset004_Hippocampus"
        (fold,) = results.glob("nnUNetTrainerDicewise__*/fold_0")
        state = torch.load(fold / "checkpoint_final.pth", weights_only=False)
        assert state["trainer_name"] == "nnUNetTrainerDicewise" and state["current_epoch"] == 2
        assert (fold / "validation" / "summary.json").exists()
        assert not more, f"the example has lines that this test does not run: {more}"
    finally:
        run("python -m dicewise.nnunet uninstall", environment)
    assert not shim.exists()
