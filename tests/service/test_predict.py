import base64
import io
import json
import re
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.bodies.media_types import BYTES, JSON
from service.cores import usable_cores
from service.imaging import MEDIA_TYPES
from tests.service.assertions import assert_problem
from tests.service.bodies.test_reader import form, picture
from tests.service.conftest import StartService
from tests.service.fakes import FakeLoader, FirstPixelEngine, row_of, write_version
from tests.service.raw_http import connect, read_status, request_head
from tests.service.running import running_service, wait_until
from tests.service.scraping import scrape

PATH = "/v1/predict"
# Refused in a request, although Python reads the last ones as numbers.
NO_VERSIONS = ["0", "-1", "latest", "1.5", "01", "1.0", "1_0", "%2B1", "%201", "%EF%BC%91"]
DIGITS = [3, 1, 4, 1, 5, 9, 2, 6]
ROWS = np.stack([row_of(digit) for digit in DIGITS])
ONE_ROW = bytes([round(0.7 * 255)]) + bytes(783)
JSON_HEADERS = {"Content-Type": JSON}
BYTES_HEADERS = {"Content-Type": BYTES}


def predict(client: httpx.Client, content: bytes, content_type: str, query: str = "") -> httpx.Response:
    """Post a body to /v1/predict."""
    return client.post(PATH + query, content=content, headers={"Content-Type": content_type})


def encoded(headers: dict[str, str]) -> dict[bytes, bytes]:
    """Headers as bytes, which may hold any letter of Latin-1."""
    return {name.encode(): value.encode("latin-1") for name, value in headers.items()}


def predict_json(client: httpx.Client, body: Any, **headers: str) -> httpx.Response:
    """Post a JSON body to /v1/predict."""
    return client.post(PATH, json=body, headers=headers)


def digits_of(response: httpx.Response) -> list[int]:
    """The digits of an answer, in its order."""
    assert response.status_code == 200, response.text
    return [prediction["digit"] for prediction in response.json()["predictions"]]


def as_levels(rows: Any) -> bytes:
    """Rows of numbers in [0, 1] as raw bytes."""
    return bytes(np.rint(rows * 255).astype(np.uint8).tobytes())


def enormous_png() -> bytes:
    """A PNG whose header announces 60000 x 60000 pixels."""
    png = bytearray(picture())
    png[16:24] = struct.pack(">II", 60_000, 60_000)
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    return bytes(png)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One service for all tests of this module that change nothing in it."""
    with running_service(tmp_path_factory.mktemp("store")) as client:
        yield client


@pytest.fixture
def held_engine() -> Iterator[FirstPixelEngine]:
    """An engine that answers only once its gate is open; the gate is opened at the end in any case."""
    gate = threading.Event()
    yield FirstPixelEngine(gate)
    gate.set()


class TestBodies:
    """Every kind of body gives the digits in the order of the input."""

    def test_pixels(self, client: httpx.Client) -> None:
        """One image as JSON gives one prediction."""
        assert digits_of(predict_json(client, {"pixels": row_of(7).tolist()})) == [7]

    def test_instances(self, client: httpx.Client) -> None:
        """A batch as JSON keeps its order."""
        assert digits_of(predict_json(client, {"instances": ROWS.tolist()})) == DIGITS

    def test_grids(self, client: httpx.Client) -> None:
        """28 rows of 28 are an image, too."""
        grids = ROWS.reshape(-1, 28, 28).tolist()

        assert digits_of(predict_json(client, {"instances": grids})) == DIGITS

    def test_levels(self, client: httpx.Client) -> None:
        """With max_value 255, numbers are in the range of a byte."""
        levels = (ROWS * 255).tolist()

        assert digits_of(predict_json(client, {"instances": levels, "max_value": 255})) == DIGITS

    def test_bytes(self, client: httpx.Client) -> None:
        """Raw bytes are a batch."""
        assert digits_of(predict(client, as_levels(ROWS), BYTES)) == DIGITS

    def test_a_batch_larger_than_the_network_takes_at_once(self, client: httpx.Client) -> None:
        """Rows that run in several batches come back in order."""
        digits = [index % 10 for index in range(300)]
        rows = np.stack([row_of(digit) for digit in digits])

        assert digits_of(predict(client, as_levels(rows), BYTES)) == digits

    @pytest.mark.parametrize("media_type", MEDIA_TYPES)
    def test_picture(self, client: httpx.Client, media_type: str) -> None:
        """A picture as the body gives one prediction of ten probabilities that sum to 1."""
        pillow_format = media_type.removeprefix("image/").upper()

        response = predict(client, picture(pillow_format=pillow_format), media_type)

        assert len(digits_of(response)) == 1
        probabilities = response.json()["predictions"][0]["probabilities"]
        assert len(probabilities) == 10
        assert sum(probabilities) == pytest.approx(1, abs=1e-5)

    @pytest.mark.parametrize("count", [1, 3])
    def test_form(self, client: httpx.Client, count: int) -> None:
        """Each picture of a form gives one prediction."""
        response = client.post(PATH, files=[("file", picture())] * count)

        assert len(digits_of(response)) == count

    def test_media_types_are_read_without_case_and_with_parameters(self, client: httpx.Client) -> None:
        """`Application/JSON; charset=utf-8` is JSON."""
        body = json.dumps({"pixels": row_of(7).tolist()}).encode()

        assert digits_of(predict(client, body, "Application/JSON; charset=utf-8")) == [7]


class TestAnswer:
    """What an answer says besides digits."""

    def test_body(self, client: httpx.Client) -> None:
        """A prediction has the digit, its confidence and all probabilities; the answer has version and request id."""
        response = predict(client, ONE_ROW, BYTES)

        answer = response.json()
        assert answer["predictions"] == [
            {"digit": 7, "confidence": 0.91, "probabilities": [0.01] * 7 + [0.91] + [0.01] * 2}
        ]
        assert answer["model"] == {"name": "digits", "version": 1}
        assert answer["request_id"] == response.headers["X-Request-ID"]
        assert answer.keys() == {"predictions", "model", "request_id"}

    @pytest.mark.parametrize("query", ["", "?include=seen"])
    @pytest.mark.usefixtures("store")
    def test_is_digit(self, start_service: StartService, query: str) -> None:
        """A version that answers is_digit says for each row whether it is a digit at all; the rest is unchanged."""
        client = start_service(FakeLoader(FirstPixelEngine(tells_is_digit=True)))
        rows = np.stack([row_of(7, 0.0), row_of(8, 1.0)])

        predictions = predict(client, as_levels(rows), BYTES, query).json()["predictions"]

        assert [prediction["is_digit"] for prediction in predictions] == [False, True]
        assert [prediction["digit"] for prediction in predictions] == [7, 8]
        assert [prediction["confidence"] for prediction in predictions] == [0.91, 0.91]
        assert predictions[0]["probabilities"] == [0.01] * 7 + [0.91] + [0.01] * 2
        assert all(("seen" in prediction) == bool(query) for prediction in predictions)

    def test_headers(self, client: httpx.Client) -> None:
        """The version and the times of the three steps in milliseconds are headers."""
        response = predict(client, ONE_ROW, BYTES)

        assert response.headers["X-Model-Version"] == "1"
        timing = response.headers["Server-Timing"]
        assert re.fullmatch(r"decode;dur=\d+\.\d+, queue;dur=\d+\.\d+, infer;dur=\d+\.\d+", timing)

    def test_include_seen(self, client: httpx.Client) -> None:
        """With include=seen each prediction carries the 28x28 picture that the model saw."""
        sent = np.arange(784, dtype=np.uint8)

        response = predict(client, sent.tobytes() + bytes(784), BYTES, "?include=seen")

        urls = [prediction["seen"] for prediction in response.json()["predictions"]]
        pictures = []
        for url in urls:
            assert url.startswith("data:image/png;base64,")
            pictures.append(np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))))
        np.testing.assert_array_equal(pictures[0].ravel(), sent)
        np.testing.assert_array_equal(pictures[1], np.zeros((28, 28)))

    def test_version(self, store: Path, start_service: StartService) -> None:
        """The newest version answers, another loaded one if it is asked for."""
        write_version(store, 2)
        client = start_service()
        wait_until(lambda: predict(client, ONE_ROW, BYTES, "?version=1").status_code == 200)

        for query, number in (("", 2), ("?version=1", 1), ("?version=2", 2)):
            response = predict(client, ONE_ROW, BYTES, query)
            assert response.json()["model"]["version"] == number
            assert response.headers["X-Model-Version"] == str(number)

    @pytest.mark.parametrize("request_id", ["a", "trace-1_2.B", "x" * 128])
    def test_a_request_id_is_echoed(self, client: httpx.Client, request_id: str) -> None:
        """The caller's own id is kept."""
        response = client.post(PATH, content=ONE_ROW, headers=BYTES_HEADERS | {"X-Request-ID": request_id})

        assert response.headers["X-Request-ID"] == request_id
        assert response.json()["request_id"] == request_id

    @pytest.mark.parametrize("request_id", ["", "x" * 129, "a b", "a;b", '"', "\u00e9"])
    def test_another_request_id_is_replaced(self, client: httpx.Client, request_id: str) -> None:
        """An id that is too long or has other characters is not repeated."""
        response = client.post(PATH, content=ONE_ROW, headers=encoded(BYTES_HEADERS | {"X-Request-ID": request_id}))

        assert re.fullmatch(r"[0-9a-f]{32}", response.headers["X-Request-ID"])


class TestBadInput:
    """Every error the client can make gets its status, and a sentence that says what to do."""

    def test_broken_json(self, client: httpx.Client) -> None:
        """JSON that ends early is malformed."""
        assert_problem(predict(client, b'{"pixels": [0.5,', JSON), 400, "malformed-body")

    def test_truncated_form(self, client: httpx.Client) -> None:
        """A form without its end is malformed."""
        content, content_type = form(("file", picture()))

        assert_problem(predict(client, content[:-10], content_type), 400, "malformed-body")

    def test_form_without_boundary(self, client: httpx.Client) -> None:
        """A form that does not say where its parts begin is malformed."""
        assert_problem(predict(client, form(("file", b""))[0], "multipart/form-data"), 400, "malformed-body")

    def test_unknown_path(self, client: httpx.Client) -> None:
        """The answer to an unknown path refers to /docs."""
        assert "/docs" in assert_problem(client.post("/v2/predict"), 404, "not-found")["detail"]

    def test_unknown_version(self, client: httpx.Client) -> None:
        """A version that is not loaded is not found; the detail says where to look."""
        problem = assert_problem(predict(client, ONE_ROW, BYTES, "?version=9"), 404, "not-found")

        assert "Version 9" in problem["detail"]
        assert "/v1/models" in problem["detail"]

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
    def test_another_method(self, client: httpx.Client, method: str) -> None:
        """The detail and the Allow header name the method that is allowed."""
        response = client.request(method, PATH)

        assert "POST" in assert_problem(response, 405, "method-not-allowed")["detail"]
        assert response.headers["Allow"] == "POST"

    @pytest.mark.parametrize(
        "content_type", ["text/plain", "image/svg+xml", "application/x-www-form-urlencoded", "json", ";"]
    )
    def test_unknown_media_type(self, client: httpx.Client, content_type: str) -> None:
        """The detail lists what can be sent."""
        problem = assert_problem(predict(client, b"{}", content_type), 415, "unsupported-media-type")

        assert "application/json, application/octet-stream, multipart/form-data, image/png" in problem["detail"]

    def test_missing_media_type(self, client: httpx.Client) -> None:
        """A body without Content-Type is not guessed at."""
        problem = assert_problem(client.post(PATH, content=ONE_ROW), 415, "unsupported-media-type")

        assert "Content-Type is missing" in problem["detail"]

    def test_compressed_body(self, client: httpx.Client) -> None:
        """A compressed body is refused for its encoding, not for what its bytes happen to mean."""
        response = client.post(PATH, content=ONE_ROW, headers=BYTES_HEADERS | {"Content-Encoding": "gzip"})

        assert "'gzip'" in assert_problem(response, 415, "unsupported-media-type")["detail"]

    def test_wrong_length(self, client: httpx.Client) -> None:
        """783 numbers are refused, and the problem says that there are 783."""
        problem = assert_problem(predict_json(client, {"pixels": [0.5] * 783}), 422, "invalid-input")

        assert problem["errors"] == [{"pointer": "/pixels", "detail": "must have 784 values, has 783"}]

    @pytest.mark.parametrize("content", [b"", b"no picture", picture()[:50]], ids=["empty", "text", "cut short"])
    def test_picture_that_does_not_decode(self, client: httpx.Client, content: bytes) -> None:
        """Bytes that are no picture, or not all of one, are invalid input."""
        assert_problem(predict(client, content, "image/png"), 422, "invalid-input")

    def test_blank_picture(self, client: httpx.Client) -> None:
        """A picture with nothing on it shows no digit."""
        file = io.BytesIO()
        Image.new("L", (50, 50), 255).save(file, format="PNG")

        assert_problem(predict(client, file.getvalue(), "image/png"), 422, "invalid-input")

    def test_picture_in_a_form(self, client: httpx.Client) -> None:
        """In a form the pointer says which picture it was."""
        files = [("file", picture()), ("files", b"no picture")]

        problem = assert_problem(client.post(PATH, files=files), 422, "invalid-input")

        assert problem["errors"][0]["pointer"] == "/files/1"
        assert problem["detail"] == f"/files/1: {problem['errors'][0]['detail']}"

    @pytest.mark.parametrize("query", [*(f"?version={sent}" for sent in NO_VERSIONS), "?version=", "?include=all"])
    def test_wrong_query(self, client: httpx.Client, query: str) -> None:
        """The problem points at a query whose value is invalid."""
        problem = assert_problem(predict(client, ONE_ROW, BYTES, query), 422, "invalid-input")

        assert problem["errors"][0]["pointer"] == "/query/" + query[1:].split("=")[0]

    @pytest.mark.parametrize("name", ["versoin", "Version", "", "a/b~c", "k" * 10_000])
    def test_unknown_query(self, client: httpx.Client, name: str) -> None:
        """A slip is not answered by another version: the problem points at it, however long, with the valid names."""
        response = client.post(PATH, params={name: "2"}, content=ONE_ROW, headers=BYTES_HEADERS)

        problem = assert_problem(response, 422, "invalid-input")
        pointer = "/query/" + name[:100].replace("~", "~0").replace("/", "~1")
        assert problem["detail"] == f"{pointer}: is unknown here; use version or include."
        assert problem["errors"] == [{"pointer": pointer, "detail": "is unknown here; use version or include"}]

    @pytest.mark.parametrize(
        "query", ["version=1&version=1", "include=seen&version=1&include=seen", "version=9&version="]
    )
    def test_query_twice(self, client: httpx.Client, query: str) -> None:
        """A repeated query is refused, rather than one of its values ignored."""
        problem = assert_problem(predict(client, ONE_ROW, BYTES, f"?{query}"), 422, "invalid-input")

        name = query.split("=")[0]
        assert problem["detail"] == f"/query/{name}: comes more than once; send it once."
        assert problem["errors"][0]["pointer"] == f"/query/{name}"

    def test_both_queries(self, client: httpx.Client) -> None:
        """The valid queries may be combined."""
        assert digits_of(predict(client, ONE_ROW, BYTES, "?include=seen&version=1")) == [7]

    @pytest.mark.parametrize("path", [PATH, "/v1/read"])
    @pytest.mark.parametrize(
        "twice",
        [("Content-Type", "image/png"), ("Content-Encoding", "identity"), ("X-Request-Timeout-Seconds", "9")],
    )
    def test_a_header_twice(self, client: httpx.Client, path: str, twice: tuple[str, str]) -> None:
        """A repeated header that says how to read the request is refused; other headers may be repeated."""
        png: dict[str, Any] = {
            "content": picture(),
            "headers": [("Content-Type", "image/png"), ("Cookie", "a"), ("Cookie", "b")],
        }
        assert client.post(path, **png).status_code == 200
        png["headers"] = [("Content-Type", "image/png"), twice, (twice[0].lower(), twice[1])]

        assert twice[0].lower() in assert_problem(client.post(path, **png), 400, "malformed-body")["detail"]

    @pytest.mark.parametrize("seconds", ["0", "-1", "soon", "nan", "inf", ""])
    def test_wrong_timeout(self, client: httpx.Client, seconds: str) -> None:
        """The problem points at a timeout header that is no positive number."""
        headers = BYTES_HEADERS | {"X-Request-Timeout-Seconds": seconds}
        response = client.post(PATH, content=ONE_ROW, headers=headers)

        problem = assert_problem(response, 422, "invalid-input")
        assert problem["errors"][0]["pointer"] == "/header/x-request-timeout-seconds"


class TestLimits:
    """A request over a limit is refused as early as possible."""

    @pytest.mark.usefixtures("store")
    def test_body_by_its_header(self, start_service: StartService) -> None:
        """A Content-Length over the limit is refused before any byte of the body arrives."""
        client = start_service(max_body_bytes=1000)
        with connect(client) as connection:
            headers = [f"Content-Type: {BYTES}", "Content-Length: 1001"]
            connection.sendall(request_head("POST", PATH, headers))

            assert read_status(connection) == 413

    @pytest.mark.usefixtures("store")
    def test_too_many_rows_are_told_before_the_body_is_there(self, start_service: StartService) -> None:
        """Content-Length gives the number of rows: too many are refused even if their bytes are within the limit."""
        client = start_service(max_instances=2)
        with connect(client) as connection:
            headers = [f"Content-Type: {BYTES}", f"Content-Length: {3 * 784}"]
            connection.sendall(request_head("POST", PATH, headers))

            assert read_status(connection) == 413

    @pytest.mark.usefixtures("store")
    def test_body_as_it_arrives(self, start_service: StartService) -> None:
        """A chunked body is refused as soon as it is over the limit, not when it ends."""
        client = start_service(max_body_bytes=1000)
        with connect(client) as connection:
            headers = [f"Content-Type: {BYTES}", "Transfer-Encoding: chunked"]
            connection.sendall(request_head("POST", PATH, headers))
            connection.sendall(b"3e8\r\n" + bytes(1000) + b"\r\n1\r\n0\r\n")

            assert read_status(connection) == 413

    @pytest.mark.usefixtures("store")
    def test_large_body_sent_whole(self, start_service: StartService) -> None:
        """A client that keeps sending regardless still gets its answer."""
        client = start_service(max_body_bytes=1000)

        problem = assert_problem(predict(client, bytes(1_000_000), BYTES), 413, "too-large")

        assert "1000 bytes" in problem["detail"]

    def test_pixels_of_a_picture(self, client: httpx.Client) -> None:
        """A picture of 3.6 gigapixels is refused because of its header."""
        assert_problem(predict(client, enormous_png(), "image/png"), 413, "too-large")

    @pytest.mark.usefixtures("store")
    def test_instances(self, start_service: StartService) -> None:
        """Too many images are refused, whichever way they are sent."""
        client = start_service(max_instances=2)

        responses = [
            predict(client, bytes(3 * 784), BYTES),
            predict_json(client, {"instances": ROWS[:3].tolist()}),
        ]

        for response in responses:
            problem = assert_problem(response, 413, "too-large")
            assert "may hold at most 2 images, this one holds 3" in problem["detail"]
        parts = client.post(PATH, files=[("file", picture())] * 3)
        assert "may have at most 2 parts, this one has 3" in assert_problem(parts, 413, "too-large")["detail"]


def keep_every_thread_busy(client: httpx.Client, threads: ThreadPoolExecutor) -> list[Future[httpx.Response]]:
    """Send one row to each of the service's threads, where the held engine keeps it."""
    running = []
    for _ in range(usable_cores()):
        running.append(threads.submit(predict, client, ONE_ROW, BYTES))
        wait_until(lambda: scrape(client).value("digits_queue_wait_seconds_count") == len(running))
    return running


@contextmanager
def waiting_rows(client: httpx.Client, engine: FirstPixelEngine, count: int) -> Iterator[None]:
    """While the context is open, all threads are busy and `count` rows wait; then every row gets its answer."""
    with ThreadPoolExecutor(usable_cores() + 1) as threads:
        running = keep_every_thread_busy(client, threads)
        waiting = threads.submit(predict, client, as_levels(ROWS[:count]), BYTES)
        wait_until(lambda: scrape(client).value("digits_queue_rows") == count)
        yield
        assert engine.gate is not None
        engine.gate.set()
        assert [digits_of(answer.result()) for answer in running] == [[7]] * usable_cores()
        assert digits_of(waiting.result()) == DIGITS[:count]


class TestOverload:
    """A request that cannot be answered is refused at once, or at its deadline."""

    @pytest.mark.usefixtures("store")
    def test_full_queue(self, start_service: StartService, held_engine: FirstPixelEngine) -> None:
        """One row too many is refused with the seconds to wait; the waiting rows are answered."""
        client = start_service(FakeLoader(held_engine), queue_limit=3, max_instances=3)
        with waiting_rows(client, held_engine, 3):
            refused = predict(client, ONE_ROW, BYTES)

            assert "3 rows are waiting" in assert_problem(refused, 429, "queue-full")["detail"]
            assert int(refused.headers["Retry-After"]) >= 1
        assert digits_of(predict(client, ONE_ROW, BYTES)) == [7]

    @pytest.mark.usefixtures("store")
    def test_full_queue_is_told_before_the_body_is_there(
        self, start_service: StartService, held_engine: FirstPixelEngine
    ) -> None:
        """If Content-Length shows that the rows do not fit into the queue, they are refused before they are read."""
        client = start_service(FakeLoader(held_engine), queue_limit=3, max_instances=3)
        with waiting_rows(client, held_engine, 2), connect(client) as connection:
            headers = [f"Content-Type: {BYTES}", f"Content-Length: {2 * 784}"]
            connection.sendall(request_head("POST", PATH, headers))

            assert read_status(connection) == 429

    def test_no_version_yet(self, tmp_path: Path, start_service: StartService) -> None:
        """With an empty store the problem says what to do; once a version is published, it serves."""
        client = start_service(ready=False)

        response = predict(client, ONE_ROW, BYTES)

        assert "Publish one with" in assert_problem(response, 503, "not-ready")["detail"]
        assert int(response.headers["Retry-After"]) >= 1
        write_version(tmp_path / "store", 1)
        wait_until(lambda: predict(client, ONE_ROW, BYTES).status_code == 200)

    @pytest.mark.usefixtures("store")
    def test_deadline_of_the_network(self, start_service: StartService, held_engine: FirstPixelEngine) -> None:
        """A client's own, shorter deadline holds; the service's limit is ten seconds."""
        client = start_service(FakeLoader(held_engine))

        headers = BYTES_HEADERS | {"X-Request-Timeout-Seconds": "0.05"}
        response = client.post(PATH, content=ONE_ROW, headers=headers)

        assert_problem(response, 504, "deadline-passed")

    @pytest.mark.usefixtures("store")
    def test_the_service_s_own_deadline(self, start_service: StartService, held_engine: FirstPixelEngine) -> None:
        """A header can shorten the deadline that the operator chose, not extend it."""
        client = start_service(FakeLoader(held_engine), request_timeout_seconds=0.05)

        headers = BYTES_HEADERS | {"X-Request-Timeout-Seconds": "1e300"}
        response = client.post(PATH, content=ONE_ROW, headers=headers)

        assert_problem(response, 504, "deadline-passed")

    def test_deadline_of_a_body_that_does_not_end(self, client: httpx.Client) -> None:
        """A client that sends half a body cannot hold a request for ever."""
        with connect(client) as connection:
            headers = [f"Content-Type: {BYTES}", "Content-Length: 784", "X-Request-Timeout-Seconds: 0.05"]
            connection.sendall(request_head("POST", PATH, headers) + bytes(100))

            assert read_status(connection) == 504

    def test_deadline_of_writing_the_answer(self, client: httpx.Client) -> None:
        """Writing ten thousand pictures takes longest: after half of the whole time, only writing is left to do."""
        rows_before, started = scrape(client).value("digits_batch_rows_sum"), time.monotonic()
        whole = client.post(PATH + "?include=seen", content=bytes(10_000 * 784), headers=BYTES_HEADERS)
        assert whole.status_code == 200
        headers = BYTES_HEADERS | {"X-Request-Timeout-Seconds": f"{(time.monotonic() - started) / 2:.3f}"}
        response = client.post(PATH + "?include=seen", content=bytes(10_000 * 784), headers=headers)

        assert_problem(response, 504, "deadline-passed")
        assert scrape(client).value("digits_batch_rows_sum") == rows_before + 20_000

    @pytest.mark.usefixtures("store")
    def test_client_that_leaves_while_its_answer_is_written(self, start_service: StartService) -> None:
        """Nothing more is written for it, and it is counted as 499."""
        client = start_service()
        with connect(client) as leaving:
            headers = [f"Content-Type: {BYTES}", f"Content-Length: {10_000 * 784}"]
            leaving.sendall(request_head("POST", PATH + "?include=seen", headers) + bytes(10_000 * 784))
            wait_until(lambda: scrape(client).value("digits_batch_rows_sum") == 10_000)
            # Reset the connection, instead of merely half-closing it.
            leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        wait_until(lambda: scrape(client).value("digits_http_requests_in_progress") == 1)
        assert scrape(client).value("digits_rejected_total", reason="client-gone") == 1

    @pytest.mark.usefixtures("store")
    def test_rows_that_are_shown_count_until_they_are_written(
        self, start_service: StartService, held_engine: FirstPixelEngine
    ) -> None:
        """Rows whose pictures are asked for stay in memory, and so have the same bound as bodies."""
        client = start_service(FakeLoader(held_engine), max_body_bytes=1_000_000)
        rows, query = bytes(1200 * 784), "?include=seen"  # 3.8 MB as numbers; 8 MB may be held
        with ThreadPoolExecutor(2) as threads:
            kept = [threads.submit(predict, client, rows, BYTES, query) for _ in range(2)]
            wait_until(lambda: scrape(client).value("digits_queue_rows") > 1200)
            headers = BYTES_HEADERS | {"X-Request-Timeout-Seconds": "2"}
            refused = client.post(PATH + query, content=rows, headers=headers)

            assert "sent by all clients" in assert_problem(refused, 429, "queue-full")["detail"]
            assert held_engine.gate is not None
            held_engine.gate.set()
            assert [digits_of(answer.result()) for answer in kept] == [[0] * 1200] * 2
        assert digits_of(predict(client, rows, BYTES, query)) == [0] * 1200

    @pytest.mark.usefixtures("store")
    def test_client_that_leaves(self, start_service: StartService, held_engine: FirstPixelEngine) -> None:
        """Its rows leave the queue, and it is counted as 499; other clients are answered."""
        client = start_service(FakeLoader(held_engine), queue_limit=4, max_instances=3)
        with waiting_rows(client, held_engine, 1):
            with connect(client) as leaving:
                headers = [f"Content-Type: {BYTES}", f"Content-Length: {3 * 784}"]
                leaving.sendall(request_head("POST", PATH, headers) + bytes(3 * 784))
                wait_until(lambda: scrape(client).value("digits_queue_rows") == 4)

            wait_until(lambda: scrape(client).value("digits_queue_rows") == 1)
        seen = scrape(client)
        assert seen.value("digits_http_requests_total", method="POST", route=PATH, status="499") == 1
        assert seen.value("digits_rejected_total", reason="client-gone") == 1
        assert sum(held_engine.batches) == usable_cores() + 1

    @pytest.mark.usefixtures("store")
    def test_client_that_leaves_in_the_middle_of_its_body(self, start_service: StartService) -> None:
        """Half a body is an error of neither side: it is counted as 499."""
        client = start_service()
        with connect(client) as connection:
            headers = [f"Content-Type: {BYTES}", "Content-Length: 784"]
            connection.sendall(request_head("POST", PATH, headers) + bytes(100))
            wait_until(lambda: scrape(client).value("digits_http_requests_in_progress") == 2)

        wait_until(lambda: scrape(client).value("digits_rejected_total", reason="client-gone") == 1)


@pytest.mark.parametrize("query", ["", "?version=1"])
@pytest.mark.usefixtures("store")
def test_a_fault_of_the_network_tells_nothing(start_service: StartService, query: str) -> None:
    """With and without routing, an unforeseen exception becomes a problem with the request's id, and is counted."""

    class Broken(FirstPixelEngine):
        def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
            msg = f"the inside of {len(pixels)} rows"
            raise RuntimeError(msg)

    client = start_service(FakeLoader(Broken()))

    response = predict(client, ONE_ROW, BYTES, query)

    assert "inside" not in assert_problem(response, 500, "internal")["detail"]
    seen = scrape(client)
    assert seen.value("digits_http_requests_total", method="POST", route=PATH, status="500") == 1
    assert seen.value("digits_rejected_total", reason="internal") == 1
