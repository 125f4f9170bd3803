"""A machine that fails while a version is read: a disk that gives errors, and a process without file descriptors."""

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

# Linux answers with EIO whoever reads the first bytes of it, and says that it has none.
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
