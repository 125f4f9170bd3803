"""Cost: a SavedModel is timed as it would be served."""

import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from trainer.cost import _compile, microseconds_per_image
from trainer.export import probabilities_of
from trainer.versions.manifest import Metrics


def test_compiled_program_answers_as_the_saved_model(trained: tuple[Path, Metrics]) -> None:
    """The program that is timed is the network with its weights: it gives the same answers."""
    folder, _ = trained
    pixels = np.random.default_rng(0).random((4, 784), np.float32)
    interpreter = Interpreter(model_content=_compile(folder), num_threads=1)
    entrance = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(entrance, [4, 784])
    interpreter.allocate_tensors()
    interpreter.set_tensor(entrance, pixels)
    interpreter.invoke()
    answers = [interpreter.get_tensor(output["index"]) for output in interpreter.get_output_details()]
    expected = pytest.approx(probabilities_of(folder, pixels), abs=1e-5)
    assert any(answer.shape == (4, 10) and answer == expected for answer in answers)


def test_time_is_that_of_one_image(trained: tuple[Path, Metrics]) -> None:
    """A small network takes between a microsecond and ten milliseconds, and the timing ends soon."""
    folder, _ = trained
    started = time.monotonic()
    assert 1 < microseconds_per_image(folder) < 10_000
    assert time.monotonic() - started < 20  # two seconds on a machine with nothing else to do


def test_bigger_networks_cost_more(tmp_path: Path) -> None:
    """A network with 500 times the work takes longer, and even a very slow one is timed."""
    cheap = microseconds_per_image(_dense(tmp_path / "cheap", width=8))
    assert microseconds_per_image(_dense(tmp_path / "dear", width=4_000)) > 2 * cheap


def test_nothing_there_is_an_error(tmp_path: Path) -> None:
    """A folder without a SavedModel is refused."""
    with pytest.raises(OSError, match="SavedModel"):
        microseconds_per_image(tmp_path)


def _dense(folder: Path, width: int) -> Path:
    """A SavedModel with one hidden layer."""
    generator = np.random.default_rng(1)
    module = tf.Module()
    module.first = tf.Variable(generator.normal(size=(784, width)).astype(np.float32))
    module.second = tf.Variable(generator.normal(size=(width, 10)).astype(np.float32))

    def serve(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        hidden = tf.nn.relu(tf.matmul(pixels, module.first))
        return {"probabilities": tf.nn.softmax(tf.matmul(hidden, module.second))}

    signature = tf.function(serve, input_signature=[tf.TensorSpec((None, 784), tf.float32, name="pixels")])
    tf.saved_model.save(module, str(folder), signatures=signature)
    return folder
