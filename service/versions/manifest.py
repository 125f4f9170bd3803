"""The manifest of a version: what the trainer wrote down, validated, and the check that the files match it.

Reading and checking only; the trainer has its own writer, and a contract test holds the two together.
"""

import errno
import hashlib
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)

MANIFEST_PATH = "assets.extra/manifest.json"
GOLDEN_PATH = "assets.extra/golden.npz"
_REQUIRED_FILES = ("saved_model.pb", GOLDEN_PATH)
# TensorFlow reads nothing in this folder, so only here may a version hold files that its manifest does not list.
_EXTRA_FOLDER = "assets.extra"
# A manifest of this project is about 5 KB; a larger file is something else and is not read into memory.
_MAX_MANIFEST_BYTES = 1024 * 1024
# Error numbers for a file that is missing, may not be read, or is not a file: the version's own fault. Any other number
# points to a disk, a network or a limit of this process, and goes away when that works again.
_VERSION_FAULTS = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EACCES, errno.EPERM}
)


class VersionRejected(Exception):
    """A version that may not serve; its message is the reason, a sentence for the operator."""


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, or else its type's name: reasons are shown in lists."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def first_line_without(error: BaseException, folder: Path) -> str:
    """`first_line`, but without the path of the version's `folder`, because clients are shown the reason."""
    said = first_line(error)
    for place in (str(folder), repr(os.fsencode(folder))[2:-1]):  # TensorFlow also writes it as bytes
        said = said.replace(place, "<version>")
    return said


def _inside_the_version(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\0" in path:
        msg = "must be a relative path inside the version's folder"
        raise ValueError(msg)
    return path


Fraction = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
RelativePath = Annotated[str, AfterValidator(_inside_the_version)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class FileEntry(_Frozen):
    """Size and digest of one file."""

    bytes: NonNegativeInt
    sha256: Sha256


class Dataset(_Frozen):
    """What the network learned from and was tested on."""

    name: str
    canonical: bool
    sha256: dict[str, Sha256]
    training_images: PositiveInt
    held_out_images: NonNegativeInt
    test_images: PositiveInt


class DigitMetrics(_Frozen):
    """How well one digit is recognised."""

    digit: Annotated[int, Field(ge=0, le=9)]
    images: NonNegativeInt
    precision: Fraction
    recall: Fraction


class Metrics(_Frozen):
    """How good the network is; everything but `held_out_accuracy` is on the test images."""

    test_accuracy: Fraction
    test_accuracy_interval: tuple[Fraction, Fraction]
    test_errors: NonNegativeInt
    test_nll: NonNegativeFloat
    test_ece: Fraction
    temperature: PositiveFloat
    held_out_accuracy: Fraction
    per_class: list[DigitMetrics]
    is_digit_threshold: Fraction | None = None
    non_digits_accepted: dict[str, Fraction] = {}
    corruption_errors: dict[str, Fraction] = {}


class Baseline(_Frozen):
    """What predictions looked like on the test images: by digit, and by confidence in 20 equal bins."""

    class_counts: Annotated[list[NonNegativeInt], Field(min_length=10, max_length=10)]
    confidence_counts: Annotated[list[NonNegativeInt], Field(min_length=20, max_length=20)]


class Gate(_Frozen):
    """What the version was compared with before it was published."""

    min_accuracy: Fraction
    compared_version: PositiveInt | None
    only_new_wrong: NonNegativeInt
    only_compared_wrong: NonNegativeInt
    p_value: Fraction | None
    passed: bool
    forced: bool


class Manifest(_Frozen):
    """One version's manifest.json."""

    schema_version: Literal[1]
    name: str
    version: PositiveInt
    created: datetime
    git_commit: str | None
    code_sha256: Sha256
    recipe: dict[str, Any]
    seed: int
    dataset: Dataset
    libraries: dict[str, str]
    parameters: PositiveInt
    multiply_accumulates: PositiveInt
    microseconds_per_image: PositiveFloat | None = None
    training_seconds: NonNegativeFloat
    metrics: Metrics
    baseline: Baseline
    gate: Gate | None = None
    files: dict[RelativePath, FileEntry]

    @property
    def tells_is_digit(self) -> bool:
        """Whether the version says of each image if it is a digit at all."""
        return self.metrics.is_digit_threshold is not None


def is_machine_fault(error: OSError) -> bool:
    """Whether the machine is to blame for an error: it has no descriptors or memory left, or its disk or network fails.

    A library that finds a file's content wrong also raises OSError, but without a number: that is the version's fault.
    """
    return error.errno is not None and error.errno not in _VERSION_FAULTS


def read_manifest(folder: Path) -> tuple[Manifest, str]:
    """Read and validate the manifest of the version in `folder`.

    Returns:
        The manifest and the SHA-256 of its bytes, which identifies everything that the version consists of.

    Raises:
        VersionRejected: The manifest is missing or too large, or does not fit the schema.
        OSError: This machine cannot read it now; that says nothing about the version.
    """
    raw = _read_bounded(folder / MANIFEST_PATH)
    try:
        manifest = Manifest.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = "/".join(str(part) for part in first["loc"])
        msg = f"{MANIFEST_PATH} is not valid: {where or 'the document'}: {first['msg']}"
        raise VersionRejected(msg) from error
    return manifest, hashlib.sha256(raw).hexdigest()


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Check that each file in the manifest has the stated size and digest, and that no loadable file is left out.

    Raises:
        VersionRejected: A file is missing, unreadable or differs, or the manifest leaves out one that may be loaded.
        OSError: This machine cannot read one now; that says nothing about the version.
    """
    for required in _REQUIRED_FILES:
        if required not in manifest.files:
            msg = f"{MANIFEST_PATH} does not list {required}"
            raise VersionRejected(msg)
    for path, entry in manifest.files.items():
        _verify_file(folder / path, path, entry)
    for path in _loadable_files(folder):
        if path not in manifest.files:
            msg = f"{MANIFEST_PATH} does not list {path}: remove it, or publish the version anew"
            raise VersionRejected(msg)


def _loadable_files(folder: Path) -> Iterator[str]:
    """Yield the files that TensorFlow might read with the network; not those of file managers, such as .DS_Store.

    A folder that cannot be listed, or has gone, counts as an empty one: it has no files that could be loaded.
    """
    for parent, _, names in os.walk(folder):
        inner = Path(parent).relative_to(folder)
        if _EXTRA_FOLDER not in inner.parts[:1]:
            yield from ((inner / name).as_posix() for name in names if not name.startswith("."))


def _verify_file(file: Path, path: str, entry: FileEntry) -> None:
    try:
        size = file.stat().st_size
        if size != entry.bytes:
            msg = f"{path} has {size} bytes, the manifest says {entry.bytes}"
            raise VersionRejected(msg)
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        if is_machine_fault(error):
            raise
        msg = f"{path} cannot be read: {error.strerror}"
        raise VersionRejected(msg) from error
    if digest != entry.sha256:
        msg = f"{path} does not have the SHA-256 that the manifest states"
        raise VersionRejected(msg)


def _read_bounded(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            raw = stream.read(_MAX_MANIFEST_BYTES + 1)
    except FileNotFoundError as error:
        msg = f"{MANIFEST_PATH} is missing: the version is not completely written"
        raise VersionRejected(msg) from error
    except OSError as error:
        if is_machine_fault(error):
            raise
        msg = f"{MANIFEST_PATH} cannot be read: {error.strerror}"
        raise VersionRejected(msg) from error
    if len(raw) > _MAX_MANIFEST_BYTES:
        msg = f"{MANIFEST_PATH} is larger than {_MAX_MANIFEST_BYTES} bytes"
        raise VersionRejected(msg)
    return raw
