"""TensorFlow's failures to write, as the errors that Python's own would be: a full disk is no mistake in the code."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf


@contextmanager
def written_to(path: Path) -> Iterator[None]:
    """For a block in which TensorFlow writes.

    Raises:
        OSError: It can't.
    """
    try:
        yield
    except tf.errors.OpError as error:
        raise OSError(f"{path} can't be written to: {error.message}") from error
