"""MNIST as four checked arrays: finds them, reads them and recognises them by content.

The order is: the path the user gives, Keras' cache, Digits' own cache, a download into that. Files are only read here;
`download.py` writes them, and only into Digits' own cache.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.arrays import ArraysError, read_arrays
from trainer.errors import TrainerError
from trainer.idx import IdxError, read_idx

DIGITS = 10
IMAGE_SIDE = 28
ARRAY_NAMES = ("x_train", "y_train", "x_test", "y_test")

# SHA-256 over each array's bytes. The archive's hash proves nothing: the same arrays may have been zipped again.
CANONICAL_SHA256: Mapping[str, str] = {
    "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
    "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
}
_IDX_STEMS = {
    "x_train": "train-images",
    "y_train": "train-labels",
    "x_test": "t10k-images",
    "y_test": "t10k-labels",
}
# The golden images alone are 64 of the test set; with fewer images no measurement means anything.
_MIN_IMAGES = 64
# 5,000 of MNIST's 60,000; a smaller set gives the same share, one twelfth.
_MAX_HELD_OUT_IMAGES = 5_000
_HELD_OUT_SHARE = 12


class DataError(TrainerError):
    """Images that can't be used; the message says what to do."""


class DataUnavailableError(DataError):
    """No images anywhere; the message says where to put them."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images uint8 [N, 28, 28] with background 0, labels uint8 [N]; `source` is for messages."""

    x_train: NDArray[np.uint8]
    y_train: NDArray[np.uint8]
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.uint8]
    source: str

    @cached_property
    def sha256(self) -> dict[str, str]:
        """The digest of each array's bytes."""
        return {name: hashlib.sha256(getattr(self, name)).hexdigest() for name in ARRAY_NAMES}

    @property
    def canonical(self) -> bool:
        """Whether these are MNIST's own arrays, byte for byte."""
        return self.sha256 == CANONICAL_SHA256

    @property
    def held_out_images(self) -> int:
        """How many of the last training images are held out: no weight is ever fitted to them."""
        return min(_MAX_HELD_OUT_IMAGES, len(self.x_train) // _HELD_OUT_SHARE)

    @property
    def x_held_out(self) -> NDArray[np.uint8]:
        """Those images."""
        return self.x_train[-self.held_out_images :]

    @property
    def y_held_out(self) -> NDArray[np.uint8]:
        """Their labels."""
        return self.y_train[-self.held_out_images :]


def load(given: Path | None, environment: Mapping[str, str], fetch: Callable[[Path], None]) -> Dataset:
    """Finds and reads the images.

    Args:
        given: What the user named: an `mnist.npz` or a folder of IDX files; nothing else is tried.
        environment: Where `KERAS_HOME`, `XDG_CACHE_HOME` and `HOME` are looked up.
        fetch: Makes sure that the file at this path is whole, by downloading it if need be.

    Raises:
        DataError: A source is there but unusable.
        DataUnavailableError: There is no source, and the download failed.
    """
    if given is not None:
        return read(given)
    home = Path(environment.get("HOME") or Path.home())
    keras_cache = Path(environment.get("KERAS_HOME") or home / ".keras") / "datasets" / "mnist.npz"
    if keras_cache.exists():
        return read(keras_cache)
    own_cache = Path(environment.get("XDG_CACHE_HOME") or home / ".cache") / "digits" / "mnist.npz"
    fetch(own_cache)
    return read(own_cache)


def read(path: Path) -> Dataset:
    """Reads an `mnist.npz` in Keras' format, or a folder of the four IDX files, and checks it.

    Raises:
        DataError: It is not there, not readable, or not 28x28 digits with labels.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist: name an mnist.npz or a folder of the four IDX files")
    arrays = _read_idx_folder(path) if path.is_dir() else _read_npz(path)
    for part in ("train", "test"):
        _check(path, part, arrays[f"x_{part}"], arrays[f"y_{part}"])
    return Dataset(**{name: np.ascontiguousarray(arrays[name]) for name in ARRAY_NAMES}, source=str(path))


def scale(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turns images uint8 [N, 28, 28] into a network's pixels: float32 [N, 784] in 0 to 1."""
    return images.reshape(len(images), IMAGE_SIDE * IMAGE_SIDE).astype(np.float32) / np.float32(255)


def _read_npz(path: Path) -> dict[str, NDArray[np.uint8]]:
    try:
        return read_arrays(path, ARRAY_NAMES)
    except ArraysError as error:
        raise DataError(
            f"{path} can't be read as an mnist.npz, which holds {', '.join(ARRAY_NAMES)} ({error}): get a whole copy"
        ) from error


def _read_idx_folder(folder: Path) -> dict[str, NDArray[np.uint8]]:
    arrays = {}
    for name, stem in _IDX_STEMS.items():
        dimensions = 3 if name.startswith("x") else 1
        path = _find_idx(folder, stem, dimensions)
        try:
            arrays[name] = read_idx(path, dimensions)
        except (IdxError, OSError) as error:
            raise DataError(f"{path} can't be read as IDX: {error}; get a whole copy") from error
    return arrays


def _find_idx(folder: Path, stem: str, dimensions: int) -> Path:
    for separator in ("-", "."):
        for suffix in ("", ".gz"):
            path = folder / f"{stem}{separator}idx{dimensions}-ubyte{suffix}"
            if path.is_file():
                return path
    raise DataError(
        f"{folder} has no {stem}-idx{dimensions}-ubyte (or .gz): it must hold the four IDX files; "
        "an mnist.npz is named by its own path"
    )


def _check(path: Path, part: str, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
    if images.dtype != np.uint8 or images.shape[1:] != (IMAGE_SIDE, IMAGE_SIDE):
        raise DataError(f"{path}: x_{part} must be uint8 [N, 28, 28], but is {_form(images)}")
    if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
        raise DataError(f"{path}: y_{part} must be uint8 [{len(images)}], but is {_form(labels)}")
    if len(images) < _MIN_IMAGES:
        raise DataError(f"{path}: x_{part} must have at least {_MIN_IMAGES} images, but has {len(images)}")
    if not np.array_equal(np.unique(labels), np.arange(DIGITS)):
        raise DataError(f"{path}: y_{part} must hold every digit from 0 to 9 and nothing else")


def _form(array: NDArray[np.uint8]) -> str:
    return f"{array.dtype} {list(array.shape)}"
