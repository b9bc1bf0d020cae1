"""The trainer: nnU-Net's own, with another loss."""

from __future__ import annotations

import dataclasses
import math
import os
from pathlib import Path

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import distributed as dist
from torch import nn

from dicewise import explain
from dicewise._explain import typical_object
from dicewise.nnunet.options import Options
from dicewise.nnunet.presence import PresenceTable
from dicewise.torch import DiceLoss


class DeepSupervisedLoss(nn.Module):
    """Σ_s w_s L_s over the resolutions of deep supervision, or L of the only one.

    Every resolution has its own loss, because the heuristic ε counts voxels. Before a step, :attr:`presence` is set to
    that of the cases in the batch.
    """

    def __init__(self, losses: list[DiceLoss], weights: list[float], ignore_channel: bool) -> None:
        super().__init__()
        self.losses = nn.ModuleList(losses)
        self.weights = weights
        self.ignore_channel = ignore_channel
        self.presence: list[list[bool]] | None = None

    def forward(self, outputs, targets) -> torch.Tensor:
        """The weighted sum; resolutions of weight 0 are left out, as in nnU-Net."""
        if not isinstance(outputs, (tuple, list)):
            outputs, targets = [outputs], [targets]
        terms = [
            weight * self._one(loss, output, target)
            for weight, loss, output, target in zip(self.weights, self.losses, outputs, targets, strict=True)
            if weight != 0
        ]
        return sum(terms[1:], terms[0])

    def _one(self, loss: nn.Module, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        mask = None
        if self.ignore_channel:
            # With regions, nnU-Net keeps "ignore" as the last channel of the target.
            target, mask = target[:, :-1], ~target[:, -1].bool()
        elif target.shape[1] == 1 and target.is_floating_point() and output.shape[1] > 1:
            target = target.to(torch.int16)
        return loss(output, target, self.presence, mask)


class nnUNetTrainerDicewise(nnUNetTrainer):
    """nnU-Net's trainer with Dice and cross-entropy of dicewise; :class:`dicewise.nnunet.Options` says how it is told.

    Differs from nnU-Net's own loss by the constant 1 (it minimises 1 − Dice, nnU-Net −Dice), and where Φ, ε or missing
    labels are set differently; with ``DICEWISE_EPSILON=1e-5`` and the ``batch_dice`` of the plans, gradients are equal.
    """

    # nnU-Net looks its arguments up by the names in this signature and stores them in checkpoints.
    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.options = Options.read(
            os.environ,
            self.configuration_manager.configuration.get("dicewise", {}),
            self.plans_manager.plans.get("dicewise", {}),
        )
        if self.options.epochs is not None:
            self.num_epochs = self.options.epochs
        if self.options.iterations is not None:
            self.num_iterations_per_epoch = self.options.iterations
        if self.options.validation_iterations is not None:
            self.num_val_iterations_per_epoch = self.options.validation_iterations
        self.presence = self._read_presence()

    def _read_presence(self) -> PresenceTable | None:
        if self.options.presence is None:
            return None
        ignored = self.label_manager.ignore_label
        named = {
            name: value
            for name, value in self.dataset_json["labels"].items()
            if name != "background" and not (ignored is not None and value == ignored)
        }
        if not self.label_manager.has_regions:
            # Channels go by the label's number.
            named = dict(sorted(named.items(), key=lambda item: item[1]))
        return PresenceTable.read(self.options.presence, list(named))

    def _build_loss(self) -> nn.Module:
        options, regions = self.options, self.label_manager.has_regions
        has_ignore = self.label_manager.ignore_label is not None
        # A running ε is one of all ranks, too.
        across = self.is_ddp and (options.partition in ("batch", "all") or options.epsilon == "heuristic")
        # With an ignore label, nnU-Net adds the binary cross-entropies of the regions up instead of averaging them.
        regions_added = self.label_manager.num_segmentation_heads if regions and has_ignore else 1

        def loss() -> DiceLoss:
            return DiceLoss(
                partition=options.partition,
                epsilon=options.epsilon,
                activation="sigmoid" if regions else "softmax",
                background=options.background or regions,
                missing=options.missing,
                cross_entropy=options.cross_entropy * regions_added,
                ignore_index=None if regions else self.label_manager.ignore_label,
                process_group=dist.group.WORLD if across else None,
            )

        weights = [1.0]
        if self.enable_deep_supervision:
            weights = [0.5**scale for scale in range(len(self._get_deep_supervision_scales()))]
            # As nnU-Net: the lowest resolution does not count, but DDP wants every parameter to have a gradient.
            weights[-1] = 1e-6 if self.is_ddp and not self._do_i_compile() else 0.0
            weights = [weight / sum(weights) for weight in weights]
        self.print_to_log_file(f"dicewise: {options}")
        built = DeepSupervisedLoss([loss() for _ in weights], weights, ignore_channel=regions and has_ignore)
        self.print_to_log_file(str(self._explanation(built)))
        return built

    def _explanation(self, loss: nn.Module) -> object:
        """What the loss does with maps without ground truth, at the size of this patch."""
        voxels = math.prod(self.configuration_manager.patch_size)
        classes = max(self.label_manager.num_segmentation_heads, 1)
        return explain(
            loss,
            batch_size=self.configuration_manager.batch_size,
            classes=classes,
            voxels=voxels,
            object_voxels=typical_object(voxels, classes),
        )

    def on_train_start(self) -> None:
        """Before training, presence.csv is compared with the cases of the dataset."""
        self._check_presence()
        super().on_train_start()

    def _check_presence(self) -> None:
        if self.presence is None:
            return
        folder = Path(self.preprocessed_dataset_folder_base, "gt_segmentations")
        if not folder.is_dir():
            self._warn(f"no {folder} to compare the cases of {self.options.presence} with")
            return
        ending = self.dataset_json["file_ending"]
        cases = {file.name.removesuffix(ending) for file in folder.iterdir() if file.name.endswith(ending)}
        self.print_to_log_file(f"dicewise: {self.options.presence}: {self.presence.check(cases)}")

    def save_checkpoint(self, filename: str) -> None:
        """nnU-Net's checkpoint, with the options and the running ε of the loss under the key ``dicewise``."""
        super().save_checkpoint(filename)
        if self.local_rank != 0 or self.disable_checkpointing:
            return
        checkpoint = torch.load(filename, map_location="cpu", weights_only=False)
        checkpoint["dicewise"] = {"options": dataclasses.asdict(self.options), "loss": self.loss.state_dict()}
        # nnU-Net's file stays whole until this one is.
        torch.save(checkpoint, f"{filename}.part")
        os.replace(f"{filename}.part", filename)

    def load_checkpoint(self, filename_or_checkpoint: str) -> None:
        """Takes up the running ε, and warns where the options are not those that the checkpoint was trained with."""
        super().load_checkpoint(filename_or_checkpoint)
        saved = torch.load(filename_or_checkpoint, map_location="cpu", weights_only=False).get("dicewise")
        if saved is None:
            self._warn(f"{filename_or_checkpoint} holds no options: it cannot be said whether they have changed")
            return
        for name, now in dataclasses.asdict(self.options).items():
            before = saved["options"].get(name, now)
            if before != now:
                self._warn(f"{name} is {now!r}, but {filename_or_checkpoint} was trained with {before!r}")
        if saved["loss"].keys() == self.loss.state_dict().keys():
            self.loss.load_state_dict(saved["loss"])

    def _warn(self, message: str) -> None:
        self.print_to_log_file(f"WARNING: dicewise: {message}")

    def _tell_presence(self, batch: dict) -> None:
        if self.presence is not None:
            background = not self.label_manager.has_regions
            self.loss.presence = self.presence.of([str(key) for key in batch["keys"]], background=background)

    def train_step(self, batch: dict) -> dict:
        """One step, with the presence of the cases in the batch."""
        self._tell_presence(batch)
        self.loss.train()
        return super().train_step(batch)

    def validation_step(self, batch: dict) -> dict:
        """One step of validation; the heuristic ε does not learn from it."""
        self._tell_presence(batch)
        self.loss.eval()
        return super().validation_step(batch)
