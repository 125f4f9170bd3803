"""The form of documents: the place where one differs from its type is named."""

from typing import Annotated, Any, TypedDict

import pytest

from trainer.versions.schema import Count, Fraction, RelativePath, Sha256, Time, misfit, of_length


class Inner(TypedDict):
    share: Fraction | None
    gate: str  # one of the members that were added later


class Outer(TypedDict):
    counts: Annotated[list[Count], of_length(2)]
    inner: dict[str, Inner]


SOUND: dict[str, Any] = {"counts": [0, 1], "inner": {"a": {"share": None, "gate": "x"}}}


def test_sound_document_fits() -> None:
    """Members that were added later may be missing, and unknown members are allowed."""
    assert misfit(SOUND, Outer) is None
    assert misfit({**SOUND, "note": 1, "inner": {"a": {"share": 0.5}}}, Outer) is None


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ([], "the document"),
        ({}, "counts"),
        ({**SOUND, "counts": [0]}, "counts"),
        ({**SOUND, "counts": [0, -1]}, "counts/1"),
        ({**SOUND, "counts": [0, True]}, "counts/1"),
        ({**SOUND, "counts": [0, 1.0]}, "counts/1"),
        ({**SOUND, "inner": {"a": {}}}, "inner/a/share"),
        ({**SOUND, "inner": {"a": {"share": 2}}}, "inner/a/share"),
        ({**SOUND, "inner": {"a": {"share": float("nan")}}}, "inner/a/share"),
        ({**SOUND, "inner": {"a": {"share": 0, "gate": None}}}, "inner/a/gate"),
    ],
)
def test_first_misfit_is_named(document: object, place: str) -> None:
    """The place is given by names and indices from the outside in."""
    assert misfit(document, Outer) == place


@pytest.mark.parametrize(
    ("form", "right", "wrong"),
    [
        (Time, "2026-11-22T20:40:00Z", "20261122T204000Z"),
        (Time, "2026-11-22T20:40:00+01:00", "yesterday"),
        (Sha256, "0a" * 32, "0A" * 32),
        (RelativePath, "variables/data", "variables/../../data"),
        (RelativePath, "..data", "/data"),
        (RelativePath, "a", ""),
    ],
)
def test_words_have_forms_too(form: object, right: str, wrong: str) -> None:
    """Times, digests and paths are distinguished from other text."""
    assert misfit(right, form) is None
    assert misfit(wrong, form) == "the document"
