import asyncio
import contextlib
import io
import threading
import time
import tracemalloc
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from starlette.types import Message, Receive

from service.bodies.media_types import BYTES, FORM, JSON
from service.bodies.reader import Announced, Body, BodyReader, Limits
from service.imaging import MEDIA_TYPES
from service.pool import Pool
from service.preemption import Preemption
from service.problems import InvalidInput, MalformedBody, Pointer, Problem, QueueFull, TooLarge
from tests.service.test_pool import settle

LIMITS = Limits(max_body_bytes=100_000, max_image_pixels=10_000, max_instances=3)


def picture(side: int = 60, pillow_format: str = "PNG") -> bytes:
    """A picture of a one, dark on light."""
    image = Image.new("L", (side, side), 255)
    ImageDraw.Draw(image).line((side / 2, side / 5, side / 2, side * 4 / 5), fill=0, width=side // 10)
    file = io.BytesIO()
    image.save(file, format=pillow_format)
    return file.getvalue()


def rows_of(content: bytes, content_type: str) -> NDArray[np.float32]:
    """The rows that a body holds."""

    async def read() -> NDArray[np.float32]:
        async with Pool(limit=100).running() as pool:
            body = Body(content_type.split(";")[0], content, content_type.encode())
            return await BodyReader(LIMITS, pool, pool).rows(body)

    return asyncio.run(read())


def form(*files: tuple[str, Any], **fields: str) -> tuple[bytes, str]:
    """A multipart form as httpx writes it: its bytes and its Content-Type."""
    request = httpx.Request("POST", "http://test", files=files, data=fields)
    return request.read(), request.headers["content-type"]


def in_pieces(*pieces: bytes, end: asyncio.Event | None = None) -> Receive:
    """A body in these pieces, from a client that stays; with `end`, an empty last piece comes once that is set."""
    left = [*pieces, b""] if end else list(pieces)

    async def receive() -> Message:
        if not left:
            await asyncio.Event().wait()
        if end and len(left) == 1:
            await end.wait()
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    return receive


def test_only_too_many_whole_rows_are_refused_by_the_header() -> None:
    """Bytes with no more whole rows than allowed are admitted: reading the body tells what they lack."""
    reader = BodyReader(LIMITS, Pool(limit=1), Pool(limit=1))
    headers = {b"content-type": BYTES.encode(), b"content-length": b"%d" % (4 * 784 - 1)}

    assert reader.admit(headers).media_type == BYTES
    with pytest.raises(TooLarge, match="may hold at most 3 images, this one holds 4"):
        reader.admit(headers | {b"content-length": b"%d" % (4 * 784)})


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_a_picture_is_one_row(media_type: str) -> None:
    """Each picture format is read as one cleaned-up image."""
    rows = rows_of(picture(pillow_format=media_type.removeprefix("image/").upper()), media_type)

    assert rows.shape == (1, 784)
    assert rows.dtype == np.float32
    assert rows.max() > 0.5


def test_the_pictures_of_a_form_keep_their_order() -> None:
    """Parts named file and files are read in the order of the form, other parts are left out."""
    first, second = picture(60), picture(90)

    rows = rows_of(*form(("file", first), ("other", b"no picture"), ("files", second)))

    np.testing.assert_array_equal(rows, np.concatenate([rows_of(first, "image/png"), rows_of(second, "image/png")]))


@pytest.mark.parametrize("charset", ["", "; charset=utf-8"])
@pytest.mark.parametrize("content", [bytes(range(256)) * 8_192, "é\r\n\r\n".encode() * 9, b"\xef\xbb\xbf\xff", b"\r\n"])
def test_a_part_needs_no_file_name(content: bytes, charset: str) -> None:
    """A part named file is a picture even without a file name; it is taken byte for byte, also over a megabyte."""
    disposition = b'Content-Disposition: form-data; name="%b"\r\n\r\n'
    parts = [b"--b\r\n" + disposition % name + content + b"\r\n" for name in (b"file", b"note", b"files")]
    body = Body(FORM, b"".join(parts) + b"--b--\r\n", f"{FORM}; boundary=b{charset}".encode())

    async def read() -> list[tuple[str, bytes]]:
        async with Pool(limit=100).running() as pool:
            return await BodyReader(LIMITS, pool, pool).pictures(body)

    assert asyncio.run(read()) == [("/file/0", content), ("/files/1", content)]


def test_a_form_without_a_picture_is_told_how_to_send_one() -> None:
    """A form of other fields only is refused with the name that is expected."""
    with pytest.raises(InvalidInput, match="send it as a part named file"):
        rows_of(*form(("image", picture())))


def test_a_bad_picture_in_a_form_is_pointed_at() -> None:
    """The pointer has the field and the picture's place in the form."""
    with pytest.raises(InvalidInput) as raised:
        rows_of(*form(("file", picture()), ("file", b"no picture")))

    assert raised.value.errors[0].pointer == "/file/1"


@pytest.mark.parametrize(
    ("wrong", "kind", "said"),
    [
        (b"no picture", InvalidInput, "The picture does not decode"),
        (b"", InvalidInput, "The picture is empty"),
        (picture(side=101), TooLarge, "The picture has"),
    ],
    ids=["damaged", "empty", "large"],
)
def test_of_several_pictures_the_detail_names_the_one_that_is_wrong(
    wrong: bytes, kind: type[Problem], said: str
) -> None:
    """The detail names it by its pointer, as for arrays; the only picture of a form needs no name."""
    with pytest.raises(kind) as of_several:
        rows_of(*form(("file", picture()), ("files", wrong)))
    with pytest.raises(kind) as alone:
        rows_of(*form(("file", wrong)))

    assert of_several.value.detail.startswith(f"/files/1: {said}")
    assert alone.value.detail.startswith(said)
    assert of_several.value.errors == [Pointer("/files/1", alone.value.detail)]
    assert alone.value.errors == [Pointer("/file/0", alone.value.detail)]


@pytest.mark.parametrize("sent", [(b"", "image/png"), form(("file", b""))], ids=["body", "form"])
def test_an_empty_picture_is_called_empty(sent: tuple[bytes, str]) -> None:
    """It is not called damaged: nothing was sent, and saving it again would not help."""
    with pytest.raises(InvalidInput) as raised:
        rows_of(*sent)

    assert raised.value.detail.startswith("The picture is empty. Send ")
    assert "damaged" not in raised.value.detail


TOO_LARGE_ADVICE = [
    (JSON, f"send fewer images at once, or send them as {BYTES}, 784 bytes each."),
    (BYTES, "send fewer images at once."),
    (FORM, "make the pictures smaller, or send fewer at once."),
    *((media_type, "make the picture smaller.") for media_type in MEDIA_TYPES),
]


@pytest.mark.parametrize(("media_type", "advice"), TOO_LARGE_ADVICE)
def test_a_body_over_the_limit_is_told_what_its_kind_can_do(media_type: str, advice: str) -> None:
    """The advice is the same by its header, in one piece or in several; a picture cannot be sent as an array."""
    reader = BodyReader(LIMITS, Pool(limit=1), Pool(limit=1))
    announced = Announced(media_type, media_type.encode())
    size = LIMITS.max_body_bytes + 1
    expected = f"The body may have at most 100000 bytes; {advice}"

    with pytest.raises(TooLarge) as by_header:
        reader.admit({b"content-type": media_type.encode(), b"content-length": b"%d" % size})
    with pytest.raises(TooLarge) as whole:
        asyncio.run(reader.read(announced, in_pieces(bytes(size)), time.monotonic() + 10))
    with pytest.raises(TooLarge) as in_two:
        asyncio.run(reader.read(announced, in_pieces(bytes(size - 1), bytes(1)), time.monotonic() + 10))

    assert [raised.value.detail for raised in (by_header, whole, in_two)] == [expected] * 3


def test_too_many_parts_are_refused_before_they_are_parsed() -> None:
    """A form with too many parts is too large, whatever they hold; the detail does not call them pictures."""
    with pytest.raises(TooLarge, match="may have at most 3 parts, this one has 4"):
        rows_of(*form(("file", picture()), *[("note", b"")] * 3))


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_form_cut_short_is_malformed(kept: float) -> None:
    """A form without its closing boundary is not taken for a smaller one."""
    content, content_type = form(("file", picture()))

    with pytest.raises(MalformedBody, match="ends before its closing boundary"):
        rows_of(content[: int(len(content) * kept)], content_type)


def test_a_form_without_boundary_is_malformed() -> None:
    """A Content-Type set by hand lacks the boundary; the problem says to let the HTTP client make it."""
    with pytest.raises(MalformedBody, match="names no boundary; let the HTTP client make the header"):
        rows_of(form(("file", picture()))[0], FORM)


@settings(max_examples=50)
@given(
    st.lists(
        st.sampled_from(
            [
                b"--b",
                b"--b--",
                b"\r\n",
                b'Content-Disposition: form-data; name="file"; filename="x"',
                b'Content-Disposition: form-data; name="file"',
                b"Content-Disposition: form-data",
                b"no header",
                b"\x00\xff: \x80",
            ]
        )
        | st.binary(max_size=5),
        max_size=12,
    )
)
def test_any_form_is_refused_with_a_problem(pieces: list[bytes]) -> None:
    """Whatever is sent as a form, the answer is a problem and not a crash."""
    with pytest.raises(Problem) as raised:
        rows_of(b"".join(pieces) + b"\r\n--b--\r\n", f"{FORM}; boundary=b")

    assert raised.value.status in (400, 413, 422)


@settings(max_examples=30)
@given(
    header=st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF", b"BM", b"GIF8", b"II", b""]),
    rest=st.binary(),
)
def test_any_picture_is_refused_with_a_problem(header: bytes, rest: bytes) -> None:
    """Bytes that only begin like a picture are invalid input."""
    with pytest.raises(Problem) as raised:
        rows_of(header + rest, "image/png")

    assert raised.value.status in (413, 422)


def test_a_picture_over_the_pixel_limit_is_too_large() -> None:
    """A picture is judged by the size in its header; the limit itself is allowed."""
    assert len(rows_of(picture(side=100), "image/png")) == 1
    with pytest.raises(TooLarge, match=r"10,?000"):
        rows_of(picture(side=101), "image/png")


def test_large_json_is_read_like_small_json() -> None:
    """JSON that is parsed in a thread gives the same rows, and the same problems, as JSON in the event loop."""
    instance = "[" + ",".join(["0.5"] * 784) + "]"
    padding = " " * 70_000

    small = rows_of(f'{{"instances": [{instance}]}}'.encode(), JSON)
    large = rows_of(f'{{"instances": [{instance}]{padding}}}'.encode(), JSON)

    np.testing.assert_array_equal(small, large)
    with pytest.raises(MalformedBody):
        rows_of(f"{{{padding}".encode(), JSON)


def test_a_large_body_is_in_memory_once() -> None:
    """The pieces in which it arrives are not all kept until the last one is there."""
    piece, pieces = 64 * 1024, 64
    left = list(range(pieces))

    async def receive() -> Message:
        return {"type": "http.request", "body": bytes([left.pop(0)]) * piece, "more_body": bool(left)}

    reader = BodyReader(Limits(piece * pieces, 10_000, 3), Pool(limit=1), Pool(limit=1))

    async def read() -> tuple[Body, int]:
        tracemalloc.start()
        try:
            body = await reader.read(Announced(JSON, JSON.encode()), receive, time.monotonic() + 10)
            return body, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    body, peak_bytes = asyncio.run(read())

    assert body.content == b"".join(bytes([number]) * piece for number in range(pieces))
    assert peak_bytes < 1.5 * piece * pieces


def test_all_bodies_together_have_a_bound() -> None:
    """Bytes that are not rows yet are bounded in total; a client that leaves and a body that is done make room."""
    part = bytes(LIMITS.max_body_bytes - 1000)
    whole = asyncio.Event()

    async def story() -> None:
        async with Pool(limit=100).running() as pool:
            reader = BodyReader(LIMITS, pool, pool)
            headers = {b"content-type": BYTES.encode()}

            def read() -> asyncio.Task[Body]:
                return asyncio.create_task(
                    reader.read(reader.admit(headers), in_pieces(part, end=whole), time.monotonic() + 90)
                )

            reading = [read() for _ in range(8)]
            await settle()
            with pytest.raises(QueueFull) as refused:
                await read()
            assert 30 < int(refused.value.headers["Retry-After"]) <= 90  # the deadline of the eight
            reading[0].cancel()
            await settle()
            reading.append(read())
            await settle()
            whole.set()
            bodies = await asyncio.gather(*reading[1:])
            with pytest.raises(QueueFull):
                await read()
            reader.release(bodies[0])
            assert len((await read()).content) == len(part)

    asyncio.run(asyncio.wait_for(story(), 60))  # without the bound the test would hang


def test_the_rows_of_a_batch_are_kept_whatever_else_is() -> None:
    """Even if others hold all the memory, a decoded form of one batch is not refused; one with more rows is."""
    batch, more, most = (np.zeros((count, 784), np.float32) for count in (64, 65, 8 * LIMITS.max_body_bytes // 3136))

    async def story() -> None:
        async with Pool(limit=100).running() as pool:
            reader = BodyReader(LIMITS, pool, pool)
            with reader.keeping(most, 0.0):
                with reader.keeping(batch, 0.0):
                    pass
                with pytest.raises(QueueFull), reader.keeping(more, 0.0):
                    pass
            with reader.keeping(more, 0.0):
                pass

    asyncio.run(story())


def test_stalled_large_bodies_lock_out_no_small_one() -> None:
    """One image is read, in whatever pieces, while others hold all the memory for large bodies."""
    headers, never = {b"content-type": BYTES.encode()}, asyncio.Event()

    async def story() -> None:
        async with Pool(limit=100).running() as pool:
            reader = BodyReader(LIMITS, pool, pool)
            stalled = [
                asyncio.create_task(
                    reader.read(reader.admit(headers), in_pieces(bytes(LIMITS.max_body_bytes), end=never), 0.0)
                )
                for _ in range(8)
            ]
            await settle()
            with pytest.raises(QueueFull):
                await reader.read(reader.admit(headers), in_pieces(bytes(70_000), b""), 0.0)
            body = await reader.read(reader.admit(headers), in_pieces(bytes(400), bytes(384)), 0.0)
            assert len(await reader.rows(body)) == 1
            for reading in stalled:
                reading.cancel()
            await asyncio.gather(*stalled, return_exceptions=True)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (bytes(100 * 784), BYTES),
        (b'{"instances":[' + b",".join([b"[" + b",".join([b"0"] * 784) + b"]"] * 50) + b"]}", JSON),
    ],
)
def test_arrays_do_not_wait_behind_pictures(content: bytes, media_type: str) -> None:
    """However many pictures wait, and however slow they are, a large array is read at once."""
    gate = threading.Event()
    limits = Limits(max_body_bytes=100_000, max_image_pixels=10_000, max_instances=100)
    headers = {b"content-type": media_type.encode(), b"content-length": b"%d" % len(content)}

    async def story() -> None:
        async with Pool(limit=1).running() as pictures, Pool(limit=1).running() as arrays:
            reader = BodyReader(limits, pictures, arrays)
            slow = asyncio.create_task(pictures.run(lambda: gate.wait(30)))
            await asyncio.sleep(0)
            body = await reader.read(reader.admit(headers), in_pieces(content), time.monotonic() + 30)
            assert len(await asyncio.wait_for(reader.rows(body), 20)) in (50, 100)
            with pytest.raises(QueueFull):
                await reader.read(
                    reader.admit({b"content-type": b"image/png"}), in_pieces(picture()), time.monotonic() + 30
                )
            gate.set()
            await slow

    asyncio.run(story())


async def until_full(pool: Pool) -> None:
    """Let other tasks run until the pool accepts no more calls."""
    with contextlib.suppress(QueueFull):
        while True:
            pool.check_room()
            await asyncio.sleep(0)


def test_a_form_is_not_refused_in_the_middle() -> None:
    """Once begun it goes on: its later pictures are decoded although the pool has no room for new requests."""
    gate = threading.Event()
    content, content_type = form(*[("file", picture())] * 3)
    body = Body(FORM, content, content_type.encode())

    async def story() -> None:
        async with Pool(limit=2).running() as pool:
            first = asyncio.create_task(pool.run(lambda: gate.wait(30)))
            rows = asyncio.create_task(BodyReader(LIMITS, pool, pool).rows(body))
            await asyncio.wait_for(until_full(pool), 30)  # the form's first picture waits
            # From here on others always fill the pool.
            others = [asyncio.create_task(pool.run(lambda: time.sleep(0.05), is_admitted=True)) for _ in range(10)]
            await asyncio.sleep(0)
            gate.set()
            assert len(await rows) == 3
            await asyncio.gather(first, *others)

    asyncio.run(story())


def test_bytes_are_rows() -> None:
    """Raw bytes are a batch of images of 784 bytes each."""
    rows = rows_of(bytes(784) + b"\xff" * 784, BYTES)

    np.testing.assert_array_equal(rows, np.repeat([[0.0], [1.0]], 784, axis=1))


def test_only_pictures_that_are_refused_make_the_event_loop_give_way() -> None:
    """Refusals alone do not interrupt the threads that decode; an array is answered at once."""
    told: list[bool] = []
    preemption = Preemption(lambda *, gives_way: told.append(gives_way))
    reader = BodyReader(LIMITS, Pool(limit=0), Pool(limit=1), preemption=preemption)
    for _ in range(2):
        with pytest.raises(QueueFull):
            reader.admit({b"content-type": b"image/png"})
    assert told == [True]
    reader.admit({b"content-type": BYTES.encode(), b"content-length": b"784"})
    assert told == [True, False]


@pytest.mark.parametrize(
    ("content_type", "length", "rows"),
    [
        (BYTES, 784 * 2, 2),
        (BYTES, 10, 1),
        (BYTES, 784 * 9, 3),
        (JSON, 4000, 1),
        (JSON, 80_000, 2),
        ("Application/JSON; charset=utf-8", 80_000, 2),
        ("image/png", 80_000, 1),
        (BYTES, LIMITS.max_body_bytes + 1, 1),
    ],
)
def test_headers_announce_how_many_rows_there_are_at_least(content_type: str, length: int, rows: int) -> None:
    """Never more than a request may have; numbers in JSON are assumed to be as long as they may be."""
    headers = {b"content-type": content_type.encode(), b"content-length": b"%d" % length}

    assert BodyReader(LIMITS, Pool(limit=1), Pool(limit=1)).announced_rows(headers) == rows
