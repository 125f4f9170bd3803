"""Stand-ins for the service's tests: an engine with easily checked answers, and versions that need no TensorFlow."""

import asyncio
import hashlib
import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.versions.loading import LoadedVersion
from service.versions.manifest import MANIFEST_PATH, Manifest, VersionRejected
from service.versions.model_store import StoredVersion

NO_DIGEST = "0" * 64
# In the manifest of a version whose engine tells digits from other things.
IS_DIGIT_THRESHOLD = 0.3


@dataclass
class FirstPixelEngine:
    """Reads the digit out of the first pixel: 0.0 is a 0, 0.9 is a 9; `gate`, if closed, holds every batch back.

    With `tells_is_digit` the second pixel is the score of being a digit.
    """

    gate: threading.Event | None = None
    inline_rows: int = 0
    batches: list[int] = field(default_factory=list)
    tells_is_digit: bool = False

    def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give the digit of each row 0.91 and the others 0.01."""
        if self.gate is not None:
            assert self.gate.wait(timeout=30)
        self.batches.append(len(pixels))
        digits = np.rint(pixels[:, 0] * 10).astype(int) % 10
        probabilities = np.asarray(0.01 + 0.9 * np.eye(10)[digits], dtype=np.float32)
        return np.concatenate([probabilities, pixels[:, 1:2]], axis=1) if self.tells_is_digit else probabilities


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        """Tell the time."""
        return self.seconds

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds


def row_of(digit: int, is_digit: float = 0.5) -> NDArray[np.float32]:
    """A row that `FirstPixelEngine` reads as `digit` with the score `is_digit`; float32 [784]."""
    row = np.full(784, 0.5, np.float32)
    row[:2] = digit / 10, is_digit
    return row


def manifest_document(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A valid manifest as JSON would hold it, with some members changed."""
    document: dict[str, Any] = {
        "schema_version": 1,
        "name": "digits",
        "version": number,
        "created": "2026-01-02T03:04:05Z",
        "git_commit": None,
        "code_sha256": NO_DIGEST,
        "recipe": {"profile": "fake"},
        "seed": 0,
        "dataset": {
            "name": "mnist",
            "canonical": True,
            "sha256": {"x_train": NO_DIGEST},
            "training_images": 55_000,
            "held_out_images": 5_000,
            "test_images": 10_000,
        },
        "libraries": {},
        "parameters": 100,
        "multiply_accumulates": 100,
        "training_seconds": 1.0,
        "metrics": {
            "test_accuracy": 0.99,
            "test_accuracy_interval": [0.98, 0.995],
            "test_errors": 100,
            "test_nll": 0.1,
            "test_ece": 0.01,
            "temperature": 1.0,
            "held_out_accuracy": 0.99,
            "per_class": [],
        },
        "baseline": {"class_counts": [1] * 10, "confidence_counts": [1] * 20},
        "files": {},
    }
    return document | changes


def write_version(store: Path, number: int, **changes: Any) -> Path:
    """Write a version that is whole but holds no real SavedModel: two files and their manifest."""
    folder = store / "digits" / str(number)
    (folder / "assets.extra").mkdir(parents=True)
    contents = {"saved_model.pb": b"a model %d" % number, "assets.extra/golden.npz": b"golden"}
    files = {}
    for path, content in contents.items():
        (folder / path).write_bytes(content)
        files[path] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / MANIFEST_PATH).write_text(json.dumps(manifest_document(number, files=files) | changes))
    return folder


@dataclass
class FakeLoader:
    """Loads every version with one engine, but rejects those in `rejected`.

    Versions in `cached` need no preparing; loading one in `hanging` takes until its event is set.
    """

    engine: FirstPixelEngine = field(default_factory=FirstPixelEngine)
    rejected: dict[int, str] = field(default_factory=dict)
    cached: set[int] = field(default_factory=set)
    hanging: dict[int, asyncio.Event] = field(default_factory=dict)
    loads: list[int] = field(default_factory=list)

    async def __call__(self, stored: StoredVersion) -> LoadedVersion:
        """Load, or reject with the reason that the test gave."""
        self.loads.append(stored.number)
        if stored.number in self.hanging:
            await self.hanging[stored.number].wait()
        if stored.number in self.rejected:
            raise VersionRejected(self.rejected[stored.number])
        return loaded_version(stored.number, self.engine, stored)

    async def from_cache(self, stored: StoredVersion) -> LoadedVersion | None:
        """Load a version if it is cached already."""
        return loaded_version(stored.number, self.engine, stored) if stored.number in self.cached else None


def loaded_version(
    number: int = 1, engine: FirstPixelEngine | None = None, stored: StoredVersion | None = None
) -> LoadedVersion:
    """A loaded version with a fake engine."""
    engine = engine or FirstPixelEngine()
    document = manifest_document(number)
    if engine.tells_is_digit:
        document["metrics"]["is_digit_threshold"] = IS_DIGIT_THRESHOLD
    manifest = Manifest.model_validate(document)
    return LoadedVersion(stored or StoredVersion(number, Path(), ()), manifest, engine)
