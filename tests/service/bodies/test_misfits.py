"""The problem with a JSON body that does not fit says what was sent there, and what to send instead."""

import codecs
import json
import tracemalloc
from typing import Any

import pytest

from service.bodies.array_body import ArrayBody
from service.bodies.arrays import rows_from_json
from service.problems import InvalidInput, MalformedBody
from tests.service.bodies.test_arrays import HALF, HALF_GRID, refused, with_value

SEND = 'send {"pixels": [784 numbers]}, or several images as {"instances": [[784 numbers]]}'
PIXELS = 'send 784 numbers in one list, or 28 rows of 28 as {"instances": [[28 rows]]}'
IMAGES = 'send each image as a list of 784 numbers or 28 rows of 28, or one as {"pixels": [784 numbers]}'
IMAGE = "send each image as 784 numbers or 28 rows of 28"
FINITE = 'is not a finite number; send numbers in [0, 1], or in [0, 255] with "max_value": 255 beside them'
KERAS = [[[0.5]] * 28] * 28  # 28 x 28 x 1


def malformed(body: bytes) -> str:
    """The problem's detail for a body that is no JSON."""
    with pytest.raises(MalformedBody) as raised:
        rows_from_json(body, 5)
    return raised.value.detail


@pytest.mark.parametrize("body", [b"", b" ", b"\r\n\t "])
def test_an_empty_body_is_called_empty(body: bytes) -> None:
    """The detail says what to send; white space counts as empty."""
    assert malformed(body) == f"The body is empty; {SEND}."


@pytest.mark.parametrize("mark", [codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
def test_a_byte_order_mark_is_named(mark: bytes) -> None:
    """The mark is invisible and the rest is right, so the parser's reason would not help."""
    body = mark + json.dumps({"pixels": HALF}).encode()

    assert malformed(body) == "The body begins with a byte order mark; send JSON in UTF-8 without one."


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"no JSON", "expected ident at line 1 column 2"),
        (b'{"pixels": [0.5', "EOF while parsing a list at line 1 column 15"),
        (b'{"instances": [[0.5,]]}', "trailing comma at line 1 column 21"),
    ],
)
def test_what_is_no_json_keeps_the_reason(body: bytes, reason: str) -> None:
    """The detail has the parser's reason with its place, and what to send."""
    assert malformed(body) == f"The body is not JSON: {reason}; {SEND}."


@pytest.mark.parametrize(
    ("sent", "pointer", "detail"),
    [
        ({"pixels": HALF, "pixel": 1}, "/pixel", "is unknown; use pixels, instances or max_value"),
        ({"images": [HALF]}, "/images", "is unknown; use pixels, instances or max_value"),
        ({"pixels": HALF_GRID}, "/pixels/0", f"is a list; {PIXELS}"),
        ({"pixels": with_value("0.5")}, "/pixels/5", f"is a string; {PIXELS}"),
        ({"pixels": with_value(None)}, "/pixels/5", f"is null; {PIXELS}"),
        ({"pixels": with_value(value=True)}, "/pixels/5", f"is a boolean; {PIXELS}"),
        ({"pixels": with_value({})}, "/pixels/5", f"is an object; {PIXELS}"),
        ({"pixels": "0.5"}, "/pixels", "is a string; send a list of 784 numbers"),
        ({"pixels": 5}, "/pixels", "is a number; send a list of 784 numbers"),
        ({"pixels": with_value(float("nan"))}, "/pixels/5", FINITE),
        ({"instances": [with_value(float("inf"))]}, "/instances/0/5", FINITE),
        ({"instances": [[*HALF_GRID[:3], [float("-inf")]]]}, "/instances/0/3/0", FINITE),
        ({"instances": {}}, "/instances", "is an object; send a list of images, each 784 numbers or 28 rows of 28"),
        ({"instances": HALF}, "/instances/0", f"is a number; {IMAGES}"),
        ({"instances": [HALF, {"pixels": HALF}]}, "/instances/1", f"is an object; {IMAGES}"),
        ({"instances": [HALF, with_value(None)]}, "/instances/1/5", f"is null; {IMAGE}"),
        ({"instances": [with_value("0.5")]}, "/instances/0/5", f"is a string; {IMAGE}"),
        ({"instances": [KERAS]}, "/instances/0/0/0", f"is a list; {IMAGE}, without a channel"),
        ({"instances": [HALF_GRID, KERAS]}, "/instances/1/0/0", f"is a list; {IMAGE}, without a channel"),
        ({"instances": [[[0.5, False]]]}, "/instances/0/0/1", f"is a boolean; {IMAGE}, without a channel"),
        ({"pixels": HALF, "max_value": "255"}, "/max_value", "must be the number 1 or 255"),
        ({"pixels": HALF, "max_value": [255]}, "/max_value", "must be the number 1 or 255"),
        ({"pixels": HALF, "instances": [HALF]}, "", "send either pixels (one image) or instances (a batch)"),
        ({}, "", "send either pixels (one image) or instances (a batch)"),
        ([HALF], "", f"is a list; {SEND}"),
        ("null", "", f"is null; {SEND}"),
        ("0.5", "", f"is a number; {SEND}"),
    ],
)
def test_what_does_not_fit_is_told_what_belongs_there(sent: Any, pointer: str, detail: str) -> None:
    """The problem has the place, what was sent there, and what belongs there."""
    problem = refused(sent)

    assert problem.errors[0].pointer == pointer
    assert problem.errors[0].detail == detail
    assert problem.detail == f"{pointer or 'The body'}: {detail}."


@pytest.mark.parametrize(
    ("instance", "has"),
    [(HALF_GRID[1:], "27 rows"), ([[0.5]] * 784, "784 rows"), (HALF[1:], "783"), ([0.5] * 28, "28")],
)
def test_rows_are_not_called_values(instance: list[Any], has: str) -> None:
    """784 rows of one number each are distinguished from 784 numbers."""
    assert refused({"instances": [instance]}).errors[0].detail == f"must have 784 values or 28 rows of 28, has {has}"


# 16 MB, about the largest body that is allowed.
HARMFUL_BYTES = 16_000_000
HARMFUL = {
    "lists under another name": ('{"x":[', "[],", "[]]}"),
    "objects under another name": ('{"x":[', "{},", "{}]}"),
    "numbers under another name": ('{"x":[', "0,", "0]}"),
    "objects": ('{"instances":[', "{},", "{}]}"),
    "short images": ('{"instances":[', "[0],", "[0]]}"),
    "a long image": ('{"instances":[[', "0,", "0]]}"),
    "a grid of short rows": ('{"instances":[[', "[0],", "[0]]]}"),
    "a grid of empty rows": ('{"instances":[[', "[],", "[]]]}"),
    "pixels": ('{"pixels":[', "0,", "0]}"),
    "pixels of lists": ('{"pixels":[', "[],", "[]]}"),
    "members": ("{", '"max_value":1,', '"max_value":1}'),
    "brackets": ("", "[", ""),
    "deep instances": ("", '{"instances":[', ""),
    "white space": ("", " ", ""),
}


@pytest.mark.parametrize(("head", "unit", "tail"), HARMFUL.values(), ids=HARMFUL)
def test_what_is_made_to_harm_is_refused_by_a_part_of_it(head: str, unit: str, tail: str) -> None:
    """If pydantic read all of it, it would hold up all other threads for seconds, and take a gigabyte."""
    body = (head + unit * (HARMFUL_BYTES // len(unit)) + tail).encode()
    seen_bytes = 0

    def validate(part: bytes) -> ArrayBody:
        nonlocal seen_bytes
        seen_bytes += len(part)
        return ArrayBody.model_validate_json(part)

    tracemalloc.start()
    try:
        with pytest.raises((InvalidInput, MalformedBody)):
            rows_from_json(body, 5, validate=validate)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert seen_bytes < 200_000
    assert peak_bytes < 3_000_000


@pytest.mark.parametrize(
    ("beginning", "detail"),
    [
        ('{"pixels": nul, ', "The body is not JSON: expected ident at line 1 column 15; "),
        ("\ufeff{", "The body begins with a byte order mark"),
        ('{"inst\\u0061nces": [', "A JSON body of more than 262144 bytes must be a plain batch; send {"),
        ('{"pixels": [', "A JSON body of more than 262144 bytes must be a plain batch; send {"),
        ('{"images": "a", "instances": [', "/images: is unknown; use pixels, instances or max_value."),
        ('{"instances": [null, ', "/instances/0: is null; send each image as a list of 784 numbers"),
    ],
)
def test_of_a_large_body_is_told_what_its_beginning_tells(beginning: str, detail: str) -> None:
    """If its beginning is not wrong, the detail says what is read of that size."""
    body = f"{beginning}{', '.join([json.dumps(HALF)] * 100)}]}}".encode()

    with pytest.raises((InvalidInput, MalformedBody)) as raised:
        rows_from_json(body, 200)
    assert raised.value.detail.startswith(detail)


@pytest.mark.parametrize("indent", [None, 4])
@pytest.mark.parametrize("comes_first", [False, True])
def test_a_large_plain_batch_is_read(indent: int | None, *, comes_first: bool) -> None:
    """It may be indented or not, with max_value before or after the images."""
    batch: dict[str, Any] = {"instances": [HALF, HALF_GRID] * 60}
    full_ink = {"max_value": 255}
    body = json.dumps({**full_ink, **batch} if comes_first else {**batch, **full_ink}, indent=indent).encode()

    assert len(body) > 262_144
    assert len(rows_from_json(body, 200)) == 120
