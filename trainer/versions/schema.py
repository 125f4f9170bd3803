"""Checks a JSON document against its types, so that the trainer refuses the same documents as the service.

The types are TypedDicts, lists, dictionaries, unions and scalars, to which `Annotated` may add conditions. Written out
here, because nothing else in the trainer needs pydantic, which checks them in the service.
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import PurePosixPath
from types import UnionType
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin, get_type_hints, is_typeddict

# Members that are missing from versions made before these were measured.
_ADDED_LATER = frozenset(
    {"microseconds_per_image", "gate", "is_digit_threshold", "non_digits_accepted", "corruption_errors"}
)


def _is_time(value: str) -> bool:
    """As in `2026-11-22T20:40:00Z`."""
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d", value) is not None


def _is_inside(value: str) -> bool:
    """A relative path that does not lead out of the version."""
    parts = PurePosixPath(value).parts
    return bool(parts) and not value.startswith("/") and ".." not in parts and "\0" not in value


def of_length(length: int) -> Callable[[list[Any]], bool]:
    """Requires a list to have this many items."""
    return lambda value: len(value) == length


Fraction: TypeAlias = Annotated[float, lambda value: 0 <= value <= 1]
Amount: TypeAlias = Annotated[float, lambda value: value >= 0]
PositiveAmount: TypeAlias = Annotated[float, lambda value: value > 0]
Count: TypeAlias = Annotated[int, lambda value: value >= 0]
PositiveCount: TypeAlias = Annotated[int, lambda value: value > 0]
Digit: TypeAlias = Annotated[int, lambda value: 0 <= value <= 9]
Sha256: TypeAlias = Annotated[str, lambda value: re.fullmatch("[0-9a-f]{64}", value)]
Time: TypeAlias = Annotated[str, _is_time]
RelativePath: TypeAlias = Annotated[str, _is_inside]


def misfit(value: Any, form: Any, where: str = "the document") -> str | None:  # noqa: ANN401 - whatever JSON holds
    """Says where a value does not match a type, as in `metrics/test_nll`; None if all of it matches."""
    if get_origin(form) is Annotated:
        plain, *required = get_args(form)
        return misfit(value, plain, where) or (None if all(fits(value) for fits in required) else where)
    if get_origin(form) in (UnionType, Union):  # the latter, if one of them is annotated
        return None if any(misfit(value, each) is None for each in get_args(form)) else where
    if not _is_a(value, form):
        return where
    inside = "" if where == "the document" else f"{where}/"
    found = (misfit(member, inner, f"{inside}{name}") for name, member, inner in _members(value, form))
    return next((place for place in found if place is not None), None)


def _is_a(value: Any, form: Any) -> bool:  # noqa: ANN401 - as above
    if is_typeddict(form):
        return isinstance(value, dict)
    if isinstance(value, bool):  # an int to Python
        return form is bool
    return isinstance(value, (int, float) if form is float else get_origin(form) or form)


def _members(value: Any, form: Any) -> Iterator[tuple[str, Any, Any]]:  # noqa: ANN401 - as above
    """Each part of a value with its name and the type that it should have."""
    if is_typeddict(form):
        for name, inner in get_type_hints(form, include_extras=True).items():
            if name in value or name not in _ADDED_LATER:
                yield name, value.get(name, _LACKING), inner
    elif get_origin(form) is dict:
        key_form, inner = get_args(form)
        for name, member in value.items():
            yield name, name, key_form
            yield name, member, inner
    elif get_origin(form) is list:
        for index, member in enumerate(value):
            yield str(index), member, get_args(form)[0]


_LACKING = object()  # of no type that JSON has
