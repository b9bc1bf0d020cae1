"""Volumes that nibabel writes, copied by dicewise's reader and writer, are for nibabel what they were.

Every data type, byte order, NIfTI version and kind of affine, compressed and not. Needs nibabel, and cargo to build the
example `nifti_copy` (or NIFTI_COPY, the path of one that is built).
"""

import itertools
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

nib = pytest.importorskip("nibabel")

ROOT = Path(__file__).resolve().parents[2]
SHAPE = (5, 4, 3)
TYPES = ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]


def rotation(axis, degrees):
    """About x, y or z."""
    a, (i, j) = np.deg2rad(degrees), [k for k in range(3) if k != axis]
    matrix = np.eye(3)
    matrix[i, i], matrix[i, j], matrix[j, i], matrix[j, j] = np.cos(a), -np.sin(a), np.sin(a), np.cos(a)
    return matrix


def affine(linear, origin=(-90.5, 126.25, -72.0)):
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, origin
    # What a NIfTI-1 sform can hold.
    return matrix.astype("f4").astype("f8")


AFFINES = {
    "unit": np.eye(4),
    "anisotropic": affine(np.diag([0.9375, 0.9375, 3.3])),
    "mirrored": affine(np.diag([-1.0, 1.0, 2.0])),
    "axes_swapped": affine(np.array([[0, 0, 1.5], [-1, 0, 0], [0, 1, 0.0]])),
    "oblique": affine(rotation(0, 17) @ rotation(2, -31) @ np.diag([1.0, 1.2, 2.5])),
    "oblique_mirrored": affine(rotation(1, 80) @ np.diag([-0.8, 0.8, 0.8])),
    "sheared": affine(np.array([[1.0, 0.2, 0], [0, 1.0, 0], [0, 0.1, 2.0]])),
}


@pytest.fixture(scope="session")
def nifti_copy():
    """The program that reads one file and writes another."""
    if os.environ.get("NIFTI_COPY"):
        return os.environ["NIFTI_COPY"]
    cargo = shutil.which("cargo")
    if cargo is None:
        pytest.skip("no cargo to build the example nifti_copy with")
    command = ["build", "--release", "--locked", "-p", "dicewise-data", "--example", "nifti_copy"]
    built = subprocess.run(
        [cargo, *command, "--message-format=json"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    return next(m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "nifti_copy")


def copy(program, source, target, kind):
    return subprocess.run([program, source, target, kind], capture_output=True, text=True)


def voxels(dtype, top):
    """Noise over what the type can hold, its ends among it, or from 0 to `top`."""
    draw = np.random.default_rng(0)
    kind = np.dtype(dtype)
    if top is not None:
        return draw.integers(0, top, SHAPE, endpoint=True).astype(kind)
    if kind.kind == "f":
        return (draw.standard_normal(SHAPE) * 10.0 ** draw.integers(-20, 20, SHAPE)).astype(kind)
    ends = np.iinfo(kind)
    data = draw.integers(ends.min, ends.max, SHAPE, dtype=kind, endpoint=True)
    data.flat[:2] = ends.min, ends.max
    return data


def save(path, data, matrix, order, version, forms="both"):
    image_class, header_class = {
        1: (nib.Nifti1Image, nib.Nifti1Header),
        2: (nib.Nifti2Image, nib.Nifti2Header),
    }[version]
    header = header_class(endianness=order)
    header.set_data_dtype(data.dtype.newbyteorder(order))
    image = image_class(data, None, header)
    if forms in ("both", "sform"):
        image.set_sform(matrix, code=1)
    if forms in ("both", "qform"):
        # strip_shears: a quaternion cannot hold them, and then the sform decides.
        image.set_qform(matrix, code=1, strip_shears=True)
    if forms == "sform":
        image.set_qform(None, code=0)
    if forms == "qform":
        image.set_sform(None, code=0)
    image.to_filename(path)


@pytest.mark.parametrize("version, order", itertools.product([1, 2], "<>"))
@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_and_byte_order_is_read_as_nibabel_reads_it(nifti_copy, tmp_path, dtype, version, order):
    for ending in [".nii", ".nii.gz"]:
        source, target = tmp_path / f"in{ending}", tmp_path / f"out{ending}"
        save(source, voxels(dtype, None), AFFINES["oblique"], order, version)
        done = copy(nifti_copy, source, target, "f32")
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == "Sform []"
        read, written = nib.load(source), nib.load(target)
        assert nib.load(source).header.endianness == order
        assert np.array_equal(np.asarray(read.dataobj).astype("f4"), np.asarray(written.dataobj))
        assert np.array_equal(read.affine, written.affine)


@pytest.mark.parametrize("name", AFFINES)
@pytest.mark.parametrize("forms", ["both", "sform", "qform"])
def test_every_affine_comes_back(nifti_copy, tmp_path, name, forms):
    if name == "sheared" and forms == "qform":
        pytest.skip("a quaternion cannot hold a shear")
    for version, order in itertools.product([1, 2], "<>"):
        source, target = tmp_path / "in.nii.gz", tmp_path / "out.nii.gz"
        save(source, voxels("i2", None), AFFINES[name], order, version, forms)
        done = copy(nifti_copy, source, target, "i16")
        assert done.returncode == 0, done.stderr
        read, written = nib.load(source), nib.load(target)
        assert np.array_equal(np.asarray(read.dataobj), np.asarray(written.dataobj))
        if forms == "qform":
            # Both compute the matrix from the quaternion; a NIfTI-1 sform then keeps seven digits of it.
            assert np.allclose(read.affine, written.affine, rtol=0, atol=2e-5)
        else:
            assert np.array_equal(read.affine, written.affine)
        assert int(written.header["sform_code"]) == 1
        if name != "sheared":
            # A program that looks at the qform only sees the same place.
            assert int(written.header["qform_code"]) == 1
            assert np.allclose(written.get_qform(), written.affine, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    "kind, dtype, top", [("u8", "u1", 255), ("i16", "i2", 32767), ("u16", "u2", 65535), ("f32", "f4", 9)]
)
def test_what_is_written_has_the_type_that_was_asked_for(nifti_copy, tmp_path, kind, dtype, top):
    source, target = tmp_path / "in.nii", tmp_path / "out.nii"
    data = voxels("i4", top)
    data.flat[0] = top
    save(source, data, np.eye(4), "<", 1)
    assert copy(nifti_copy, source, target, kind).returncode == 0
    written = nib.load(target)
    assert written.get_data_dtype() == np.dtype(dtype)
    assert np.array_equal(np.asarray(written.dataobj), data)


@pytest.mark.parametrize("slope, inter", [(0.5, -3.0), (-2.0, 0.0), (1e-3, 1e3)])
@pytest.mark.parametrize("order", "<>")
def test_scales_are_applied_as_nibabel_applies_them(nifti_copy, tmp_path, slope, inter, order):
    source, target = tmp_path / "in.nii", tmp_path / "out.nii"
    save(source, voxels("i2", None), np.eye(4), order, 1)
    # Slope and intercept are two single-precision numbers from byte 112 on.
    content = bytearray(source.read_bytes())
    content[112:120] = np.array([slope, inter], order + "f4").tobytes()
    source.write_bytes(content)
    assert copy(nifti_copy, source, target, "f32").returncode == 0
    # In double precision, rounded once.
    expected = nib.load(source).get_fdata(dtype="f8").astype("f4")
    assert np.array_equal(expected, np.asarray(nib.load(target).dataobj))


@pytest.mark.parametrize("dtype", TYPES)
def test_labels_come_back_whole_in_every_type(nifti_copy, tmp_path, dtype):
    top = {"u1": 255, "i1": 127, "i2": 32767}.get(dtype, 65535)
    source, target = tmp_path / "in.nii.gz", tmp_path / "out.nii.gz"
    data = voxels(dtype, top)
    data.flat[0] = top
    save(source, data, AFFINES["mirrored"], ">", 1)
    assert copy(nifti_copy, source, target, "labels").returncode == 0
    written = nib.load(target)
    assert written.get_data_dtype() == np.dtype("u2")
    assert np.array_equal(np.asarray(written.dataobj).astype("i8"), data.astype("i8"))


@pytest.mark.parametrize(
    "value, dtype, word",
    [
        (-1, "i2", "outside 0..=65535"),
        (65536, "i4", "outside 0..=65535"),
        (0.5, "f4", "not a whole number"),
        (np.nan, "f8", "not a whole number"),
    ],
)
def test_labels_that_are_none_are_refused_with_their_value(nifti_copy, tmp_path, value, dtype, word):
    source, target = tmp_path / "in.nii.gz", tmp_path / "out.nii.gz"
    data = np.zeros(SHAPE, dtype)
    data[1, 2, 0] = value
    save(source, data, np.eye(4), "<", 1)
    done = copy(nifti_copy, source, target, "labels")
    assert done.returncode == 2 and not target.exists()
    assert word in done.stderr and "[1, 2, 0]" in done.stderr and "in.nii.gz" in done.stderr


def test_a_label_that_rounding_spoilt_is_the_nearest_and_reported(nifti_copy, tmp_path):
    source, target = tmp_path / "in.nii.gz", tmp_path / "out.nii.gz"
    data = np.full(SHAPE, 1.9999999, "f4")
    save(source, data, np.eye(4), "<", 1)
    done = copy(nifti_copy, source, target, "labels")
    assert done.returncode == 0 and "RoundedLabel { count: 60" in done.stdout
    assert np.all(np.asarray(nib.load(target).dataobj) == 2)
