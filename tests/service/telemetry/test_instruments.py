import os

import numpy as np
import prometheus_client
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from service.telemetry.instruments import Counter, Gauge, Histogram
from service.telemetry.tally import Memory, file_for

BOUNDS = (0.1, 1.0, 10.0)


class Single(Collector):
    """A registry's view of one instrument."""

    def __init__(self, instrument: Counter | Gauge | Histogram) -> None:
        self._instrument = instrument

    def collect(self) -> list[Metric]:
        return [self._instrument.collect()]


def registry_of(instrument: Counter | Gauge | Histogram) -> CollectorRegistry:
    """A registry with nothing else in it."""
    registry = CollectorRegistry()
    registry.register(Single(instrument))
    return registry


def written(instrument: Counter | Gauge | Histogram) -> bytes:
    """What a scrape shows of an instrument."""
    return generate_latest(registry_of(instrument))


def without_creation_times(text: bytes) -> list[bytes]:
    return [line for line in text.splitlines() if b"_created" not in line]


@given(st.lists(st.tuples(st.sampled_from("xy"), st.floats(0, 100)), max_size=20))
def test_histogram_is_written_as_prometheus_client_does(observed: list[tuple[str, float]]) -> None:
    """The same observations give the same text as prometheus-client's own histogram, bounds included."""
    ours = Histogram(Memory(), "seconds", "How long", BOUNDS, ["route"])
    registry = CollectorRegistry()
    theirs = prometheus_client.Histogram("seconds", "How long", ["route"], buckets=BOUNDS, registry=registry)
    for label, value in observed:
        ours.observe(value, label)
        theirs.labels(label).observe(value)
    assert written(ours).splitlines() == without_creation_times(generate_latest(registry))


@given(st.lists(st.floats(0, 20), min_size=1, max_size=20))
def test_many_observations_at_once_are_each_counted(values: list[float]) -> None:
    """Counting many at once gives the same counts as counting each."""
    at_once, each = (Histogram(Memory(), "seconds", "How long", BOUNDS) for _ in range(2))
    at_once.observe_all(np.array(values))
    for value in values:
        each.observe(value)
    counts = [line for line in written(at_once).splitlines() if b"_sum" not in line]
    assert counts == [line for line in written(each).splitlines() if b"_sum" not in line]


def test_counter_is_written_as_prometheus_client_does() -> None:
    """Counters have their labels, and one without labels is there from the start."""
    ours = Counter(Memory(), "requests", "Answered", ["method"])
    registry = CollectorRegistry()
    theirs = prometheus_client.Counter("requests", "Answered", ["method"], registry=registry)
    ours.inc("GET")
    ours.inc("GET", by=2)
    theirs.labels("GET").inc(3)
    assert written(ours).splitlines() == without_creation_times(generate_latest(registry))
    assert b"restarts_total 0.0" in written(Counter(Memory(), "restarts", "Started anew"))


def test_gauge_starts_anew_with_its_worker() -> None:
    """A dead worker's gauge is gone with it; a counter's sum is not."""
    file = file_for(2)
    gauges = [Gauge(Memory(2, worker, file), "rows", "Waiting") for worker in (0, 1)]
    gauges[0].inc(3)
    gauges[1].set(4)
    assert b"rows 7.0" in written(gauges[0])
    Gauge(Memory(2, 1, file), "rows", "Waiting")
    assert b"rows 3.0" in written(gauges[0])
    os.close(file)
