import asyncio
import io
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from starlette.types import Message

from service.bodies.reader import BodyReader, Limits
from service.imaging.lines import FoundDigit
from service.inference import Inference
from service.pool import Pool
from service.problems import ClientGone, InvalidInput, QueueFull, TooLarge, UnsupportedMediaType
from service.reading import check_touching, cut_digits, read_digits
from tests.service.bodies.test_reader import in_pieces
from tests.service.test_pool import settle

Answer = TypeVar("Answer")
LIMITS = Limits(max_body_bytes=100_000, max_image_pixels=100_000, max_instances=3)


def picture(ones: int, size: tuple[int, int] = (300, 100)) -> bytes:
    """`ones` upright strokes side by side."""
    image = Image.new("L", size, 255)
    for place in range(ones):
        ImageDraw.Draw(image).line((30 + 50 * place, 20, 30 + 50 * place, 80), fill=0, width=8)
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


def with_reader(use: Callable[[BodyReader], Coroutine[Any, Any, Answer]]) -> Answer:
    """Run a coroutine that needs a reader with a pool."""

    async def run() -> Answer:
        async with Pool(limit=10).running() as pool:
            return await use(BodyReader(LIMITS, pool, pool))

    return asyncio.run(run())


def read(content: bytes, content_type: str = "image/png") -> tuple[list[FoundDigit], NDArray[np.float32]]:
    """The digits that a body shows, and their rows."""
    headers = {b"content-type": content_type.encode(), b"content-length": b"%d" % len(content)}
    digits, rows, _ = with_reader(
        lambda reader: read_digits(headers, in_pieces(content), reader, time.monotonic() + 60)
    )
    return digits, rows


def digit(width: int, height: int) -> FoundDigit:
    return FoundDigit(np.zeros(784, np.float32), (0, 0, width, height), 0)


def test_a_body_may_be_the_picture() -> None:
    """It is read as it was sent, whatever parameters the media type has."""
    assert len(read(picture(2), "image/png; charset=binary")[0]) == 2


def test_a_form_may_hold_the_picture() -> None:
    """One picture is read; of two, the problem points at the second."""
    one = httpx.Request("POST", "http://test", files={"file": picture(1)})
    two = httpx.Request("POST", "http://test", files=[("file", picture(1)), ("file", picture(2))])

    assert len(read(one.read(), one.headers["content-type"])[0]) == 1
    with pytest.raises(InvalidInput, match="2 pictures") as raised:
        read(two.read(), two.headers["content-type"])
    assert [error.pointer for error in raised.value.errors] == ["/file/1"]


@pytest.mark.parametrize("content_type", ["application/json", "application/octet-stream", "text/plain", ""])
def test_what_is_no_picture_is_refused_unread(content_type: str) -> None:
    """The problem names the media types that are accepted."""

    async def unread() -> Message:
        raise AssertionError("the body was read")

    with pytest.raises(UnsupportedMediaType, match=r"image/png.*multipart/form-data"):
        with_reader(lambda reader: read_digits({b"content-type": content_type.encode()}, unread, reader, 0.0))


def test_a_body_is_held_until_its_digits_are_found() -> None:
    """Pictures that wait for a thread count against the bound of all bodies; those read or given up do not."""
    gate = threading.Event()
    headers = {b"content-type": b"image/png"}
    large = picture(1) + bytes(LIMITS.max_body_bytes - 1000)  # nothing looks at what follows a PNG

    async def story(reader: BodyReader) -> None:
        def read_large() -> asyncio.Task[Any]:
            return asyncio.create_task(read_digits(headers, in_pieces(large, b""), reader, time.monotonic() + 60))

        busy = asyncio.create_task(reader.pool.run(lambda: gate.wait(30)))
        reading = [read_large() for _ in range(8)]
        await settle()
        with pytest.raises(QueueFull, match="all clients together"):
            await read_large()
        reading.pop().cancel()
        await settle()
        reading.append(read_large())
        await settle()
        gate.set()
        assert [len(digits) for digits, _, _ in await asyncio.gather(*reading)] == [1] * 8
        assert len((await read_large())[0]) == 1
        await busy

    with_reader(story)


@pytest.mark.parametrize("ones", [1, 2, 3])
def test_each_digit_is_a_row(ones: int) -> None:
    """Rows and digits are in the same order, left to right."""
    found, rows = read(picture(ones))

    assert rows.shape == (ones, 784)
    assert rows.dtype == np.float32
    assert np.array_equal(rows, [one.row for one in found])
    assert [one.box[0] for one in found] == sorted(one.box[0] for one in found)


def test_more_digits_or_pixels_than_allowed_are_too_large() -> None:
    """Four digits where three are allowed; a picture of too many pixels."""
    with pytest.raises(TooLarge, match="4 digits; at most 3"):
        read(picture(4))
    with pytest.raises(TooLarge, match="at most 100000"):
        read(picture(1, (1000, 101)))


@pytest.mark.parametrize(("content", "reason"), [(picture(0), "blank"), (b"no picture", "decode")])
def test_what_shows_nothing_is_invalid(content: bytes, reason: str) -> None:
    """A blank page, and bytes that are no picture."""
    with pytest.raises(InvalidInput, match=reason):
        read(content)


def test_digits_are_cut_in_a_thread_for_as_long_as_the_client_stays() -> None:
    """They are cut even if no more pictures are accepted; the cutting does not outlast the client."""
    found = [FoundDigit(np.zeros(784, np.float32), (0, 0, 60, 40), 0, np.full((40, 60), 255, np.uint8))]
    gate = threading.Event()

    async def stays() -> Message:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async def leaves() -> Message:
        return {"type": "http.disconnect"}

    async def story() -> None:
        async with Pool(limit=1).running() as pool:
            reader = BodyReader(LIMITS, pool, pool)
            busy = asyncio.create_task(pool.run(lambda: gate.wait(30)))
            await settle()
            cutting = asyncio.create_task(cut_digits(found, stays, reader))
            with pytest.raises(ClientGone):
                await cut_digits(found, leaves, reader)
            assert not cutting.done()
            gate.set()
            cuts, seconds = await cutting
            assert cuts == [[]]  # the halves do not fit into the three rows that a request may hold
            assert seconds > 0
            await busy

    asyncio.run(story())


@pytest.mark.parametrize(
    ("width", "confidence", "score", "refused"),
    [
        *((150, 0.5, 1.0, True), (150, 0.9, 1.0, False), (60, 0.5, 1.0, False)),
        *((90, 0.99, 0.3, True), (90, 0.99, 0.45, False), (70, 0.99, 0.3, False)),
        *((70, 0.99, 0.1, True), (40, 0.99, 0.1, False)),
    ],
)
def test_a_wide_digit_that_the_network_does_not_know_is_two(
    width: int, confidence: float, score: float, *, refused: bool
) -> None:
    """Wide alone, unsure alone or no digit alone is no reason to refuse; the problem names the digit."""
    probabilities = np.array([[0.99] + [0.001] * 9, [confidence] + [(1 - confidence) / 9] * 9], np.float32)
    digits = [digit(50, 100), digit(width, 100)]
    inference = Inference(probabilities, [True, score > 0.9], 0.0, 0.0, [1.0, score])

    if refused:
        with pytest.raises(InvalidInput, match="Digit 2 looks like two"):
            check_touching(digits, inference)
    else:
        check_touching(digits, inference)


def test_an_older_version_tells_touching_digits_by_its_confidence_alone() -> None:
    """Without a score, a wide digit that the network is sure of counts as one."""
    probabilities = np.array([[0.99] + [0.001] * 9], np.float32)

    check_touching([digit(150, 100)], Inference(probabilities, None, 0.0, 0.0))
