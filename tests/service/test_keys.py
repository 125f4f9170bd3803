import json
import logging
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from service.app import create_app
from service.keys import Keys
from service.settings import Settings
from tests.service.assertions import assert_problem
from tests.service.conftest import StartService
from tests.service.fakes import FakeLoader
from tests.service.raw_http import connect, everything_from, request_head
from tests.service.running import wait_until
from tests.service.scraping import scrape

KEYS = ("the-first-key", "the-second-key")
GUARDED = [("POST", "/v1/predict"), ("POST", "/v1/predict?version=1"), ("POST", "/v1/read"), ("GET", "/v1/models")]
OPEN = ["/", "/web/page.js", "/docs", "/openapi.json", "/health", "/health/live", "/health/ready", "/metrics"]


@pytest.fixture
def guarded(store: Path, start_service: StartService) -> httpx.Client:  # noqa: ARG001 - the store must be there first
    """A running service that has two keys."""
    return start_service(api_keys=",".join(KEYS))


def predict(client: httpx.Client, path: str = "/v1/predict", **headers: str) -> httpx.Response:
    given = {"Content-Type": "application/octet-stream", **{name.replace("_", "-"): headers[name] for name in headers}}
    return client.post(path, content=bytes(784), headers=given)


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_nothing_below_v1_answers_without_a_key(guarded: httpx.Client, method: str, path: str) -> None:
    """Without a key each path below /v1/ is a 401 that says how to send one; the shortcut does not bypass this."""
    answer = guarded.request(method, path)
    problem = assert_problem(answer, 401, "unauthorized")
    assert "Authorization: Bearer" in problem["detail"]
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="digits"'


def test_a_refusal_of_head_has_no_body(guarded: httpx.Client) -> None:
    """No byte of the problem follows, so the client finds the next answer where it expects it."""
    with connect(guarded) as connection:
        connection.sendall(request_head("HEAD", "/v1/models", []))
        received = connection.recv(65_536)
        connection.sendall(request_head("GET", "/health/live", ["Connection: close"]))
        received += everything_from(connection)

    first, second, rest = received.split(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 401")
    assert second.startswith(b"HTTP/1.1 204")
    assert rest == b""


@pytest.mark.parametrize("path", OPEN)
def test_what_operators_and_browsers_start_with_needs_no_key(guarded: httpx.Client, path: str) -> None:
    """The page, the reference, health and metrics stay open."""
    assert guarded.get(path).is_success


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("path", ["/v1/predict", "/v1/predict?version=1"])
def test_each_key_opens_in_each_header(guarded: httpx.Client, key: str, path: str) -> None:
    """Any of the keys is accepted, as X-API-Key and as a bearer token, however `Bearer` is spelled."""
    assert predict(guarded, path, Authorization=f"Bearer {key}").status_code == 200
    assert predict(guarded, path, Authorization=f"bearer  {key}").status_code == 200
    assert predict(guarded, path, X_API_Key=key).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"X_API_Key": ""},
        {"X_API_Key": "the-first-ke"},
        {"X_API_Key": "the-first-key2"},
        {"X_API_Key": ",".join(KEYS)},
        {"X_API_Key": KEYS[0], "Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {KEYS[0]}"},
    ],
)
def test_anything_else_is_refused(guarded: httpx.Client, headers: dict[str, str]) -> None:
    """Part of a key, more than a key, all keys at once and other schemes are not accepted."""
    assert_problem(predict(guarded, **headers), 401, "unauthorized")


def test_refusals_are_counted_and_no_key_is_logged(guarded: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    """A refusal shows in the metrics; no key, right or wrong, ever gets into a log line or an answer."""
    with caplog.at_level(logging.DEBUG):
        answers = [predict(guarded, X_API_Key="wrong-secret"), predict(guarded, X_API_Key=KEYS[0])]
        wait_until(lambda: scrape(guarded).value("digits_rejected_total", reason="unauthorized") == 1)
    shown = caplog.text + "".join(f"{answer.text}{answer.headers}" for answer in answers)
    assert caplog.records
    assert not any(secret in shown for secret in ("wrong-secret", *KEYS))


def test_the_document_says_how_a_key_is_sent() -> None:
    """With keys, each operation below /v1/ needs one of two schemes and documents 401; others need none."""
    document = create_app(Settings(api_keys=SecretStr("k")), load=FakeLoader()).openapi()
    schemes = document["components"]["securitySchemes"]
    assert schemes["bearer"]["scheme"] == "bearer"
    assert schemes["apiKey"]["name"] == "X-API-Key"
    for path, operations in document["paths"].items():
        for operation in operations.values():
            needed: list[dict[str, list[str]]] | None = (
                [{"bearer": []}, {"apiKey": []}] if path.startswith("/v1/") else None
            )
            assert operation.get("security") == needed
            assert ("401" in operation["responses"]) == (needed is not None)


def test_without_keys_anybody_may_ask(client: httpx.Client) -> None:
    """A service without keys accepts requests without a key and with any key."""
    assert predict(client).status_code == 200
    assert predict(client, X_API_Key="anything").status_code == 200
    assert "security" not in json.dumps(client.get("/openapi.json").json()["paths"])


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=4), st.binary(max_size=20))
def test_only_the_keys_are_accepted(keys: list[bytes], given_key: bytes) -> None:
    """A key is accepted exactly when it is one of them, whatever the bytes are."""
    accepted = Keys(key.hex() for key in keys)
    assert accepted.accept(given_key.hex().encode()) == (given_key in keys)
