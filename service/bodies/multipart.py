"""Takes the pictures, under any of a few field names, out of a multipart form; `imaging` decodes them."""

import asyncio

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.problems import InvalidInput, MalformedBody, Pointer, TooLarge

FIELDS = ("file", "files")
"""The names of the parts that are pictures."""

_FIELDS = tuple(name.encode() for name in FIELDS)
# Parsed in one turn of the event loop: at most 150 of the smallest parts, or 2 ms. A part takes 10 us, however small.
_PIECE_BYTES = 8 * 1024
# Searched for boundaries in one turn: 0.7 ms at worst, for a boundary of a single character.
_COUNTED_BYTES = 64 * 1024
# A file name has 255 characters at most and may be sent twice, each character as three; parsing such a line takes 2 ms.
_MOST_HEADER_BYTES = 2 * 1024


async def form_pictures(content: bytes, content_type: bytes, max_instances: int) -> list[tuple[str, bytes]]:
    """The pictures of a multipart form, each with the name of its field, in the order of the form.

    Other requests have their turn between the pieces of a long form, while parts are counted and while they are read.

    Raises:
        MalformedBody: It is not a complete form, or its header names no boundary.
        InvalidInput: There is no picture in it.
        TooLarge: There are more parts than `max_instances`.
    """
    boundary = _boundary(content_type)
    await _check_parts(content, b"--" + boundary, max_instances)
    parts = _Parts()
    try:
        parser = parts.parser(boundary)
        for at in range(0, len(content), _PIECE_BYTES):
            if at:
                await asyncio.sleep(0)
            parser.write(content[at : at + _PIECE_BYTES])
        parser.finalize()
    except FormParserError as error:
        detail = "The body is not a multipart form; let the HTTP client make it, as `curl -F` does."
        raise MalformedBody(detail) from error
    if not parts.is_whole:  # the parser takes a truncated form for a smaller one
        detail = "The multipart form ends before its closing boundary; send it whole."
        raise MalformedBody(detail)
    if not parts.pictures:
        detail = "The form holds no picture; send it as a part named file, as `curl -F file=@picture.png` does."
        raise InvalidInput(detail, [Pointer("/file", "is missing")])
    return parts.pictures


class _Parts:
    """Collects the parts with the right field name while the parser reads, with or without a file name."""

    def __init__(self) -> None:
        self.pictures: list[tuple[str, bytes]] = []
        self.is_whole = False
        self._begin()

    def parser(self, boundary: bytes) -> MultipartParser:
        """Make a parser that tells this object what it reads."""
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_end,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._end_form,
            },
            max_header_size=_MOST_HEADER_BYTES,
        )

    def _begin(self) -> None:
        self._name, self._value, self._disposition = b"", b"", b""
        self._field: bytes | None = None
        self._content: list[bytes] = []

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name, self._value = b"", b""

    def _headers_end(self) -> None:
        self._field = parse_options_header(self._disposition)[1].get(b"name")
        if self._field is None:
            detail = "A part of the form has no name; give it the header `Content-Disposition: form-data; name=file`."
            raise MalformedBody(detail)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._field in _FIELDS:
            self._content.append(data[start:end])

    def _end(self) -> None:
        if self._field in _FIELDS:
            self.pictures.append((self._field.decode(), b"".join(self._content)))

    def _end_form(self) -> None:
        self.is_whole = True


def _boundary(content_type: bytes) -> bytes:
    """The boundary between the parts of the form."""
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        detail = "The Content-Type multipart/form-data names no boundary; let the HTTP client make the header."
        raise MalformedBody(detail)
    return boundary


async def _check_parts(content: bytes, delimiter: bytes, most: int) -> None:
    """Raise `TooLarge` if there are too many parts, or too many delimiters that look like parts, before parsing any."""
    found = -1  # the closing delimiter begins no part
    for at in range(0, len(content), _COUNTED_BYTES):
        if at:
            await asyncio.sleep(0)
        end = at + _COUNTED_BYTES
        found += content.count(delimiter, max(0, at - len(delimiter) + 1), end)
        if found > most:
            has = f"{found}" if end >= len(content) else f"{found} or more"
            detail = f"A form may have at most {most} parts, this one has {has}; send the pictures in several requests."
            raise TooLarge(detail)
