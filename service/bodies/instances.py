"""Reads the images of a JSON batch one at a time, so that other threads run in between.

simdjson reads the images that are numbers, 784 or 28 rows of 28. The first image that is something else goes to
pydantic alone: no other thread would run while pydantic reads a body of megabytes.
"""

import json
import re
from typing import NamedTuple

import numpy as np
import simdjson
from numpy.typing import NDArray
from pydantic import ValidationError

from service.bodies.array_body import (
    PIXELS,
    Validate,
    check_count,
    check_instance,
    pixels_of,
    row_lengths_of,
)
from service.bodies.misfits import problem_of
from service.problems import InvalidInput, MalformedBody

# How many images are kept as doubles before they are turned into pixels, which take half as much. This many take
# 0.4 MB, which fits into the processor's cache; all images of a large body would take more than the body.
_READ_AHEAD = 64
# More than an image whose numbers have 25 characters, with 16 spaces before each; pydantic takes 4 ms for this much.
_MOST_PART_BYTES = 64 * 1024
# More than anybody indents by; without a limit, an endless run of spaces would be scanned character by character.
# Possessive, because two adjacent runs would otherwise backtrack over every split between them.
_FEW_SPACES = rb"[ \t\r\n]{0,1000}+"
_TEXT = rb'"[\x20!#-\[\]-~]{0,100}"'
_MEMBER = _TEXT + rb" : (?:" + _TEXT + rb"|true|false|null|-?(?:0|[1-9]\d{0,9})(?:\.\d{1,9})?) , "


def _pattern(text: bytes) -> re.Pattern[bytes]:
    """Compile a pattern in which a space stands for JSON white space."""
    return re.compile(text.replace(b" ", _FEW_SPACES))


# Matches unknown members too, so that pydantic can refuse them without reading the images.
_BEFORE_BATCH = _pattern(rb' { (?:"max_value" : (1|255) , )?((?:' + _MEMBER + rb'){0,9})"instances" : \[')
_AFTER_BATCH = _pattern(rb' \] (?:, "max_value" : (1|255) )?} ')
_OPENING = _pattern(rb" (,?) (\[)( \[)?")
_GRID_END = _pattern(rb"\] \]")
_SEPARATOR = _pattern(rb" ,? ")
_PLACE = re.compile(r"at line (\d+) column (\d+)")
_VALUE = json.JSONDecoder(parse_int=float)  # converting a long int takes quadratic time


class _Image(NamedTuple):
    """An image of a batch, of any shape."""

    values: NDArray[np.float64]
    row_lengths: list[int]
    """How many values each row of a grid has; empty for an image that is no grid."""
    end: int
    """Where it ends in the body."""


class _Images(NamedTuple):
    """The readable images at the beginning of a batch."""

    rows: NDArray[np.float32]
    """Their pixels [n, 784], for as many as one request may hold; of no use if a value is out of range."""
    found: int
    """How many there are, including those beyond what one request may hold."""
    end: int
    """Where the last one ends in the body."""
    out_of_range: InvalidInput | None
    """The problem of the first value that is out of range, if any."""


def rows_from_batch(
    body: bytes, max_instances: int, parser: simdjson.Parser, validate: Validate
) -> NDArray[np.float32] | None:
    """Read `{"instances": [[784] or [28][28], ...]}` into pixels float32 [n, 784] in [0, 1]; None for an odd body.

    A body is odd if it begins otherwise, or holds something that is neither plainly right nor wrong by itself. Images
    are read one by one also because simdjson would need ten times the body's memory, and so twice the time, for all at
    once.

    Raises:
        MalformedBody: Not JSON.
        TooLarge: More instances than allowed.
        InvalidInput: Another structure, length, type or range; points at the place.
    """
    before = _BEFORE_BATCH.match(body)
    if before is None:
        return None
    after = _AFTER_BATCH.fullmatch(body, max(0, body.rfind(b"]")))  # `max_value` must be known first
    max_value = int(before[1] or (after and after[1]) or 1)
    images = _plain_images(body, before.end(), max_value, max_instances, parser)
    after = _AFTER_BATCH.fullmatch(body, images.end)
    if after is None or before[2] or (before[1] and after[1]) or not images.found:
        _check_part(body, before.end(), images, validate)
        return None
    check_count(images.found, max_instances)
    wrong = images.out_of_range
    if wrong:
        raise InvalidInput(wrong.detail, wrong.errors)  # a new one: `wrong` and this frame would form a reference cycle
    return images.rows


def _plain_images(body: bytes, start: int, max_value: int, most: int, parser: simdjson.Parser) -> _Images:
    """Read images from `start` on, until something else comes; raises as `check_instance` does."""
    values, rows = np.empty((_READ_AHEAD, PIXELS)), np.empty((0, PIXELS), np.float32)
    found, end, problem = 0, start, None
    while True:
        are_grids, end = _next_images(body, end, found, values, parser)
        stop = min(found + len(are_grids), most)
        if found < stop and not problem:
            if stop > len(rows):  # room for all, if the other images take as many bytes each as these
                rows.resize((min(most, stop * (len(body) - start) // (end - start) + 1), PIXELS), refcheck=False)
            try:
                rows[found:stop] = pixels_of(values[: stop - found], max_value, are_grids, found)
            except InvalidInput as error:
                problem = error.with_traceback(None)  # a traceback would hold this frame, and the body
        found += len(are_grids)
        if len(are_grids) < _READ_AHEAD:
            rows.resize((min(found, most), PIXELS), refcheck=False)
            return _Images(rows, found, end, problem)


def _next_images(
    body: bytes, at: int, first: int, values: NDArray[np.float64], parser: simdjson.Parser
) -> tuple[list[bool], int]:
    """Read images into `values` until it is full or something else comes; `first` is the first one's number.

    Returns for each whether it is a grid, and where the last one ends; raises as `check_instance` does.
    """
    are_grids: list[bool] = []
    while len(are_grids) < len(values):
        index = first + len(are_grids)
        image = _next_image(body, at, b"," if index else b"", parser)
        if image is None:
            break
        check_instance(index, len(image.row_lengths) or len(image.values), image.row_lengths)
        values[len(are_grids)] = image.values
        are_grids.append(bool(image.row_lengths))
        at = image.end
    return are_grids, at


def _next_image(body: bytes, at: int, separator: bytes, parser: simdjson.Parser) -> _Image | None:
    """Read the image that follows the separator at `at`; None if it is not numbers or rows of numbers."""
    opening = _OPENING.match(body, at)
    if opening is None or opening[1] != separator:
        return None
    if opening[3]:
        grid_end = _GRID_END.search(body, opening.end(), opening.end() + _MOST_PART_BYTES)
        end = grid_end.end() if grid_end else 0
    else:
        end = body.find(b"]", opening.end(), opening.end() + _MOST_PART_BYTES) + 1
    text = body[opening.start(2) : end]
    try:
        parsed = parser.parse(text)
        if not isinstance(parsed, simdjson.Array):
            return None
        values = np.frombuffer(parsed.as_buffer(of_type="d"))  # a copy: the parser may go on
    except (ValueError, TypeError, RuntimeError):  # not JSON, not numbers, a huge number
        return None
    if not opening[3]:
        return _Image(values, [], end)
    row_lengths = [len(row) for row in parsed if isinstance(row, simdjson.Array)]
    # as_buffer also flattens numbers beside the rows, and deeper lists: such an image is left to pydantic.
    return _Image(values, row_lengths, end) if text.count(b"[") - 1 == len(row_lengths) == len(parsed) else None


def _check_part(body: bytes, start: int, images: _Images, validate: Validate) -> None:
    """Raise the problem that follows the images, if a part of the body shows one.

    Args:
        body: A body with the beginning of a batch.
        start: Where its first image may be.
        images: Those that could be read; in the part, one empty image stands for all of them.
        validate: Reads the part.
    """
    head = body[:start] + (b"[]" if images.found else b"")
    part, is_instance = _part_from(body, images.end)
    try:
        sent = validate(head + part)
    except ValidationError as error:
        problem = problem_of(error, skipped=max(0, images.found - 1))
        if isinstance(problem, MalformedBody):
            if "EOF" not in problem.detail or images.end + len(part) == len(body):
                raise _moved(problem, head + part, body, images.end - len(head)) from error
        elif is_instance or not problem.errors[0].pointer.startswith("/instances"):
            raise problem from error
        return
    if is_instance and sent.instances:
        instance = sent.instances[-1]
        check_instance(images.found, len(instance), row_lengths_of(instance))


def _part_from(body: bytes, at: int) -> tuple[bytes, bool]:
    """The body from `at` to the end of the next value, closed as a batch; or as much of it as a part may hold.

    Also returns whether such a value was found.
    """
    separator = _SEPARATOR.match(body, at)
    start = separator.end() if separator else at
    try:
        # Latin-1 makes each byte one character: strings may hold any bytes, and end at the same place.
        _, length = _VALUE.raw_decode(body[start : start + _MOST_PART_BYTES].decode("latin-1"))
    except (ValueError, RecursionError):
        return body[at : at + _MOST_PART_BYTES], False
    return body[at : start + length] + b"]}", True


def _moved(problem: MalformedBody, text: bytes, body: bytes, by: int) -> MalformedBody:
    """The JSON parser's problem with `text`, with its place in `body`, which is `by` bytes further on."""
    place = _PLACE.search(problem.detail)
    if place is None:
        return problem
    start = 0
    for _ in range(int(place[1]) - 1):
        start = text.index(b"\n", start) + 1
    end = start + int(place[2]) + by
    line, column = body.count(b"\n", 0, end) + 1, end - body.rfind(b"\n", 0, end) - 1
    return MalformedBody(_PLACE.sub(f"at line {line} column {column}", problem.detail))
