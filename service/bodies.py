"""Request bodies: from the bytes of each media type to rows of pixels, or to the problem that says what is wrong.

Limits are judged from headers before anything is read; decoding runs in the pool. What a picture
becomes is for `imaging` to say, what an array means for `arrays`.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import numpy as np
from fastapi import Request
from numpy.typing import NDArray
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from service import imaging
from service.arrays import check_count, rows_from_bytes, rows_from_json
from service.pool import Pool
from service.problems import (
    ClientGone,
    InvalidInput,
    MalformedBody,
    Pointer,
    TooLarge,
    UnsupportedMediaType,
)

JSON = "application/json"
BYTES = "application/octet-stream"
FORM = "multipart/form-data"
FORM_FIELDS = ("file", "files")
# Up to here JSON is read in the event loop: a hop to a thread costs more. One image is 4 KB, about 0.05 ms.
_INLINE_JSON_BYTES = 64 * 1024
_FORM_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True)
class Limits:
    """What one request may hold."""

    max_body_bytes: int
    max_image_pixels: int
    max_instances: int


@dataclass(frozen=True)
class Body:
    """A body that has been read whole; `headers` are the request's."""

    media_type: str
    content: bytes
    headers: Headers


@dataclass(frozen=True)
class BodyReader:
    """Reads bodies and turns them into rows."""

    limits: Limits
    pool: Pool

    async def read(self, request: Request) -> Body:
        """Read the body whole.

        Raises:
            UnsupportedMediaType: Judged from the headers.
            TooLarge: It says, or turns out, to be over the limit.
            ClientGone: The connection closed before the end.
        """
        media_type = _media_type(request.headers)
        self._check_size(int(request.headers.get("content-length", "0")))
        parts: list[bytes] = []
        size = 0
        try:
            async for part in request.stream():
                size += len(part)
                self._check_size(size)
                parts.append(part)
        except ClientDisconnect:
            msg = "The connection was closed before the body was complete."
            raise ClientGone(msg) from None
        return Body(media_type, b"".join(parts), request.headers)

    async def rows(self, body: Body) -> NDArray[np.float32]:
        """Turn the body into pixels float32 [n, 784], n >= 1, in the order of the input.

        Raises:
            Problem: 400, 413, 422 or 429, as the HTTP contract says.
        """
        if body.media_type == JSON:
            return await self._json_rows(body.content)
        if body.media_type == BYTES:
            return rows_from_bytes(body.content, self.limits.max_instances)
        if body.media_type == FORM:
            return await self._form_rows(body)
        return np.stack([await self._picture_row(body.content)])

    def _check_size(self, size: int) -> None:
        if size > self.limits.max_body_bytes:
            detail = (
                f"The body may have {self.limits.max_body_bytes} bytes; send fewer images at once, "
                f"or send them as {BYTES}, 784 bytes each."
            )
            raise TooLarge(detail)

    async def _json_rows(self, body: bytes) -> NDArray[np.float32]:
        max_instances = self.limits.max_instances
        if len(body) <= _INLINE_JSON_BYTES:
            return rows_from_json(body, max_instances)
        return await self.pool.run(lambda: rows_from_json(body, max_instances))

    async def _form_rows(self, body: Body) -> NDArray[np.float32]:
        pictures = await _form_pictures(body.content, body.headers, self.limits.max_instances)
        rows = [
            await self._picture_row(picture, f"/{field}/{index}") for index, (field, picture) in enumerate(pictures)
        ]
        return np.stack(rows)

    async def _picture_row(self, picture: bytes, pointer: str = "") -> NDArray[np.float32]:
        """Decode one picture in the pool; `pointer` says which one it is."""
        max_image_pixels = self.limits.max_image_pixels
        try:
            return await self.pool.run(lambda: imaging.pixels_from_picture(picture, max_image_pixels))
        except imaging.PictureTooLarge as error:
            raise TooLarge(str(error), [Pointer(pointer, str(error))]) from error
        except imaging.PictureError as error:
            raise InvalidInput(str(error), [Pointer(pointer, str(error))]) from error


def _media_type(headers: Headers) -> str:
    """The body's media type; refuses one that is not read here, and compressed bodies."""
    media_type = parse_options_header(headers.get("content-type"))[0].decode("latin-1")
    known = (JSON, BYTES, FORM, *imaging.MEDIA_TYPES)
    if media_type not in known:
        sent = f"Content-Type {media_type[:100]!r} is not read here" if media_type else "Content-Type is missing"
        raise UnsupportedMediaType(f"{sent}; send one of {', '.join(known)}.")
    encoding = headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        raise UnsupportedMediaType(f"Content-Encoding {encoding[:40]!r} is not read here; send the body as it is.")
    return media_type


async def _form_pictures(body: bytes, headers: Headers, max_instances: int) -> list[tuple[str, bytes]]:
    """The pictures of a multipart form, each with the name of its field, in the order of the form."""
    _check_form(body, headers, max_instances)
    parser = MultiPartParser(headers, _in_chunks(body), max_files=max_instances, max_fields=10)
    # The body is in memory already: the parser must not write parts of it to a disk.
    parser.spool_max_size = len(body) + 1
    try:
        form = await parser.parse()
    except MultiPartException as error:
        detail = f"The body is not a multipart form: {error.message.rstrip('.')}."
        raise MalformedBody(detail) from error
    try:
        parts = [(name, part) for name, part in form.multi_items() if isinstance(part, UploadFile)]
        pictures = [(name, await part.read()) for name, part in parts if name in FORM_FIELDS]
    finally:
        await form.close()
    if not pictures:
        detail = "The form holds no picture; send it as a part named file, as `curl -F file=@picture.png` does."
        raise InvalidInput(detail, [Pointer("/file", "is missing")])
    return pictures


def _check_form(body: bytes, headers: Headers, max_instances: int) -> None:
    """Refuse a form that is cut short, which the parser would take for an empty one, or has too many parts."""
    boundary = parse_options_header(headers["content-type"])[1].get(b"boundary")
    if not boundary:
        detail = "The Content-Type multipart/form-data names no boundary; let the HTTP client make the header."
        raise MalformedBody(detail)
    delimiter = b"--" + boundary
    if delimiter + b"--" not in body:
        detail = "The multipart form ends before its closing boundary; send it whole."
        raise MalformedBody(detail)
    check_count(body.count(delimiter) - 1, max_instances)


async def _in_chunks(body: bytes) -> AsyncGenerator[bytes, None]:
    """The body in pieces, between which other requests get their turn."""
    for at in range(0, len(body), _FORM_CHUNK_BYTES):
        yield body[at : at + _FORM_CHUNK_BYTES]
        await asyncio.sleep(0)
