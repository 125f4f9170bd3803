"""Bodies hold the image, in the forms that the service takes."""

import json

import numpy as np

from benchmarks import bare, requests

ROWS = np.random.default_rng(0).integers(0, 256, (3, 784)).astype(np.float32) / np.float32(255)


def test_every_kind_of_array_body_is_the_same_image() -> None:
    """Six decimals and whole bytes both give the pixels back."""
    sent = json.loads(requests.json_bulk(ROWS).body)["instances"]
    np.testing.assert_allclose(sent, ROWS, atol=1e-6)
    grids = json.loads(requests.json_grids(ROWS).body)["instances"]
    np.testing.assert_allclose(grids, ROWS.reshape(3, 28, 28), atol=1e-6)
    octets = np.frombuffer(requests.octets(ROWS).body, np.uint8).reshape(3, 784)
    np.testing.assert_allclose(octets / 255, ROWS, atol=1e-6)


def test_the_bare_endpoint_reads_the_same_image() -> None:
    """The reference point does the same work on the same bodies."""
    np.testing.assert_allclose(bare.row_from_json(requests.json_image(ROWS[0]).body), ROWS[:1], atol=1e-6)
    np.testing.assert_allclose(bare.row_from_octets(requests.octet_image(ROWS[0]).body), ROWS[:1], atol=1e-6)


def test_rows_are_counted() -> None:
    """The rate of images a second is computed from them."""
    many = [requests.octets(ROWS), requests.json_bulk(ROWS), requests.json_grids(ROWS)]
    assert [request.rows for request in (*many, requests.png(ROWS[0]))] == [3, 3, 3, 1]


def test_a_request_on_the_wire_is_head_and_body() -> None:
    """The length in the head is that of the body."""
    request = requests.json_image(ROWS[0])
    head, _, body = requests.on_the_wire(request, 80).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/predict HTTP/1.1\r\n")
    assert b"Content-Length: %d" % len(body) in head
    assert len(json.loads(body)["pixels"]) == 784
