"""Engines run a version's network: one interface, two implementations, chosen by `DIGITS_ENGINE`."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Engine(Protocol):
    """Runs the network on batches; may be called from several threads at once."""

    @property
    def inline_rows(self) -> int:
        """Most rows that may run in the event loop's own thread; 0 if none may."""
        ...

    def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn pixels float32 [n, 784], n >= 1, into outputs float32 [n, 10 or 11].

        The first ten columns are the probabilities. A version that tells digits from other things has one more:
        a score in [0, 1], which means a digit from the manifest's `is_digit_threshold` up. One array, because a second
        one would cost every batch another copy out of the program.
        """
        ...
