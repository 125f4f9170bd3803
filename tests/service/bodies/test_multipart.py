import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.bodies.multipart import form_pictures
from service.problems import MalformedBody, TooLarge
from tests.service.turns import turns_of_others

CONTENT_TYPE = b"multipart/form-data; boundary=edge"


def form_of(*parts: tuple[str, bytes]) -> bytes:
    """A form whose parts have these header lines and contents."""
    return (
        b"".join(b"--edge\r\n%b\r\n\r\n%b\r\n" % (head.encode(), content) for head, content in parts) + b"--edge--\r\n"
    )


def disposition(name: str, file_name: str = "") -> str:
    """The header of a part of that name."""
    return f'Content-Disposition: form-data; name="{name}"' + (f'; filename="{file_name}"' if file_name else "")


def pictures_of(content: bytes, content_type: bytes = CONTENT_TYPE) -> list[tuple[str, bytes]]:
    """The pictures of a form."""
    return asyncio.run(form_pictures(content, content_type, 10_000))


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["file", "files", "note"]),
            st.sampled_from(["", "x.png", "file"]),
            st.lists(
                st.sampled_from([b"\r\n", b"\r\n--edg", b"\r\n--", b"--edge", b"\r", b"", bytes(8150), bytes(60)])
                | st.binary(max_size=40),
                max_size=5,
            )
            .map(b"".join)
            .filter(lambda content: b"\r\n--edge" not in content),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_pictures_are_taken_byte_for_byte(sent: list[tuple[str, str, bytes]]) -> None:
    """This holds in whatever pieces the form is read, and however much its contents look like a boundary."""
    sent.append(("file", "", b"last"))
    content = form_of(*[(disposition(name, file_name), picture) for name, file_name, picture in sent])

    assert pictures_of(content) == [(name, picture) for name, _, picture in sent if name != "note"]


def test_other_headers_of_a_part_are_left_out() -> None:
    """Headers may come in any order and any case; only the one that names the part counts."""
    heads = [
        "Content-Type: image/png\r\ncontent-disposition: form-data; name=file",
        disposition("files") + "\r\nX-Y: z",
    ]

    assert pictures_of(form_of(*[(head, b"p") for head in heads])) == [("file", b"p"), ("files", b"p")]


@pytest.mark.parametrize("head", ["Content-Type: image/png", "Content-Disposition: form-data", "no header", ": x"])
def test_a_part_without_a_name_is_malformed(head: str) -> None:
    """Every part must name its field in a valid header, also a part after one that does."""
    with pytest.raises(MalformedBody, match=r"multipart form|has no name"):
        pictures_of(form_of((disposition("file"), b"p"), (head, b"p")))


def test_a_boundary_that_is_too_long_is_malformed() -> None:
    """The parser allows 256 characters at most."""
    edge = b"e" * 300
    content = form_of((disposition("file"), b"p")).replace(b"edge", edge)

    with pytest.raises(MalformedBody, match="is not a multipart form"):
        pictures_of(content, CONTENT_TYPE.replace(b"edge", edge))


def test_others_have_their_turn_while_a_form_of_many_parts_is_read() -> None:
    """Each part takes time, however small it is: a few hundred are read at a time."""
    parts = 4_000
    content = form_of(*[(disposition("file"), b"p")] * parts)
    pictures, turns = turns_of_others(form_pictures(content, CONTENT_TYPE, parts))

    assert len(pictures) == parts
    assert turns > parts / 200


class Counted(bytes):
    """A form that records how much of it was searched at once."""

    most = 0

    def __contains__(self, part: object) -> bool:
        """Refuse to search all of the form."""
        raise AssertionError(f"looked for {part!r} in all of it")

    def count(self, part: Any, start: Any = 0, end: Any = None, /) -> int:
        """Count in a slice of the form, and record the slice's size."""
        assert end is not None, "counted in all of it"
        self.most = max(self.most, end - start)
        return super().count(part, start, end)


def test_nothing_is_looked_for_in_a_whole_form() -> None:
    """Searching sixteen megabytes of hyphens would hold up all other requests for a tenth of a second."""
    content = Counted(form_of((disposition("file"), b"-" * 1_000_000)))

    pictures, turns = turns_of_others(form_pictures(content, CONTENT_TYPE, 1))

    assert pictures == [("file", b"-" * 1_000_000)]
    assert turns > 1_000_000 / 8_192 + 10  # pieces are read, and larger ones counted
    assert 0 < content.most < 70_000


@pytest.mark.parametrize("behind", [b"", b"--edge", b"\r\n--edge--\r\n", b"x" * 20_000])
def test_what_stands_behind_the_closing_boundary_is_left_out(behind: bytes) -> None:
    """The form is complete by then, however much follows."""
    assert pictures_of(form_of((disposition("file"), b"p")) + behind) == [("file", b"p")]


def test_a_closing_boundary_inside_a_line_closes_nothing() -> None:
    """A form that was cut short may hold what looks like its end."""
    content = form_of((disposition("file"), b"a--edge--b")).removesuffix(b"\r\n--edge--\r\n")

    with pytest.raises(MalformedBody, match="ends before its closing boundary"):
        pictures_of(content)


@pytest.mark.parametrize("content", [b"\r\n--edge-" * 20_000, b"--edge" * 20_000])
def test_what_looks_like_a_boundary_counts_as_a_part(content: bytes) -> None:
    """The parser goes byte by byte there, so the form is refused before much of it is parsed."""
    with pytest.raises(TooLarge, match=r"may have at most 10000 parts, this one has \d+ or more; send"):
        pictures_of(form_of((disposition("file"), content)))


@pytest.mark.parametrize("padding", range(65_400, 65_530))
def test_a_boundary_between_two_pieces_is_counted_once(padding: int) -> None:
    """This holds wherever the pieces end."""
    content = form_of((disposition("note"), bytes(padding)), *[(disposition("file"), b"p")] * 3)

    assert len(asyncio.run(form_pictures(content, CONTENT_TYPE, 4))) == 3
    with pytest.raises(TooLarge, match="may have at most 3 parts, this one has 4;"):
        asyncio.run(form_pictures(content, CONTENT_TYPE, 3))
