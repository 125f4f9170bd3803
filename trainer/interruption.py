"""Ctrl-C in training: what Python loses of it is made up for, and from the publication on it changes nothing.

An exception in a destructor is ignored, also the one that Ctrl-C raises, and each step destroys many tensors.
Publication is one rename. An exception right after it would have the command say that nothing was published, and keep
the training, to be published once more.
"""

import signal
import threading
from typing import Self

from trainer.manifest import EpochMetrics


class Interruption:
    """A watcher that ends a run after Ctrl-C until it publishes, while its context is open in the main thread."""

    def __init__(self) -> None:
        self._pressed = self._publishes = False
        self._listens = threading.current_thread() is threading.main_thread()  # no other may

    def __enter__(self) -> Self:
        if self._listens:
            self._before = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, *_: object) -> None:
        if self._listens:
            signal.signal(signal.SIGINT, self._before)

    def start(self, epochs: int, steps_per_epoch: int, finished: int) -> None:
        """A run begins."""

    def step(self, loss: float) -> None:  # noqa: ARG002 - as all watchers are told
        """A step ended.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        self._make_up()

    def epoch(self, metrics: EpochMetrics) -> None:
        """An epoch ended."""

    def publishing(self) -> None:
        """The version is about to be published; it takes a moment, in which Ctrl-C comes too late.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed before.
        """
        self._publishes = True  # first: what is pressed from here on is either seen by the next line, or too late
        self._make_up()

    def _make_up(self) -> None:
        if self._pressed:
            raise KeyboardInterrupt

    def _press(self, *_: object) -> None:
        self._pressed = True
        if not self._publishes:
            raise KeyboardInterrupt
