"""Images as JSON arrays: their schema, and the checks of their lengths and ranges.

pydantic validates structure and types; `misfits` explains its errors. Lengths and ranges are checked afterwards, where
that costs microseconds and can name the place and the number.
"""

from collections.abc import Callable
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from service.problems import InvalidInput, Pointer, TooLarge

SIDE = 28
PIXELS = SIDE * SIDE

# Fail fast: one wrong number is enough to report, and errors for a megabyte of them must not be collected.
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Row = Annotated[list[Number], Field(fail_fast=True, json_schema_extra={"minItems": PIXELS, "maxItems": PIXELS})]
GridRow = Annotated[list[Number], Field(fail_fast=True, json_schema_extra={"minItems": SIDE, "maxItems": SIDE})]
Grid = Annotated[list[GridRow], Field(fail_fast=True, json_schema_extra={"minItems": SIDE, "maxItems": SIDE})]
Instance = Annotated[Row | Grid, Field(union_mode="left_to_right")]
Instances = Annotated[list[Instance], Field(fail_fast=True, json_schema_extra={"minItems": 1})]
# JSON's true equals 1 in Python, but is not a number to a client; as a string it is refused.
MaxValue = Annotated[Literal[1, 255], BeforeValidator(lambda value: str(value) if isinstance(value, bool) else value)]
_BITS = {max_value: np.float64(max_value).view(np.uint64) for max_value in (1, 255)}
ONE_OF_TWO = "send either pixels (one image) or instances (a batch)"
# The name of an unknown member is the client's own text; this much is enough to recognise it.
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
            raise ValueError(ONE_OF_TWO)
        return self


Validate = Callable[[bytes], ArrayBody]
"""Parses JSON into an `ArrayBody`, or raises pydantic's `ValidationError`; blocks all other threads meanwhile."""


def invalid(where: str, detail: str) -> InvalidInput:
    """The problem at one place, given by its JSON pointer."""
    return InvalidInput(f"{where or 'The body'}: {detail}.", [Pointer(where, detail)])


def pointer_to(*parts: object) -> str:
    """The JSON pointer (RFC 6901) to a place, by the steps that lead there."""
    return "".join("/" + str(part)[:_MAX_NAME_LETTERS].replace("~", "~0").replace("/", "~1") for part in parts)


def check_count(count: int, max_instances: int) -> None:
    """Raise `TooLarge` if one request holds more images than it may."""
    if count > max_instances:
        detail = f"One request may hold at most {max_instances} images, this one holds {count}; send several requests."
        raise TooLarge(detail)


def check_pixels(length: int) -> None:
    """Raise `InvalidInput` if a single image does not have 784 values."""
    _check_length("/pixels", "784 values", PIXELS, length)


def check_instance(index: int, length: int, row_lengths: list[int]) -> None:
    """Raise `InvalidInput` if an image of a batch has the wrong shape.

    Args:
        index: Its place in the batch.
        length: How many values it has; for a grid, how many rows.
        row_lengths: How many values each row of a grid has; empty for an image that is no grid.
    """
    where = f"/instances/{index}"
    expected = "784 values or 28 rows of 28"
    if row_lengths:
        _check_length(where, expected, SIDE, length, " rows")
    else:
        _check_length(where, expected, PIXELS, length)
    for row, row_length in enumerate(row_lengths):
        if row_length != SIDE:
            _check_length(f"{where}/{row}", "28 values", SIDE, row_length)


def row_lengths_of(instance: Instance) -> list[int]:
    """How many values each row of a grid that pydantic accepted has; empty for an image that is no grid."""
    return [len(row) for row in instance if isinstance(row, list)]


def pixels_of(
    values: NDArray[np.float64], max_value: int, are_grids: list[bool] | None, first: int = 0
) -> NDArray[np.float32]:
    """Turn the values that were sent into pixels float32 [n, 784] in [0, 1].

    Args:
        values: float64 [n, 784], all finite.
        max_value: The value of full ink.
        are_grids: For each image of a batch, whether it was sent as 28 rows of 28; None for a single image.
        first: The place of the first image in its batch.

    Raises:
        InvalidInput: A value is out of range; points at the first.
    """
    # The bits of a double, read as an unsigned integer, grow with it from 0 on; negative ones have still greater bits.
    if values.view(np.uint64).max() > _BITS[max_value]:
        _check_range(values, max_value, are_grids, first)
    return (values if max_value == 1 else values / max_value).astype(np.float32)


def _check_range(values: NDArray[np.float64], max_value: int, are_grids: list[bool] | None, first: int) -> None:
    wrong = (values < 0) | (values > max_value)
    if not wrong.any():  # a negative zero
        return
    row, column = divmod(int(wrong.argmax()), PIXELS)
    shown = repr(float(values[row, column])).removesuffix(".0")
    detail = f"is {shown}; values lie in [0, {max_value}]"
    if max_value == 1:
        detail += ', or in [0, 255] with "max_value": 255 beside them'
    raise invalid(_place(row, column, are_grids, first), detail)


def _place(row: int, column: int, are_grids: list[bool] | None, first: int) -> str:
    """The JSON pointer of one value, as it was sent."""
    if are_grids is None:
        return f"/pixels/{column}"
    if are_grids[row]:
        return f"/instances/{first + row}/{column // SIDE}/{column % SIDE}"
    return f"/instances/{first + row}/{column}"


def _check_length(where: str, expected: str, length: int, found: int, unit: str = "") -> None:
    if found != length:
        raise invalid(where, f"must have {expected}, has {found}{unit}")
