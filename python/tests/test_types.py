"""The types that the package promises, as mypy sees them."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(module, *arguments, folder):
    done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_the_package_has_no_type_errors():
    code, output = run("mypy", folder=ROOT)
    assert code == 0, output


def test_the_stub_says_what_the_compiled_core_has(tmp_path):
    code, output = run("mypy.stubtest", "dicewise._core", folder=tmp_path)
    assert code == 0, output


def test_a_users_mistake_is_found_with_the_installed_package(tmp_path):
    """Which needs `py.typed` beside the modules."""
    (tmp_path / "training.py").write_text(
        "from dicewise.torch import DiceLoss\n"
        "DiceLoss(partition='batch', epsilon=[1e-5, 1.0], activation='softmax')\n"
        "DiceLoss(partition='image', epsilon='heuristic', activation='none', missing='leaf')\n"
        "DiceLoss(partition='images', epsilon=1e-5, activation='none')\n"
    )
    code, output = run("mypy", "--follow-imports=silent", "training.py", folder=tmp_path)
    errors = [line for line in output.splitlines() if "error:" in line]
    assert code == 1 and len(errors) == 1, output
    assert errors[0].startswith("training.py:4:") and '"partition"' in errors[0]
