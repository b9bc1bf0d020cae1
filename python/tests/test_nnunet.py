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
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

import dicewise
from dicewise.nnunet import Options, PresenceTable

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "nnunet.md"


def test_options_come_from_the_environment_then_the_configuration_then_the_plans():
    environment = {"DICEWISE_EPSILON": "heuristic", "DICEWISE_EPOCHS": "2"}
    configuration = {"epsilon": 3, "missing": "leaf"}
    plans = {"partition": "image", "missing": "marginal", "presence": "presence.csv"}
    options = Options.read(environment, configuration, plans)
    expected = {
        "partition": "image",
        "epsilon": "heuristic",
        "missing": "leaf",
        "presence": "presence.csv",
        "epochs": 2,
    }
    assert options == Options(**expected)


@pytest.mark.parametrize(
    ("environment", "configuration", "message"),
    [
        ({}, {"epsilon": 1}, "partition is not set: export DICEWISE_PARTITION"),
        ({}, {"partition": "batch"}, "epsilon is not set"),
        ({"DICEWISE_PARTITION": "macro"}, {"epsilon": 1}, "DICEWISE_PARTITION is 'macro': use one of \"image\""),
        ({"DICEWISE_EPSILON": "-1"}, {"partition": "batch"}, "DICEWISE_EPSILON is '-1': use a number of voxels"),
        ({}, {"partition": "batch", "epsilon": 1, "epochs": 0}, "`epochs` of `dicewise` in the configuration"),
        ({}, {"partition": "batch", "epsilon": 1, "smooth": 0}, "unknown key `smooth`"),
        ({"DICEWISE_PRESENCE": "presence.csv"}, {"partition": "batch", "epsilon": 1}, "export DICEWISE_MISSING=leaf"),
        ({"DICEWISE_MISSING": "leaf"}, {"partition": "batch", "epsilon": 1}, "export DICEWISE_PRESENCE"),
        ({}, {"partition": "batch", "epsilon": 1, "missing": "marginal"}, 'or use "marginal-inferred"'),
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


def test_cases_of_presence_are_those_of_the_dataset(tmp_path):
    file = tmp_path / "presence.csv"
    file.write_text("case,core,edema\nA,annotated,missing\nB_0000,missing,missing\n")
    table = PresenceTable.read(file, ["edema", "core"])
    with pytest.raises(ValueError, match=r"line 3: B_0000 is no case of the dataset: .* such as A, B, C "):
        table.check(["C", "B", "A", "D"])
    assert table.check(["A", "B", "B_0000"]) == "3 labels missing, in 2 of 3 cases that have a line"


def trainer(*, regions=False, ignore=None, batch_dice=True, supervision=True, ddp=False, **options):
    """A trainer with just what building a loss needs."""
    module = pytest.importorskip("dicewise.nnunet.trainer")
    made = object.__new__(module.nnUNetTrainerDicewise)
    made.is_ddp, made.enable_deep_supervision = ddp, supervision
    made.label_manager = SimpleNamespace(
        has_regions=regions, ignore_label=ignore, num_segmentation_heads=3, has_ignore_label=ignore is not None
    )
    made.configuration_manager = SimpleNamespace(batch_dice=batch_dice, batch_size=2, patch_size=[8, 8, 8])
    made.options = Options.read({f"DICEWISE_{name.upper()}": value for name, value in options.items()}, {}, {})
    made._get_deep_supervision_scales = lambda: [1, 0.5, 0.25]
    made._do_i_compile = lambda: False
    made.log = []
    made.print_to_log_file = made.log.append
    made.presence = None
    return made


def patches(generator, *, regions=False, ignore=None, batch=2):
    """Outputs and targets of three resolutions."""
    outputs, targets = [], []
    for size in (8, 4, 2):
        outputs.append(torch.randn(batch, 3, size, size, size, generator=generator, requires_grad=True))
        labels = torch.randint(0, 3 if ignore is None else 4, (batch, 1, size, size, size), generator=generator)
        if regions:
            maps = [labels > 0, labels == 2, labels == 1] + ([labels == 3] if ignore else [])
            labels = torch.cat(maps, dim=1)
        targets.append(labels if regions else labels.to(torch.int16))
    return outputs, targets


@pytest.mark.parametrize("kind", ["labels", "ignore", "regions", "regions with ignore", "one resolution"])
@pytest.mark.parametrize("batch_dice", [False, True])
def test_with_nnunets_epsilon_the_loss_is_nnunets_own(kind, batch_dice):
    regions, ignore = kind.startswith("regions"), 3 if "ignore" in kind else None
    made = trainer(
        regions=regions, ignore=ignore, batch_dice=batch_dice, supervision=kind != "one resolution",
        partition="batch" if batch_dice else "image", epsilon="1e-5",
    )  # fmt: skip
    theirs = super(type(made), made)._build_loss()
    ours = made._build_loss()
    outputs, targets = patches(torch.Generator().manual_seed(2), regions=regions, ignore=ignore)
    if kind == "one resolution":
        outputs, targets = outputs[0], targets[0]
    leaves = outputs if isinstance(outputs, list) else [outputs]
    found, expected = ours(outputs, targets), theirs(outputs, targets)
    assert abs(found - (expected + 1)) < 1e-5
    pairs = zip(*(torch.autograd.grad(v, leaves, allow_unused=True) for v in (found, expected)), strict=True)
    for gradient, expected_gradient in pairs:
        if expected_gradient is not None:
            assert (gradient - expected_gradient).norm() <= 1e-5 * expected_gradient.norm()


def test_a_declared_missing_label_leaves_the_loss():
    made = trainer(supervision=False, partition="batch", epsilon="1e-5", missing="leaf", presence="presence.csv")
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


def test_the_log_says_what_dice_and_the_cross_entropy_teach():
    made = trainer(partition="image", epsilon="1e-5")
    loss = made._build_loss()
    said = "\n".join(made.log)
    assert "Φ = image" in said and "B = 2, C = 3, 512 voxels" in said and "ignores it" in said
    assert "the cross-entropy beside it teaches them to be empty" in said
    found = dicewise.explain(loss)
    assert found.on_empty == "ignores it" and any("deep supervision" in note for note in found.notes)
    without = trainer(partition="image", epsilon="1e-5", cross_entropy="0")
    without._build_loss()
    assert "cross-entropy beside" not in "\n".join(without.log)


def test_presence_is_compared_with_the_preprocessed_cases(tmp_path):
    made = trainer(partition="batch", epsilon="1e-5", missing="leaf", presence="presence.csv")
    made.preprocessed_dataset_folder_base, made.dataset_json = str(tmp_path), {"file_ending": ".nii.gz"}
    made.presence = PresenceTable(["a", "b"], {"case1": (True, False)})
    made._check_presence()
    assert "WARNING" in made.log.pop()
    (tmp_path / "gt_segmentations").mkdir()
    (tmp_path / "gt_segmentations" / "case1.nii.gz").touch()
    made._check_presence()
    assert "1 labels missing, in 1 of 1 cases" in made.log.pop()
    made.presence = PresenceTable(["a", "b"], {"Case1": (True, False)})
    with pytest.raises(ValueError, match="Case1 is no case of the dataset"):
        made._check_presence()


def with_checkpoints(made):
    """The trainer with what nnU-Net's own save_checkpoint and load_checkpoint need."""
    logger = pytest.importorskip("nnunetv2.training.logging.nnunet_logger")
    made.network = torch.nn.Linear(2, 2)
    made.optimizer = torch.optim.SGD(made.network.parameters(), lr=0.1)
    made.grad_scaler, made.logger, made._best_ema = None, logger.nnUNetLogger(), None
    made.current_epoch, made.my_init_kwargs, made.inference_allowed_mirroring_axes = 3, {}, (0,)
    made.local_rank, made.disable_checkpointing, made.was_initialized = 0, False, True
    made.device, made.loss = torch.device("cpu"), made._build_loss()
    made.log.clear()
    return made


def test_the_running_epsilon_and_the_options_are_in_the_checkpoint(tmp_path):
    file, generator = str(tmp_path / "checkpoint_latest.pth"), torch.Generator().manual_seed(3)
    first = with_checkpoints(trainer(partition="image", epsilon="heuristic"))
    first.loss(*patches(generator))
    first.save_checkpoint(file)
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint_latest.pth"]
    resumed = with_checkpoints(trainer(partition="image", epsilon="heuristic"))
    resumed.load_checkpoint(file)
    assert resumed.log == [] and resumed.current_epoch == 4
    assert torch.equal(resumed.network.weight, first.network.weight)
    batch = patches(generator)
    # Another batch would give a fresh loss another ε.
    assert resumed.loss(*batch) == first.loss(*batch) != first._build_loss()(*batch)


def test_resuming_with_other_options_warns(tmp_path):
    file = str(tmp_path / "checkpoint_latest.pth")
    first = with_checkpoints(trainer(partition="image", epsilon="heuristic"))
    first.save_checkpoint(file)
    other = with_checkpoints(trainer(partition="batch", epsilon="1e-5"))
    other.load_checkpoint(file)
    assert any("WARNING" in line and "partition is 'batch'" in line and "with 'image'" in line for line in other.log)
    assert any("epsilon is 1e-05" in line and "with 'heuristic'" in line for line in other.log) and len(other.log) == 2
    super(type(first), first).save_checkpoint(file)
    first.load_checkpoint(file)
    assert any("holds no options" in line for line in first.log)
    first.disable_checkpointing = True
    first.save_checkpoint(str(tmp_path / "none.pth"))
    assert not (tmp_path / "none.pth").exists()


def gradients(loss, outputs, targets):
    return torch.autograd.grad(loss(outputs, targets), outputs)


def rank(number, path, results):
    """One of two processes that share a batch of two: nnU-Net's own loss beside ours, and the running ε."""
    dist.init_process_group("gloo", init_method=f"file://{path}", rank=number, world_size=2)
    found = {}
    for partition in ("image", "batch"):
        made = trainer(batch_dice=partition == "batch", ddp=True, partition=partition, epsilon="1e-5")
        outputs, targets = patches(torch.Generator().manual_seed(number), batch=1)
        ours, theirs = made._build_loss(), super(type(made), made)._build_loss()
        found[partition] = gradients(ours, outputs, targets), gradients(theirs, outputs, targets)
        found["weights"] = ours.weights
    running = trainer(ddp=True, partition="image", epsilon="heuristic")._build_loss()
    running(outputs, targets)
    found["state"] = [loss.object_size.get_extra_state() for loss in running.losses]
    found["sizes"] = [[int((target == c).sum()) for c in range(3)] for target in targets]
    torch.save(found, f"{results}/{number}.pt")
    dist.destroy_process_group()


@pytest.mark.skipif(sys.platform == "win32" or not dist.is_available(), reason="needs torch.distributed with gloo")
def test_on_two_ranks_the_loss_is_nnunets_own_and_the_running_epsilon_is_shared(tmp_path):
    pytest.importorskip("dicewise.nnunet.trainer")
    multiprocessing.spawn(rank, (str(tmp_path / "meeting"), str(tmp_path)), nprocs=2)
    parts = [torch.load(tmp_path / f"{number}.pt", weights_only=False) for number in range(2)]
    for part in parts:
        # The last resolution has the weight that nnU-Net gives it so that DDP finds a gradient.
        assert part["weights"][-1] == pytest.approx(1e-6 / (1.5 + 1e-6))
        for partition in ("image", "batch"):
            for found, expected in zip(*part[partition], strict=True):
                assert (found - expected).norm() <= 1e-5 * expected.norm()
    assert parts[0]["state"] == parts[1]["state"]
    for state, first, second in zip(parts[0]["state"], parts[0]["sizes"], parts[1]["sizes"], strict=True):
        assert list(state["voxels"]) == [a + b for a, b in zip(first, second, strict=True)]
        assert list(state["labels"]) == [2.0] * 3


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
        assert state["dicewise"]["options"]["missing"] == "leaf"
        assert "1 labels missing, in 1 of 6 cases" in output
        assert (fold / "validation" / "summary.json").exists()
        assert not more, f"the example has lines that this test does not run: {more}"
    finally:
        run("python -m dicewise.nnunet uninstall", environment)
    assert not shim.exists()
