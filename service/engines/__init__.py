"""What runs a version's network: one interface, two engines, chosen by `DIGITS_ENGINE`."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Engine(Protocol):
    """Runs the network on batches; called from one thread at a time."""

    def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn pixels float32 [n, 784], n >= 1, into probabilities float32 [n, 10]."""
        ...
