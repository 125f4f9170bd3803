from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from fastapi.routing import APIRoute
from hypothesis import given, settings
from pydantic import SecretStr
from schemathesis.checks import CHECKS

from service.app import create_app
from service.problems import BY_STATUS
from service.routes import health, metrics, models, predict, read
from service.settings import Settings
from tests.service.bodies.test_reader import picture
from tests.service.fakes import FakeLoader
from tests.service.running import running_service

# A schema cannot express everything, such as that a picture has ink on it, or that an image is 784 bytes.
TOO_STRICT = ["positive_data_acceptance"]
PREDICTIONS = ("/v1/predict", "/v1/read")
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The OpenAPI document."""
    return create_app(Settings(), load=FakeLoader()).openapi()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One service for all tests of this module that change nothing in it."""
    with running_service(tmp_path_factory.mktemp("store")) as client:
        yield client


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and description of every operation."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                yield path, method, operation


def references(part: Any) -> Iterator[str]:
    """Every `$ref` in a part of the document."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(part, list):
        for item in part:
            yield from references(item)


def test_every_route_is_documented(document: dict[str, Any]) -> None:
    """No route of the API is missing; the reference's own pages are not part of it."""
    routes = {
        (route.path, method.lower())
        for router in (health.router, metrics.router, models.router, predict.router, read.router)
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }

    assert {(path, method) for path, method, _ in operations(document)} == routes
    assert len(routes) == 11


def test_every_operation_says_what_it_does(document: dict[str, Any]) -> None:
    """Each has a unique id, a summary and a description."""
    found = [operation for _, _, operation in operations(document)]

    assert len({operation["operationId"] for operation in found}) == len(found)
    assert all(operation["summary"] and operation["description"] for operation in found)


def test_every_error_is_a_problem(document: dict[str, Any]) -> None:
    """Each documented error refers to ProblemDocument, in the media type of problems."""
    for path, method, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                schema = {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}
                assert response.get("content") == {"application/problem+json": schema}, (path, method, status)


def test_predict_documents_every_body_and_every_error(document: dict[str, Any]) -> None:
    """All media types and statuses of the contract are documented."""
    operation = document["paths"]["/v1/predict"]["post"]

    pictures = {f"image/{name}" for name in ("png", "jpeg", "webp", "bmp", "gif", "tiff")}
    arrays = {"application/json", "application/octet-stream", "multipart/form-data"}
    assert operation["requestBody"]["content"].keys() == pictures | arrays
    assert operation["requestBody"]["required"]
    expected = {"200", "400", "404", "413", "415", "422", "429", "500", "503", "504"}
    assert operation["responses"].keys() == expected


def headers_of(operation: dict[str, Any], status: str) -> set[str]:
    """The headers that are documented for an answer."""
    return set(operation["responses"][status]["headers"])


def test_every_answer_documents_its_headers() -> None:
    """As in the contract: the request id everywhere, the version and the times, when to retry, how to send a key."""
    with_keys = create_app(Settings(api_keys=SecretStr("k" * 32)), load=FakeLoader()).openapi()
    more = {"429": {"Retry-After"}, "503": {"Retry-After"}, "401": {"WWW-Authenticate"}}
    for path, _, operation in operations(with_keys):
        of_status = more | ({"200": {"X-Model-Version", "Server-Timing"}} if path in PREDICTIONS else {})
        for status in operation["responses"]:
            assert headers_of(operation, status) == {"X-Request-ID"} | of_status.get(status, set()), (path, status)


def test_answers_have_the_headers_that_they_document(client: httpx.Client, document: dict[str, Any]) -> None:
    """Every documented header is in the answer, under the documented name."""
    for path in PREDICTIONS:
        operation = document["paths"][path]["post"]
        for content, status in ((picture(), 200), (b"none", 422)):
            answer = client.post(path, content=content, headers={"Content-Type": "image/png"})
            assert answer.status_code == status
            assert headers_of(operation, str(status)) <= {name.title().replace("Id", "ID") for name in answer.headers}


@pytest.mark.parametrize("path", PREDICTIONS)
@pytest.mark.parametrize("field", ["file", "files"])
def test_a_form_may_have_either_name(client: httpx.Client, document: dict[str, Any], path: str, field: str) -> None:
    """Both part names that are accepted are documented, and a form needs only one of them."""
    schema = document["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert schema["properties"].keys() == {"file", "files"}
    assert {"required": [field]} in schema.get("anyOf", []) + schema.get("oneOf", [])
    assert "required" not in schema
    assert client.post(path, files={field: picture()}).status_code == 200


def test_reading_takes_the_same_questions_as_predicting(document: dict[str, Any]) -> None:
    """Reading documents the same parameters for version and deadline as predicting, and the same statuses."""
    operation = document["paths"]["/v1/read"]["post"]
    predict = document["paths"]["/v1/predict"]["post"]

    assert operation["parameters"] == [part for part in predict["parameters"] if part["name"] != "include"]
    assert operation["responses"].keys() == predict["responses"].keys()


@pytest.mark.parametrize("path", PREDICTIONS)
def test_the_queries_that_are_taken_are_documented(client: httpx.Client, document: dict[str, Any], path: str) -> None:
    """The problem with an unknown query lists exactly the queries that the document has."""
    parameters = document["paths"][path]["post"]["parameters"]
    names = [parameter["name"] for parameter in parameters if parameter["in"] == "query"]

    problem = client.post(f"{path}?nothing=1", content=picture(), headers={"Content-Type": "image/png"}).json()

    assert problem["status"] == 422
    assert problem["detail"].endswith(f"use {' or '.join(names)}.")


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """A client generator can follow each `$ref`."""
    for reference in references(document):
        part: Any = document
        for step in reference.removeprefix("#/").split("/"):
            assert step in part, reference
            part = part[step]


def test_the_introduction_lists_every_problem(document: dict[str, Any]) -> None:
    """The type of a problem, `/docs#<reason>`, links to its explanation."""
    for status, problem in BY_STATUS.items():
        assert f"| {status} | `/docs#{problem.reason}` | {problem.title} |" in document["info"]["description"]


def test_the_service_keeps_to_its_document(client: httpx.Client) -> None:
    """Schemathesis generates requests for each operation; the document allows every answer."""
    schema = schemathesis.openapi.from_url(f"{client.base_url}/openapi.json")
    for path, method, _ in operations(schema.raw_schema):
        checked_operation(schema[path][method.upper()], str(client.base_url))


def test_what_an_answer_links_to_is_there(client: httpx.Client) -> None:
    """Schemathesis follows the document's links from answer to answer; every linked resource exists."""
    schema = schemathesis.openapi.from_url(f"{client.base_url}/openapi.json")
    found: set[tuple[str, int]] = set()

    class Stories(schema.as_state_machine()):  # type: ignore[misc] # a class that is made of the document
        def before_call(self, case: Any) -> None:
            case.headers.pop("x-request-timeout-seconds", None)  # as in `checked_operation`

        def validate_response(self, response: Any, case: Any, *_: Any, **__: Any) -> None:
            case.validate_response(response, excluded_checks=[CHECKS.get_one(name) for name in TOO_STRICT])
            found.add((case.operation.path, response.status_code))

    Stories.run(settings=settings(max_examples=30, stateful_step_count=5))
    assert {("/v1/models/{name}", 200), ("/v1/models/{name}/versions/{number}", 200)} <= found


def checked_operation(operation: Any, base_url: str) -> None:
    """Check some generated requests of one operation."""

    @settings(max_examples=15)
    @given(case=operation.as_strategy())
    def check(case: Any) -> None:
        # A deadline that cannot be met is answered with 504, as it should be.
        case.headers.pop("x-request-timeout-seconds", None)
        case.call_and_validate(base_url=base_url, excluded_checks=[CHECKS.get_one(name) for name in TOO_STRICT])

    check()
