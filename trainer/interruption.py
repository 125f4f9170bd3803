"""Ctrl-C in training: never lost while the network trains, and without effect once a version is being published.

Python ignores exceptions raised in a destructor, including KeyboardInterrupt, and each step destroys many tensors: so
the press is remembered, and raised again at the next step. Publication is one rename. An exception right after it would
make the command say that nothing was published, and keep the run, which could then be published a second time.
"""

import signal
import threading
from typing import Self

from trainer.versions.manifest import EpochMetrics


class Interruption:
    """A watcher that lets Ctrl-C end a run until it publishes, while its context is open in the main thread."""

    def __init__(self) -> None:
        self._pressed = self._publishes = False
        self._handles = threading.current_thread() is threading.main_thread()  # handlers may be set only there

    def __enter__(self) -> Self:
        if self._handles:
            self._before = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, *_: object) -> None:
        if self._handles:
            signal.signal(signal.SIGINT, self._before)

    def start(self, epochs: int, steps_per_epoch: int, finished: int) -> None:
        """A run begins."""

    def step(self, loss: float) -> None:  # noqa: ARG002 - as all watchers are told
        """A step ended.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        self._raise_if_pressed()

    def epoch(self, metrics: EpochMetrics) -> None:
        """An epoch ended."""

    def publishing(self) -> None:
        """The version is about to be published; from now on Ctrl-C comes too late.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed before.
        """
        self._publishes = True  # first: a press after this is either seen by the next line, or too late
        self._raise_if_pressed()

    def _raise_if_pressed(self) -> None:
        if self._pressed:
            raise KeyboardInterrupt

    def _press(self, *_: object) -> None:
        self._pressed = True
        if not self._publishes:
            raise KeyboardInterrupt
