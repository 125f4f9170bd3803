"""Arrays sent by clients, as JSON or as raw bytes, to rows of pixels.

JSON that is plainly right goes from its bytes into an array by simdjson, without a Python number in between; all
else is for pydantic, which validates structure and types, and says what is wrong. Lengths and ranges are checked on
the arrays, where that costs microseconds and can name the place and the number.
"""

import re
from typing import Annotated, Literal, Self

import numpy as np
import simdjson
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from service.problems import InvalidInput, MalformedBody, Pointer, Problem, TooLarge

SIDE = 28
PIXELS = SIDE * SIDE

# Failing fast: one wrong number is enough to report, and a megabyte of wrong ones must not be collected.
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Row = Annotated[list[Number], Field(fail_fast=True, json_schema_extra={"minItems": PIXELS, "maxItems": PIXELS})]
GridRow = Annotated[list[Number], Field(fail_fast=True, json_schema_extra={"minItems": SIDE, "maxItems": SIDE})]
Grid = Annotated[list[GridRow], Field(fail_fast=True, json_schema_extra={"minItems": SIDE, "maxItems": SIDE})]
Instance = Annotated[Row | Grid, Field(union_mode="left_to_right")]
Instances = Annotated[list[Instance], Field(fail_fast=True, json_schema_extra={"minItems": 1})]
_FULL_INK = np.float32(255)
_SPACES = b" \t\r\n"  # JSON's white space
# More than anybody indents by; an endless run would be looked at letter by letter.
_FEW_SPACES = rb"[ \t\r\n]{0,1000}"
_BEFORE_BATCH = re.compile(rb'{ (?:"max_value" : (1|255) , )?"instances" : \['.replace(b" ", _FEW_SPACES))
_AFTER_BATCH = re.compile(rb'\] (?:, "max_value" : (1|255) )?} '.replace(b" ", _FEW_SPACES))
_BITS = {max_value: np.float64(max_value).view(np.uint64) for max_value in (1, 255)}
# JSON's true equals 1 in Python, and is no number for a client.
MaxValue = Annotated[Literal[1, 255], BeforeValidator(lambda value: str(value) if isinstance(value, bool) else value)]
# A made-up member's name is the client's own text: enough of it to recognise.
_MAX_NAME_LETTERS = 100


class ArrayBody(BaseModel):
    """One image as `pixels`, or a batch as `instances`; 0 is background and `max_value` is full ink."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"oneOf": [{"required": ["pixels"]}, {"required": ["instances"]}]}
    )

    pixels: Row | None = None
    instances: Instances | None = None
    max_value: MaxValue = 1

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if (self.pixels is None) == (self.instances is None):
            msg = "send either pixels (one image) or instances (a batch)"
            raise ValueError(msg)
        return self


def rows_from_json(body: bytes, max_instances: int, parser: simdjson.Parser | None = None) -> NDArray[np.float32]:
    """Read `{"pixels": [784]}` or `{"instances": [[784] or [28][28], ...]}` into pixels float32 [n, 784] in [0, 1].

    A parser that is used again saves 12 us; one thread may use it at a time.

    Raises:
        MalformedBody: Not JSON.
        TooLarge: More instances than allowed.
        InvalidInput: Another structure, length, type or range; points at the place.
    """
    plain = _plain_rows(body, max_instances, parser or simdjson.Parser())
    return _validated_rows(body, max_instances) if plain is None else plain


def _validated_rows(body: bytes, max_instances: int) -> NDArray[np.float32]:
    """Read any body by way of pydantic; raises as `rows_from_json` does."""
    try:
        sent = ArrayBody.model_validate_json(body)
    except ValidationError as error:
        raise _problem(error.errors(include_url=False, include_input=False)) from error
    if sent.pixels is not None:
        _check_length("/pixels", "784 values", PIXELS, len(sent.pixels))
        values = np.array([sent.pixels])
    else:
        values = _instances(sent.instances or [], max_instances)
    _check_range(values, sent)
    return (values / sent.max_value).astype(np.float32)


def rows_from_bytes(body: bytes, max_instances: int) -> NDArray[np.float32]:
    """Read n x 784 bytes, 0 background to 255 full ink, into pixels float32 [n, 784] in [0, 1].

    Raises:
        TooLarge: More rows than allowed.
        InvalidInput: Not a positive multiple of 784 bytes.
    """
    rows, rest = divmod(len(body), PIXELS)
    if rest or not rows:
        has = f"it has {len(body)} ({rows} x 784 + {rest})" if body else "it is empty"
        detail = f"The body must have 784 bytes for each image; {has}."
        raise InvalidInput(detail)
    check_count(rows, max_instances)
    return np.divide(np.frombuffer(body, np.uint8), _FULL_INK, dtype=np.float32).reshape(rows, PIXELS)


def check_count(count: int, max_instances: int) -> None:
    """Raise `TooLarge` if one request holds more images than it may."""
    if count > max_instances:
        detail = f"One request may hold {max_instances} images, this one holds {count}; send several requests."
        raise TooLarge(detail)


def _plain_rows(body: bytes, max_instances: int, parser: simdjson.Parser) -> NDArray[np.float32] | None:
    """Read a body that is right in all respects, and has rows of 784 rather than 28 of 28; None for others, some right.

    The same as by way of pydantic, in a fifth of the time: a test compares the two on all sorts of bodies.
    """
    before = _BEFORE_BATCH.match(body)
    try:
        found = _plain_batch(body, before, max_instances, parser) if before else _plain_image(body, parser)
    except (ValueError, TypeError, KeyError, RuntimeError):  # not JSON, not numbers, another member, a huge number
        return None
    if found is None:
        return None
    values, max_value = found
    # The bits of a double, taken as an integer, rise with it from 0 on, and are greater for negative ones.
    if values.view(np.uint64).max() > _BITS[max_value]:
        return None
    return (values if max_value == 1 else values / max_value).astype(np.float32).reshape(-1, PIXELS)


def _plain_image(body: bytes, parser: simdjson.Parser) -> tuple[NDArray[np.float64], int] | None:
    """The values float64 [784] of one image, and the full ink among them."""
    if not body.startswith(b"{"):  # white space, a byte order mark or no object: rare, or wrong
        return None
    # as_buffer would flatten whatever is nested inside: a single bracket rules that out. First, as it costs least.
    if body.count(b"[") != 1:
        return None
    document = parser.parse(body)
    if not isinstance(document, simdjson.Object) or len(document) > 2:
        return None
    max_value = document["max_value"] if len(document) == 2 else 1
    if type(max_value) is not int or max_value not in _BITS:
        return None
    values = _plain_row(document["pixels"])
    return None if values is None else (values, max_value)


def _plain_batch(
    body: bytes, before: re.Match[bytes], max_instances: int, parser: simdjson.Parser
) -> tuple[NDArray[np.float64], int] | None:
    """The values float64 [n, 784] of a batch that begins with `before`, and the full ink among them.

    Row by row: to read all at once, simdjson takes memory of ten times the body, and so twice as long.
    """
    if body.count(b"]") > max_instances + 1:  # before it is taken to as many pieces
        return None
    end = body.rfind(b"]")
    after = _AFTER_BATCH.fullmatch(body, max(end, 0))
    if after is None or (before[1] and after[1]):
        return None
    *pieces, rest = body[before.end() : end].split(b"]")
    if rest.strip(_SPACES) or not pieces:
        return None
    values = np.empty((len(pieces), PIXELS))
    for at, piece in enumerate(pieces):
        separator, _, numbers = piece.partition(b"[")  # another bracket in the numbers stays open: no JSON
        row = _plain_row(parser.parse(b"[%b]" % numbers))
        if row is None or separator.strip(_SPACES) != (b"," if at else b""):
            return None
        values[at] = row
    return values, int(before[1] or after[1] or 1)


def _plain_row(parsed: object) -> NDArray[np.float64] | None:
    """The values of a row, if it has 784."""
    if not isinstance(parsed, simdjson.Array) or len(parsed) != PIXELS:
        return None
    return np.frombuffer(parsed.as_buffer(of_type="d"))  # a copy: the parser may go on


def _instances(instances: list[Instance], max_instances: int) -> NDArray[np.float64]:
    if not instances:
        raise _invalid("/instances", "must hold at least one image")
    check_count(len(instances), max_instances)
    values = np.empty((len(instances), PIXELS))
    for index, instance in enumerate(instances):
        where = f"/instances/{index}"
        if instance and isinstance(instance[0], list):
            _check_grid(where, instance)
        else:
            _check_length(where, "784 values or 28 rows of 28", PIXELS, len(instance))
        values[index] = np.ravel(instance)
    return values


def _check_grid(where: str, grid: list[float] | list[list[float]]) -> None:
    _check_length(where, "784 values or 28 rows of 28", SIDE, len(grid))
    for index, row in enumerate(grid):
        if isinstance(row, list):
            _check_length(f"{where}/{index}", "28 values", SIDE, len(row))


def _check_length(where: str, expected: str, length: int, found: int) -> None:
    if found != length:
        raise _invalid(where, f"must have {expected}, has {found}")


def _check_range(values: NDArray[np.float64], sent: ArrayBody) -> None:
    wrong = (values < 0) | (values > sent.max_value)
    if not wrong.any():
        return
    row, column = (int(at) for at in np.argwhere(wrong)[0])
    shown = repr(float(values[row, column])).removesuffix(".0")
    detail = f"is {shown}; values lie in [0, {sent.max_value}]"
    if sent.max_value == 1:
        detail += ', or in [0, 255] with "max_value": 255 beside them'
    raise _invalid(_place(sent, row, column), detail)


def _place(sent: ArrayBody, row: int, column: int) -> str:
    """The JSON pointer of one value, as it was sent."""
    if sent.instances is None:
        return f"/pixels/{column}"
    if isinstance(sent.instances[row][0], list):
        return f"/instances/{row}/{column // SIDE}/{column % SIDE}"
    return f"/instances/{row}/{column}"


def _problem(errors: list[ErrorDetails]) -> Problem:
    if errors[0]["type"] == "json_invalid":
        return MalformedBody(f"The body is not JSON: {errors[0]['ctx']['error']}.")
    # An instance is tried as a row and as a grid; the attempt that got further is what was meant.
    furthest = max(errors, key=lambda error: [part for part in error["loc"] if isinstance(part, int)])
    tag = slice(2, 3) if furthest["loc"][:1] == ("instances",) else slice(0)
    parts = list(furthest["loc"])
    del parts[tag]
    detail = furthest["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return _invalid("".join(f"/{_escaped(str(part))}" for part in parts), detail)


def _escaped(part: str) -> str:
    """One part of a JSON pointer (RFC 6901)."""
    return part[:_MAX_NAME_LETTERS].replace("~", "~0").replace("/", "~1")


def _invalid(where: str, detail: str) -> InvalidInput:
    return InvalidInput(f"{where or 'The body'}: {detail}.", [Pointer(where, detail)])
