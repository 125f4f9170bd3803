"""All that a run knows about the version that it is about to publish: the source of the report and the card."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.evaluation import Answers
from trainer.versions.manifest import EpochMetrics, Manifest


@dataclass(frozen=True, eq=False)
class Findings:
    """A version's facts and its answers on the test set.

    The manifest's name, version and files are not decided yet. Images are uint8 [N, 28, 28],
    labels uint8 [N], in the order of the answers.
    """

    manifest: Manifest
    history: Sequence[EpochMetrics]
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    answers: Answers
