import contextlib
import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import simdjson
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from service.bodies.array_body import PIXELS, SIDE, ArrayBody
from service.bodies.arrays import _validated_rows, rows_from_bytes, rows_from_json
from service.problems import InvalidInput, MalformedBody, Problem, TooLarge

MAX_INSTANCES = 5
HALF = [0.5] * PIXELS
HALF_GRID = [[0.5] * SIDE] * SIDE

batches = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, MAX_INSTANCES), st.just(PIXELS)),
    elements=st.floats(0, 1),
    fill=st.floats(0, 1),
)


def from_json(sent: Any) -> NDArray[np.float32]:
    """The rows that the service reads from a JSON body."""
    body = sent.encode() if isinstance(sent, str) else json.dumps(sent).encode()
    return rows_from_json(body, MAX_INSTANCES)


def refused(sent: Any) -> InvalidInput:
    """The problem with a JSON body that is refused as invalid input; it has one pointer."""
    with pytest.raises(InvalidInput) as raised:
        from_json(sent)
    assert len(raised.value.errors) == 1
    return raised.value


def pointed_at(sent: Any) -> str:
    """Where the problem with a JSON body lies."""
    return refused(sent).errors[0].pointer


def with_value(value: Any, at: int = 5) -> list[Any]:
    """A row in which one number is something else."""
    return [*HALF[:at], value, *HALF[at + 1 :]]


@settings(max_examples=30)
@given(batches)
def test_instances_arrive_as_they_were_sent(sent: NDArray[np.float64]) -> None:
    """A batch of numbers in [0, 1] arrives in order, within float32's precision."""
    rows = from_json({"instances": sent.tolist()})

    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, sent.astype(np.float32))


@settings(max_examples=15)
@given(batches)
def test_grids_equal_flat_rows(sent: NDArray[np.float64]) -> None:
    """28 rows of 28 mean the same as 784 values, and the two may stand side by side."""
    grids = sent.reshape(-1, SIDE, SIDE).tolist()
    mixed = [grid if index % 2 else row for index, (grid, row) in enumerate(zip(grids, sent.tolist(), strict=True))]

    flat = from_json({"instances": sent.tolist()})

    np.testing.assert_array_equal(from_json({"instances": grids}), flat)
    np.testing.assert_array_equal(from_json({"instances": mixed}), flat)


@settings(max_examples=15)
@given(arrays.arrays(np.uint8, (3, PIXELS), fill=st.integers(0, 255)))
def test_levels_mean_the_same_as_bytes_and_as_numbers(levels: NDArray[np.uint8]) -> None:
    """0-255 as JSON, 0-255 as raw bytes and 0-1 as JSON are the same picture."""
    as_levels = from_json({"instances": levels.tolist(), "max_value": 255})
    as_numbers = from_json({"instances": (levels / 255).tolist()})
    as_bytes = rows_from_bytes(levels.tobytes(), MAX_INSTANCES)

    np.testing.assert_allclose(as_levels, as_numbers, atol=1e-7)
    np.testing.assert_allclose(as_bytes, as_numbers, atol=1e-7)
    assert as_bytes.dtype == np.float32


def test_pixels_is_a_batch_of_one() -> None:
    """One image gives one row."""
    assert from_json({"pixels": HALF}).shape == (1, PIXELS)


@pytest.mark.parametrize(("value", "limits"), [(0, {}), (1, {}), (0, {"max_value": 255}), (255, {"max_value": 255})])
def test_the_ends_of_the_range_belong_to_it(value: int, limits: dict[str, int]) -> None:
    """Whole numbers are numbers, and both bounds are allowed."""
    assert from_json({"pixels": [value] * PIXELS, **limits})[0, 0] == bool(value)


@pytest.mark.parametrize("length", [0, 1, 783, 785])
def test_a_wrong_length_is_told(length: int) -> None:
    """The problem has the actual length and the expected one."""
    problem = refused({"pixels": [0.5] * length})

    assert problem.errors[0].pointer == "/pixels"
    assert f"has {length}" in problem.detail
    assert "784" in problem.detail


@pytest.mark.parametrize(
    ("instance", "pointer", "found"),
    [
        ([], "", "has 0"),
        (HALF[:-1], "", "has 783"),
        (HALF_GRID[:-1], "", "has 27"),
        ([[]], "", "has 1"),
        ([*HALF_GRID[:9], [0.5] * 27, *HALF_GRID[10:]], "/9", "has 27"),
        ([*HALF_GRID[:9], [], *HALF_GRID[10:]], "/9", "has 0"),
    ],
)
def test_a_wrong_shape_is_pointed_at(instance: list[Any], pointer: str, found: str) -> None:
    """The pointer names the instance, and inside a grid the row."""
    problem = refused({"instances": [HALF, instance]})

    assert problem.errors[0].pointer == f"/instances/1{pointer}"
    assert found in problem.detail


@pytest.mark.parametrize("value", [-0.1, 1.5, 255, 1.0000001, -1e-9])
def test_a_value_out_of_range_is_told(value: float) -> None:
    """The problem has the place, the value as it was sent and the range, and says how to send 0 to 255."""
    problem = refused({"pixels": with_value(value)})

    assert problem.errors[0].pointer == "/pixels/5"
    assert f"is {value}; values lie in [0, 1]" in problem.detail
    assert '"max_value": 255' in problem.detail


@pytest.mark.parametrize("value", [-1, 256, 255.00001])
def test_a_level_out_of_range_is_told(value: float) -> None:
    """With `max_value` 255 the range is that of bytes."""
    problem = refused({"pixels": with_value(value), "max_value": 255})

    assert problem.errors[0].pointer == "/pixels/5"
    assert f"is {value}; values lie in [0, 255]" in problem.detail


@settings(max_examples=20)
@given(row=st.integers(0, 2), column=st.integers(0, PIXELS - 1), grid=st.booleans())
def test_the_pointer_is_in_terms_of_what_was_sent(row: int, column: int, *, grid: bool) -> None:
    """In a grid the pointer counts rows and columns, in a flat row values."""
    sent = np.full((3, PIXELS), 0.5)
    sent[row, column] = 2
    instances = sent.reshape(3, SIDE, SIDE) if grid else sent

    place = f"{column // SIDE}/{column % SIDE}" if grid else str(column)
    assert pointed_at({"instances": instances.tolist()}) == f"/instances/{row}/{place}"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" + "0" * 400])
@pytest.mark.parametrize("member", ["pixels", "instances"])
def test_what_is_not_finite_is_refused(number: str, member: str) -> None:
    """The problem points at NaN and infinity, also if they come from a number too large for a float."""
    values = json.dumps(with_value("HERE")).replace('"HERE"', number)
    body = f'{{"pixels": {values}}}' if member == "pixels" else f'{{"instances": [{values}]}}'

    problem = refused(body)

    assert problem.errors[0].pointer == ("/pixels/5" if member == "pixels" else "/instances/0/5")
    assert "finite" in problem.detail


@pytest.mark.parametrize("value", ["0.5", "a", True, False, None, {}, [0.5]])
def test_what_is_no_number_is_pointed_at(value: Any) -> None:
    """Texts that look like numbers, booleans, null and nested values are no numbers."""
    assert pointed_at({"pixels": with_value(value)}) == "/pixels/5"
    assert pointed_at({"instances": [HALF, with_value(value)]}) == "/instances/1/5"
    assert pointed_at({"instances": [[*HALF_GRID[:3], with_value(value)[:SIDE]]]}) == "/instances/0/3/5"


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        ({"pixels": "0.5"}, "/pixels"),
        ({"pixels": {}}, "/pixels"),
        ({"pixels": HALF_GRID}, "/pixels/0"),
        ({"instances": []}, "/instances"),
        ({"instances": {}}, "/instances"),
        ({"instances": ["a"]}, "/instances/0"),
        ({"instances": [None]}, "/instances/0"),
        ({"instances": HALF}, "/instances/0"),
        ({"instances": [HALF_GRID[:5] + HALF]}, "/instances/0/5"),
        ({"instances": [[HALF_GRID]]}, "/instances/0/0/0"),
        ({"pixels": HALF, "max_value": 256}, "/max_value"),
        ({"pixels": HALF, "max_value": "255"}, "/max_value"),
        ({"pixels": HALF, "max_value": None}, "/max_value"),
        ({"pixels": HALF, "max_value": True}, "/max_value"),
        ({"pixels": HALF, "extra": 1}, "/extra"),
        ({"pixels": HALF, "instances": [HALF]}, ""),
        ({"pixels": None}, ""),
        ({}, ""),
        ([], ""),
        ([HALF], ""),
        ("null", ""),
        ("5", ""),
    ],
)
def test_another_structure_is_pointed_at(sent: Any, pointer: str) -> None:
    """Wrong members, wrong nesting and wrong top levels are refused where they are wrong."""
    assert pointed_at(sent) == pointer


def test_pointers_are_escaped() -> None:
    """An unknown member's name is escaped as RFC 6901 requires: `~` is `~0`, `/` is `~1`."""
    assert pointed_at({"pixels": HALF, "a/b~c": 1}) == "/a~1b~0c"


@pytest.mark.parametrize("name", ["list[x", "k" * 10_000])
def test_a_made_up_member_is_named_in_bounds(name: str) -> None:
    """The problem points at any name, but an answer does not grow with a name of ten thousand letters."""
    problem = refused({"pixels": HALF, name: 1})

    assert problem.errors[0].pointer.startswith(f"/{name[:6]}")
    assert len(problem.detail) < 1000


@pytest.mark.parametrize("body", ["{", '{"pixels": [0.5, ', "not json", "{'pixels': []}", "{}\ufeff", "[" * 5000])
def test_what_is_not_json_is_malformed(body: str) -> None:
    """A truncated or foreign body is refused with the parser's place, and with what to send."""
    with pytest.raises(MalformedBody, match=r"The body is not JSON: .* at line \d+ column \d+; send \{\"pixels\": "):
        from_json(body)


@settings(max_examples=100)
@given(st.binary(max_size=200) | st.text(max_size=50).map(str.encode))
def test_any_bytes_are_refused_with_a_problem(body: bytes) -> None:
    """Whatever arrives, the answer is a problem and not a crash."""
    with pytest.raises(Problem) as raised:
        rows_from_json(body, MAX_INSTANCES)

    assert raised.value.status in (400, 422)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
lists = st.lists(scalars | st.lists(scalars, max_size=3), max_size=3)
members = st.sampled_from(["pixels", "instances", "max_value", "x/y"])
documents = scalars | lists | st.dictionaries(members, scalars | lists, max_size=3)


@settings(max_examples=100)
@given(documents)
def test_any_json_that_is_no_picture_is_refused_with_one_place(document: Any) -> None:
    """Whatever the structure, the problem has one place and a sentence."""
    problem = refused(json.dumps(document))

    assert problem.detail.endswith(".")
    assert problem.errors[0].detail in problem.detail


def test_too_many_instances_are_told() -> None:
    """One image over the limit is too large, with both numbers; the limit itself is allowed."""
    assert len(from_json({"instances": [HALF] * MAX_INSTANCES})) == MAX_INSTANCES
    with pytest.raises(TooLarge, match="may hold at most 5 images, this one holds 6"):
        from_json({"instances": [HALF] * (MAX_INSTANCES + 1)})


@pytest.mark.parametrize("size", [0, 1, 783, 785, 2 * PIXELS - 1])
def test_bytes_must_be_a_multiple_of_784(size: int) -> None:
    """A body of another size, an empty one included, is refused with its size."""
    has = f"has {size} " if size else "is empty"
    with pytest.raises(InvalidInput, match=f"784 bytes for each image; it {has}"):
        rows_from_bytes(bytes(size), MAX_INSTANCES)


def test_too_many_rows_of_bytes_are_told() -> None:
    """One row over the limit is too large, with both numbers; the limit itself is allowed."""
    assert len(rows_from_bytes(bytes(MAX_INSTANCES * PIXELS), MAX_INSTANCES)) == MAX_INSTANCES
    with pytest.raises(TooLarge, match="may hold at most 5 images, this one holds 6"):
        rows_from_bytes(bytes((MAX_INSTANCES + 1) * PIXELS), MAX_INSTANCES)


def outcome_of(read: Callable[[bytes, int], NDArray[np.float32]], body: bytes) -> object:
    """The rows, or the problem."""
    try:
        return read(body, MAX_INSTANCES).tolist()
    except Problem as problem:
        return problem.status, problem.detail, problem.errors


def first_wrong(instances: list[str]) -> object:
    """Pydantic's problem with the first element of a batch that is no image, ranges aside; None if all are images."""
    for index in range(len(instances)):
        batch = f'{{"instances":[{",".join(instances[: index + 1])}],"max_value":255}}'.encode()
        try:
            _validated_rows(batch, len(instances))
        except InvalidInput as problem:
            if "values lie in" not in problem.detail:
                return problem.status, problem.detail, problem.errors
        except MalformedBody:
            return None
    return None


def instances_in(body: bytes) -> list[str]:
    """The JSON of each image of the body, if it is a batch."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return [json.dumps(instance) for instance in json.loads(body)["instances"]]
    return []


def as_grid(row: list[Any]) -> list[list[Any]]:
    """Values in rows of 28; the last one may be shorter."""
    return [row[at : at + SIDE] for at in range(0, len(row), SIDE)]


NUMBERS: st.SearchStrategy[object] = st.one_of(
    st.sampled_from([0, 1, 255, 256, -1, 0.5, 1.0000000001, -0.0, 1e-320, True, None, "1", [0.5], {}, 2**64, 10**400]),
    st.floats(0, 1),
)


@settings(max_examples=200)
@given(
    values=st.lists(NUMBERS, max_size=4),
    length=st.sampled_from([0, 28, 783, 784, 785, 812]),
    rows=st.integers(0, MAX_INSTANCES + 1),
    members=st.sampled_from(
        [
            '{"pixels": ROW}',
            '{"pixels": GRID}',
            '{"instances": [ROWS]}',
            '{"instances": [GRIDS]}',
            '{"instances": [ROW, GRID, ROW]}',
            '{"instances": ROW}',
            '{"instances": GRID}',
            '{"pixels": ROW, "max_value": 255}',
            '{"max_value": 1, "instances": [ROWS]}',
            '{"max_value": 255, "instances": [GRIDS]}',
            '{"max_value": 2, "instances": [GRIDS]}',
            '{"instances": [GRIDS], "max_value": 255.0}',
            '{"pixels": ROW, "max_value": 255.0}',
            '{"pixels": ROW, "max_value": true}',
            '{"pixels": ROW, "max_value": 2}',
            '{"pixels": ROW, "pixels": ROW}',
            '{"pixels": ROW, "instances": [ROWS]}',
            '{"pixels": null, "instances": [GRIDS]}',
            '{"pixels": ROW, "other": 1}',
            '{"other": "a", "max_value": 1, "instances": [ROWS]}',
            '{"instances": [ROWS], "other": []}',
            '{"pixels": [ROW]}',
            '{"instances": [ROWS, [ROWS]]}',
            '{"instances": [GRIDS, [GRIDS]]}',
            '\ufeff{"pixels": ROW}',
            ' {"pixels": ROW}\n',
            '\n{"instances": [GRIDS]}\n',
            '{"pixels": ROW',
            '[{"pixels": ROW}]',
            "ROW",
        ]
    ),
)
def test_the_short_way_and_pydantic_agree(values: list[object], length: int, rows: int, members: str) -> None:
    """Whatever is sent, bypassing pydantic gives the same rows or the same problem as using it.

    If a batch has several problems, it may be that of the first wrong image.
    """
    sent = (values + [0.25] * length)[:length]
    text = members
    for name, image in (("ROW", json.dumps(sent)), ("GRID", json.dumps(as_grid(sent)))):
        text = text.replace(f"{name}S", ", ".join([image] * rows)).replace(name, image)
    body = text.encode()
    parser = simdjson.Parser()
    expected = outcome_of(_validated_rows, body), first_wrong(instances_in(body))
    for _ in range(2):  # a parser can be used again, whatever it read before
        assert outcome_of(lambda body, most: rows_from_json(body, most, parser), body) in expected


def spaced(text: str, space: str, at: int) -> str:
    """The text with white space after one of the characters after which JSON allows it."""
    places = [place for place, letter in enumerate(text, 1) if letter in "{}[]:,"]
    place = places[at % len(places)]
    return text[:place] + space + text[place:]


def without_pydantic(body: str) -> NDArray[np.float32]:
    """The rows of a body, which fails the test if it asks pydantic."""
    return rows_from_json(body.encode(), MAX_INSTANCES, validate=lambda text: pytest.fail(f"asked: {text[:50]!r}"))


def test_white_space_does_not_send_a_batch_the_long_way() -> None:
    """It is read image by image, however it is indented."""
    grid = f"[{','.join(['[NUMBERS]'] * SIDE)}]"
    text = f'{{"instances":[ROW,{grid},ROW],"max_value":1}}'
    for at in range(sum(map(text.count, "{}[]:,"))):
        body = spaced(text, "\r\n\t    ", at).replace("ROW", json.dumps(HALF)).replace("NUMBERS", "0.5," * 27 + "0.5")
        assert without_pydantic(body).tolist() == [HALF] * 3


@settings(max_examples=20)
@given(sent=batches, indent=st.sampled_from([None, 1, "\t"]), alone=st.booleans())
def test_grids_need_no_pydantic(sent: NDArray[np.float64], indent: int | str | None, *, alone: bool) -> None:
    """28 rows of 28 numbers are read like 784 numbers, alone and beside them, however they are indented."""
    grids = sent.reshape(-1, SIDE, SIDE).tolist()
    instances = grids if alone else [*sent.tolist()[:2], *grids[2:]]

    rows = without_pydantic(json.dumps({"instances": instances}, indent=indent))

    np.testing.assert_array_equal(rows, sent.astype(np.float32))


GRID = f"[{','.join(['[LINE]'] * SIDE)}]"
WRONG_IMAGES = [
    "[]",
    "[[]]",
    "[ROW]",
    "[GRID]",
    "SHORT",
    GRID.replace("[LINE],", "", 1),
    GRID.replace("LINE", "LINE,1", 1),
    GRID.replace("[LINE]", "1", 1),
    GRID.replace("LINE", "LINE,[1]", 1),
    GRID.replace("[LINE]", "[[LINE]]", 1),
    GRID.replace("LINE", "2", 1),
    GRID.replace("LINE", 'LINE,"]]"', 1),
    GRID.replace("LINE", "LINE,", 1),
    "[ROW,[LINE]]",
    '"]"',
    '["\\"]", "\u00e9]"]',
    '{"]": [ROW]}',
    "NaN",
    "-",
    "{}",
    "",
]


def with_numbers(text: str) -> str:
    """The text with numbers in place of the names."""
    text = text.replace("GRID", GRID).replace("LINE", "0.5," * 27 + "0.5")
    return text.replace("ROW", json.dumps(HALF)).replace("SHORT", json.dumps(HALF[1:]))


@settings(max_examples=200)
@example(rows=["ROW"] * 2, separator=",\x0b", space="", at=0, document='{"instances":[ROWS]}')  # white space to Python
@example(rows=["ROW"] * 2, separator=",", space="", at=0, document='{"instances":[ROWS\x0b]}')
@example(rows=["ROW"] * 2, separator=",", space="", at=0, document='{"max_value":1,"instances":[ROWS],"max_value":255}')
@example(rows=["ROW"] * 2, separator=",", space="", at=0, document='{"instances":[ROWS,]}')
@given(
    rows=st.just(["ROW"] * 2)
    | st.just(["GRID", "ROW", "GRID"])
    | st.lists(st.sampled_from(["ROW", "GRID", *WRONG_IMAGES]), max_size=3),
    separator=st.just(",") | st.sampled_from(["", ",,", "][", "],[", ",\x0b"]),
    space=st.sampled_from(["", " ", "\r\n\t ", "\x0b", "\xa0"]),
    at=st.integers(0, 200),
    document=st.just('{"instances":[ROWS]}')
    | st.sampled_from(
        [
            '{"instances":[ROWS],"max_value":255}',
            '{"max_value":255,"instances":[ROWS]}',
            '{"max_value":1,"instances":[ROWS],"max_value":255}',
            '{"max_value":255 "instances":[ROWS]}',
            '{"instances":[ROWS],"max_value":255,}',
            '{"instances":[ROWS],"max_value":1,"instances":[ROW]}',
            '{"instances":[ROWS],"pixels":ROW}',
            '{"instances":[ROWS],}',
            '{"instances":[ROWS,]}',
            '{"instances":[,ROWS]}',
            '{"instances":[ROWS]]}',
            '{"instances":[ROWS}',
            '{"instances":[ROWS]}}',
            '{"instances":[ROWS]} 1',
            '"instances":[ROWS]',
        ]
    ),
)
def test_a_batch_read_row_by_row_is_json(rows: list[str], separator: str, space: str, at: int, document: str) -> None:
    """Only what pydantic accepts is accepted, wherever brackets, commas and white space stand."""
    written = [with_numbers(row) for row in rows if row]
    text = spaced(document.replace("ROWS", separator.join(rows)).replace("GRID", GRID), space, at)
    expected = outcome_of(_validated_rows, body := with_numbers(text).encode())
    assert outcome_of(rows_from_json, body) in (expected, first_wrong(written))


# A hundred images, 300 kB; each part that pydantic may see holds only a few of them.
MANY = [json.dumps(HALF)] * 60 + [json.dumps(HALF_GRID)] * 40
MOST_BYTES = 70_000


def seen_by_pydantic(body: str) -> tuple[object, int]:
    """The outcome for a large batch, and how many bytes pydantic was given for it."""
    seen: list[bytes] = []

    def validate(text: bytes) -> ArrayBody:
        seen.append(text)
        return ArrayBody.model_validate_json(text)

    assert len(body) > 4 * MOST_BYTES
    found = outcome_of(lambda body, _: rows_from_json(body, 200, validate=validate), body.encode())
    return found, sum(map(len, seen))


WRONG_NUMBERS: list[Any] = [None, "0.5", True, float("nan"), {}, 10**400, 2, "]]"]


@pytest.mark.parametrize("at", [0, 50, 99])
@pytest.mark.parametrize(
    "wrong",
    [json.dumps(with_value(value)) for value in [*WRONG_NUMBERS, [0.5]]]
    + [json.dumps([*HALF_GRID[:9], with_value(value)[:SIDE], *HALF_GRID[10:]]) for value in WRONG_NUMBERS]
    + [json.dumps({"pixels": HALF}), "null", "[]", "[[]]", json.dumps(HALF[1:]), json.dumps(HALF_GRID[1:])],
)
def test_of_a_large_batch_pydantic_sees_only_what_is_wrong(wrong: str, at: int) -> None:
    """It holds up all other threads while it reads, so it is given one image of many; the problem is the same."""
    images = [*MANY[:at], wrong, *MANY[at + 1 :]]
    body = f'{{"instances": [{", ".join(images)}]}}'

    found, seen_bytes = seen_by_pydantic(body)

    assert found == outcome_of(lambda body, _: _validated_rows(body, 200), body.encode())
    assert f"/instances/{at}" in repr(found)
    assert seen_bytes < MOST_BYTES


@pytest.mark.parametrize(
    "body",
    [
        '{"signature_name": "serving_default", "instances": [IMAGES]}',
        '{"instances": [IMAGES], "signature_name": "serving_default"}',
        '{"instances": [IMAGES], "max_value": 7}',
        '{"instances": [IMAGES], "max_value": 1',
        '{"instances": [IMAGES',
        '{"instances": [IMAGES,]}',
        '{"instances": [IMAGES}',
        '{"instances": [IMAGES, IMAGES, IMAGES]}',
        '{"instances": [IMAGES], "max_value": 255, "pixels": [0]}',
    ],
)
def test_around_a_large_batch_pydantic_sees_only_what_is_wrong(body: str) -> None:
    """Other members, too many images and JSON that breaks off are reported without reading all images again."""
    body = body.replace("IMAGES", ", ".join(MANY))

    found, seen_bytes = seen_by_pydantic(body)

    assert found == outcome_of(lambda body, _: _validated_rows(body, 200), body.encode())
    assert seen_bytes < MOST_BYTES


def test_values_without_max_value_need_no_pydantic() -> None:
    """A batch in 0 to 255 that does not say so, or one image of far too many values, needs only simdjson's arrays."""
    with pytest.raises(InvalidInput, match=r"/instances/1/27/27: is 200; values lie in \[0, 1\]"):
        without_pydantic(json.dumps({"instances": [HALF, [*HALF_GRID[:-1], [0.5] * 27 + [200]]]}))
    with pytest.raises(InvalidInput, match="/pixels: must have 784 values, has 7840"):
        without_pydantic(json.dumps({"pixels": HALF * 10}))


def test_of_several_wrong_images_the_first_is_told() -> None:
    """The first one is told whatever is wrong; a value out of range is told only if all else is right."""
    missing, short, high = with_value(None), HALF[1:], with_value(2)

    assert pointed_at({"instances": [high, HALF, short, missing]}) == "/instances/2"
    assert pointed_at({"instances": [high, HALF, missing, short]}) == "/instances/2/5"
    assert pointed_at({"instances": [HALF, high, with_value(3)]}) == "/instances/1/5"


@pytest.mark.parametrize("at", [0, 63, 64, 199])
@pytest.mark.parametrize(
    ("image", "place"), [(with_value(2), "5"), ([*HALF_GRID[:9], [2] * SIDE, *HALF_GRID[10:]], "9/0")]
)
def test_a_value_out_of_range_is_told_wherever_it_is_in_a_large_batch(at: int, image: list[Any], place: str) -> None:
    """The place is that of the first such value; any other error takes precedence."""
    images = [HALF] * at + [image] + [HALF, HALF_GRID, with_value(3)] * 70

    with pytest.raises(InvalidInput, match=f"/instances/{at}/{place}: is 2;"):
        rows_from_json(json.dumps({"instances": images}).encode(), len(images))
    with pytest.raises(TooLarge):
        rows_from_json(json.dumps({"instances": images}).encode(), len(images) - 1)
    with pytest.raises(InvalidInput, match=f"/instances/{len(images)}: must have 784 values"):
        rows_from_json(json.dumps({"instances": [*images, [0]]}).encode(), len(images) + 1)


@pytest.mark.parametrize("wide", [0, 150])
def test_a_large_batch_is_read_into_its_rows(wide: int) -> None:
    """Reading takes little memory beside the pixels, which take no extra room however much images differ."""
    levels = np.arange(300 * PIXELS).reshape(300, PIXELS) % 256
    texts = [",".join([f"{level}.{'0' * 9 * (at < wide)}0" for level in row]) for at, row in enumerate(levels)]
    body = f'{{"instances":[[{"],[".join(texts)}]],"max_value":255}}'.encode()
    tracemalloc.start()
    try:
        rows = rows_from_json(body, 1000)
        kept_bytes, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert np.array_equal(rows, (levels / 255).astype(np.float32))
    assert kept_bytes < 1.1 * rows.nbytes
    assert peak_bytes < 2 * rows.nbytes + 500_000


@settings(max_examples=100)
@given(
    data=st.data(),
    indent=st.sampled_from([None, 0, 2]),
    sign=st.sampled_from(["x", ":", "}", "\x01", '"', "{", "\n-", "\\", None]),
)
def test_the_place_where_a_large_batch_is_no_json_is_told(
    data: st.DataObject, indent: int | None, sign: str | None
) -> None:
    """Line and column are those in the body, although pydantic sees only a part of it."""
    text = json.dumps({"instances": [json.loads(image) for image in MANY[55:75]]}, indent=indent)
    at = data.draw(st.integers(0, len(text) - 1))
    body = (text[:at] if sign is None else text[:at] + sign + text[at:]).encode()

    assert outcome_of(rows_from_json, body) == outcome_of(_validated_rows, body)
