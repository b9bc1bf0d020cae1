"""nnU-Net v2 with a free choice of Φ, ε and missing labels.

.. code-block:: text

    python -m dicewise.nnunet install          # once: tells nnU-Net's commands of the trainer
    DICEWISE_PARTITION=batch DICEWISE_EPSILON=1e-5 nnUNetv2_train 4 3d_fullres 0 -tr nnUNetTrainerDicewise

The settings are those of :class:`dicewise.nnunet.options.Options`, from the environment or the plans. Needs
``nnunetv2`` (2.5 or newer).
"""

from dicewise.nnunet.options import Options
from dicewise.nnunet.presence import PresenceTable

__all__ = ["Options", "PresenceTable", "nnUNetTrainerDicewise"]


def __getattr__(name: str) -> object:
    # The trainer needs nnunetv2, the rest does not.
    if name == "nnUNetTrainerDicewise":
        from dicewise.nnunet.trainer import nnUNetTrainerDicewise

        return nnUNetTrainerDicewise
    raise AttributeError(f"module 'dicewise.nnunet' has no attribute {name!r}")
