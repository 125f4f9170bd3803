"""Failures to write, as errors that name the path: a full disk is no mistake in the code, and there may be several."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_to(path: Path, *others: type[Exception]) -> Iterator[None]:
    """For a block that writes to a path.

    Args:
        path: What the error names if it names nothing itself: Python says which file it could not open, but not which
            one it could not write to.
        others: What is raised instead of OSError where a library does the writing.

    Raises:
        OSError: The path can't be written to.
    """
    failures: tuple[type[Exception], ...] = (OSError, *others)
    try:
        yield
    except failures as error:
        if not isinstance(error, OSError) or error.errno is None:
            raise OSError(f"{path} can't be written to: {error}") from error
        error.filename = error.filename or str(path)
        raise
