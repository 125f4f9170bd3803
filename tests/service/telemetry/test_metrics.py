import os
import re
from collections import Counter
from pathlib import Path

import httpx
import numpy as np
import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from service.bodies.media_types import BYTES
from service.problems import BY_STATUS, ClientGone
from service.telemetry.metrics import CONFIDENCE_BUCKETS, Metrics
from service.telemetry.tally import Memory, file_for
from service.versions.loading import LoadedVersion
from service.versions.manifest import Manifest
from service.versions.model_store import StoredVersion
from service.versions.statuses import State
from tests.service.conftest import StartService
from tests.service.fakes import (
    FakeLoader,
    FirstPixelEngine,
    loaded_version,
    manifest_document,
    row_of,
    write_version,
)
from tests.service.running import wait_until
from tests.service.scraping import Scrape, scrape, scraped
from tests.service.test_predict import as_levels, predict

PREDICT = "/v1/predict"


def test_counters_equal_what_the_client_saw(client: httpx.Client) -> None:
    """After a series of requests of every kind, requests and rejections are counted exactly."""
    before = scrape(client)
    answers = [
        *(predict(client, bytes(784), BYTES) for _ in range(3)),
        *(predict(client, bytes(size), BYTES) for size in (0, 783)),
        predict(client, b"{", "application/json"),
        predict(client, b"{}", "text/plain"),
        predict(client, bytes(784), BYTES, "?version=9"),
        client.get(PREDICT),
        client.get("/v1/models"),
        client.get("/v1/models/digits/versions/1"),
        client.get("/v1/models/digits/versions/2"),
        *(client.get(f"/made-up/{number}") for number in range(4)),
    ]
    after = scrape(client)

    statuses = Counter((answer.request.method, answer.status_code) for answer in answers)
    for (method, status), count in statuses.items():
        assert _requests(after, method, status) - _requests(before, method, status) == count
    reasons = Counter(answer.json()["type"].partition("#")[2] for answer in answers if answer.status_code >= 400)
    for reason, count in reasons.items():
        series = ("digits_rejected_total", {"reason": reason})
        assert after.value(series[0], **series[1]) - before.value(series[0], **series[1]) == count
    assert after.total("digits_rejected_total") - before.total("digits_rejected_total") == sum(reasons.values())


def _requests(seen: Scrape, method: str, status: int) -> float:
    """Requests of that method and status, over all routes but those that the tests themselves poll."""
    return sum(
        value
        for (name, labels), value in seen.samples.items()
        if name == "digits_http_requests_total"
        and {("method", method), ("status", str(status))} <= labels
        and not {("route", "/metrics"), ("route", "/health/ready")} & labels
    )


def test_routes_are_templates_and_unknown_paths_are_one(client: httpx.Client) -> None:
    """The number of series does not grow with the paths that clients make up."""
    for path in ("/a", "/b", "/v1/models/digits/versions/1", "/v1/models/digits/versions/77", "/v1/predict"):
        client.get(path)

    seen = scrape(client)

    routes = seen.label_values("digits_http_requests_total", "route")
    expected = {"unmatched", "/v1/models/{name}/versions/{number}", PREDICT, "/v1/read", "/health/ready"}
    assert expected <= routes <= expected | {"/metrics"}
    assert seen.value("digits_http_requests_total", method="GET", route="unmatched", status="404") == 2


def test_each_request_is_timed(client: httpx.Client) -> None:
    """The histogram has as many observations as there were requests."""
    for _ in range(3):
        predict(client, bytes(784), BYTES)

    wait_until(lambda: scrape(client).value("digits_http_request_duration_seconds_count", route=PREDICT) == 3)


def test_predictions_are_counted_by_digit_and_version(store: Path, start_service: StartService) -> None:
    """Each row counts once, under the digit and the version that answered it."""
    write_version(store, 2)
    client = start_service()
    wait_until(lambda: predict(client, bytes(784), BYTES, "?version=1").status_code == 200)
    before = scrape(client)
    predict(client, as_levels(np.stack([row_of(digit) for digit in (3, 3, 5)])), BYTES)
    predict(client, as_levels(np.stack([row_of(7)])), BYTES, "?version=1")
    after = scrape(client)

    def grown(digit: int, version: int) -> float:
        labels = {"digit": str(digit), "version": str(version)}
        return after.value("digits_predictions_total", **labels) - before.value("digits_predictions_total", **labels)

    assert (grown(3, 2), grown(5, 2), grown(7, 1), grown(7, 2), grown(3, 1)) == (2, 1, 1, 0, 0)
    assert after.value("digits_confidence_count", version="2") == after.total("digits_predictions_total") - (
        after.value("digits_confidence_count", version="1")
    )


def test_what_is_no_digit_is_counted(store: Path, start_service: StartService) -> None:  # noqa: ARG001 - the store must be there
    """Rows answered with `is_digit` false are counted, alone or not; a version without is_digit has no series."""
    telling = start_service(FakeLoader(FirstPixelEngine(tells_is_digit=True)))
    silent = start_service()
    rows = np.stack([row_of(3, score) for score in (0.0, 1.0, 0.0)])
    for client in (telling, silent):
        for part in (rows, rows[:1], rows[1:2]):
            predict(client, as_levels(part), BYTES)

    assert scrape(telling).value("digits_not_digits_total", version="1") == 3
    assert scrape(silent).label_values("digits_not_digits_total", "version") == set()


def test_digits_stay_apart_however_many_versions_there_are() -> None:
    """Versions beyond the 50th share one label in every metric; no digit is lost, even if a worker is replaced."""
    file = file_for(1)
    for versions in (range(1, 71), range(71, 101)):  # by a worker, and by its replacement
        metrics = Metrics(Memory(1, 0, file))
        for version in versions:
            for digit in range(10):
                telling = FirstPixelEngine().run(row_of(digit)[None])
                metrics.predicted(version, telling, [False])
            metrics.predicted(version, np.repeat(telling, 2, axis=0), [False, True])
    os.close(file)

    seen = scraped(generate_latest(metrics.registry).decode())
    named = {str(version) for version in range(1, 51)}
    assert seen.label_values("digits_predictions_total", "digit") == {str(digit) for digit in range(10)}
    for name in ("digits_predictions_total", "digits_confidence_count", "digits_not_digits_total"):
        assert seen.label_values(name, "version") == named | {"other"}
    assert (seen.by("digits_predictions_total", "digit")["3"], seen.by("digits_predictions_total", "digit")["9"]) == (
        100,
        300,
    )
    assert seen.by("digits_confidence_count", "version")["other"] == 50 * 12
    assert seen.by("digits_not_digits_total", "version")["other"] == 50 * 11


def test_confidences_fall_into_the_baseline_s_bins() -> None:
    """There is a bucket for each of the manifest's 20 bins, and a confidence is counted in its own."""
    metrics = Metrics()

    metrics.predicted(1, FirstPixelEngine().run(np.stack([row_of(3), row_of(4)])))

    def at_most(edge: str) -> float | None:
        return metrics.registry.get_sample_value("digits_confidence_bucket", {"version": "1", "le": edge})

    assert len(CONFIDENCE_BUCKETS) == len(manifest_document()["baseline"]["confidence_counts"])
    assert (at_most("0.9"), at_most("0.95")) == (0, 2)


def test_batches_are_measured(client: httpx.Client) -> None:
    """Rows, waits and runs have one observation for each batch and request."""
    predict(client, bytes(5 * 784), BYTES)

    seen = scrape(client)

    assert seen.value("digits_batch_rows_sum") == 5
    assert seen.value("digits_batch_rows_count") == 1
    assert seen.value("digits_inference_duration_seconds_count") == 1
    assert seen.value("digits_queue_wait_seconds_count") == 1
    assert seen.value("digits_queue_rows") == 0


def test_loads_are_counted_by_outcome(store: Path, start_service: StartService) -> None:
    """A version that loads and one that is rejected are told apart; the one that serves is named."""
    write_version(store, 2)
    client = start_service(FakeLoader(rejected={2: "it is not whole"}))

    seen = scrape(client)

    assert seen.value("digits_model_loads_total", outcome="loaded") == 1
    assert seen.value("digits_model_loads_total", outcome="rejected") == 1
    assert seen.label_values("digits_model_info", "version") == {"1"}
    assert seen.label_values("digits_model_info", "test_accuracy") == {"0.9900"}
    assert seen.value("digits_model_loaded_timestamp_seconds") > 0


def test_failures_are_counted_from_zero() -> None:
    """The series of the objectives exist before the first failure, which a rate would otherwise leave out."""
    rules = (Path(__file__).parents[3] / "deploy/prometheus/rules/objectives.yml").read_text()
    routes, statuses = (set(re.findall(f'{label}=~"(.*?)"', rules)) for label in ("route", "status"))
    (route,), (status,) = routes, statuses
    counted: dict[tuple[str, ...], float] = {
        (sample.name, *sample.labels.values()): sample.value
        for family in Metrics().registry.collect()
        for sample in family.samples
        if sample.name in ("digits_http_requests_total", "digits_rejected_total")
    }
    expected: dict[tuple[str, ...], float] = {
        ("digits_rejected_total", problem.reason): 0.0 for problem in (*BY_STATUS.values(), ClientGone)
    }
    expected |= {
        ("digits_http_requests_total", "POST", path, str(failure)): 0.0
        for path in route.split("|")
        for failure in BY_STATUS
        if re.fullmatch(status, str(failure))
    }
    assert counted == expected


def test_states_of_versions_are_counted(store: Path, start_service: StartService) -> None:
    """Every state has its number, zero included, so that an alert on one of them can clear."""
    write_version(store, 2)
    client = start_service(FakeLoader(rejected={2: "it is not whole"}))

    seen = scrape(client)

    counts = {state: seen.value("digits_model_versions", state=state) for state in ("serving", "quarantined", "stored")}
    assert counts == {"serving": 1, "quarantined": 1, "stored": 0}
    assert seen.label_values("digits_model_versions", "state") == {str(state) for state in State}
    assert (seen.value("digits_ready"), seen.value("digits_model_store_trouble")) == (1, 0)


def test_not_ready_without_a_version(start_service: StartService) -> None:
    """With an empty store the service can still be scraped, and says that it is not ready, and why."""
    seen = scrape(start_service(ready=False))

    assert (seen.value("digits_ready"), seen.value("digits_model_store_trouble")) == (0, 1)
    assert ("digits_ready", frozenset()) in seen.samples


def test_queue_limit_stands_beside_the_queue(store: Path, start_service: StartService) -> None:  # noqa: ARG001
    """With its limit beside it, the queue's length shows how full it is."""
    client = start_service(queue_limit=70, max_instances=50)

    assert scrape(client).value("digits_queue_limit_rows") == 70


def test_only_the_version_that_serves_is_named() -> None:
    """A new version takes the place of the one before, and its manifest describes it."""
    metrics = Metrics()
    document = manifest_document(2, recipe={})

    metrics.serve(loaded_version(1))
    metrics.serve(LoadedVersion(StoredVersion(2, Path(), ()), Manifest.model_validate(document), FirstPixelEngine()))

    (family,) = (family for family in metrics.registry.collect() if family.name == "digits_model_info")
    (sample,) = family.samples
    assert sample.labels["version"] == "2"
    assert sample.labels["profile"] == ""
    assert sample.value == 1


@pytest.mark.parametrize(
    "accept",
    ["*/*", "text/plain", "text/html", "application/openmetrics-text;version=abc", "text/plain;version=x"],
)
def test_the_text_format_is_the_default(client: httpx.Client, accept: str) -> None:
    """A client that does not ask for OpenMetrics, or asks for an invalid version, gets Prometheus' text format."""
    response = client.get("/metrics", headers={"Accept": accept})

    assert response.headers["Content-Type"].startswith("text/plain; version=")
    assert "digits_queue_rows 0.0" in response.text


def test_openmetrics_for_those_who_ask(client: httpx.Client) -> None:
    """The OpenMetrics text is valid for OpenMetrics' strict parser."""
    predict(client, bytes(784), BYTES)

    response = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})

    assert response.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert response.text.endswith("# EOF\n")
    names = {family.name for family in text_string_to_metric_families(response.text)}
    assert {"digits_http_requests", "digits_predictions", "digits_confidence", "digits_model_info"} <= names


def test_two_services_share_nothing() -> None:
    """Each service has a registry of its own."""
    one, other = Metrics(), Metrics()

    one.rejected.inc("internal")

    assert other.registry.get_sample_value("digits_rejected_total", {"reason": "internal"}) == 0
