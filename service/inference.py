"""One request's rows on their way through the network: how many are in batches already, and the answers so far.

`service.row_queue` decides when they are taken, and with which others. Objects made for each request are NamedTuples,
here and in `bodies.reader`: a frozen dataclass takes three times as long to make.
"""

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.versions.loading import LoadedVersion

if TYPE_CHECKING:
    from service.telemetry.tracing import RequestTrace


class Inference(NamedTuple):
    """Probabilities float32 [n, 10] of one request, and how long its rows waited and ran, in seconds.

    `is_digit` says of each row whether it looks like a digit at all; None if the version does not tell. It is a list
    because all its readers want Python values, and for one row NumPy takes twice as long to compare.
    `scores` are the values in [0, 1] that it is derived from.
    """

    probabilities: NDArray[np.float32]
    is_digit: list[bool] | None
    queue_seconds: float
    run_seconds: float
    scores: list[float] | None = None


class InferenceRequest:
    """The rows of one request, pixels float32 [n, 784], until its deadline by the clock `time.monotonic`."""

    __slots__ = (
        *("version", "pixels", "deadline", "trace", "outputs", "answered", "arrived"),
        *("queue_seconds", "run_seconds", "taken", "finished"),
    )

    def __init__(
        self, version: LoadedVersion, pixels: NDArray[np.float32], deadline: float, trace: "RequestTrace | None"
    ) -> None:
        self.version = version
        self.pixels = pixels
        self.deadline = deadline
        self.trace = trace
        self.outputs: NDArray[np.float32] | None = None
        # Its result is None if `wake` was called before the answer came; the answer then goes into a new future.
        self.answered: asyncio.Future[Inference | None] = asyncio.get_running_loop().create_future()
        self.arrived = time.monotonic()
        self.queue_seconds = 0.0
        self.run_seconds = 0.0
        self.taken = 0
        self.finished = 0

    @property
    def waiting(self) -> int:
        """Rows that no batch has taken yet."""
        return len(self.pixels) - self.taken

    def receive(self, start: int, outputs: NDArray[np.float32]) -> None:
        """Take the engine's outputs for the rows from `start` on."""
        if len(outputs) == len(self.pixels):
            self.outputs = outputs
        else:
            if self.outputs is None:
                self.outputs = np.empty((len(self.pixels), outputs.shape[1]), np.float32)
            self.outputs[start : start + len(outputs)] = outputs
        self.finished += len(outputs)

    def answer(self) -> None:
        """Give the answer, if all of it is there and somebody waits for it."""
        if self.outputs is None or self.finished < len(self.pixels) or self.answered.done():
            return
        if self.trace is not None:
            self.trace.inferred()
        self.answered.set_result(inference_of(self.version, self.outputs, self.queue_seconds, self.run_seconds))

    def fail(self, error: BaseException) -> None:
        """Give the error, if somebody waits."""
        if not self.answered.done():
            self.answered.set_exception(error)

    def wake(self) -> None:
        """Give the caller None if there is no answer yet, and a new future to wait for."""
        if not self.answered.done():
            unwatched, self.answered = self.answered, asyncio.get_running_loop().create_future()
            unwatched.set_result(None)

    def close(self) -> None:
        """Let go of an answer that nobody waits for any more."""
        if not self.answered.cancel() and not self.answered.cancelled():
            self.answered.exception()  # retrieved, or asyncio would log that it never was


class Slice(NamedTuple):
    """Rows `start` to `stop` of a request, as part of a batch."""

    request: InferenceRequest
    start: int
    stop: int


def inference_of(
    version: LoadedVersion, outputs: NDArray[np.float32], queue_seconds: float, run_seconds: float
) -> Inference:
    """Make an `Inference` of the outputs float32 [n, 10 or 11] of a version's network."""
    threshold = version.manifest.metrics.is_digit_threshold
    if threshold is None:
        return Inference(outputs, None, queue_seconds, run_seconds)
    scores = outputs[:, 10].tolist()
    is_digit = [score >= threshold for score in scores]
    return Inference(outputs[:, :10], is_digit, queue_seconds, run_seconds, scores)
