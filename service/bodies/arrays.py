"""Turns arrays sent by clients, as JSON or as raw bytes, into rows of pixels.

simdjson reads JSON that is plainly right straight into an array, without making Python numbers. Anything else goes to
pydantic, which validates structure and types and says what is wrong, unless it is large. `instances` reads batches.
"""

import numpy as np
import simdjson
from numpy.typing import NDArray
from pydantic import ValidationError

from service.bodies.array_body import (
    PIXELS,
    ArrayBody,
    Validate,
    check_count,
    check_instance,
    check_pixels,
    invalid,
    pixels_of,
    row_lengths_of,
)
from service.bodies.instances import rows_from_batch
from service.bodies.misfits import problem_of, problem_of_large
from service.problems import InvalidInput

_FULL_INK = np.float32(255)
# pydantic reads no larger body whole: no other thread runs meanwhile, a megabyte of JSON crafted to be slow takes 0.3 s
# and 60 MB, and a body may have sixteen. An image takes 16 KB with all digits of a double, 60 KB indented.
_MOST_WHOLE_BYTES = 256 * 1024


def rows_from_json(
    body: bytes,
    max_instances: int,
    parser: simdjson.Parser | None = None,
    validate: Validate = ArrayBody.model_validate_json,
) -> NDArray[np.float32]:
    """Read `{"pixels": [784]}` or `{"instances": [[784] or [28][28], ...]}` into pixels float32 [n, 784] in [0, 1].

    Reusing a parser saves 12 us; only one thread may use it at a time. For a batch, the first wrong image is reported;
    values out of range are reported last, because `max_value` may follow the images.

    Raises:
        MalformedBody: Not JSON.
        TooLarge: More instances than allowed.
        InvalidInput: A wrong structure, length, type or range; points at the place.
    """
    parser = parser or simdjson.Parser()
    rows = rows_from_batch(body, max_instances, parser, validate)
    if rows is None:
        rows = _plain_image(body, parser)
    if rows is not None:
        return rows
    if len(body) > _MOST_WHOLE_BYTES:
        raise problem_of_large(body, _MOST_WHOLE_BYTES, validate)
    return _validated_rows(body, max_instances, validate)


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


def _validated_rows(
    body: bytes, max_instances: int, validate: Validate = ArrayBody.model_validate_json
) -> NDArray[np.float32]:
    """Read any body with pydantic; raises as `rows_from_json` does."""
    try:
        sent = validate(body)
    except ValidationError as error:
        raise problem_of(error) from error
    if sent.pixels is not None:
        check_pixels(len(sent.pixels))
        return pixels_of(np.array([sent.pixels]), sent.max_value, None)
    instances = sent.instances or []
    if not instances:
        raise invalid("/instances", "must hold at least one image")
    check_count(len(instances), max_instances)
    values, are_grids = np.empty((len(instances), PIXELS)), []
    for index, instance in enumerate(instances):
        row_lengths = row_lengths_of(instance)
        check_instance(index, len(instance), row_lengths)
        values[index] = np.ravel(instance)
        are_grids.append(bool(row_lengths))
    return pixels_of(values, sent.max_value, are_grids)


def _plain_image(body: bytes, parser: simdjson.Parser) -> NDArray[np.float32] | None:
    """Read a body that is plainly a single image; None for any other, valid or not, and for a large one.

    The result is the same as with pydantic, in a fifth of the time: a test compares the two on all sorts of bodies.
    """
    if not body.startswith(b"{"):  # white space, a byte order mark or no object: rare, or wrong
        return None
    # as_buffer would flatten nested lists: a single bracket rules them out. Checked before parsing, as it costs least.
    if len(body) > _MOST_WHOLE_BYTES or body.count(b"[") != 1:
        return None
    try:
        found = _pixels(parser.parse(body))
    except (ValueError, TypeError, KeyError, RuntimeError):  # not JSON, not numbers, another member, a huge number
        return None
    if found is None:
        return None
    values, max_value = found
    check_pixels(len(values))
    return pixels_of(values.reshape(1, PIXELS), max_value, None)


def _pixels(document: object) -> tuple[NDArray[np.float64], int] | None:
    """The values float64 [n] of one image, of any length, and their `max_value`; None for any other document."""
    if not isinstance(document, simdjson.Object) or len(document) > 2:
        return None
    max_value = document["max_value"] if len(document) == 2 else 1
    if type(max_value) is not int or max_value not in (1, 255):
        return None
    pixels = document["pixels"]
    return (np.frombuffer(pixels.as_buffer(of_type="d")), max_value) if isinstance(pixels, simdjson.Array) else None
