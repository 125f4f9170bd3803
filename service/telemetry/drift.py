"""How far the last minutes' predictions are from those on the test images, whose counts are in the manifest.

Predictions of the version that serves are counted by the minute, in a ring that all workers share; the divergences are
computed at each scrape. They show that pictures have changed, not why: docs/runbook.md.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from service.telemetry.tally import Memory
from service.versions.manifest import Baseline

# The current minute is counted as well, so that the window is never shorter than this.
WINDOW_MINUTES = 15
# By chance alone, with 9 degrees of freedom, the index averages 9/500 = 0.02, far below the 0.25 of the alert.
MINIMUM_ROWS = 500
# A share of zero would make the index infinite. One in ten thousand is one of the test images.
_LEAST_SHARE = 1e-4
_DIGITS, _BINS = 10, 20
_UPPER_EDGES = tuple(edge / _BINS for edge in range(1, _BINS))


def population_stability_index(baseline: Sequence[float], counts: Sequence[float]) -> float:
    """How far one distribution is from another: 0 means equal, and 0.25 or more is customarily investigated.

    Args:
        baseline: Expected counts in each bin; not all zero.
        counts: Observed counts in the same bins; not all zero.
    """
    expected, seen = (
        np.maximum(np.asarray(bins, np.float64) / np.sum(bins), _LEAST_SHARE) for bins in (baseline, counts)
    )
    return float(np.sum((seen - expected) * np.log(seen / expected)))


class Drift:
    """Counts the predictions of one version over the last `WINDOW_MINUTES` minutes, in all workers."""

    def __init__(self, memory: Memory, now_seconds: Callable[[], float] = time.time) -> None:
        self._ring = memory.ring(WINDOW_MINUTES + 1, _DIGITS + _BINS)
        self._now_seconds = now_seconds
        self._version = 0
        self._baseline: Baseline | None = None

    def compare_with(self, version: int, baseline: Baseline) -> None:
        """From now on count predictions of this version, and compare them with this baseline."""
        self._version, self._baseline = version, baseline

    def predicted(self, version: int, digit: int, confidence: float) -> None:
        """Count one prediction, if it is of the version that serves."""
        if version == self._version:
            row = self._ring.row(self._minute(), version)
            row[digit] += 1
            row[_DIGITS + bisect_left(_UPPER_EDGES, confidence)] += 1

    def predicted_all(self, version: int, digits: Sequence[int], confidences: NDArray[np.float64]) -> None:
        """Count many predictions: the count of each digit, and the confidence of each prediction, float64 [n]."""
        if version != self._version:
            return
        row = self._ring.row(self._minute(), version)
        bins = np.bincount(np.searchsorted(_UPPER_EDGES, confidences), minlength=_BINS).tolist()
        for at, count in enumerate([*digits, *bins]):
            row[at] += count

    def collect(self) -> Iterator[Metric]:
        """The size of the sample, and the divergences, left out while the sample is too small to say anything."""
        counts = self._ring.sum(self._minute(), self._version)
        digits, confidences = counts[:_DIGITS].tolist(), counts[_DIGITS:].tolist()
        rows = sum(digits)
        yield GaugeMetricFamily(
            "digits_drift_rows", f"Predictions in the last {WINDOW_MINUTES} minutes that drift is judged by", rows
        )
        class_share = GaugeMetricFamily(
            "digits_class_share_divergence",
            "Population stability index of predicted digits against the test images",
            labels=(),
        )
        confidence = GaugeMetricFamily(
            "digits_confidence_divergence",
            "Population stability index of confidences against the test images",
            labels=(),
        )
        if self._baseline is not None and rows >= MINIMUM_ROWS:
            for family, expected, seen in (
                (class_share, self._baseline.class_counts, digits),
                (confidence, self._baseline.confidence_counts, confidences),
            ):
                if sum(expected):
                    family.add_metric((), population_stability_index(expected, seen))
        yield class_share
        yield confidence

    def _minute(self) -> int:
        return int(self._now_seconds() // 60)
