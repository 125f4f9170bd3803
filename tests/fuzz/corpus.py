"""The kept corpus: of the inputs that fuzzing has found, a few small ones that together reach most of the code.

`python -m tests.fuzz --keep` chooses them again; fuzzing begins with them, and a test runs each of them.
"""

import hashlib
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

KEPT = Path(__file__).parent / "corpus"
# For each target, so that the whole corpus takes less than 200 kB in every clone.
MOST_BYTES = 45_000
_WATCHED = ("/service/", "/PIL/", "/starlette/", "/python_multipart/")


def kept(target: str, folder: Path = KEPT) -> list[bytes]:
    """The inputs that are kept for the target of that name."""
    return [file.read_bytes() for file in sorted((folder / target).glob("*"))]


def keep(target: str, learned: Path, folder: Path = KEPT) -> None:
    """Replace the kept inputs by the smallest ones that each reach a line that the seeds and smaller ones do not."""
    inputs = {file.read_bytes() for file in learned.glob("*")} | set(kept(target, folder))
    run = TARGETS[target]
    reached = set[tuple[str, int]]().union(*(lines_of(run, seed) for seed in seeds(target)))
    shutil.rmtree(folder / target, ignore_errors=True)
    (folder / target).mkdir(parents=True)
    room = MOST_BYTES
    for data in sorted(inputs, key=lambda data: (len(data), data)):
        lines = lines_of(run, data) if len(data) <= room else set()
        if not lines <= reached:
            (folder / target / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
            reached |= lines
            room -= len(data)


def lines_of(run: Callable[[bytes], None], data: bytes) -> set[tuple[str, int]]:
    """The lines of the fuzzed packages that an input reaches, in any thread."""
    reached: set[tuple[str, int]] = set()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        name = frame.f_code.co_filename
        if not any(package in name for package in _WATCHED):
            return None
        if event == "line":
            reached.add((name, frame.f_lineno))
        return trace

    threading.settrace(trace)
    sys.settrace(trace)
    try:
        run(data)
    finally:
        sys.settrace(None)
        threading.settrace(None)
    return reached
