import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics import exposition
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from service.telemetry.exemplars import _RECORD, Exemplars
from service.telemetry.instruments import Histogram, RequestHistogram
from service.telemetry.tally import Memory, file_for
from tests.service.fakes import Clock
from tests.service.telemetry.test_instruments import registry_of, written

BOUNDS = (0.1, 1.0, 10.0)
LABELS = ("/v1/predict",)


@pytest.fixture
def file() -> Iterator[int]:
    """The memory that two workers share."""
    descriptor = file_for(2)
    yield descriptor
    os.close(descriptor)


def request_ids(exemplars: Exemplars) -> list[str | None]:
    """The request id of each bucket's exemplar."""
    return [exemplar and exemplar.labels["request_id"] for exemplar in exemplars.newest()[LABELS]]


def test_the_newest_request_of_any_worker_is_shown(file: int) -> None:
    """Whichever worker is asked, a bucket's exemplar is the last one that any of them has noted."""
    workers = [Exemplars(Memory(2, worker, file), 3, 8) for worker in (0, 1)]
    workers[0].note(0, 0.1, "first", "", LABELS)
    workers[1].note(0, 0.2, "second", "", LABELS)
    workers[1].note(2, 9.0, "slow", "", LABELS)

    assert [request_ids(exemplars) for exemplars in workers] == [["second", None, "slow"]] * 2
    newest = workers[0].newest()[LABELS][2]
    assert newest
    assert newest.value == 9.0


def test_a_bucket_has_another_exemplar_after_a_second() -> None:
    """Under load most requests only look at the clock; each bucket counts its own second."""
    clock = Clock(1000.0)
    exemplars = Exemplars(Memory(), 2, 8, clock)
    seen = []
    for request_id, bucket, seconds in (("a", 0, 0.0), ("b", 0, 0.5), ("c", 1, 0.9), ("d", 0, 1.0), ("e", 1, 1.8)):
        clock.seconds = 1000.0 + seconds
        exemplars.note(bucket, 1.0, request_id, "", LABELS)
        seen.append(request_ids(exemplars))

    assert seen == [["a", None], ["a", None], ["a", "c"], ["d", "c"], ["d", "c"]]


@given(request_id=st.from_regex(r"[A-Za-z0-9._-]{1,128}", fullmatch=True), trace_id=st.sampled_from(["", "ab" * 16]))
def test_an_exemplar_is_as_small_as_openmetrics_allows(request_id: str, trace_id: str) -> None:
    """Ids are shown whole or not at all, in at most 128 characters."""
    exemplars = Exemplars(Memory(), 1, 8)
    exemplars.note(0, 1.0, request_id, trace_id, LABELS)

    shown = exemplars.newest().get(LABELS, [None])[0]
    labels = shown.labels if shown else {}
    expected = ({"request_id": request_id} if len(request_id) <= 64 else {}) | (
        {"trace_id": trace_id} if trace_id else {}
    )
    assert labels == expected
    assert sum(len(name) + len(value) for name, value in labels.items()) <= 128


@pytest.mark.parametrize("written", range(8, _RECORD.size, 8))
def test_a_record_that_was_left_half_written_is_not_shown(file: int, written: int) -> None:
    """A worker that is killed while it writes leaves nothing that could be taken for an exemplar."""
    exemplars = Exemplars(Memory(2, 0, file), 1, 8)
    row = Memory(2, 1, file).table(8, _RECORD.size // 8).row(*LABELS).cast("B")
    row[:] = _RECORD.pack(1.25, 0.5, b"old", b"", 1.25)
    assert request_ids(exemplars) == ["old"]

    row[:written] = _RECORD.pack(2.75, 0.5, b"new", b"", 2.75)[:written]

    assert request_ids(exemplars) == [None]


@given(st.lists(st.floats(0, 20), min_size=1, max_size=20))
def test_exemplars_lie_in_their_buckets(observed: list[float]) -> None:
    """In OpenMetrics, read by its own strict parser, each bucket shows a request that was counted there."""
    histogram = RequestHistogram(Memory(), "seconds", "How long", BOUNDS, ["route"], Clock(1000.0))
    for value in observed:
        histogram.observe_request(value, f"took-{value!r}", "", "/fine")

    samples = openmetrics_samples(histogram)
    lower = -1.0
    for sample in samples:
        if sample.name != "seconds_bucket":
            continue
        upper = float(sample.labels["le"])
        inside = [value for value in observed if lower < value <= upper]
        assert bool(inside) == bool(sample.exemplar)
        if sample.exemplar:
            assert sample.exemplar.value == inside[0]
            assert sample.exemplar.labels == {"request_id": f"took-{inside[0]!r}"}
        lower = upper


def openmetrics_samples(histogram: Histogram) -> list[Sample]:
    """The samples that OpenMetrics' parser finds of a histogram."""
    text = exposition.generate_latest(registry_of(histogram)).decode()
    (family,) = text_string_to_metric_families(text)
    return list(family.samples)


def test_the_text_format_has_no_exemplars() -> None:
    """Prometheus' own format is the same with and without them."""
    with_exemplars = RequestHistogram(Memory(), "seconds", "How long", BOUNDS, ["route"])
    without = Histogram(Memory(), "seconds", "How long", BOUNDS, ["route"])
    for value in (0.05, 0.5, 0.5, 50.0):
        with_exemplars.observe_request(value, "a", "", "/fine")
        without.observe(value, "/fine")

    assert written(with_exemplars) == written(without)
