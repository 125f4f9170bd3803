"""Whether an image is a digit at all, end to end: real versions, prepared and served by a real process."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.versions.golden import read_golden
from tests.service.process import READY_SECONDS, Process
from tests.service.running import wait_until
from tests.service.scraping import scrape
from tests.service.wrapping import THRESHOLD, write_wrapped

SILENT, TELLING = 1, 2


@pytest.fixture(scope="module")
def store(released_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model store with a version that answers is_digit, and one that does not."""
    store, released = tmp_path_factory.mktemp("telling"), released_store / "digits" / "1"
    write_wrapped(released, store / "digits" / str(SILENT), has_output=False, threshold=None)
    write_wrapped(released, store / "digits" / str(TELLING))
    return store


@pytest.fixture(scope="module", params=["litert", "tensorflow"])
def service(request: pytest.FixtureRequest, store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A process that serves the version that answers is_digit, and has the other one loaded."""
    cache = tmp_path_factory.mktemp("cache")
    process = Process(store, cache, DIGITS_WORKERS="1", DIGITS_ENGINE=request.param)
    try:
        wait_until(lambda: _loaded(process) == {SILENT, TELLING}, READY_SECONDS)
        yield process
    finally:
        process.close()


def _loaded(service: Process) -> set[int]:
    versions = service.client.get("/v1/models/digits").json()["versions"]
    return {each["version"] for each in versions if each["state"] in {"serving", "loaded"}}


def test_each_version_says_what_it_can(service: Process, released_store: Path) -> None:
    """A version whose SavedModel gives a score answers `is_digit` by it; one without a score leaves the member out."""
    golden = read_golden(released_store / "digits" / "1")
    body = json.dumps({"instances": golden.pixels.tolist()})
    headers = {"Content-Type": "application/json"}

    silent, telling = (
        service.client.post(f"/v1/predict?version={version}", content=body, headers=headers).json()["predictions"]
        for version in (SILENT, TELLING)
    )

    told = [prediction.pop("is_digit") for prediction in telling]
    assert set(told) == {False, True}
    assert told == (golden.probabilities.max(axis=1) >= THRESHOLD).tolist()
    assert silent == telling


def test_what_the_client_saw_is_counted(service: Process, released_store: Path) -> None:
    """A single image that is no digit adds one to the counter of the version that answered."""
    golden = read_golden(released_store / "digits" / "1")
    doubtful = golden.pixels[golden.probabilities.max(axis=1).argmin()]
    before = scrape(service.client)
    answer = service.client.post("/v1/predict", json={"pixels": doubtful.tolist()}).json()
    after = scrape(service.client)

    assert answer["model"]["version"] == TELLING
    assert answer["predictions"][0]["is_digit"] is False
    name = "digits_not_digits_total"
    assert after.value(name, version=str(TELLING)) - before.value(name, version=str(TELLING)) == 1
    assert after.label_values(name, "version") == {str(TELLING)}
