"""The LiteRT engine: a compiled program, run in the calling thread; TensorFlow is not needed."""

import asyncio
import os
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

# Sixteen rows of the released network take 0.7 to 1.5 ms; handing them to a thread and back costs a tenth of that.
# More rows at once would hold up the event loop, even from a thread, if that runs on the event loop's core.
_MOST_AT_ONCE = 16


class LiteRTEngine:
    """Interpreters of one program for batches of 1, 4 and 16 rows; a batch is cut into these.

    An interpreter's shapes and memory plan are fixed once, because resizing it for each batch costs
    more than the network. Cutting 5 rows into 4 and 1 costs half of padding them to 8, because LiteRT
    takes the same time for a row in any batch.

    The event loop has interpreters of its own, made at load: making one takes 2 to 12 ms, which it cannot spare.
    Threads share others, about 1 MB each, and make missing ones from the program in memory: the file may have left
    the cache by then. Between two parts of a batch, a thread gives way to an event loop that waits for its core.
    """

    inline_rows = _MOST_AT_ONCE

    def __init__(self, program: Path, max_batch_size: int) -> None:
        """Read the program and run every batch size once.

        Args:
            program: A .tflite file with one input float32 [None, 784] and one output float32 [None, 10 or 11].
            max_batch_size: Rows of the largest batch; no larger interpreter is made.

        Raises:
            ValueError: The file is not a program.
            OSError: The file cannot be read.
        """
        self._program = program.read_bytes()
        self._sizes = _batch_sizes(min(max_batch_size, _MOST_AT_ONCE))
        self._of_the_loop = {size: _FixedBatch(self._program, size) for size in self._sizes}
        self._idle: dict[int, list[_FixedBatch]] = {size: [] for size in self._sizes}

    def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn pixels float32 [n, 784] into outputs float32 [n, 10 or 11]."""
        if _in_event_loop():
            parts = [self._of_the_loop[len(part)].run(part) for part in _cut(pixels, self._sizes)]
        else:
            parts = [self._run_in_thread(part) for part in _cut(pixels, self._sizes)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _run_in_thread(self, part: NDArray[np.float32]) -> NDArray[np.float32]:
        idle = self._idle[len(part)]
        try:
            interpreter = idle.pop()  # atomic: no two threads get the same
        except IndexError:
            interpreter = _FixedBatch(self._program, len(part))
        try:
            return interpreter.run(part)
        finally:
            idle.append(interpreter)
            _give_way()


class _FixedBatch:
    """An interpreter for batches of one size, warmed up by one run."""

    def __init__(self, program: bytes, size: int) -> None:
        self._interpreter = Interpreter(model_content=program, num_threads=1)
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


def _give_way() -> None:
    """Yield this core to a thread that waits for it: the scheduler alone would leave it here for 3 to 5 ms."""
    if hasattr(os, "sched_yield"):  # not every system has it
        os.sched_yield()


def _in_event_loop() -> bool:
    """Whether the calling thread runs an event loop: in a process, only one event loop runs engines."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


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
