"""The LiteRT engine: a compiled program, run in the calling thread; TensorFlow is not needed."""

from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

# Sixteen rows of the released network take 0.7 to 1.5 ms: going to a thread and back costs a tenth of that, and
# more rows would hold up the event loop.
_INLINE_ROWS = 16


class LiteRTEngine:
    """Interpreters of one program for batches of 1, 4, 16, ... rows; a batch is cut into these.

    An interpreter's shapes are fixed once and its memory planned once: resizing one per batch costs
    more than the network. Cutting 5 rows into 4 and 1 costs half of padding them to 8, because LiteRT
    takes the same time for a row in any batch. A thread that finds all interpreters at work makes
    itself a set of its own, about 10 MB.
    """

    inline_rows = _INLINE_ROWS

    def __init__(self, program: Path, max_batch_size: int) -> None:
        """Load the program and run every batch size once.

        Args:
            program: A .tflite file with one input float32 [None, 784] and one output float32 [None, 10 or 11].
            max_batch_size: Rows of the largest batch; larger ones are run in slices.

        Raises:
            ValueError: The file is not a program.
        """
        self._program = program
        self._sizes = _batch_sizes(max_batch_size)
        self._idle = [self._interpreters()]

    def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn pixels float32 [n, 784] into outputs float32 [n, 10 or 11]."""
        try:
            interpreters = self._idle.pop()  # atomic: no two threads get the same
        except IndexError:
            interpreters = self._interpreters()
        try:
            parts = [interpreters[len(part)].run(part) for part in _cut(pixels, self._sizes)]
        finally:
            self._idle.append(interpreters)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _interpreters(self) -> dict[int, "_FixedBatch"]:
        """A set of interpreters, each of which has run."""
        return {size: _FixedBatch(self._program, size) for size in self._sizes}


class _FixedBatch:
    def __init__(self, program: Path, size: int) -> None:
        self._interpreter = Interpreter(str(program), num_threads=1)
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]
        self._interpreter.resize_tensor_input(self._input, [size, 784])
        self._interpreter.allocate_tensors()
        self.run(np.zeros((size, 784), np.float32))

    def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        self._interpreter.set_tensor(self._input, pixels)
        self._interpreter.invoke()
        outputs: NDArray[np.float32] = self._interpreter.get_tensor(self._output)
        return outputs


def _batch_sizes(max_batch_size: int) -> list[int]:
    """Powers of four up to the maximum, and the maximum; the largest first."""
    sizes = {4**power for power in range(max_batch_size.bit_length()) if 4**power < max_batch_size}
    return sorted({*sizes, max_batch_size}, reverse=True)


def _cut(pixels: NDArray[np.float32], sizes: list[int]) -> list[NDArray[np.float32]]:
    """Cut rows into parts of these sizes, the largest that fit first."""
    parts = []
    at = 0
    for size in sizes:
        while len(pixels) - at >= size:
            parts.append(pixels[at : at + size])
            at += size
    return parts
