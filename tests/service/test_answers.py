import json

import numpy as np
import pytest
from numpy.typing import NDArray

from service.answers import prediction_json
from tests.service.turns import turns_of_others


@pytest.mark.parametrize(
    ("rows", "seen"), [(5000, None), (50, np.zeros((50, 784), np.float32))], ids=["plain", "with pictures"]
)
def test_others_have_their_turn_while_a_long_answer_is_written(rows: int, seen: NDArray[np.float32] | None) -> None:
    """The answer is written in parts, with the content and the order of rows that it would have if written at once."""
    digits = np.arange(rows) % 10
    probabilities = np.eye(10, dtype=np.float32)[digits]
    is_digit = [bool(digit) for digit in digits]
    content, turns = turns_of_others(prediction_json(probabilities, is_digit, b"{}", "some-id", seen))

    predictions = json.loads(content)["predictions"]
    assert [prediction["digit"] for prediction in predictions] == digits.tolist()
    assert [prediction["is_digit"] for prediction in predictions] == [bool(digit) for digit in digits]
    assert all(("seen" in prediction) == (seen is not None) for prediction in predictions)
    assert turns >= 3
