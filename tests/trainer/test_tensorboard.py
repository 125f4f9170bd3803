"""The log for TensorBoard: an event file that holds each epoch's metrics as soon as it ends."""

from pathlib import Path

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
