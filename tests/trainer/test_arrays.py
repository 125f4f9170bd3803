"""Arrays are read from a file as they were written, or one kind of error is raised, whatever happened to the file."""

import contextlib
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainer.arrays import MAX_BYTES, ArraysError, read_arrays
from trainer.data import ARRAY_NAMES, DataError, read
from trainer.run import Run

MAGIC = b"\x93NUMPY\x01\x00"


def member(header: bytes, content: bytes = b"") -> bytes:
    """An array as NumPy writes it, but with any header."""
    return MAGIC + struct.pack("<H", len(header)) + header + content


def header(shape: str, kind: str = "|u1") -> bytes:
    """A header as NumPy writes it, but of any shape."""
    return f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()


DAMAGED = {
    "no array": b"60,000 digits",
    "of a shape that is enormous": member(header("(1000000000000000,)")),
    "of a shape that is no number of 64 bits": member(header(f"({2**80},)")),
    "of a negative shape": member(header("(-1,)")),
    "of a header that is open": member(b"{'descr': ('\n"),
    "of a header that is nested": member(b"(" * 5000),
    "of nothings": member(header("(1000000000000000000,)", "|V0")),
    "of objects": member(header("(1,)", "|O"), b"N."),
    "of no known form": b"\x93NUMPY\x09\x00" + bytes(100),
    "cut short": member(header("(10,)"), bytes(9)),
    "nothing": b"",
}


def write(path: Path, names: tuple[str, ...], content: bytes) -> Path:
    """Writes a valid ZIP whose members, of these names, all have the same content."""
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(f"{name}.npy", content)
    return path


@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.filterwarnings("ignore:.*created on Python 2")
def test_no_sort_of_damage_gets_through(tmp_path: Path, kind: str) -> None:
    """For images the one error names the file; a damaged checkpoint counts as none."""
    with pytest.raises(DataError, match=r"mnist\.npz"):
        read(write(tmp_path / "mnist.npz", ARRAY_NAMES, DAMAGED[kind]))
    write(tmp_path / "run" / "checkpoint.npz", ("history", "state_0"), DAMAGED[kind])
    assert Run(tmp_path / "run").resume() is None


def test_what_unpacks_to_too_much_is_not_unpacked(tmp_path: Path) -> None:
    """The bound is on all requested arrays together, by the sizes that the archive states."""
    half = MAX_BYTES // 2 + 1
    path = write(tmp_path / "arrays.npz", ("one", "two"), b"")
    content = bytearray(path.read_bytes())
    at = -1
    while (at := content.find(b"PK\x01\x02", at + 1)) >= 0:
        content[at + 24 : at + 28] = struct.pack("<I", half)  # its size unpacked
    path.write_bytes(content)
    with pytest.raises(ArraysError, match=f"{2 * half} bytes, over the limit of {MAX_BYTES}"):
        read_arrays(path)


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    """All arrays are read, or only those asked for; one that is missing is named."""
    arrays = {"a": np.arange(6.0).reshape(2, 3).T, "b": np.array("text"), "c": np.zeros((0, 3), np.uint8)}
    np.savez(tmp_path / "arrays.npz", allow_pickle=False, **arrays)
    found = read_arrays(tmp_path / "arrays.npz")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert list(read_arrays(tmp_path / "arrays.npz", ["c"])) == ["c"]
    with pytest.raises(ArraysError, match=r"no item named 'd\.npy'"):
        read_arrays(tmp_path / "arrays.npz", ["a", "d"])


@pytest.mark.filterwarnings("ignore")  # of headers that Python 2 might have written
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 75), st.integers(0, 255)), min_size=1, max_size=3))
def test_any_other_header_is_read_or_refused(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    """Whatever bytes a header has, it gives arrays or the one error."""
    content = bytearray(member(header("(3,)"), bytes(3)))
    for at, value in changes:
        content[at % len(content)] = value
    path = write(tmp_path / "arrays.npz", ("a",), bytes(content))
    with contextlib.suppress(ArraysError):
        assert isinstance(read_arrays(path)["a"], np.ndarray)
