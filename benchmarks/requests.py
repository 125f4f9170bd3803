"""Requests as bytes: the bodies that are sent again and again, and one answer read back."""

import http.client
import io
import json
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Six decimals of k/255: as much as a client that formats floats sends, and far finer than the comparison needs.
_DECIMALS = 6
_BOUNDARY = "digits-benchmark"


@dataclass(frozen=True)
class Request:
    """A POST that is sent unchanged; `rows` are the images in it."""

    load: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    rows: int = 1


@dataclass(frozen=True)
class Answer:
    """Status and body of an answer."""

    status: int
    body: bytes


def send(port: int, request: Request, timeout_seconds: float = 10.0) -> Answer:
    """Send once, over a new connection.

    Raises:
        OSError: Nobody listens, or the answer does not come in time.
        HTTPException: The answer is not HTTP.
    """
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_seconds)) as connection:
        return send_over(connection, request)


def send_over(connection: http.client.HTTPConnection, request: Request) -> Answer:
    """Send over a connection that is left open for the next request.

    Raises:
        OSError: The connection breaks, or the answer does not come in time.
        HTTPException: The answer is not HTTP.
    """
    connection.request("POST", request.path, request.body, dict(request.headers))
    response = connection.getresponse()
    return Answer(response.status, response.read())


def on_the_wire(request: Request, port: int) -> bytes:
    """The request's bytes in HTTP/1.1, keep-alive."""
    head = [f"POST {request.path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Length: {len(request.body)}"]
    head += [f"{name}: {value}" for name, value in request.headers]
    return "\r\n".join([*head, "", ""]).encode() + request.body


def json_numbers(row: NDArray[np.float32]) -> str:
    """Pixels as a JSON array of numbers in [0, 1]."""
    return json.dumps([round(value, _DECIMALS) for value in row.astype(np.float64).tolist()], separators=(",", ":"))


def json_image(row: NDArray[np.float32]) -> Request:
    """One image as `{"pixels": ...}`."""
    body = f'{{"pixels":{json_numbers(row)}}}'.encode()
    return Request("JSON, one image", "/v1/predict", _type("application/json"), body)


def json_bulk(rows: NDArray[np.float32]) -> Request:
    """Images as `{"instances": ...}`."""
    body = f'{{"instances":[{",".join(map(json_numbers, rows))}]}}'.encode()
    return Request(f"JSON, {len(rows)} images", "/v1/predict", _type("application/json"), body, len(rows))


def json_grids(rows: NDArray[np.float32]) -> Request:
    """Images as `{"instances": ...}`, each as 28 rows of 28."""
    grids = (f"[{','.join(map(json_numbers, row.reshape(28, 28)))}]" for row in rows)
    body = f'{{"instances":[{",".join(grids)}]}}'.encode()
    return Request(f"JSON, {len(rows)} images of 28 rows", "/v1/predict", _type("application/json"), body, len(rows))


def octet_image(row: NDArray[np.float32]) -> Request:
    """One image as one byte a pixel."""
    return octets(row[None])


def octets(rows: NDArray[np.float32]) -> Request:
    """Images as one byte a pixel."""
    images = "one image" if len(rows) == 1 else f"{len(rows)} images"
    body = np.rint(rows * 255).astype(np.uint8).tobytes()
    return Request(f"octet-stream, {images}", "/v1/predict", _type("application/octet-stream"), body, len(rows))


def png(row: NDArray[np.float32]) -> Request:
    """One image as a 28x28 PNG."""
    return Request("PNG 28x28", "/v1/predict", _type("image/png"), _png_bytes(row))


def multipart(row: NDArray[np.float32]) -> Request:
    """One image as a 28x28 PNG in a form."""
    part = (
        f"--{_BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="file"; filename="digit.png"\r\n'
        "Content-Type: image/png\r\n\r\n"
    )
    body = part.encode() + _png_bytes(row) + f"\r\n--{_BOUNDARY}--\r\n".encode()
    headers = _type(f"multipart/form-data; boundary={_BOUNDARY}")
    return Request("PNG 28x28 in a form", "/v1/predict", headers, body)


def _png_bytes(row: NDArray[np.float32]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.rint(row * 255).astype(np.uint8).reshape(28, 28)).save(file, "PNG")
    return file.getvalue()


def _type(media_type: str) -> tuple[tuple[str, str], ...]:
    return (("Content-Type", media_type),)
