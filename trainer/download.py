"""Fetches MNIST into Digits' own cache: bounded in time and size, whole or not at all.

It is the file that `keras.datasets.mnist.load_data()` fetches. Keras' own code is not used: it waits without limit, and
deletes a cached file whose hash it doesn't know.
"""

import hashlib
import http.client
import os
import secrets
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from trainer.data import DataUnavailableError

Progress = Callable[[int, int], None]
"""Called with the bytes so far and the bytes in all."""


@dataclass(frozen=True)
class Origin:
    """A file on the network, and the limits for fetching it."""

    # Address, size and SHA-256 as in keras/src/datasets/mnist.py (the size as the server states
    # it).
    url: str = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
    sha256: str = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
    max_bytes: int = 16 * 1024 * 1024  # the file has 11.5 MB
    silence_seconds: float = 10.0  # to connect, and between two packets
    deadline_seconds: float = 300.0  # in all: 40 kB/s suffice


def fetch(path: Path, origin: Origin, progress: Progress) -> None:
    """Makes sure that `path` holds the origin's file, downloading it unless it does already.

    Raises:
        DataUnavailableError: It can't be fetched; the message says where to put a copy.
    """
    try:
        if path.is_file() and _sha256(path) == origin.sha256:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
        try:
            with partial.open("xb") as file:
                _download(file, origin, progress)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    # urllib's own errors, including timeouts, are OSErrors.
    except (OSError, http.client.HTTPException) as error:
        raise DataUnavailableError(
            f"MNIST is not on this machine, and {origin.url} could not be fetched ({error}). "
            f"Name a copy by --data PATH or DIGITS_MNIST, or put mnist.npz at {path}"
        ) from error


def _download(file: BinaryIO, origin: Origin, progress: Progress) -> None:
    ends = time.monotonic() + origin.deadline_seconds
    digest = hashlib.sha256()
    done = 0
    opener = urllib.request.build_opener()
    with opener.open(origin.url, timeout=origin.silence_seconds) as response:
        total = _stated_bytes(response.headers.get("Content-Length"))
        # read1 returns after one packet, so that a trickle can't outlast the deadline.
        while chunk := response.read1(64 * 1024):
            done += len(chunk)
            if max(done, total) > origin.max_bytes:
                raise OSError(f"it has more than {origin.max_bytes} bytes")
            if time.monotonic() > ends:
                raise TimeoutError(f"it took longer than {origin.deadline_seconds:.0f} s")
            digest.update(chunk)
            file.write(chunk)
            progress(done, total)
    if digest.hexdigest() != origin.sha256:
        raise OSError(f"the {done} bytes that came are not the file: their SHA-256 is wrong")


def _stated_bytes(length: str | None) -> int:
    """How many bytes a header promises; 0 if it is not a number, since the digest checks the content anyway."""
    try:
        return max(0, int(length or 0))
    except ValueError:
        return 0


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
