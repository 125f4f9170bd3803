import os
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.versions.manifest import MANIFEST_PATH
from tests.service.assertions import assert_problem
from tests.service.conftest import StartService
from tests.service.failing import fail, needs_a_failing_file
from tests.service.fakes import FakeLoader, write_version
from tests.service.running import wait_until
from tests.service.test_predict import NO_VERSIONS

VERSION = "/v1/models/digits/versions"


def states(client: httpx.Client) -> dict[int, str]:
    """Each version's state."""
    return {version["version"]: version["state"] for version in client.get("/v1/models/digits").json()["versions"]}


def test_models_lists_the_one_model(client: httpx.Client) -> None:
    """The list holds the same document as the model's own path."""
    model = client.get("/v1/models/digits").json()

    assert model == {
        "name": "digits",
        "serving": 1,
        "trouble": None,
        "versions": [{"version": 1, "state": "serving", "reason": None}],
    }
    assert client.get("/v1/models").json() == {"models": [model]}


def test_each_version_has_its_state(store: Path, start_service: StartService) -> None:
    """Newest first: the rejected one is quarantined with its reason, one serves, one is loaded, the rest is stored."""
    for number in (2, 3, 4, 5):
        write_version(store, number)
    client = start_service(FakeLoader(rejected={5: "saved_model.pb differs"}))

    expected = {5: "quarantined", 4: "serving", 3: "loaded", 2: "loaded", 1: "stored"}
    wait_until(lambda: states(client) == expected)
    assert list(states(client)) == [5, 4, 3, 2, 1]
    assert client.get("/v1/models/digits").json()["versions"][0]["reason"] == "saved_model.pb differs"


def test_a_version_shows_its_manifest(client: httpx.Client) -> None:
    """State and manifest come together."""
    detail = client.get(f"{VERSION}/1").json()

    assert (detail["version"], detail["state"], detail["reason"]) == (1, "serving", None)
    assert detail["manifest"]["metrics"]["test_accuracy"] == 0.99


def test_a_quarantined_version_shows_what_can_be_read(store: Path, start_service: StartService) -> None:
    """A manifest that is not valid is shown as null; the reason says why the version does not serve."""
    folder = write_version(store, 2)
    (folder / MANIFEST_PATH).write_text("{")
    client = start_service(FakeLoader(rejected={2: "its manifest is not valid"}))

    detail = client.get(f"{VERSION}/2").json()

    assert detail == {"version": 2, "state": "quarantined", "reason": "its manifest is not valid", "manifest": None}


@pytest.mark.parametrize("changes", [{"recipe": {"rate": float("nan")}}, {"training_seconds": float("inf")}])
def test_numbers_that_json_does_not_know_do_no_harm(
    store: Path, start_service: StartService, changes: dict[str, Any]
) -> None:
    """Python writes NaN and Infinity into JSON; a manifest that holds one can still be requested."""
    write_version(store, 2, **changes)
    client = start_service(FakeLoader(rejected={2: "not whole"}))

    assert client.get(f"{VERSION}/2").status_code == 200


@pytest.mark.parametrize("file", ["card", "report"])
def test_a_version_without_the_file_says_so(client: httpx.Client, file: str) -> None:
    """A version need not carry a card or a report."""
    assert "Version 1 carries no" in assert_problem(client.get(f"{VERSION}/1/{file}"), 404, "not-found")["detail"]


@needs_a_failing_file
def test_a_disk_that_fails_is_no_missing_file(store: Path, client: httpx.Client) -> None:
    """A card that cannot be read is a 500, not a 404."""
    card = store / "digits/1/assets.extra/model_card.md"
    card.touch()
    fail(card)

    assert_problem(client.get(f"{VERSION}/1/card"), 500, "internal")


def test_a_version_that_serves_from_memory_has_no_card_any_more(store: Path, client: httpx.Client) -> None:
    """The answer does not say that there is no such version, as the list still shows it."""
    write_version(store, 2)
    (store / "digits/policy.json").write_text('{"serve": 1}')
    wait_until(lambda: states(client) == {1: "serving", 2: "loaded"})
    shutil.rmtree(store / "digits/1")
    wait_until(lambda: "serves on from memory" in (client.get("/v1/models/digits").json()["trouble"] or ""))

    assert states(client)[1] == "serving"
    told = assert_problem(client.get(f"{VERSION}/1/card"), 404, "not-found")["detail"]
    assert told == "Version 1 serves from memory; its model_card.md has left the model store."


def test_a_model_card_is_markdown(store: Path, client: httpx.Client) -> None:
    """The card is shown as it was written."""
    (store / "digits/1/assets.extra/model_card.md").write_text("# A card for zwölf\n", encoding="utf-8")

    response = client.get(f"{VERSION}/1/card")

    assert response.headers["Content-Type"] == "text/markdown; charset=utf-8"
    assert response.text == "# A card for zwölf\n"


def test_a_report_can_fetch_and_run_nothing(store: Path, client: httpx.Client) -> None:
    """A report is a page made by the trainer: its policy allows styles and inline pictures only."""
    (store / "digits/1/assets.extra/report.html").write_text("<h1>Report</h1>")

    response = client.get(f"{VERSION}/1/report")

    assert response.text == "<h1>Report</h1>"
    assert response.headers["Content-Type"].startswith("text/html")
    policy = response.headers["Content-Security-Policy"].split("; ")
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert not any(part.startswith("script-src") for part in policy)


def test_a_store_that_hangs_is_told_in_time(store: Path, start_service: StartService) -> None:
    """Reads that hang in the store are answered with 504, however many there are, and nothing else waits for them."""
    write_version(store, 2)
    client = start_service(FakeLoader(rejected={2: "it is damaged"}), request_timeout_seconds=0.1)
    wait_until(lambda: states(client).get(2) == "quarantined")
    for file in ("model_card.md", "report.html", "manifest.json"):
        (store / "digits/2/assets.extra" / file).unlink(missing_ok=True)
        os.mkfifo(store / "digits/2/assets.extra" / file)  # reading it waits for a writer

    for path in ("/card", "/report", "") * 10:
        detail = assert_problem(client.get(f"{VERSION}/2{path}"), 504, "deadline-passed")["detail"]
        assert "model store" in detail

    (store / "digits/1/assets.extra/model_card.md").write_text("# Card")
    assert client.get(f"{VERSION}/1/card").text == "# Card"
    write_version(store, 3)
    wait_until(lambda: states(client).get(3) == "serving")


@pytest.mark.parametrize("path", ["", "/versions/1", "/versions/1/card", "/versions/1/report"])
def test_another_model_is_not_found(client: httpx.Client, path: str) -> None:
    """The detail says which model there is."""
    problem = assert_problem(client.get(f"/v1/models/letters{path}"), 404, "not-found")

    assert "'letters'" in problem["detail"]
    assert "digits" in problem["detail"]


@pytest.mark.parametrize("path", ["", "/card", "/report"])
def test_another_version_is_not_found(client: httpx.Client, path: str) -> None:
    """The detail says where to look."""
    problem = assert_problem(client.get(f"{VERSION}/{10**30}{path}"), 404, "not-found")

    assert "/v1/models" in problem["detail"]


@pytest.mark.parametrize("number", NO_VERSIONS)
def test_what_is_no_version_number_is_pointed_at(client: httpx.Client, number: str) -> None:
    """A version is a positive integer."""
    problem = assert_problem(client.get(f"{VERSION}/{number}"), 422, "invalid-input")

    assert problem["errors"][0]["pointer"] == "/path/number"


def test_paths_do_not_leave_the_version(client: httpx.Client) -> None:
    """Dots and encoded slashes lead nowhere."""
    for path in ("..%2f1%2fcard", "1/..%2f..%2fmanifest.json", "1%2fcard"):
        assert client.get(f"{VERSION}/{path}").status_code in (404, 422)


def test_a_pinned_version_serves(store: Path, client: httpx.Client) -> None:
    """The policy's version serves, and a policy that cannot be followed is reported as trouble."""
    write_version(store, 2)
    wait_until(lambda: states(client) == {2: "serving", 1: "loaded"})

    (store / "digits/policy.json").write_text('{"serve": 1}')
    wait_until(lambda: states(client) == {2: "loaded", 1: "serving"})

    (store / "digits/policy.json").write_text('{"serve": 9}')
    wait_until(lambda: bool(client.get("/v1/models/digits").json()["trouble"]))
    assert "version 9" in client.get("/v1/models/digits").json()["trouble"]
    assert states(client)[1] == "serving"
