"""Multipart forms: from the bytes of one to the pictures that it holds, under any of a few names.

What a picture shows is for `imaging` to say.
"""

import asyncio
from collections.abc import AsyncGenerator

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from service.array_body import check_count
from service.problems import InvalidInput, MalformedBody, Pointer

_FIELDS = ("file", "files")
_CHUNK_BYTES = 64 * 1024


async def form_pictures(content: bytes, content_type: bytes, max_instances: int) -> list[tuple[str, bytes]]:
    """The pictures of a multipart form, each with the name of its field, in the order of the form.

    Raises:
        MalformedBody: It is no whole form, or its header names no boundary.
        InvalidInput: There is no picture in it.
        TooLarge: There are more parts than `max_instances`.
    """
    _check_form(content, content_type, max_instances)
    headers = Headers(raw=[(b"content-type", content_type)])
    parser = _AllFiles(headers, _in_chunks(content), max_files=max_instances, max_fields=10)
    # The body is in memory already: the parser must not write parts of it to a disk.
    parser.spool_max_size = len(content) + 1
    try:
        form = await parser.parse()
    except MultiPartException as error:
        detail = f"The body is not a multipart form: {error.message.rstrip('.')}."
        raise MalformedBody(detail) from error
    try:
        parts = [(name, part) for name, part in form.multi_items() if isinstance(part, UploadFile)]
        pictures = [(name, await part.read()) for name, part in parts if name in _FIELDS]
    finally:
        await form.close()
    if not pictures:
        detail = "The form holds no picture; send it as a part named file, as `curl -F file=@picture.png` does."
        raise InvalidInput(detail, [Pointer("/file", "is missing")])
    return pictures


class _AllFiles(MultiPartParser):
    """Takes each part for a file, whose bytes are kept as they are: without a name of a file it would be text."""

    def on_headers_finished(self) -> None:
        """Give the part such a name; called by the parser."""
        if self._current_part.content_disposition is not None:
            self._current_part.content_disposition += b'; filename=""'
        super().on_headers_finished()


def _check_form(content: bytes, content_type: bytes, max_instances: int) -> None:
    """Refuse a form that is cut short, which the parser would take for an empty one, or has too many parts."""
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        detail = "The Content-Type multipart/form-data names no boundary; let the HTTP client make the header."
        raise MalformedBody(detail)
    delimiter = b"--" + boundary
    if delimiter + b"--" not in content:
        detail = "The multipart form ends before its closing boundary; send it whole."
        raise MalformedBody(detail)
    check_count(content.count(delimiter) - 1, max_instances)


async def _in_chunks(body: bytes) -> AsyncGenerator[bytes, None]:
    """The body in pieces, between which other requests get their turn."""
    for at in range(0, len(body), _CHUNK_BYTES):
        yield body[at : at + _CHUNK_BYTES]
        await asyncio.sleep(0)
