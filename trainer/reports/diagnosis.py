"""Where a version goes wrong on the test set: which digits, how confidently, on which images. Plain NumPy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data import DIGITS
from trainer.evaluation import CALIBRATION_BINS, calibration_bins


@dataclass(frozen=True)
class Bin:
    """The answers with a confidence from `low` to `high`: how many, how many right, how confident on average."""

    low: float
    high: float
    images: int
    right: int
    confidence: float


@dataclass(frozen=True)
class Mistake:
    """A test image that was read wrong; `index` is its place in the test set."""

    index: int
    label: int
    answer: int
    confidence: float


def confusion(probabilities: NDArray[np.float32], labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Counts answers, int64 [10, 10]: rows are the true digits, columns the answers."""
    pairs = labels.astype(np.int64) * DIGITS + probabilities.argmax(axis=1)
    return np.bincount(pairs, minlength=DIGITS**2).reshape(DIGITS, DIGITS).astype(np.int64)


def reliability(probabilities: NDArray[np.float32], labels: NDArray[np.uint8]) -> list[Bin]:
    """Sorts the answers into 15 equal bins of confidence; an empty one has the confidence 0."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    places = calibration_bins(confidence)
    bins = []
    for place in range(CALIBRATION_BINS):
        inside = places == place
        bins.append(
            Bin(
                low=place / CALIBRATION_BINS,
                high=(place + 1) / CALIBRATION_BINS,
                images=int(np.count_nonzero(inside)),
                right=int(np.count_nonzero(inside & right)),
                confidence=float(confidence[inside].mean()) if inside.any() else 0.0,
            )
        )
    return bins


def confident_mistakes(probabilities: NDArray[np.float32], labels: NDArray[np.uint8], most: int) -> list[Mistake]:
    """Lists at most `most` mistakes, the most confident first."""
    answers, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(answers != labels)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:most]
    return [Mistake(int(index), int(labels[index]), int(answers[index]), float(confidence[index])) for index in worst]
