"""Request bodies: from the bytes of each media type to rows of pixels, or to the problem that says what is wrong.

Headers are checked against the limits before anything is read; decoding runs in the pool. `imaging` turns pictures
into rows, `arrays` turns arrays into rows.
"""

import contextlib
import functools
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import simdjson
from numpy.typing import NDArray
from starlette.types import Message, Receive

from service import imaging
from service.bodies.array_body import PIXELS, check_count
from service.bodies.arrays import rows_from_bytes, rows_from_json
from service.bodies.holding import BodyMemory, HeldBody
from service.bodies.media_types import BYTES, FORM, JSON, KNOWN, RawHeaders, check_size, media_type_of
from service.bodies.multipart import form_pictures
from service.pool import Pool
from service.preemption import Preemption
from service.problems import (
    ClientGone,
    InvalidInput,
    Pointer,
    Problem,
    QueueFull,
    TooLarge,
)

# Arrays up to this size are read in the event loop: using a thread costs more. One image is 4 KB of JSON, 0.03 ms.
_INLINE_BYTES = 64 * 1024
# The 64 rows of an ordinary batch do not count: a form of that many pictures is never refused after they are decoded.
_FREE_ROWS_BYTES = 64 * 784 * 4
# The most bytes that a row takes. In JSON a number has up to 25 characters, and some clients put 16 spaces before it.
_ROW_BYTES = {BYTES.encode(): PIXELS, JSON.encode(): PIXELS * 42}
# How many bodies of the largest allowed size may be in memory at once, before they are parsed into rows. Further bodies
# are refused; otherwise only the number of clients would bound this process's memory.
_MOST_HELD_BODIES = 8
_NO_PICTURE = "The picture is empty. Send the whole file, a PNG, JPEG, WebP, BMP, GIF or TIFF."


@dataclass(frozen=True)
class Limits:
    """What one request may hold."""

    max_body_bytes: int
    max_image_pixels: int
    max_instances: int


class Announced(NamedTuple):
    """A body that the headers announce and that `admit` has accepted."""

    media_type: str
    content_type: bytes
    """The header, with its parameters."""


class Body(NamedTuple):
    """A body that has been read whole; `content_type` is the header that came with it."""

    media_type: str
    content: bytes
    content_type: bytes
    held: HeldBody | None = None
    """Its counted bytes, for `BodyReader.release`; None for a body that came in one piece, no larger than a buffer."""


@dataclass(frozen=True)
class BodyReader:
    """Reads bodies and turns them into rows."""

    limits: Limits
    pool: Pool
    """Where pictures are decoded."""
    array_pool: Pool
    """Where large arrays are read, so that they do not wait behind pictures."""
    parser: simdjson.Parser = field(default_factory=simdjson.Parser, repr=False)
    """For bodies that are read in the event loop's thread."""
    preemption: Preemption = field(default_factory=Preemption, repr=False)
    """Decides whether arriving requests interrupt the threads of `pool`."""

    @cached_property
    def _memory(self) -> BodyMemory:
        return BodyMemory(_MOST_HELD_BODIES * self.limits.max_body_bytes)

    def admit(self, headers: RawHeaders, taken: Sequence[str] = KNOWN) -> Announced:
        """Check a body by its request's headers, before any work is done for it; `taken` are the accepted media types.

        Raises:
            UnsupportedMediaType: Its media type or its coding is not accepted.
            TooLarge: It announces too many bytes, or too many rows of 784 bytes.
            QueueFull: It would have to wait too long to be read.
        """
        media_type = media_type_of(headers, taken)
        size = int(headers.get(b"content-length", b"0"))
        check_size(size, self.limits.max_body_bytes, media_type)
        if media_type == BYTES:
            check_count(size // PIXELS, self.limits.max_instances)
        if media_type not in (JSON, BYTES):
            self._check_room_for_picture()
        else:
            self.preemption.array_has_come()
            if size > _INLINE_BYTES:
                self.array_pool.check_room()
        return Announced(media_type, headers.get(b"content-type", b""))

    def _check_room_for_picture(self) -> None:
        try:
            self.pool.check_room()
        except QueueFull:
            self.preemption.picture_was_refused()
            raise
        self.preemption.picture_was_taken()

    async def read(self, announced: Announced, receive: Receive, deadline: float) -> Body:
        """Read the body whole; give it back with `release` when it is no longer needed.

        Args:
            announced: What `admit` gave.
            receive: Gives the body's parts.
            deadline: When the request is over at the latest, in seconds of `time.monotonic`.

        Raises:
            TooLarge: It turns out to be over the limit.
            QueueFull: Others hold too much memory.
            ClientGone: The connection closed before the end.
        """
        message = await _next_part(receive)
        if not message.get("more_body"):  # most bodies come in one piece
            content = message["body"]
            check_size(len(content), self.limits.max_body_bytes, announced.media_type)
            return Body(announced.media_type, content, announced.content_type)
        held = HeldBody(self._memory, deadline)
        content = await self._read_on(message["body"], announced.media_type, receive, held)
        return Body(announced.media_type, content, announced.content_type, held)

    def release(self, body: Body) -> None:
        """Free the memory of a body that is now rows or has been refused, as soon as no thread needs it."""
        if body.held:
            body.held.let_go()

    @contextlib.contextmanager
    def keeping(self, rows: NDArray[np.float32], deadline: float) -> Iterator[None]:
        """While the context is open, count rows that are kept until their answer is written, if there are many.

        Raises:
            QueueFull: Others hold too much memory.
        """
        held = HeldBody(self._memory, deadline)
        try:
            if rows.nbytes > _FREE_ROWS_BYTES:
                held.grow_to(rows.nbytes)
            yield
        finally:
            held.let_go()

    def announced_rows(self, headers: RawHeaders) -> int:
        """The least number of rows that an ordinary body with these headers has."""
        row_bytes = _ROW_BYTES.get(headers.get(b"content-type", b"").partition(b";")[0].strip().lower())
        size = int(headers.get(b"content-length", b"0"))
        if row_bytes is None or size > self.limits.max_body_bytes or b"content-encoding" in headers:
            return 1  # a faulty body is refused for its fault when it is read, not for lack of room
        return min(max(1, size // row_bytes), self.limits.max_instances)

    def needs_no_thread(self, headers: RawHeaders) -> bool:
        """Whether the headers show that `rows_at_once` will read the body; False also if they do not tell."""
        size = headers.get(b"content-length")
        return size is not None and int(size) <= _INLINE_BYTES and headers.get(b"content-type") in _ROW_BYTES

    async def _read_on(self, first: bytes, media_type: str, receive: Receive, held: HeldBody) -> bytes:
        content, part, more = io.BytesIO(), first, True
        try:
            while True:
                size = content.tell() + len(part)
                check_size(size, self.limits.max_body_bytes, media_type)
                if size > _INLINE_BYTES:  # small ones come in pieces by chance: large ones must not lock them out
                    held.grow_to(size)
                content.write(part)
                if not more:
                    return content.getvalue()
                message = await _next_part(receive)
                part, more = message["body"], message.get("more_body", False)
        except BaseException:
            held.let_go()
            raise

    def rows_at_once(self, body: Body) -> NDArray[np.float32] | None:
        """Turn a small array into rows in the calling thread; None for a body that `rows` must read.

        Raises:
            Problem: 400, 413 or 422, as the HTTP contract says.
        """
        if len(body.content) > _INLINE_BYTES:
            return None
        if body.media_type == JSON:
            return rows_from_json(body.content, self.limits.max_instances, self.parser)
        if body.media_type == BYTES:
            return rows_from_bytes(body.content, self.limits.max_instances)
        return None

    async def rows(self, body: Body) -> NDArray[np.float32]:
        """Turn the body into pixels float32 [n, 784], n >= 1, in the order of the input.

        Raises:
            Problem: 400, 413, 422 or 429, as the HTTP contract says.
        """
        at_once = self.rows_at_once(body)
        if at_once is not None:
            return at_once
        max_instances = self.limits.max_instances
        if body.media_type == JSON:
            return await self.array_pool.run(lambda: rows_from_json(body.content, max_instances), body.held)
        if body.media_type == BYTES:
            return await self.array_pool.run(lambda: rows_from_bytes(body.content, max_instances), body.held)
        return await self._picture_rows(body)

    async def pictures(self, body: Body) -> list[tuple[str, bytes]]:
        """The pictures of a body, which is one picture or a form; none is empty, and each comes with its JSON pointer.

        Raises:
            Problem: 400, 413 or 422, as the HTTP contract says.
        """
        pictures = [("", body.content)]
        if body.media_type == FORM:
            parts = await form_pictures(body.content, body.content_type, self.limits.max_instances)
            pictures = [(f"/{field}/{index}", picture) for index, (field, picture) in enumerate(parts)]
        for pointer, picture in pictures:
            if not picture:
                raise _picture_problem(InvalidInput, _NO_PICTURE, pointer, len(pictures))
        return pictures

    async def _picture_rows(self, body: Body) -> NDArray[np.float32]:
        """Decode pictures in the pool, one after another."""
        pictures, rows = await self.pictures(body), list[NDArray[np.float32]]()
        for pointer, picture in pictures:
            decode = functools.partial(imaging.pixels_from_picture, picture, self.limits.max_image_pixels)
            try:
                # Only the first picture is checked for room, so that a form is never refused halfway through.
                rows.append(await self.pool.run(decode, body.held, is_admitted=bool(rows)))
            except imaging.PictureError as error:
                kind = TooLarge if isinstance(error, imaging.PictureTooLarge) else InvalidInput
                raise _picture_problem(kind, str(error), pointer, len(pictures)) from error
        return np.stack(rows)


def _picture_problem(kind: type[Problem], detail: str, pointer: str, count: int) -> Problem:
    """The problem of one picture; if there are several, it also says which one."""
    return kind(f"{pointer}: {detail}" if count > 1 else detail, [Pointer(pointer, detail)])


async def _next_part(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        msg = "The connection was closed before the body was complete."
        raise ClientGone(msg)
    message.setdefault("body", b"")
    return message
