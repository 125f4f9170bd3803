"""Shows people how a run goes, on stderr: a bar on a terminal, else one line an epoch."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

_STATE = "epoch {task.fields[epoch]}/{task.fields[epochs]}  loss {task.fields[loss]:.4f}  {task.fields[scored]}"


class FittingProgress:
    """Tells loss, held-out accuracy and time left: `start`, then `step` and `epoch` as they end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn(_STATE, markup=False),
            BarColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._epochs = self._finished = 0
        self._started = 0.0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def start(self, epochs: int, steps_per_epoch: int) -> None:
        """Begins a run of so many epochs of so many steps."""
        self._epochs, self._finished, self._started = epochs, 0, time.monotonic()
        self._task = self._bar.add_task(
            "", total=epochs * steps_per_epoch, epoch=1, epochs=epochs, loss=float("nan"), scored=""
        )

    def step(self, loss: float) -> None:
        """Counts one step."""
        self._bar.update(self._task, advance=1, loss=loss)

    def epoch(self, loss: float, held_out_accuracy: float) -> None:
        """Counts one epoch."""
        self._finished += 1
        scored = f"held-out accuracy {held_out_accuracy:.2%}"
        self._bar.update(self._task, epoch=min(self._finished + 1, self._epochs), scored=scored)
        if not self._console.is_terminal:
            seconds = time.monotonic() - self._started
            left = seconds / self._finished * (self._epochs - self._finished)
            self._console.print(
                f"epoch {self._finished}/{self._epochs}  loss {loss:.4f}  {scored}  {seconds:.0f} s, {left:.0f} s left",
                soft_wrap=True,
            )


class DownloadProgress:
    """Tells how much of a file has come."""

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

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def update(self, done: int, total: int) -> None:
        """Shows the bytes so far, and in all if that is known (else 0)."""
        self._bar.update(self._task, completed=done, total=total or None)
