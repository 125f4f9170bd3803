import asyncio
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from service.engines import litert
from service.engines.litert import LiteRTEngine
from service.versions.golden import GoldenImages, read_golden


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


@settings(max_examples=30)
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


# About a second of batches: enough for threads to run at the same time.
BULK = np.zeros((64 * 150, 784), np.float32)


def test_an_engine_needs_its_file_no_more(released_program: Path, tmp_path: Path) -> None:
    """Once loaded, it runs in any number of threads, even after the program has left the cache."""
    program = Path(shutil.copy(released_program, tmp_path))
    engine = LiteRTEngine(program, 64)
    program.unlink()
    with ThreadPoolExecutor(3) as threads:
        outputs = list(threads.map(engine.run, [BULK] * 3))
    assert all(len(output) == len(BULK) for output in outputs)


def test_the_event_loop_makes_no_interpreter(released_program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few rows run at once in the event loop while bulk runs in threads: their interpreters were made at load."""
    makers = []

    def noted(**options: Any) -> Any:
        makers.append(threading.get_ident())
        return Interpreter(**options)

    async def few_beside_bulk(engine: LiteRTEngine) -> int:
        runs = 0
        bulk = [asyncio.ensure_future(asyncio.to_thread(engine.run, BULK[:-1])) for _ in range(2)]
        while not all(one.done() for one in bulk):
            for rows in (1, 5, engine.inline_rows):
                assert len(engine.run(BULK[:rows])) == rows
                runs += 1
                await asyncio.sleep(0)
        return runs

    engine = LiteRTEngine(released_program, 64)
    monkeypatch.setattr(litert, "Interpreter", noted)
    assert asyncio.run(few_beside_bulk(engine)) > 1
    assert threading.get_ident() not in makers
