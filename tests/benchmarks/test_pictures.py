"""The measured pictures show what they are said to show, and answers are read as the service gives them."""

import base64
import io

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks.copies import copies_of, inverted
from benchmarks.drawing import file_of
from benchmarks.reader import Answer, Reader, answers
from benchmarks.strings import on_white, string_picture, touching_picture
from service.imaging import picture_from_pixels
from service.imaging.strokes import connected_strokes

LABELS = np.array([1, 1, 1], np.uint8)


def ones() -> NDArray[np.uint8]:
    """Three images of an upright stroke, each 28x28."""
    images = np.zeros((3, 28, 28), np.uint8)
    images[:, 4:24, 12:16] = 255
    return images


def levels(picture: bytes) -> NDArray[np.float32]:
    """Grey levels of a picture."""
    return np.asarray(Image.open(io.BytesIO(picture)).convert("L"), np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_only_touching_digits_touch(seed: int) -> None:
    """A string of one-stroke digits has as many strokes as digits; if two digits touch, it has one stroke less."""
    apart, text = string_picture(on_white, ones(), LABELS, np.random.default_rng(seed))
    joined, joined_text = touching_picture(on_white, ones(), LABELS, np.random.default_rng(seed))

    assert connected_strokes(levels(apart) < 128).count == len(text)
    assert connected_strokes(levels(joined) < 128).count == len(joined_text) - 1


def test_copies_are_what_their_names_say() -> None:
    """Sizes, grey levels and opacity are those that the names say."""
    page = np.full((60, 40), 250, np.float32)
    page[10:50, 15:25] = 30
    copies = copies_of(file_of(page))

    assert levels(copies["twice the size"]).shape == (120, 80)
    assert levels(copies["half the size"]).shape == (30, 20)
    np.testing.assert_allclose(levels(copies["inverted"]), 255 - page, atol=1)
    np.testing.assert_array_equal(levels(inverted(file_of(page))), levels(copies["inverted"]))
    opacity = np.asarray(Image.open(io.BytesIO(copies["alpha"])).getchannel("A"))
    assert opacity[30, 20] == 255
    assert opacity[0, 0] == 0


def test_answers_and_refusals_are_read_as_they_come() -> None:
    """A digit comes with what the model saw, a refused picture with its reason up to the colon or with the status."""
    seen = np.zeros(784, np.float32)
    seen[400] = 1

    def serve(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/read":
            return httpx.Response(422, json={"detail": "Digit 1 looks like two that touch: leave a gap."})
        if b"image" in request.read():
            url = f"data:image/png;base64,{base64.b64encode(picture_from_pixels(seen)).decode()}"
            return httpx.Response(200, json={"predictions": [{"digit": 7, "seen": url}]})
        return httpx.Response(429, json={"detail": "Later."})

    with httpx.Client(base_url="http://service", transport=httpx.MockTransport(serve)) as client:
        reader = Reader(client)
        digit = reader.digit(b"image")
        assert (digit.text, digit.reason) == ("7", "")
        assert digit.seen is not None
        assert digit.seen.reshape(-1)[400] == 255
        assert reader.text(b"image") == Answer("?", "Digit 1 looks like two that touch")
        assert reader.digit(b"other") == Answer("?", "status 429")


def test_answers_come_in_order() -> None:
    """Answers to pictures that are read concurrently come in the pictures' order."""
    pictures = [bytes([number]) for number in range(50)]

    found = list(answers(pictures, lambda picture: Answer(str(picture[0]))))

    assert found == [(picture, Answer(str(picture[0]))) for picture in pictures]
