"""Shows people a run's progress, on stderr: a bar on a terminal, else one line per epoch."""

import time
from collections.abc import Sequence
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from trainer.versions.manifest import EpochMetrics

_STATE = "epoch {task.fields[epoch]}/{task.fields[epochs]}  loss {task.fields[loss]:.4f}  {task.fields[scored]}"


class Watcher(Protocol):
    """Is notified of the progress of fitting."""

    def start(self, epochs: int, steps_per_epoch: int, finished: int) -> None:
        """A run begins, or continues after `finished` epochs."""

    def step(self, loss: float) -> None:
        """A step ended."""

    def epoch(self, metrics: EpochMetrics) -> None:
        """An epoch ended."""

    def publishing(self) -> None:
        """The version is about to be published; a watcher that wants to prevent that must raise now."""


class Watchers:
    """Passes each event on to several watchers."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers = watchers

    def start(self, epochs: int, steps_per_epoch: int, finished: int) -> None:
        """Tells all that a run begins."""
        for watcher in self._watchers:
            watcher.start(epochs, steps_per_epoch, finished)

    def step(self, loss: float) -> None:
        """Tells all that a step ended."""
        for watcher in self._watchers:
            watcher.step(loss)

    def epoch(self, metrics: EpochMetrics) -> None:
        """Tells all that an epoch ended."""
        for watcher in self._watchers:
            watcher.epoch(metrics)

    def publishing(self) -> None:
        """Tells all that the version is about to be published."""
        for watcher in self._watchers:
            watcher.publishing()


class _Shown:
    """Shows a bar while its context is open."""

    _bar: Progress

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


class FittingProgress(_Shown):
    """Shows loss, held-out accuracy and time left: call `start`, then `step` and `epoch` as each ends."""

    def __init__(self, console: Console, *, resume: bool = False) -> None:
        self._console, self._resume = console, resume
        self._bar = Progress(
            TextColumn(_STATE, markup=False),
            BarColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._epochs = self._resumed = 0
        self._started = 0.0

    def start(self, epochs: int, steps_per_epoch: int, finished: int) -> None:
        """Begins a run, or continues it after `finished` epochs."""
        self._epochs, self._resumed, self._started = epochs, finished, time.monotonic()
        self._task = self._bar.add_task(
            "",
            total=epochs * steps_per_epoch,
            completed=finished * steps_per_epoch,
            epoch=finished + 1,
            epochs=epochs,
            loss=float("nan"),
            scored="",
        )
        if finished:
            self._console.print(f"continuing after epoch {finished} of {epochs}")
        elif self._resume:
            self._console.print("no checkpoint of this run: starting at epoch 1")

    def step(self, loss: float) -> None:
        """Counts one step."""
        self._bar.update(self._task, advance=1, loss=loss)

    def epoch(self, metrics: EpochMetrics) -> None:
        """Counts one epoch."""
        finished = metrics["epoch"]
        scored = f"held-out accuracy {metrics['held_out_accuracy']:.2%}"
        self._bar.update(self._task, epoch=min(finished + 1, self._epochs), scored=scored)
        if not self._console.is_terminal:
            seconds = time.monotonic() - self._started
            left = seconds / (finished - self._resumed) * (self._epochs - finished)
            self._console.print(
                f"epoch {finished}/{self._epochs}  loss {metrics['loss']:.4f}  {scored}  "
                f"{seconds:.0f} s, {left:.0f} s left",
                soft_wrap=True,
            )

    def publishing(self) -> None:
        """Publishing takes no time that is worth showing."""


class DownloadProgress(_Shown):
    """Shows how much of a file has been downloaded."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            TextColumn("MNIST"),
            BarColumn(),
            DownloadColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None)

    def update(self, done: int, total: int) -> None:
        """Shows the bytes so far; `total` is 0 if it is not known."""
        self._bar.update(self._task, completed=done, total=total or None)
