import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.telemetry.drift import MINIMUM_ROWS, WINDOW_MINUTES, Drift, population_stability_index
from service.telemetry.metrics import Metrics
from service.telemetry.tally import Memory, file_for
from service.versions.manifest import Baseline
from tests.service.fakes import FirstPixelEngine, loaded_version, row_of

EVEN = Baseline(class_counts=[100] * 10, confidence_counts=[0] * 19 + [1000])
CLASSES, CONFIDENCE, ROWS = "digits_class_share_divergence", "digits_confidence_divergence", "digits_drift_rows"


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.minutes = 1_000_000.5

    def __call__(self) -> float:
        return self.minutes * 60


def shown(drift: Drift) -> dict[str, float]:
    """What a scrape would show."""
    return {sample.name: sample.value for metric in drift.collect() for sample in metric.samples}


def comparing(clock: Clock, memory: Memory | None = None, version: int = 1) -> Drift:
    drift = Drift(memory or Memory(), clock)
    drift.compare_with(version, EVEN)
    return drift


def predict_evenly(drift: Drift, rows: int, version: int = 1) -> None:
    for row in range(rows):
        drift.predicted(version, row % 10, 0.99)


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=20), st.integers(1, 50))
def test_index_of_equal_shares_is_zero(counts: list[int], times: int) -> None:
    """The size of the sample does not matter, only the shares do."""
    assert population_stability_index(counts, [times * count for count in counts]) == pytest.approx(0, abs=1e-9)


@given(st.data())
def test_index_is_finite_and_not_negative(data: st.DataObject) -> None:
    """Bins that are empty on either side do no harm, and which side is which does not matter."""
    counts = st.lists(st.integers(0, 1000), min_size=10, max_size=10).filter(any)
    one, other = data.draw(counts), data.draw(counts)
    index = population_stability_index(one, other)
    assert 0 <= index < 20
    assert index == pytest.approx(population_stability_index(other, one))


def test_index_is_the_textbook_s() -> None:
    """Shares of 50 and 50 that become 40 and 60: 0.1 ln(5/4) + 0.1 ln(6/5)."""
    assert population_stability_index([50, 50], [40, 60]) == pytest.approx(0.040547, abs=1e-6)


def test_nothing_is_said_of_a_small_sample() -> None:
    """With one prediction less than the minimum no divergence is shown; with the minimum it is shown, and is 0."""
    drift = comparing(Clock())
    predict_evenly(drift, MINIMUM_ROWS - 1)
    assert shown(drift) == {ROWS: MINIMUM_ROWS - 1}
    drift.predicted(1, 9, 0.99)
    assert shown(drift) == {ROWS: MINIMUM_ROWS, CLASSES: pytest.approx(0), CONFIDENCE: pytest.approx(0)}


def test_one_digit_for_everything_shows() -> None:
    """A broken camera, for which everything is an 8, moves both numbers far over the threshold of the alert."""
    drift = comparing(Clock())
    drift.predicted_all(1, [0] * 8 + [1000, 0], np.full(1000, 0.4))
    assert shown(drift)[CLASSES] > 1
    assert shown(drift)[CONFIDENCE] > 1


def test_chance_alone_stays_far_from_the_alert() -> None:
    """For each of a thousand smallest samples that count, drawn from the baseline itself, the index is under 0.1."""
    draws = np.random.default_rng(0).multinomial(MINIMUM_ROWS, [0.1] * 10, size=1000)
    assert max(population_stability_index(EVEN.class_counts, draw.tolist()) for draw in draws) < 0.1


def test_what_is_older_than_the_window_is_forgotten() -> None:
    """A prediction counts for 15 minutes at least and 16 at most."""
    clock = Clock()
    drift = comparing(clock)
    predict_evenly(drift, MINIMUM_ROWS)
    clock.minutes += WINDOW_MINUTES
    assert shown(drift)[ROWS] == MINIMUM_ROWS
    clock.minutes += 1
    assert shown(drift) == {ROWS: 0}


def test_only_the_version_that_serves_is_judged() -> None:
    """Predictions of another version, asked for by number or made before, are not compared with this baseline."""
    drift = comparing(Clock())
    predict_evenly(drift, 30, version=2)
    predict_evenly(drift, 20)
    assert shown(drift)[ROWS] == 20
    drift.compare_with(2, EVEN)
    assert shown(drift)[ROWS] == 0
    drift.predicted_all(2, [7] + [0] * 9, np.full(7, 0.5))
    drift.predicted_all(1, [9] + [0] * 9, np.full(9, 0.5))
    assert shown(drift)[ROWS] == 7


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1.0001)), min_size=1, max_size=50))
def test_many_at_once_count_as_each_does(predictions: list[tuple[int, float]]) -> None:
    """Counting in bulk gives the same counts, bin for bin."""
    each, bulk = comparing(Clock()), comparing(Clock())
    for digit, confidence in predictions:
        each.predicted(1, digit, confidence)
    digits = np.bincount([digit for digit, _ in predictions], minlength=10).tolist()
    bulk.predicted_all(1, digits, np.array([confidence for _, confidence in predictions]))
    minute = int(Clock().minutes)
    assert each._ring.sum(minute, 1).tolist() == bulk._ring.sum(minute, 1).tolist()


def test_all_workers_are_judged_together() -> None:
    """Whichever worker is asked, the sample is that of all: each has other digits, and only together are they even."""
    file, clock = file_for(2), Clock()
    workers = [comparing(clock, Memory(2, worker, file)) for worker in (0, 1)]
    for row in range(MINIMUM_ROWS):
        workers[row % 2].predicted(1, row % 10, 0.99)
    os.close(file)
    assert (
        shown(workers[0]) == shown(workers[1]) == {ROWS: 500, CLASSES: pytest.approx(0), CONFIDENCE: pytest.approx(0)}
    )


def test_metrics_feed_it() -> None:
    """Predictions that are counted, alone and in bulk, are also compared with the baseline."""
    metrics = Metrics()
    metrics.serve(loaded_version(3))
    probabilities = FirstPixelEngine().run(np.stack([row_of(4)]))
    metrics.predicted(3, probabilities)
    metrics.predicted(3, np.repeat(probabilities, MINIMUM_ROWS - 1, axis=0))
    metrics.predicted(2, probabilities)
    assert metrics.registry.get_sample_value(ROWS) == MINIMUM_ROWS
    divergence = metrics.registry.get_sample_value(CLASSES)
    assert divergence is not None
    assert divergence > 1
