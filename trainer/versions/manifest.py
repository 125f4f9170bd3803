"""The manifest: what a version says about itself, from the recipe to the checksum of every file.

The types below are the schema, version 1; the service has its own reader of it. No TensorFlow here.
"""

import hashlib
import json
import platform
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, TypeAlias, TypedDict, cast

from trainer.versions.documents import parse
from trainer.versions.schema import (
    Amount,
    Count,
    Digit,
    Fraction,
    PositiveAmount,
    PositiveCount,
    RelativePath,
    Sha256,
    Time,
    of_length,
)

SCHEMA_VERSION = 1
MANIFEST_PATH = Path("assets.extra") / "manifest.json"
_PACKAGE = Path(__file__).parents[1]
_GIT_TIMEOUT_SECONDS = 5.0

RecipeFacts: TypeAlias = dict[str, str | int | float | list[int]]


class DatasetFacts(TypedDict):
    """What the network learned from; the digests are over each array's bytes."""

    name: str
    canonical: bool
    sha256: dict[str, Sha256]
    training_images: PositiveCount
    held_out_images: Count
    test_images: PositiveCount


class ClassMetrics(TypedDict):
    """How well one digit is read; `images` is how many of it the test set has."""

    digit: Digit
    images: Count
    precision: Fraction
    recall: Fraction


class TestMetrics(TypedDict):
    """What the published SavedModel scored on the test set; the interval is Wilson's at 95 %."""

    test_accuracy: Fraction
    test_accuracy_interval: Annotated[list[Fraction], of_length(2)]
    test_errors: Count
    test_nll: Amount
    test_ece: Fraction
    per_class: list[ClassMetrics]


class Metrics(TestMetrics):
    """Adds what the images held out were used for, and how the version does beyond clean digits.

    `is_digit_threshold` is None if the network has no output `is_digit`. The last two are shares from 0 to 1: of 500
    non-digits of each kind, those taken for digits; of 2,000 test images under each corruption, those read wrong.
    Versions made before these were measured lack all three.
    """

    temperature: PositiveAmount
    held_out_accuracy: Fraction
    is_digit_threshold: Fraction | None
    non_digits_accepted: dict[str, Fraction]
    corruption_errors: dict[str, Fraction]


class EpochMetrics(TypedDict):
    """One epoch of fitting: a line of `metrics.jsonl`."""

    epoch: int
    loss: float
    learning_rate: float
    held_out_accuracy: float
    held_out_nll: float
    seconds: float


class GateFacts(TypedDict):
    """What the gate compared; `p_value` is McNemar's, and None if there was no version to compare with.

    `forced` says that the version was published although it did not pass.
    """

    min_accuracy: Fraction
    compared_version: PositiveCount | None
    only_new_wrong: Count
    only_compared_wrong: Count
    p_value: Fraction | None
    passed: bool
    forced: bool


class Baseline(TypedDict):
    """Counts of the predictions on the test set, against which a service can detect drift."""

    class_counts: Annotated[list[Count], of_length(10)]
    confidence_counts: Annotated[list[Count], of_length(20)]


class FileFacts(TypedDict):
    """One file's size and checksum."""

    bytes: Count
    sha256: Sha256


class Manifest(TypedDict):
    """All that `manifest.json` holds."""

    schema_version: int
    name: str
    version: PositiveCount
    created: Time
    git_commit: str | None
    code_sha256: Sha256
    recipe: RecipeFacts
    seed: int
    dataset: DatasetFacts
    libraries: dict[str, str]
    parameters: PositiveCount
    multiply_accumulates: PositiveCount
    microseconds_per_image: PositiveAmount | None
    training_seconds: Amount
    metrics: Metrics
    baseline: Baseline
    gate: GateFacts | None
    files: dict[RelativePath, FileFacts]


def read(version_folder: Path) -> Manifest:
    """Reads a version's manifest.

    Raises:
        OSError: There is none to read.
        ValueError: It is not JSON.
    """
    return cast("Manifest", parse((version_folder / MANIFEST_PATH).read_bytes()))  # `damage_of` checks that it is one


def encode(manifest: Manifest) -> bytes:
    """Writes a manifest as JSON for people and programs."""
    return (json.dumps(manifest, indent=1, allow_nan=False) + "\n").encode()


def describe_files(version_folder: Path) -> dict[str, FileFacts]:
    """States size and SHA-256 of every file in a version folder but the manifest itself."""
    files = sorted(path for path in version_folder.rglob("*") if path.is_file())
    return {
        path.relative_to(version_folder).as_posix(): _describe_file(path)
        for path in files
        if path.relative_to(version_folder) != MANIFEST_PATH
    }


def code_sha256(package: Path = _PACKAGE) -> str:
    """Digests the trainer's own sources: each file's path and bytes, in order of path."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        source = path.read_bytes()
        # The length tells where a file ends and the next path starts.
        digest.update(f"{path.relative_to(package).as_posix()}\0{len(source)}\0".encode())
        digest.update(source)
    return digest.hexdigest()


def git_commit(package: Path = _PACKAGE) -> str | None:
    """Names the git commit of these sources; None if they differ from it, or have none."""
    # Ignored files count too: an installed copy may lie in another project's repository, ignored there.
    try:
        answer = subprocess.run(
            [
                "/usr/bin/env",
                "git",
                "status",
                "--porcelain=v2",
                "--branch",
                "--ignored",
                "--untracked-files=all",
                "--",
                "*.py",
            ],
            cwd=package,
            capture_output=True,
            timeout=_GIT_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    headers, changes = _split_status(answer.stdout.decode(errors="replace"))
    commit = headers.get("branch.oid", "")
    return commit if re.fullmatch("[0-9a-f]{40}", commit) and not changes else None


def library_versions() -> dict[str, str]:
    """Names the versions of Python and the libraries that shape the result, without importing them."""
    libraries = {"python": platform.python_version()}
    for name in ("tensorflow", "keras", "numpy"):
        libraries[name] = _installed_version(name)
    return libraries


def now() -> str:
    """The time in UTC, to the second, as in `2026-11-22T20:40:00Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def same_training(
    manifest: Manifest, recipe: RecipeFacts, code: str, array_digests: Mapping[str, str], seed: int | None
) -> bool:
    """Whether a version came from this recipe, these sources, these images, and, if one is given, this seed.

    A manifest that lacks one of these facts counts as another training.
    """
    try:
        return (
            manifest["recipe"] == recipe
            and manifest["code_sha256"] == code
            and manifest["dataset"]["sha256"] == dict(array_digests)
            and seed in (None, manifest["seed"])
        )
    except (KeyError, TypeError):
        return False


def _describe_file(path: Path) -> FileFacts:
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _installed_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return version(f"{name}-cpu")  # TensorFlow's build without GPU code


def _split_status(status: str) -> tuple[dict[str, str], list[str]]:
    """Splits git's output into its headers (`# branch.oid 9fceb02...`) and a line for each change."""
    headers, changes = {}, []
    for line in status.splitlines():
        if line.startswith("# "):
            name, _, value = line[2:].partition(" ")
            headers[name] = value
        else:
            changes.append(line)
    return headers, changes
