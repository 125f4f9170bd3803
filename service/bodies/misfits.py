"""Explains why a JSON body does not fit `ArrayBody`: the place, what is wrong there, and what to send instead."""

import codecs

from pydantic import ValidationError

from service.bodies.array_body import ONE_OF_TWO, Validate, invalid, pointer_to
from service.problems import InvalidInput, MalformedBody, Problem

_SEND = 'send {"pixels": [784 numbers]}, or several images as {"instances": [[784 numbers]]}'
_SEND_PLAIN = (
    'send {"instances": [images]}, each 784 numbers or 28 rows of 28, and "max_value" first or last, if at all'
)
_BEGINNING_BYTES = 64 * 1024  # pydantic takes 20 ms at most to read these
_BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# By pydantic's error type. All other errors mean that something else belongs in the place: `_WANTED` says what.
_TOLD = {
    "extra_forbidden": "is unknown; use pixels, instances or max_value",
    "finite_number": 'is not a finite number; send numbers in [0, 1], or in [0, 255] with "max_value": 255 beside them',
    "literal_error": "must be the number 1 or 255",
    "value_error": ONE_OF_TWO,
}
# By member and depth of a place: what belongs there.
_WANTED = {
    ("pixels", 1): "send a list of 784 numbers",
    ("pixels", 2): 'send 784 numbers in one list, or 28 rows of 28 as {"instances": [[28 rows]]}',
    ("instances", 1): "send a list of images, each 784 numbers or 28 rows of 28",
    ("instances", 2): 'send each image as a list of 784 numbers or 28 rows of 28, or one as {"pixels": [784 numbers]}',
    ("instances", 3): "send each image as 784 numbers or 28 rows of 28",
    ("instances", 4): "send each image as 784 numbers or 28 rows of 28, without a channel",
}
_KINDS = {type(None): "null", bool: "a boolean", str: "a string", list: "a list", dict: "an object"}


def problem_of(error: ValidationError, skipped: int = 0) -> Problem:
    """The problem of a body that pydantic refuses.

    Args:
        error: What pydantic says.
        skipped: How many instances of the body were left out before those that pydantic saw.
    """
    errors = error.errors(include_url=False)
    if errors[0]["type"] == "json_invalid":
        return _malformed(errors[0]["input"], errors[0]["ctx"]["error"])
    # An instance is tried as a row and as a grid; the attempt that got further is what was meant.
    furthest = max(errors, key=lambda error: [part for part in error["loc"] if isinstance(part, int)])
    parts = list(furthest["loc"])
    if parts[:1] == ["instances"]:
        parts[1:3] = [skipped + part for part in parts[1:2] if isinstance(part, int)]
    detail = _TOLD.get(furthest["type"])
    if detail is None:
        wanted = _WANTED.get((str(parts[0]), len(parts)), _SEND) if parts else _SEND
        detail = f"is {_KINDS.get(type(furthest['input']), 'a number')}; {wanted}"
    return invalid(pointer_to(*parts), detail)


def problem_of_large(body: bytes, most_bytes: int, validate: Validate) -> Problem:
    """The problem of a body of more than `most_bytes` that is not plainly right: what its beginning shows, if anything.

    Some such bodies would be accepted if they were smaller, for example one that has a member twice.
    """
    try:
        validate(body[:_BEGINNING_BYTES])
    except ValidationError as error:
        problem = problem_of(error)
        if not (isinstance(problem, MalformedBody) and "EOF" in problem.detail):
            return problem
    return InvalidInput(f"A JSON body of more than {most_bytes} bytes must be a plain batch; {_SEND_PLAIN}.")


def _malformed(body: bytes, reason: str) -> MalformedBody:
    """The problem of a body that is not JSON."""
    if not body or body.isspace():
        return MalformedBody(f"The body is empty; {_SEND}.")
    if body.startswith(_BYTE_ORDER_MARKS):  # some Windows programs write it, and it is invisible
        return MalformedBody("The body begins with a byte order mark; send JSON in UTF-8 without one.")
    return MalformedBody(f"The body is not JSON: {reason}; {_SEND}.")
