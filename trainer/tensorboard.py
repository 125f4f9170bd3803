"""Writes a run's metrics, epoch by epoch, where TensorBoard finds them."""

from pathlib import Path

import tensorflow as tf

from trainer.versions.manifest import EpochMetrics
from trainer.writing import written_to

_SCALAR = tf.compat.v1.SummaryMetadata(
    data_class="DATA_CLASS_SCALAR", plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
)


class TensorBoardLog:
    """A watcher that writes event files; `tensorboard --logdir FOLDER` shows them."""

    def __init__(self, folder: Path) -> None:
        """Opens the log in `folder`, which is made if it does not exist.

        Raises:
            OSError: It can't be written to.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        with written_to(folder, tf.errors.OpError):
            self._writer = tf.summary.create_file_writer(str(folder))

    def start(self, epochs: int, steps_per_epoch: int, finished: int) -> None:
        """Nothing is written before an epoch ends."""

    def step(self, loss: float) -> None:
        """Steps are too many to keep."""

    def epoch(self, metrics: EpochMetrics) -> None:
        """Writes an epoch, so that a reader sees it at once.

        Raises:
            OSError: It can't be written.
        """
        with written_to(self._folder, tf.errors.OpError), self._writer.as_default(step=metrics["epoch"]):
            for name in ("loss", "learning_rate", "held_out_accuracy", "held_out_nll", "seconds"):
                # `tf.summary.scalar` would write the same, but needs the package tensorboard.
                tf.summary.write(name, tf.constant(metrics[name], tf.float32), metadata=_SCALAR)
            self._writer.flush()

    def publishing(self) -> None:
        """All epochs are written by then."""
