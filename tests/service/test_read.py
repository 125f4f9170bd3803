import io
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from service.bodies.media_types import BYTES, JSON
from service.imaging import MEDIA_TYPES
from tests.service.assertions import assert_problem
from tests.service.conftest import StartService
from tests.service.fakes import FakeLoader, FirstPixelEngine, write_version
from tests.service.running import running_service, wait_until
from tests.service.scraping import scrape
from tests.service.test_predict import enormous_png

PATH = "/v1/read"
PNG = {"Content-Type": "image/png"}


def picture(*tops: int, pillow_format: str = "PNG") -> bytes:
    """Three upright strokes on each line; a line begins at each of the tops."""
    image = Image.new("L", (300, 320), 255)
    for top in tops:
        for left in (50, 130, 210):
            ImageDraw.Draw(image).line((left, top, left, top + 80), fill=0, width=10)
    file = io.BytesIO()
    image.save(file, format=pillow_format)
    return file.getvalue()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One service for all tests of this module that change nothing in it."""
    with running_service(tmp_path_factory.mktemp("store")) as client:
        yield client


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_a_picture_is_read_whole(client: httpx.Client, media_type: str) -> None:
    """The answer has the text, each digit with its place, the version and the request id."""
    content = picture(60, pillow_format=media_type.removeprefix("image/").upper())

    response = client.post(PATH, content=content, headers={"Content-Type": media_type})

    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer.keys() == {"text", "digits", "model", "request_id"}
    assert answer["text"] == "000"  # the corner that the fake engine looks at is empty
    assert [digit.keys() for digit in answer["digits"]] == [{"digit", "confidence", "box"}] * 3
    assert [digit["box"] for digit in answer["digits"]] == [
        pytest.approx([left, 60, 10, 80], abs=3) for left in (45, 125, 205)
    ]
    assert answer["model"] == {"name": "digits", "version": 1}
    assert answer["request_id"] == response.headers["X-Request-ID"]
    assert response.headers["X-Model-Version"] == "1"
    assert "decode;dur=" in response.headers["Server-Timing"]


def test_lines_are_parted_by_a_newline(client: httpx.Client) -> None:
    """A picture of two lines gives two lines of text."""
    assert client.post(PATH, content=picture(40, 190), headers=PNG).json()["text"] == "000\n000"


def test_a_form_holds_one_picture(client: httpx.Client) -> None:
    """One part named file is read; two are refused."""
    assert client.post(PATH, files={"file": picture(60)}).json()["text"] == "000"
    two = client.post(PATH, files=[("file", picture(60)), ("file", picture(60))])
    assert "2 pictures" in assert_problem(two, 422, "invalid-input")["detail"]


@pytest.mark.parametrize("media_type", [JSON, BYTES, "text/plain", ""])
def test_only_pictures_are_read(client: httpx.Client, media_type: str) -> None:
    """Arrays and other bodies are refused, and the detail says what is accepted."""
    response = client.post(PATH, content=b"{}", headers={"Content-Type": media_type} if media_type else {})

    assert "image/png" in assert_problem(response, 415, "unsupported-media-type")["detail"]


def test_what_cannot_be_read(client: httpx.Client) -> None:
    """Blank, damaged, noisy and enormous pictures, and digits that touch, are problems that say why."""
    blank, noise, joined = io.BytesIO(), io.BytesIO(), io.BytesIO()
    Image.new("L", (90, 90), 255).save(blank, "PNG")
    Image.fromarray(np.random.default_rng(5).integers(0, 256, (90, 90), np.uint8)).save(noise, "PNG")
    touching = Image.open(io.BytesIO(picture(60)))
    ImageDraw.Draw(touching).line((20, 100, 260, 104), fill=0, width=10)
    touching.save(joined, "PNG")
    for content, said in ((blank, "blank"), (noise, "noise"), (joined, "touch"), (io.BytesIO(b"?"), "does not decode")):
        response = client.post(PATH, content=content.getvalue(), headers=PNG)
        assert said in assert_problem(response, 422, "invalid-input")["detail"]
    assert_problem(client.post(PATH, content=enormous_png(), headers=PNG), 413, "too-large")
    unbounded = client.post(PATH, content=b"--x", headers={"Content-Type": "multipart/form-data"})
    assert_problem(unbounded, 400, "malformed-body")


def test_what_cannot_be_read_is_pointed_at(client: httpx.Client) -> None:
    """The pointer names the picture's place in a form; it is empty for a picture that is the body."""
    for sent, pointer in (({"files": {"file": b"?"}}, "/file/0"), ({"content": b"?", "headers": PNG}, "")):
        problem = assert_problem(client.post(PATH, **sent), 422, "invalid-input")
        assert problem["errors"] == [{"pointer": pointer, "detail": problem["detail"]}]


@pytest.mark.usefixtures("store")
def test_the_digits_of_a_picture_are_bounded(start_service: StartService) -> None:
    """A picture with more digits than one request may hold is refused."""
    client = start_service(max_instances=2)

    response = client.post(PATH, content=picture(60), headers=PNG)

    assert "3 digits; at most 2" in assert_problem(response, 413, "too-large")["detail"]


@pytest.mark.usefixtures("store")
def test_digits_are_counted(start_service: StartService) -> None:
    """The metrics count the digits of the answer, and the request under its own route."""
    client = start_service()

    client.post(PATH, content=picture(60), headers=PNG)

    metrics = scrape(client)
    assert metrics.total("digits_predictions_total") == 3
    assert metrics.value("digits_http_requests_total", method="POST", route=PATH, status="200") == 1


@pytest.mark.usefixtures("store")
def test_the_deadline_can_be_shortened(start_service: StartService) -> None:
    """A client's own, shorter deadline holds."""
    client = start_service(FakeLoader(FirstPixelEngine()))

    response = client.post(PATH, content=picture(60), headers=PNG | {"X-Request-Timeout-Seconds": "0.0001"})

    assert_problem(response, 504, "deadline-passed")


@pytest.mark.usefixtures("store")
def test_a_deadline_that_passes_in_the_network_is_told_alike(start_service: StartService) -> None:
    """A client that sent one picture is not told to send fewer rows."""
    engine = FirstPixelEngine(gate=threading.Event())
    client = start_service(FakeLoader(engine))
    try:
        response = client.post(PATH, content=picture(60), headers=PNG | {"X-Request-Timeout-Seconds": "0.3"})
    finally:
        assert engine.gate is not None
        engine.gate.set()

    detail = assert_problem(response, 504, "deadline-passed")["detail"]
    assert detail == "The answer was not there within 0.3 s; send less or allow more time."


def test_a_version_can_be_asked(store: Path, start_service: StartService) -> None:
    """Only the version in the query reads the picture, whichever one serves."""
    write_version(store, 2)
    client = start_service()
    wait_until(lambda: client.get("/v1/models/digits").json()["serving"] == 2)

    for query, number in (("", 2), ("?version=1", 1), ("?version=2", 2)):
        response = client.post(PATH + query, content=picture(60), headers=PNG)
        assert response.json()["model"]["version"] == number
        assert response.headers["X-Model-Version"] == str(number)


def test_another_version_does_not_read_in_its_place(client: httpx.Client) -> None:
    """A version that is not loaded is not found; the problem points at a value that is no version."""
    unknown = client.post(f"{PATH}?version=9", content=picture(60), headers=PNG)
    assert "Version 9" in assert_problem(unknown, 404, "not-found")["detail"]

    wrong = client.post(f"{PATH}?version=latest", content=picture(60), headers=PNG)
    assert assert_problem(wrong, 422, "invalid-input")["errors"][0]["pointer"] == "/query/version"


@pytest.mark.parametrize("name", ["include", "versoin"])
def test_an_unknown_query_is_pointed_at(client: httpx.Client, name: str) -> None:
    """This includes a query that only /v1/predict has; the detail lists the valid one."""
    response = client.post(f"{PATH}?{name}=seen", content=picture(60), headers=PNG)

    problem = assert_problem(response, 422, "invalid-input")
    assert problem["detail"] == f"/query/{name}: is unknown here; use version."
    assert problem["errors"][0]["pointer"] == f"/query/{name}"


def test_a_version_twice_is_pointed_at(client: httpx.Client) -> None:
    """Neither of the two versions reads the picture."""
    response = client.post(f"{PATH}?version=1&version=2", content=picture(60), headers=PNG)

    problem = assert_problem(response, 422, "invalid-input")
    assert problem["errors"] == [{"pointer": "/query/version", "detail": "comes more than once; send it once"}]


def test_an_empty_picture_is_called_empty(client: httpx.Client) -> None:
    """As the body and in a form, it is not called damaged."""
    for sent, pointer in (({"files": {"file": b""}}, "/file/0"), ({"content": b"", "headers": PNG}, "")):
        problem = assert_problem(client.post(PATH, **sent), 422, "invalid-input")
        assert problem["detail"].startswith("The picture is empty. Send ")
        assert problem["errors"] == [{"pointer": pointer, "detail": problem["detail"]}]


def test_no_version_yet(start_service: StartService) -> None:
    """With an empty store the problem says what to do."""
    client = start_service(ready=False)

    assert_problem(client.post(PATH, content=picture(60), headers=PNG), 503, "not-ready")


def test_a_hairline_is_read(client: httpx.Client) -> None:
    """A digit drawn one pixel wide on a large page is found and read."""
    image = Image.new("L", (512, 512), 255)
    ImageDraw.Draw(image).line([(60, 60), (300, 60), (160, 450)], fill=0, width=1)
    file = io.BytesIO()
    image.save(file, format="PNG")

    response = client.post(PATH, content=file.getvalue(), headers=PNG)

    assert response.status_code == 200, response.text
    assert len(response.json()["digits"]) == 1


@pytest.mark.parametrize("pillow_format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_places_are_those_of_the_picture_seen_upright(client: httpx.Client, pillow_format: str) -> None:
    """In a picture that was taken sideways, the boxes are where a viewer sees the digits."""
    image = Image.new("L", (300, 600), 255)
    ImageDraw.Draw(image).line((50, 100, 130, 100), fill=0, width=10)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: 600 x 300 upright
    file = io.BytesIO()
    image.save(file, format=pillow_format, exif=exif)

    response = client.post(PATH, content=file.getvalue(), headers={"Content-Type": f"image/{pillow_format.lower()}"})

    assert [digit["box"] for digit in response.json()["digits"]] == [pytest.approx([495, 50, 10, 80], abs=4)]


class WidthEngine(FirstPixelEngine):
    """Takes a row that is as wide as high for no digit, and a narrower one for a sure 5."""

    def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give each row its probabilities and its score."""
        super().run(pixels)
        inked = (pixels.reshape(-1, 28, 28) > 0.1).any(axis=1).sum(axis=1)
        outputs = np.full((len(pixels), 11), 1e-5, np.float32)
        outputs[:, 5], outputs[:, 10] = 0.9999, np.where(inked > 15, 0.1, 0.9999)
        return outputs


def touching() -> bytes:
    """Three upright strokes, the first two joined by a line between them."""
    image = Image.open(io.BytesIO(picture(60)))
    ImageDraw.Draw(image).line((50, 100, 130, 100), fill=0, width=6)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.mark.usefixtures("store")
def test_two_digits_that_touch_are_parted(start_service: StartService) -> None:
    """The answer and the metrics have three digits; all halves go through the network in one batch."""
    engine = WidthEngine(tells_is_digit=True)
    client = start_service(FakeLoader(engine))

    response = client.post(PATH, content=touching(), headers=PNG)

    answer = response.json()
    assert answer["text"] == "555"
    boxes = [digit["box"] for digit in answer["digits"]]
    assert boxes[0][0] == pytest.approx(45, abs=3)
    assert boxes[0][0] + boxes[0][2] == pytest.approx(boxes[1][0], abs=3)
    assert boxes[1][0] + boxes[1][2] == pytest.approx(135, abs=3)
    assert boxes[2] == pytest.approx([205, 60, 10, 80], abs=3)
    assert [digit["is_digit"] for digit in answer["digits"]] == [True] * 3
    assert scrape(client).total("digits_predictions_total") == 3
    whole, *halves = engine.batches[-2:]
    assert whole == 2
    assert len(halves) == 1
    assert halves[0] % 2 == 0


@pytest.mark.usefixtures("store")
def test_what_is_surely_a_digit_goes_through_the_network_once(start_service: StartService) -> None:
    """A digit that is not in doubt is not cut."""
    engine = WidthEngine(tells_is_digit=True)
    client = start_service(FakeLoader(engine))
    before = len(engine.batches)

    assert client.post(PATH, content=picture(60), headers=PNG).json()["text"] == "555"
    assert engine.batches[before:] == [3]


@pytest.mark.usefixtures("store")
def test_the_deadline_holds_for_the_halves_too(start_service: StartService) -> None:
    """A request is also given up if the network is slow only for the halves."""

    class SlowOnHalves(WidthEngine):
        """Waits in the second batch of a request."""

        def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
            """Run one batch."""
            if len(pixels) > 3:
                assert late.wait(timeout=30)
            return super().run(pixels)

    late = threading.Event()
    client = start_service(FakeLoader(SlowOnHalves(tells_is_digit=True)))
    try:
        response = client.post(PATH, content=touching(), headers=PNG | {"X-Request-Timeout-Seconds": "0.8"})
    finally:
        late.set()

    assert_problem(response, 504, "deadline-passed")


@pytest.mark.usefixtures("store")
def test_what_is_no_digit_is_told(start_service: StartService) -> None:
    """A version that answers is_digit says for each digit of the picture whether it is one."""
    client = start_service(FakeLoader(FirstPixelEngine(tells_is_digit=True)))

    answer = client.post(PATH, content=picture(60), headers=PNG).json()

    # The fake engine's score is the second pixel, which lies in the empty corner.
    assert [digit["is_digit"] for digit in answer["digits"]] == [False] * 3
    assert answer["text"] == "000"
    assert scrape(client).value("digits_not_digits_total", version="1") == 3
