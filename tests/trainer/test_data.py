"""Where images are looked for, and how the files found there are read."""

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.synthetic import draw_arrays, write_npz
from tests.trainer.test_idx import encode
from trainer.data import ARRAY_NAMES, DataError, Dataset, DataUnavailableError, load, read


def never_fetch(path: Path) -> None:
    """Stands in for the download where there must be none."""
    raise AssertionError(f"{path} must not be fetched")


def assert_holds(dataset: Dataset, arrays: dict[str, NDArray[np.uint8]]) -> None:
    """The data set has just these arrays."""
    for name in ARRAY_NAMES:
        np.testing.assert_array_equal(getattr(dataset, name), arrays[name])


def write_idx_folder(folder: Path, separator: str, pack: Callable[[bytes], bytes], suffix: str) -> None:
    """Writes drawn arrays as the four IDX files."""
    for name, array in draw_arrays().items():
        part = "train" if name.endswith("train") else "t10k"
        kind = "images" if name.startswith("x") else "labels"
        file = folder / f"{part}-{kind}{separator}idx{array.ndim}-ubyte{suffix}"
        file.write_bytes(pack(encode(array)))


def test_reads_keras_format(tmp_path: Path) -> None:
    """An mnist.npz gives its four arrays, is not taken for MNIST, and has a twelfth held out."""
    dataset = read(write_npz(tmp_path / "any name.npz"))
    assert_holds(dataset, draw_arrays())
    assert not dataset.canonical
    assert dataset.held_out_images == 600 // 12


@pytest.mark.parametrize("separator", ["-", "."])
@pytest.mark.parametrize(("pack", "suffix"), [(bytes, ""), (gzip.compress, ".gz")])
def test_reads_idx_folders(tmp_path: Path, separator: str, pack: Callable[[bytes], bytes], suffix: str) -> None:
    """A folder of the four IDX files works as well, under either spelling, gzipped or not."""
    write_idx_folder(tmp_path, separator, pack, suffix)
    assert_holds(read(tmp_path), draw_arrays())


def test_digests_tell_arrays_from_their_container(tmp_path: Path) -> None:
    """The same arrays have the same digests however they are packed; one changed pixel changes its array's digest."""
    write_idx_folder(tmp_path, "-", bytes, "")
    packed = read(write_npz(tmp_path / "mnist.npz"))
    assert read(tmp_path).sha256 == packed.sha256
    changed = draw_arrays()["x_test"]
    changed[5, 5, 5] ^= 1
    other = read(write_npz(tmp_path / "other.npz", x_test=changed))
    assert {name for name in ARRAY_NAMES if other.sha256[name] != packed.sha256[name]} == {"x_test"}


ARRAYS = draw_arrays()


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"x_train": ARRAYS["x_train"].astype(np.float32)}, "float32"),
        ({"x_train": ARRAYS["x_train"].reshape(600, 784)}, "784"),
        ({"x_test": ARRAYS["x_test"][:, :27]}, "27"),
        ({"y_train": ARRAYS["y_train"][:-1]}, "599"),
        ({"y_train": ARRAYS["y_train"].astype(np.int64)}, "int64"),
        ({"y_test": ARRAYS["y_test"] + np.uint8(1)}, "every digit"),
        ({"y_test": np.zeros(100, np.uint8)}, "every digit"),
        ({"x_test": ARRAYS["x_test"][:20], "y_test": ARRAYS["y_test"][:20]}, "at least"),
        ({"x_train": np.array(0, np.uint8)}, "uint8"),
    ],
)
def test_refuses_other_arrays(tmp_path: Path, arrays: dict[str, NDArray[np.generic]], complaint: str) -> None:
    """Arrays of the wrong shape, type, number or range are refused with a message that says what is wrong."""
    with pytest.raises(DataError, match=complaint):
        read(write_npz(tmp_path / "mnist.npz", **arrays))


def damage(path: Path, kind: str) -> None:
    """Damages an mnist.npz in one of the ways that happen."""
    whole = path.read_bytes()
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "a web page":
        path.write_bytes(b"<html>Sign in to the network</html>")
    elif kind == "cut short":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "one byte":
        path.write_bytes(whole[:5000] + bytes([whole[5000] ^ 0xFF]) + whole[5001:])
    elif kind == "other archive":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "no arrays")
    elif kind == "bare array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3, np.uint8))
    elif kind == "pickled":
        pickled: dict[str, Any] = {name: np.array([{}], dtype=object) for name in ARRAY_NAMES}
        np.savez(path, **pickled)


@pytest.mark.parametrize(
    "kind", ["empty", "a web page", "cut short", "one byte", "other archive", "bare array", "pickled"]
)
def test_damaged_file_is_refused_and_kept(tmp_path: Path, kind: str) -> None:
    """A damaged file gives an error that names it, and stays as it is: it's the user's."""
    path = write_npz(tmp_path / "mnist.npz")
    damage(path, kind)
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"mnist\.npz"):
        load(path, {}, never_fetch)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_incomplete_folder_names_the_missing_file(tmp_path: Path) -> None:
    """A folder that lacks one of the four files gives an error with that file's name."""
    write_idx_folder(tmp_path, "-", bytes, "")
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte"):
        read(tmp_path)


def test_damaged_idx_file_is_named(tmp_path: Path) -> None:
    """A damaged file in a folder gives an error with its name."""
    write_idx_folder(tmp_path, "-", gzip.compress, ".gz")
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz"):
        read(tmp_path)


def test_given_path_is_the_only_one_tried(tmp_path: Path) -> None:
    """A path that the user names must exist, even if a cache has images."""
    cache = tmp_path / "keras" / "datasets"
    cache.mkdir(parents=True)
    write_npz(cache / "mnist.npz")
    with pytest.raises(DataError, match="does not exist"):
        load(tmp_path / "typo.npz", {"KERAS_HOME": str(tmp_path / "keras")}, never_fetch)


@pytest.mark.parametrize("set_by", ["KERAS_HOME", "HOME"])
def test_keras_cache_comes_before_a_download(tmp_path: Path, set_by: str) -> None:
    """Keras' cache is read where Keras would look for it, and nothing is fetched."""
    keras_home = tmp_path if set_by == "KERAS_HOME" else tmp_path / ".keras"
    (keras_home / "datasets").mkdir(parents=True)
    write_npz(keras_home / "datasets" / "mnist.npz")
    assert_holds(load(None, {set_by: str(tmp_path)}, never_fetch), draw_arrays())


def test_else_the_file_is_fetched_into_the_own_cache(tmp_path: Path) -> None:
    """Without any source the download writes into Digits' own cache, which is then read."""

    def fetch(path: Path) -> None:
        assert path == tmp_path / "cache" / "digits" / "mnist.npz"
        path.parent.mkdir(parents=True)
        write_npz(path)

    environment = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert_holds(load(None, environment, fetch), draw_arrays())


def test_no_source_at_all_is_told_apart(tmp_path: Path) -> None:
    """If the download fails too, the error says that there is no data, which `bootstrap` accepts."""

    def fail(path: Path) -> None:
        raise DataUnavailableError(f"put mnist.npz at {path}")

    with pytest.raises(DataUnavailableError, match=r"\.cache/digits/mnist\.npz"):
        load(None, {"HOME": str(tmp_path)}, fail)
