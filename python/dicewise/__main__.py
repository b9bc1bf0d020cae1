"""``python -m dicewise NAME``: what the loss of that name teaches on present, empty and missing maps."""

from __future__ import annotations

import argparse
import sys

from dicewise import explain, presets


def main() -> int:
    """Prints an explanation, or one line for each preset."""
    parser = argparse.ArgumentParser(prog="python -m dicewise", description=__doc__)
    parser.add_argument("name", nargs="?", choices=presets(), help="a loss as others ship it; all of them if left out")
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--classes", type=int, default=3)
    parser.add_argument("--voxels", type=int, default=64 * 64)
    parser.add_argument("--object-voxels", type=float, help="400, or less where the objects would not fit, if left out")
    arguments = vars(parser.parse_args())
    name = arguments.pop("name")
    try:
        if name is not None:
            print(explain(name, **arguments))
            return 0
        for preset in presets():
            found = explain(preset, **arguments)
            print(f"{preset:30} empty: {found.on_empty:26} missing: {found.on_missing}")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
