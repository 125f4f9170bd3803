"""Failures to write, as errors that say where: a full disk is no mistake in the code, and there may be several."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_to(path: Path, *others: type[Exception]) -> Iterator[None]:
    """For a block that writes to a path.

    Args:
        path: What is named if the error names nothing: Python says where it could not open, but not where it could
            not write.
        others: What is raised in place of OSError where the block does not write by Python's own means.

    Raises:
        OSError: It can't.
    """
    failures: tuple[type[Exception], ...] = (OSError, *others)
    try:
        yield
    except failures as error:
        if not isinstance(error, OSError) or error.errno is None:
            raise OSError(f"{path} can't be written to: {error}") from error
        error.filename = error.filename or str(path)
        raise
