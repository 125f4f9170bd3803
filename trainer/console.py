"""What all commands share: a console for people, failures reported in one line, and finding the data."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console

from trainer import data, download
from trainer.data import Dataset
from trainer.errors import TrainerError
from trainer.gate import GateRefusedError
from trainer.progress import DownloadProgress

_FAILED = 1
_BELOW_THE_GATE = 3
_INTERRUPTED = 130  # a shell's exit code for a program that Ctrl-C ended: 128 + SIGINT


@contextmanager
def reported(interrupted: str = "interrupted") -> Iterator[Console]:
    """Yields a console for people, and turns failures into a message and an exit code.

    Args:
        interrupted: What to say if the user ends the command.
    """
    console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
    try:
        yield console
    except KeyboardInterrupt:
        console.print(interrupted)
        raise typer.Exit(_INTERRUPTED) from None
    except GateRefusedError as refusal:
        console.print(str(refusal))
        raise typer.Exit(_BELOW_THE_GATE) from refusal
    except (TrainerError, OSError) as error:
        console.print(f"error: {error}")
        raise typer.Exit(_FAILED) from error


def load_dataset(given: Path | None, console: Console) -> Dataset:
    """Finds MNIST, downloading it if need be, and warns if it is not MNIST as published."""

    def fetch(path: Path) -> None:
        with DownloadProgress(console) as progress:
            download.fetch(path, download.Origin(), progress.update)

    dataset = data.load(given, os.environ, fetch)
    if not dataset.canonical:
        console.print(f"warning: {dataset.source} is not MNIST as published")
    return dataset


def say_accuracy(accuracy: float, interval: list[float], errors: int, test_images: int) -> None:
    """Prints a version's test accuracy."""
    low, high = interval
    typer.echo(
        f"test accuracy {accuracy:.2%} (95 % interval {low:.2%} to {high:.2%}; {errors} errors in {test_images})"
    )
