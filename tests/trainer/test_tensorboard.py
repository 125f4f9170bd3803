"""The log for TensorBoard: an event file that holds each epoch's metrics as soon as it ends."""

from pathlib import Path

import pytest
import tensorflow as tf

from tests.trainer.test_progress import metrics
from trainer.tensorboard import TensorBoardLog


def test_every_epoch_is_there_at_once(tmp_path: Path) -> None:
    """After two epochs the file has both, with their numbers as steps."""
    log = TensorBoardLog(tmp_path / "logs")
    log.start(2, 10, 0)
    log.step(0.7)
    for epoch, loss in ((1, 0.5), (2, 0.25)):
        log.epoch(metrics(epoch, loss))
    (file,) = (tmp_path / "logs").iterdir()
    events = [event for event in tf.compat.v1.train.summary_iterator(str(file)) if event.summary.value]
    losses = {
        event.step: float(tf.make_ndarray(value.tensor))
        for event in events
        for value in event.summary.value
        if value.tag == "loss"
    }
    assert losses == {1: 0.5, 2: 0.25}


def test_log_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    """If TensorFlow can't write, the run ends with one line, as for any other failure of a disk."""
    folder = tmp_path
    while len(str(folder)) < 3_850:
        folder /= "l" * 200
    folder /= "l" * (4_080 - len(str(folder)))  # an event file in it has a longer path than the system takes
    with pytest.raises(OSError, match="l can't be written to: "):
        TensorBoardLog(folder).epoch(metrics(1, 0.5))
