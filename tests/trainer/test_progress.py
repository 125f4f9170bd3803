"""Progress for people: a line an epoch without a terminal, a bar with one."""

import io

from rich.console import Console

from trainer.progress import DownloadProgress, FittingProgress
from trainer.versions.manifest import EpochMetrics


def metrics(epoch: int, loss: float) -> EpochMetrics:
    """One epoch's metrics, with nine in ten right."""
    return {
        "epoch": epoch,
        "loss": loss,
        "learning_rate": 1e-3,
        "held_out_accuracy": 0.9,
        "held_out_nll": 0.3,
        "seconds": 1.0,
    }


def run(console: Console) -> None:
    """Goes through two epochs of three steps."""
    with FittingProgress(console) as progress:
        progress.start(epochs=2, steps_per_epoch=3, finished=0)
        for epoch, loss in ((1, 0.5), (2, 0.25)):
            for _ in range(3):
                progress.step(loss)
            progress.epoch(metrics(epoch, loss))


def test_log_has_a_line_an_epoch() -> None:
    """Where there is no terminal, each epoch is one whole line with loss, accuracy and time left."""
    output = io.StringIO()
    run(Console(file=output, width=20, soft_wrap=True))
    first, second = output.getvalue().splitlines()
    assert first.startswith("epoch 1/2  loss 0.5000  held-out accuracy 90.00%")
    assert second.startswith("epoch 2/2  loss 0.2500")
    assert second.endswith(", 0 s left")


def test_terminal_has_a_bar() -> None:
    """On a terminal, loss, accuracy and time left stand beside a bar."""
    output = io.StringIO()
    run(Console(file=output, force_terminal=True, width=120, color_system=None))
    last = output.getvalue().rsplit("\r", 1)[-1]
    assert "epoch 2/2  loss 0.2500  held-out accuracy 90.00%" in last
    assert "left 0:00:00" in last


def test_download_tells_how_far_it_is() -> None:
    """On a terminal, a download shows its bytes."""
    output = io.StringIO()
    with DownloadProgress(Console(file=output, force_terminal=True, width=120, color_system=None)) as progress:
        progress.update(500_000, 1_000_000)
    assert "0.5/1.0 MB" in output.getvalue()


def test_resumed_run_says_where_it_goes_on() -> None:
    """A resumed run names the epoch after which it continues, and estimates the time left from its own epochs."""
    output = io.StringIO()
    with FittingProgress(Console(file=output, width=20, soft_wrap=True)) as progress:
        progress.start(epochs=4, steps_per_epoch=3, finished=3)
        progress.epoch(metrics(4, 0.25))
    first, second = output.getvalue().splitlines()
    assert first == "continuing after epoch 3 of 4"
    assert second.startswith("epoch 4/4")
    assert second.endswith(", 0 s left")


def test_resuming_without_a_checkpoint_is_said() -> None:
    """A run that is to be resumed but has no checkpoint says so."""
    output = io.StringIO()
    with FittingProgress(Console(file=output), resume=True) as progress:
        progress.start(4, 10, 0)
    assert output.getvalue() == "no checkpoint of this run: starting at epoch 1\n"
