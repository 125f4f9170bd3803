import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from service.prediction_text import each_prediction, predictions_text

Rows = NDArray[np.float32]

# Fractions such as 127/128 lie halfway between two numbers of six decimals.
PROBABILITY = st.one_of(st.floats(0, 1, width=32), st.integers(0, 128).map(lambda of_128: of_128 / 128))
SOME_ROWS = arrays(np.float32, st.tuples(st.integers(1, 60), st.just(10)), elements=PROBABILITY, fill=PROBABILITY)


@given(SOME_ROWS, st.data())
def test_many_rows_are_written_as_each_by_itself(rows: Rows, data: st.DataObject) -> None:
    """The bytes are the same, whether or not the version answers is_digit."""
    tells = st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))
    is_digit = data.draw(st.none() | tells)

    assert predictions_text(rows, is_digit) == ",".join(each_prediction(rows, is_digit)).encode()


@given(SOME_ROWS)
def test_what_is_written_are_the_probabilities(rows: Rows) -> None:
    """The digit has the largest probability, the first of equal ones; numbers are within half a millionth."""
    predictions = json.loads(b"[" + predictions_text(rows, None) + b"]")

    np.testing.assert_allclose([found["probabilities"] for found in predictions], rows, rtol=0, atol=0.501e-6)
    assert [found["digit"] for found in predictions] == rows.argmax(axis=1).tolist()
    assert [found["confidence"] for found in predictions] == [max(found["probabilities"]) for found in predictions]


def test_certainty_is_written_like_any_number() -> None:
    """1 is written with as many numerals as a number below 1."""
    text = predictions_text(np.eye(10, dtype=np.float32).repeat(3, axis=0), [True, False, True] * 10)

    predictions = json.loads(b"[" + text + b"]")
    assert [found["digit"] for found in predictions] == [digit for digit in range(10) for _ in range(3)]
    assert [found["is_digit"] for found in predictions] == [True, False, True] * 10
    assert {found["confidence"] for found in predictions} == {1.0}
