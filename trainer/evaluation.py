"""Measures a version's probabilities against the labels: plain NumPy, no network."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trainer.data import DIGITS
from trainer.versions.manifest import Baseline, ClassMetrics, TestMetrics

CALIBRATION_BINS = 15  # as in Guo et al. 2017, arXiv:1706.04599
_CONFIDENCE_BINS = 20
_TINY = 1e-12  # a probability that rounded to zero still has a logarithm
_Z_95 = 1.959963984540054  # the normal distribution's 97.5 % point


@dataclass(frozen=True, eq=False)
class Answers:
    """A version's answers: probabilities float32 [N, 10]; is_digit float32 [N] in 0 to 1, if it has that output."""

    probabilities: NDArray[np.float32]
    is_digit: NDArray[np.float32] | None


Answerer: TypeAlias = Callable[[NDArray[np.float32]], Answers]
"""Runs a version on pixels float32 [N, 784] in 0 to 1."""


def measure(probabilities: NDArray[np.float32], labels: NDArray[np.uint8]) -> TestMetrics:
    """Measures probabilities float32 [N, 10] against labels uint8 [N]."""
    errors = count_errors(probabilities, labels)
    right = len(labels) - errors
    return {
        "test_accuracy": right / len(labels),
        "test_accuracy_interval": list(wilson_interval(right, len(labels))),
        "test_errors": errors,
        "test_nll": negative_log_likelihood(probabilities, labels),
        "test_ece": expected_calibration_error(probabilities, labels),
        "per_class": per_class(probabilities, labels),
    }


def count_errors(probabilities: NDArray[np.float32], labels: NDArray[np.uint8]) -> int:
    """Counts the rows whose likeliest digit is not the label."""
    return int(np.count_nonzero(wrong_answers(probabilities, labels)))


def wrong_answers(probabilities: NDArray[np.float32], labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Says for which rows of probabilities float32 [N, 10] the likeliest digit is not the label: bool [N]."""
    wrong: NDArray[np.bool_] = probabilities.argmax(axis=1) != labels
    return wrong


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Bounds a proportion at 95 % (Wilson 1927), valid even where nearly all trials succeed."""
    proportion = successes / trials
    spread = _Z_95**2 / trials
    middle = (proportion + spread / 2) / (1 + spread)
    half = math.sqrt(proportion * (1 - proportion) * spread + spread**2 / 4) / (1 + spread)
    # Rounding must not put the proportion itself outside the interval.
    return min(proportion, max(0.0, middle - half)), max(proportion, min(1.0, middle + half))


def negative_log_likelihood(probabilities: NDArray[np.float32], labels: NDArray[np.uint8]) -> float:
    """The mean surprise at the right digit, in nats."""
    likelihood = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.mean(np.log(np.maximum(likelihood, _TINY))))


def expected_calibration_error(probabilities: NDArray[np.float32], labels: NDArray[np.uint8]) -> float:
    """The mean distance of confidence from accuracy, over 15 equal bins of confidence."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    excess = np.bincount(calibration_bins(confidence), weights=confidence - right, minlength=CALIBRATION_BINS)
    return float(np.abs(excess).sum() / len(labels))


def calibration_bins(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    """Says in which of 15 equal bins each confidence [N] lies: int64 [N]; one that rounds to over 1 is in the last."""
    return np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)


def per_class(probabilities: NDArray[np.float32], labels: NDArray[np.uint8]) -> list[ClassMetrics]:
    """Precision and recall of each digit; 0 where there is nothing to divide by."""
    predicted = probabilities.argmax(axis=1)
    metrics: list[ClassMetrics] = []
    for digit in range(DIGITS):
        right = int(np.count_nonzero((predicted == digit) & (labels == digit)))
        answers = int(np.count_nonzero(predicted == digit))
        images = int(np.count_nonzero(labels == digit))
        metrics.append(
            {
                "digit": digit,
                "images": images,
                "precision": right / answers if answers else 0.0,
                "recall": right / images if images else 0.0,
            }
        )
    return metrics


def baseline(probabilities: NDArray[np.float32]) -> Baseline:
    """Counts the answers of each digit, and of each twentieth of confidence."""
    counts, _ = np.histogram(probabilities.max(axis=1), bins=_CONFIDENCE_BINS, range=(0.0, 1.0))
    # A float32 sum may exceed 1 by a rounding error; such a row belongs in the last bin.
    counts[-1] += len(probabilities) - counts.sum()
    classes = np.bincount(probabilities.argmax(axis=1), minlength=DIGITS)
    return {"class_counts": classes.tolist(), "confidence_counts": counts.tolist()}
