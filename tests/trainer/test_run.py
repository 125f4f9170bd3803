"""A run's folder: whole or not there, for people to follow the run and for a killed run to continue from."""

from pathlib import Path

import numpy as np
import pytest

from trainer.run import METRICS_FILE, Checkpoint, Run, RunTakenError
from trainer.versions.manifest import EpochMetrics

EPOCH: EpochMetrics = {
    "epoch": 1,
    "loss": 0.5,
    "learning_rate": 1e-3,
    "held_out_accuracy": 0.9,
    "held_out_nll": 0.3,
    "seconds": 1.5,
}
STATE = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array([7.0], np.float32)]


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    """A checkpoint is read as it was written, bit for bit."""
    run = Run(tmp_path / "run")
    run.save(Checkpoint([EPOCH], STATE))
    found = run.resume()
    assert found is not None
    assert found.history == [EPOCH]
    for written, read in zip(STATE, found.state, strict=True):
        np.testing.assert_array_equal(written, read)
        assert read.dtype == np.float32


def test_nothing_saved_is_nothing_found(tmp_path: Path) -> None:
    """A run that never saved has nothing to continue from."""
    assert Run(tmp_path / "run").resume() is None


@pytest.mark.parametrize("size", [0, 1, 100, 500])
def test_damaged_checkpoint_is_none(tmp_path: Path, size: int) -> None:
    """A checkpoint that is cut short counts as none."""
    run = Run(tmp_path / "run")
    run.save(Checkpoint([EPOCH], STATE))
    path = tmp_path / "run" / "checkpoint.npz"
    path.write_bytes(path.read_bytes()[:size])
    assert run.resume() is None


def test_metrics_are_a_line_an_epoch(tmp_path: Path) -> None:
    """`metrics.jsonl` has one line for each epoch so far, even if a resumed run saves an epoch again."""
    run = Run(tmp_path / "run")
    for epochs in (1, 2, 2):
        run.save(Checkpoint([EPOCH] * epochs, STATE))
    lines = (tmp_path / "run" / METRICS_FILE).read_text().splitlines()
    assert len(lines) == 2
    assert '"held_out_accuracy": 0.9' in lines[0]


def test_finished_run_leaves_nothing(tmp_path: Path) -> None:
    """After its version is published, nothing of a run is left."""
    run = Run(tmp_path / "run")
    with run.taken():
        run.save(Checkpoint([EPOCH], STATE))
    assert list(tmp_path.iterdir()) == []


def test_run_that_failed_stays_if_it_can_go_on(tmp_path: Path) -> None:
    """A run that ends before its first checkpoint leaves no folder behind; one that saved stays."""
    run = Run(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt), run.taken():
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    run.save(Checkpoint([EPOCH], STATE))
    with pytest.raises(KeyboardInterrupt), run.taken():
        raise KeyboardInterrupt
    assert run.resume() is not None


def test_two_never_share_a_run(tmp_path: Path) -> None:
    """The second process is told what to do, and the first is not disturbed; afterwards the run is free again."""
    first, second = Run(tmp_path / "run"), Run(tmp_path / "run")
    with first.taken():
        first.save(Checkpoint([EPOCH], STATE))
        with pytest.raises(RunTakenError, match="--seed"), second.taken():
            pass
        assert first.resume() is not None
    with second.taken():
        assert second.resume() is None


def test_epochs_are_noted_without_a_checkpoint(tmp_path: Path) -> None:
    """A run that can't be resumed shows its epochs all the same."""
    run = Run(tmp_path / "run")
    run.note([EPOCH, EPOCH])
    assert len((tmp_path / "run" / METRICS_FILE).read_text().splitlines()) == 2
    assert run.resume() is None
