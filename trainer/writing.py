"""Turns failures to write into errors that name the path: a full disk is not a bug, and there may be several disks."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_to(path: Path, *others: type[Exception]) -> Iterator[None]:
    """Wraps a block that writes to a path, so that its errors name the path.

    Args:
        path: Named in an error that names no file itself: Python says which file it could not open, but not which one
            it could not write to.
        others: The exceptions that a library raises instead of OSError if it does the writing.

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
