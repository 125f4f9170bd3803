"""A machine that fails: a disk that gives errors, and a process that can have no file descriptor or no thread."""

import contextlib
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

# On Linux, reading its first bytes gives EIO, although its size is said to be 0.
_FAILS = Path("/proc/self/mem")

needs_a_failing_file = pytest.mark.skipif(not _FAILS.exists(), reason="needs Linux' /proc")


def fail(file: Path) -> None:
    """Make reading a file fail as on a bad disk."""
    file.unlink()
    file.symlink_to(_FAILS)


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """Let this process open no file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def no_threads() -> Iterator[None]:
    """Let this process start no thread: each stack would be larger than the address space."""
    before = threading.stack_size(1 << 60)
    try:
        yield
    finally:
        threading.stack_size(before)
