"""Ctrl-C in training: what Python loses of it is made up for at the next step.

An exception in a destructor is ignored, also the one that Ctrl-C raises, and each step destroys many tensors.
"""

import signal
import threading
from types import TracebackType
from typing import Self

from trainer.manifest import EpochMetrics


class Interruption:
    """A watcher that ends fitting after Ctrl-C, while its context is open in the main thread."""

    def __init__(self) -> None:
        self._pressed = False
        self._listens = threading.current_thread() is threading.main_thread()  # no other may

    def __enter__(self) -> Self:
        if self._listens:
            self._before = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._listens:
            signal.signal(signal.SIGINT, self._before)

    def start(self, epochs: int, steps_per_epoch: int, finished: int) -> None:
        """A run begins."""

    def step(self, loss: float) -> None:  # noqa: ARG002 - as all watchers are told
        """A step ended.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        if self._pressed:
            raise KeyboardInterrupt

    def epoch(self, metrics: EpochMetrics) -> None:
        """An epoch ended."""

    def _press(self, *_: object) -> None:
        self._pressed = True
        raise KeyboardInterrupt
