"""What one image costs in service: the SavedModel compiled as servers compile it, timed on this machine."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from tensorflow.lite.python.convert import ConverterError
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from trainer.data import IMAGE_SIDE
from trainer.runtime import silenced_stderr

_WARM_UP_RUNS = 50  # the first ones find cold caches and a slow clock
_MAX_RUNS = 4_000  # a third of a second for the released network; the median moves by 1 % at most
_MAX_SECONDS = 1.0  # for a network too slow to finish all runs; compiling takes another half a second

NOT_TIMED = (ConverterError, ValueError, RuntimeError, tf.errors.OpError)
"""What the compiler and the interpreter raise for a network that they can't run."""


def microseconds_per_image(folder: Path) -> float:
    """Times the SavedModel in `folder` in LiteRT: one image at a time, one thread, the median of many runs.

    Raises:
        OSError: There is no SavedModel.
        *NOT_TIMED: It can't be compiled, or LiteRT can't run it.
    """
    # Compiler and interpreter announce themselves on stderr; exceptions still propagate.
    with silenced_stderr():
        interpreter = Interpreter(model_content=_compile(folder), num_threads=1)
        pixels = interpreter.get_input_details()[0]["index"]
        interpreter.resize_tensor_input(pixels, [1, IMAGE_SIDE**2])
        interpreter.allocate_tensors()
    image = np.random.default_rng(0).random((1, IMAGE_SIDE**2), np.float32)
    return _time_runs(interpreter, pixels, image)


def _compile(folder: Path) -> bytes:
    """Compiles the signature into a float32 program, its variables frozen into constants first.

    Converting the SavedModel directly loses Keras 3's weights silently.
    """
    # The signature lives only as long as the object that it was loaded with.
    loaded: Any = tf.saved_model.load(str(folder))

    def answer(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        answers: dict[str, tf.Tensor] = loaded.signatures["serving_default"](pixels=pixels)
        return answers

    function = tf.function(answer, input_signature=[tf.TensorSpec((None, IMAGE_SIDE**2), tf.float32, "pixels")])
    frozen = convert_variables_to_constants_v2(function.get_concrete_function())
    program: bytes = tf.lite.TFLiteConverter.from_concrete_functions([frozen]).convert()
    return program


def _time_runs(interpreter: Any, pixels: int, image: np.ndarray[Any, np.dtype[np.float32]]) -> float:  # noqa: ANN401 - no types
    nanoseconds = []
    end = time.perf_counter() + _MAX_SECONDS
    for _ in range(_WARM_UP_RUNS + _MAX_RUNS):
        started = time.perf_counter_ns()
        interpreter.set_tensor(pixels, image)
        interpreter.invoke()
        nanoseconds.append(time.perf_counter_ns() - started)
        if time.perf_counter() > end:
            break
    timed = nanoseconds[_WARM_UP_RUNS:] or nanoseconds[-1:]
    return float(np.median(timed)) / 1_000
