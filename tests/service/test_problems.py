from collections.abc import Iterator

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.problems import BY_STATUS, ClientGone, InvalidInput, Pointer, Problem, QueueFull, answer, documented
from tests.service.assertions import assert_problem

KINDS = [*BY_STATUS.values(), ClientGone]


def answered(problem: Problem, path: str = "/v1/predict") -> httpx.Response:
    """The problem as the client that asked for `path` gets it."""
    response = answer(problem, path, "id-1")
    request = httpx.Request("POST", httpx.URL("http://test").copy_with(path=path))
    headers = {**response.headers, "X-Request-ID": "id-1"}
    return httpx.Response(response.status_code, headers=headers, content=bytes(response.body), request=request)


def subclasses(of: type[Problem]) -> Iterator[type[Problem]]:
    """Every kind of problem."""
    for kind in of.__subclasses__():
        yield kind
        yield from subclasses(kind)


@pytest.mark.parametrize("kind", BY_STATUS.values())
def test_every_kind_has_the_canonical_shape(kind: type[Problem]) -> None:
    """Whatever the kind, the document has the members that the contract lists."""
    assert_problem(answered(kind("Do this instead.")), kind.status, kind.reason)


def test_kinds_are_told_apart() -> None:
    """Each kind has a status and a reason of its own; none is forgotten in the table of statuses."""
    kinds = set(subclasses(Problem))

    assert kinds == set(KINDS)
    assert len({kind.status for kind in kinds}) == len(kinds)
    assert len({kind.reason for kind in kinds}) == len(kinds)


def test_places_are_in_the_document() -> None:
    """A problem with pointers lists them; one without has no member `errors`."""
    places = [Pointer("/pixels/3", "is 2"), Pointer("", "is odd")]

    document = assert_problem(answered(InvalidInput("Look there.", places)), 422, "invalid-input")

    assert document["errors"] == [{"pointer": "/pixels/3", "detail": "is 2"}, {"pointer": "", "detail": "is odd"}]
    assert "errors" not in answered(InvalidInput("Look there.")).json()


@pytest.mark.parametrize(("seconds", "header"), [(0, "1"), (0.2, "1"), (1.01, "1"), (1.6, "2"), (90, "90")])
def test_retry_after_is_a_whole_number_of_seconds(seconds: float, header: str) -> None:
    """The header is the nearest whole number, so that it is right within a factor of two, and is never 0."""
    assert answered(QueueFull("Wait.", retry_after_seconds=seconds)).headers["Retry-After"] == header


def test_without_a_wait_there_is_no_retry_after() -> None:
    """A problem that waiting does not solve has no Retry-After."""
    assert "Retry-After" not in answered(InvalidInput("No.")).headers


@settings(max_examples=50)
@given(st.text())
def test_any_detail_survives_the_way(detail: str) -> None:
    """Line breaks, quotes and every alphabet arrive as they were written."""
    assert answered(InvalidInput(detail)).json()["detail"] == detail


def test_documented_statuses_refer_to_the_problem() -> None:
    """The OpenAPI responses name the media type and the schema."""
    responses = documented(404, 422)

    assert responses.keys() == {404, 422}
    assert responses[404]["description"] == "Not found"
    schema = responses[404]["content"]["application/problem+json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/ProblemDocument"}
