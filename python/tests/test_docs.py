"""Every Python example of the documentation runs, and so does every one in a docstring."""

import doctest
import re
import runpy
from pathlib import Path

import pytest

import dicewise._explain
import dicewise.numpy
import dicewise.torch.loss

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "docs/pytorch.md", "docs/monai.md", "docs/nnunet.md"]


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run_one_after_the_other(page):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    if not blocks:
        pytest.skip(f"{page} has no Python example")
    if page == "docs/monai.md":
        pytest.importorskip("monai")
    names = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)


def test_the_table_of_peers_is_what_the_installed_packages_do():
    for package in ("monai", "nnunetv2", "segmentation_models_pytorch"):
        pytest.importorskip(package)
    page = (ROOT / "docs" / "peers.md").read_text(encoding="utf-8")
    table = runpy.run_path(str(ROOT / "docs" / "peers.py"))["table"]()
    rows, _, versions = table.rpartition("\n\n")
    assert rows.count("\n") > 8 and rows in page, f"renew it: python docs/peers.py --write\n{table}"
    # The version of PyTorch may be another one; those of the packages are measured.
    assert versions.partition(", torch")[0] in page


@pytest.mark.parametrize("module", [dicewise._explain, dicewise.numpy, dicewise.torch.loss], ids=lambda m: m.__name__)
def test_the_examples_of_docstrings_run(module):
    found = doctest.testmod(module)
    assert found.attempted and not found.failed
