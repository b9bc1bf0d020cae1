"""``python -m dicewise.nnunet install``: makes ``nnUNetv2_train -tr nnUNetTrainerDicewise`` find the trainer.

nnU-Net looks for trainers by class name in the files of its own package, so a file of a few lines is put there. It
goes with nnunetv2 when that is uninstalled, and with ``python -m dicewise.nnunet uninstall``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

FILE = "nnUNetTrainerDicewise.py"
# nnU-Net imports every file of the folder, whichever trainer it looks for: this one must never fail.
TEXT = '''"""Written by `python -m dicewise.nnunet install`; `uninstall` removes it."""
import importlib.util

if importlib.util.find_spec("dicewise") is not None:
    from dicewise.nnunet.trainer import nnUNetTrainerDicewise  # noqa: F401
'''


def shim() -> Path:
    """Where the file is, or would be."""
    try:
        import nnunetv2
    except ImportError as error:
        raise SystemExit("nnU-Net is not installed in this environment: pip install nnunetv2") from error
    return Path(nnunetv2.__path__[0], "training", "nnUNetTrainer", "variants", "loss", FILE)


def main() -> int:
    """Writes or removes the file."""
    parser = argparse.ArgumentParser(prog="python -m dicewise.nnunet", description=__doc__)
    parser.add_argument("command", choices=["install", "uninstall"])
    install = parser.parse_args().command == "install"
    path = shim()
    try:
        if install:
            path.write_text(TEXT)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        print(f"{path}: {error.strerror}; the environment of nnunetv2 must be writable", file=sys.stderr)
        return 1
    print(f"{'wrote' if install else 'removed'} {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
