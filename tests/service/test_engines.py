from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from service.engines.litert import LiteRTEngine
from service.golden import GoldenImages, read_golden


@pytest.fixture(scope="module")
def golden(released_store: Path) -> GoldenImages:
    return read_golden(released_store / "digits" / "1")


@pytest.fixture(scope="module")
def engine(released_program: Path) -> LiteRTEngine:
    return LiteRTEngine(released_program, max_batch_size=16)


@pytest.mark.parametrize("max_batch_size", [1, 2, 3, 16, 64])
def test_every_largest_batch_gives_the_golden_answers(
    released_program: Path, golden: GoldenImages, max_batch_size: int
) -> None:
    """However many rows run at once, the probabilities are those that the trainer saw."""
    tells = golden.is_digit is not None
    golden.check(LiteRTEngine(released_program, max_batch_size).run, "the engine", tells_is_digit=tells)


@settings(max_examples=30, deadline=None)
@given(data=st.data(), rows=st.integers(1, 40))
def test_row_has_the_same_answer_alone_and_in_any_batch(engine: LiteRTEngine, data: st.DataObject, rows: int) -> None:
    """A row's probabilities don't depend on the rows beside it, nor on padding."""
    pixels = data.draw(arrays(np.float32, (rows, 784), elements=st.floats(0, 1, width=32), fill=st.just(0)))
    together = engine.run(pixels)
    at = data.draw(st.integers(0, rows - 1))
    assert len(together) == rows
    assert together[:, :10].sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert together[at] == pytest.approx(engine.run(pixels[at : at + 1])[0], abs=1e-6)


def test_file_that_is_no_program_is_refused(tmp_path: Path) -> None:
    """Anything but a LiteRT program raises ValueError."""
    (tmp_path / "program.tflite").write_bytes(b"not a program")
    with pytest.raises(ValueError, match="model"):
        LiteRTEngine(tmp_path / "program.tflite", 4)
