"""Bodies that are made to harm: each is refused with the right problem, and the service goes on as before."""

import contextlib
import gzip
import io
import json
import struct
import time
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image

from service.bodies.media_types import BYTES, FORM, JSON
from service.imaging.picture_files import MEDIA_TYPES
from tests.service.assertions import assert_problem
from tests.service.bodies.test_reader import form, picture
from tests.service.raw_http import connect, read_status, request_head
from tests.service.running import running_service
from tests.service.test_predict import ONE_ROW, PATH, digits_of, enormous_png, predict

# Over the limit of 25 million pixels, in files of at most some hundred kilobytes.
BOMB_SIDE = 6000
# A body is read in milliseconds; the limit is for a busy machine.
SECONDS = 20.0


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One service for all tests: after each it must be as it was."""
    with running_service(tmp_path_factory.mktemp("store")) as client:
        yield client


@pytest.fixture(autouse=True)
def as_before(client: httpx.Client) -> Iterator[None]:
    """After the test the service is alive, answers correctly, and is not busy."""
    yield
    assert client.get("/health/live").is_success
    assert digits_of(predict(client, ONE_ROW, BYTES)) == [7]


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    """Fail if the context is open for too long."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < SECONDS


def chunked(client: httpx.Client, content_type: str, chunks: bytes) -> int:
    """Send a chunked body, whose chunks may be invalid; gives the answer's status."""
    with connect(client) as connection:
        headers = [f"Content-Type: {content_type}", "Transfer-Encoding: chunked"]
        connection.sendall(request_head("POST", PATH, headers))
        with contextlib.suppress(ConnectionError):  # it was answered before the end
            connection.sendall(chunks)
        return read_status(connection)


class TestLengths:
    """The length that a body announces is not trusted."""

    @pytest.mark.parametrize(
        "length", ["-1", "+784", "784.0", "7e2", "0x310", "784, 784", "784 784", "", "99999999999999999999999"]
    )
    def test_no_length(self, client: httpx.Client, length: str) -> None:
        """A length that is not a valid number is malformed."""
        with connect(client) as connection:
            head = request_head("POST", PATH, [f"Content-Type: {BYTES}", f"Content-Length: {length}"])
            connection.sendall(head + bytes(784))

            assert read_status(connection) == 400

    def test_two_lengths(self, client: httpx.Client) -> None:
        """Two lengths, or a length beside chunks, could be read in two ways, so they are malformed."""
        for second in ("Content-Length: 1", "Transfer-Encoding: chunked"):
            with connect(client) as connection:
                headers = [f"Content-Type: {BYTES}", "Content-Length: 784", second]
                connection.sendall(request_head("POST", PATH, headers) + bytes(784))

                assert read_status(connection) == 400

    def test_more_than_can_be(self, client: httpx.Client) -> None:
        """An enormous length is refused before any of the body has arrived."""
        with connect(client) as connection:
            headers = [f"Content-Type: {BYTES}", "Content-Length: 99999999999"]
            connection.sendall(request_head("POST", PATH, headers))

            assert read_status(connection) == 413

    @pytest.mark.parametrize("ending", [[], ["Connection: close"]])
    def test_bytes_beyond_the_length(self, client: httpx.Client, ending: list[str]) -> None:
        """Bytes after the announced body are not part of it: the row is answered as it is."""
        with connect(client) as connection:
            headers = [f"Content-Type: {BYTES}", "Content-Length: 784", *ending]
            connection.sendall(request_head("POST", PATH, headers) + ONE_ROW + b"surplus")

            assert read_status(connection) == 200


class TestChunks:
    """Bodies in chunks, few and many, right and wrong."""

    def test_a_chunk_for_each_byte(self, client: httpx.Client) -> None:
        """A row may come in as many chunks as it has bytes."""
        assert chunked(client, BYTES, b"".join(b"1\r\n%c\r\n" % byte for byte in ONE_ROW) + b"0\r\n\r\n") == 200

    def test_a_flood_of_chunks(self, client: httpx.Client) -> None:
        """A million chunks of one byte are read in time, and refused only because they are not whole rows."""
        with in_time():
            status = chunked(client, BYTES, b"1\r\n\0\r\n" * 1_000_000 + b"0\r\n\r\n")

        assert status == 422  # 1,000,000 is no multiple of 784

    @pytest.mark.parametrize(
        "chunks", [b"no length\r\n", b"-1\r\n\0\r\n", b"ffffffffffffffffff\r\n", b"1\r\n\0\0\0\0\r\n"]
    )
    def test_no_chunks(self, client: httpx.Client, chunks: bytes) -> None:
        """Chunks with a wrong length, or without one, are malformed."""
        assert chunked(client, BYTES, chunks) == 400


class TestCompression:
    """Nothing that is sent is unpacked."""

    @pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP", "identity, gzip"])
    @pytest.mark.parametrize("content_type", [BYTES, JSON, "image/png", FORM])
    def test_compressed_bodies(self, client: httpx.Client, content_type: str, encoding: str) -> None:
        """A compressed body is refused because of its header, whatever it contains."""
        headers = {"Content-Type": content_type, "Content-Encoding": encoding}
        response = client.post(PATH, content=gzip.compress(bytes(10_000_000)), headers=headers)

        assert_problem(response, 415, "unsupported-media-type")

    @pytest.mark.parametrize(("codings", "status"), [(["gzip, chunked"], 415), (["gzip", "chunked"], 400)])
    def test_a_transfer_coding_that_is_not_read(self, client: httpx.Client, codings: list[str], status: int) -> None:
        """A body with a compressing transfer coding is refused, even where its bytes could be taken for pixels."""
        headers = [f"Content-Type: {BYTES}", *(f"Transfer-Encoding: {coding}" for coding in codings)]
        body = b"310\r\n" + bytes(784) + b"\r\n0\r\n\r\n"
        with connect(client) as connection:
            connection.sendall(request_head("POST", PATH, headers) + body)
            assert read_status(connection) == status

    def test_compressed_body_that_does_not_say_so(self, client: httpx.Client) -> None:
        """Without the header the body is read as its type says: as bytes, but the wrong number of them."""
        assert_problem(predict(client, gzip.compress(bytes(784)), BYTES), 422, "invalid-input")


class TestTypes:
    """Very long Content-Type headers."""

    @pytest.mark.parametrize("path", [PATH, "/v1/read"])
    @pytest.mark.parametrize("parameters", ['boundary="' + ";" * 60_000, "a=b;" * 15_000, "boundary=" + "b" * 1_100])
    def test_a_very_long_type(self, client: httpx.Client, parameters: str, path: str) -> None:
        """It is refused before it is parsed, which would hold up all other requests for a tenth of a second."""
        response = client.post(path, content=b"a", headers={"Content-Type": f"{FORM}; {parameters}"})

        detail = assert_problem(response, 415, "unsupported-media-type")["detail"]
        assert "bytes, more than 1024;" in detail


class TestJson:
    """JSON that is deeply nested, very long, or names a member twice."""

    @pytest.mark.parametrize("depth", [50, 120, 250_000])
    @pytest.mark.parametrize("opening", ["[", '{"pixels":', '{"instances":['])
    def test_depth(self, client: httpx.Client, opening: str, depth: int) -> None:
        """Brackets that are never closed are malformed JSON, however deep they are."""
        response = predict(client, opening.encode() * depth, JSON)

        assert_problem(response, 400, "malformed-body")

    @pytest.mark.parametrize("depth", [50, 120, 1000])
    def test_depth_that_ends(self, client: httpx.Client, depth: int) -> None:
        """Nested brackets that are all closed are not an image either."""
        body = b'{"instances":' + b"[" * depth + b"]" * depth + b"}"

        assert predict(client, body, JSON).status_code in (400, 422)

    def test_a_member_twice(self, client: httpx.Client) -> None:
        """Two members of the same name are refused in an otherwise valid body: neither is silently chosen."""
        row = json.dumps([0.7] + [0.0] * 783)
        body = f'{{"pixels": {row}, "pixels": [0.1]}}'.encode()

        assert_problem(predict(client, body, JSON), 422, "invalid-input")

    @pytest.mark.parametrize("number", ["1" * 100_000, "0." + "1" * 100_000, "1e" + "9" * 1000, "-0", "1e-400"])
    def test_long_numbers(self, client: httpx.Client, number: str) -> None:
        """A number of a hundred thousand digits is read, or refused, in time."""
        with in_time():
            response = predict(client, f'{{"pixels": [{",".join([number] * 784)}]}}'.encode()[:15_000_000], JSON)

        assert response.status_code in (200, 400, 422)

    def test_a_very_long_name(self, client: httpx.Client) -> None:
        """The name of an unknown member is not sent back in full."""
        response = predict(client, json.dumps({"x" * 1_000_000: 1}).encode(), JSON)

        assert_problem(response, 422, "invalid-input")
        assert len(response.content) < 10_000


def bomb(media_type: str) -> bytes:
    """A picture of one colour: a small file with more pixels than the limit."""
    file = io.BytesIO()
    options: dict[str, dict[str, Any]] = {
        "image/tiff": {"compression": "tiff_adobe_deflate"},
        "image/webp": {"lossless": True},
    }
    image = Image.new("1" if media_type in ("image/bmp", "image/tiff") else "L", (BOMB_SIDE, BOMB_SIDE))
    pillow_format = media_type.removeprefix("image/").upper()
    image.save(file, pillow_format, **options.get(media_type, {}))
    return file.getvalue()


def png_chunk(name: bytes, data: bytes) -> bytes:
    """One chunk of a PNG file."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, pixels: bytes) -> bytes:
    """A grey PNG file whose header says that size, whatever its pixel data unpacks to."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    data = png_chunk(b"IDAT", zlib.compress(pixels))
    return b"\x89PNG\r\n\x1a\n" + header + data + png_chunk(b"IEND", b"")


# As `service.server` does: Pillow warns of damage that is answered with 422.
@pytest.mark.filterwarnings("ignore:::PIL")
class TestPictures:
    """Pictures that are decompression bombs, lie about their size, or are two files in one."""

    @pytest.mark.parametrize("media_type", MEDIA_TYPES)
    def test_bombs(self, client: httpx.Client, media_type: str) -> None:
        """A small file of many pixels is refused because of its header, in every format, and in a form too."""
        content = bomb(media_type)
        assert len(content) < 5_000_000

        with in_time():
            for sent in ((content, media_type), form(("file", content))):
                assert_problem(predict(client, *sent), 413, "too-large")

    def test_a_png_that_unpacks_to_more_than_its_header_says(self, client: httpx.Client) -> None:
        """Pixel data of a hundred megabytes behind a header of 28 x 28 does not keep the service busy."""
        content = png(28, 28, bytes(100_000_000))

        with in_time():
            response = predict(client, content, "image/png")

        assert_problem(response, 422, "invalid-input")  # black all over

    def test_a_text_chunk_that_unpacks_to_much(self, client: httpx.Client) -> None:
        """A comment of a hundred megabytes, compressed, does not stop the picture from being read or refused."""
        text = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 100_000_000))
        whole = picture()

        with in_time():
            response = predict(client, whole[:33] + text + whole[33:], "image/png")

        assert response.status_code in (200, 422)

    @pytest.mark.parametrize("media_type", MEDIA_TYPES)
    @pytest.mark.parametrize("kept", [0.0, 0.02, 0.5])
    def test_files_cut_short(self, client: httpx.Client, media_type: str, kept: float) -> None:
        """A truncated file of any format is refused."""
        whole = picture(pillow_format=media_type.removeprefix("image/").upper())

        assert_problem(predict(client, whole[: int(len(whole) * kept)], media_type), 422, "invalid-input")

    @pytest.mark.parametrize("media_type", MEDIA_TYPES)
    def test_a_file_with_another_behind_it(self, client: httpx.Client, media_type: str) -> None:
        """Bytes after a picture are ignored, be they a script, an archive or another picture."""
        whole = picture(pillow_format=media_type.removeprefix("image/").upper())
        alone = predict(client, whole, media_type)

        for behind in (b"<script>alert(1)</script>", b"PK\x03\x04" + bytes(100), enormous_png()):
            answer = predict(client, whole + behind, media_type)
            assert answer.status_code == 200
            assert answer.json()["predictions"] == alone.json()["predictions"]
            assert answer.headers["Content-Type"] == "application/json"

    @pytest.mark.parametrize("before", [b"\n", b"<svg/>", b"%PDF-1.4\n", b"#!/bin/sh\n", b"GIF89a", b"BM"])
    def test_a_picture_behind_something_else(self, client: httpx.Client, before: bytes) -> None:
        """The beginning of a file decides what it is: a picture further on does not make it one."""
        assert_problem(predict(client, before + picture(), "image/png"), 422, "invalid-input")

    @pytest.mark.parametrize(
        "content",
        [
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
            b"SIMPLE  =                    T" + b" " * 2850,
            b"P6\n28 28\n255\n" + bytes(28 * 28 * 3),
            b"\0\0\1\0\1\0" + bytes(40),
            b"8BPS\0\1" + bytes(40),
        ],
        ids=["EPS", "SVG", "FITS", "PPM", "ICO", "PSD"],
    )
    def test_formats_that_are_not_accepted(self, client: httpx.Client, content: bytes) -> None:
        """Other formats that Pillow could read are not given to it, whatever media type they are sent with."""
        for media_type in MEDIA_TYPES:
            assert_problem(predict(client, content, media_type), 422, "invalid-input")

    @pytest.mark.parametrize("size", [(0, 0), (0, 28), (28, 0), (1, 1), (2**31 - 1, 1), (1, 2**31 - 1)])
    def test_sizes(self, client: httpx.Client, size: tuple[int, int]) -> None:
        """A header with no pixels, with one, or with a line of two thousand million is refused."""
        assert predict(client, png(*size, bytes(2)), "image/png").status_code in (413, 422)


def test_a_form_of_very_many_small_parts_is_refused_at_once(client: httpx.Client) -> None:
    """A million boundaries are counted, not parsed."""
    with in_time():
        response = predict(client, b"--b\r\n\r\n\r\n" * 1_000_000 + b"--b--\r\n", f"{FORM}; boundary=b")

    assert_problem(response, 413, "too-large")


def test_a_form_header_without_end_is_malformed(client: httpx.Client) -> None:
    """A part's header of megabytes is not collected."""
    body = b"--b\r\nContent-Disposition: form-data; " + b"x" * 5_000_000 + b"\r\n--b--\r\n"

    with in_time():
        response = predict(client, body, f"{FORM}; boundary=b")

    assert response.status_code in (400, 422)
