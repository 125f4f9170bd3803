"""The LiteRT engine: a compiled program, run in the calling thread; TensorFlow is not needed."""

from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray


class LiteRTEngine:
    """Interpreters of one program for batches of 1, 2, 4, ... rows; a batch is padded to the next size.

    An interpreter's shapes are fixed once and its memory planned once: resizing one per batch costs
    more than the network. Eight of them share the program's memory-mapped weights.
    """

    def __init__(self, program: Path, max_batch_size: int) -> None:
        """Load the program and run every batch size once.

        Args:
            program: A .tflite file with one input float32 [None, 784] and one output float32 [None, 10].
            max_batch_size: Rows of the largest batch; larger ones are run in slices.

        Raises:
            ValueError: The file is not a program.
        """
        self._sizes = _batch_sizes(max_batch_size)
        self._interpreters = {size: _FixedBatch(program, size) for size in self._sizes}
        for size in self._sizes:
            self.run(np.zeros((size, 784), np.float32))

    def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn pixels float32 [n, 784] into probabilities float32 [n, 10]."""
        largest = self._sizes[-1]
        slices = [self._run_slice(pixels[at : at + largest]) for at in range(0, len(pixels), largest)]
        return slices[0] if len(slices) == 1 else np.concatenate(slices)

    def _run_slice(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = len(pixels)
        size = next(size for size in self._sizes if size >= rows)
        if size > rows:
            padded = np.zeros((size, 784), np.float32)
            padded[:rows] = pixels
            pixels = padded
        return self._interpreters[size].run(pixels)[:rows]


class _FixedBatch:
    def __init__(self, program: Path, size: int) -> None:
        self._interpreter = Interpreter(str(program), num_threads=1)
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]
        self._interpreter.resize_tensor_input(self._input, [size, 784])
        self._interpreter.allocate_tensors()

    def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        self._interpreter.set_tensor(self._input, pixels)
        self._interpreter.invoke()
        probabilities: NDArray[np.float32] = self._interpreter.get_tensor(self._output)
        return probabilities


def _batch_sizes(max_batch_size: int) -> list[int]:
    """Powers of two up to the maximum, and the maximum: padding then at most doubles the work."""
    sizes = [1 << power for power in range(max_batch_size.bit_length()) if 1 << power < max_batch_size]
    return [*sizes, max_batch_size]
